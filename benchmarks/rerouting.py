"""What re-routing costs, as multiples of the frozen model's own answer, measured in one run.

    python -m benchmarks.rerouting [--repeats 30] [--out build/benchmark.json]

Every row is the median of interleaved repeats, so that a busy moment of the machine
touches all rows alike. Seconds are printed for one row alone: they belong to a machine,
the ratios hardly do.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import typer
from PIL import Image
from rich.console import Console
from rich.progress import track
from rich.table import Table
from transformers.utils import logging as transformers_logging

from r2t2_core.engine import Engine
from r2t2_core.gallery import load_gallery
from r2t2_core.intake.image import read_image
from r2t2_core.problem import build_problem, surrogate_loss
from r2t2_core.reference.index import Retrieved
from r2t2_core.registry import get_strategy, strategies
from r2t2_core.settings import Settings
from r2t2_core.types import Neighbours, RoutingProblem, Sample, SurrogateLoss

Work = Callable[[], object]

BATCH = 64


def naive_loss(engine: Engine, neighbours: Neighbours) -> SurrogateLoss:
    """Build the surrogate loss as the first code had it: the whole model on each neighbour, at
    every step, one after the other."""
    samples = []
    for row in neighbours.index[0].tolist():
        with Image.open(engine.reference.image_path(row)) as image:
            samples.append(Sample(image.convert("RGB"), engine.reference.sample(row).question))

    def loss(routing: torch.Tensor) -> torch.Tensor:
        outputs = torch.cat([engine.model.prepare([sample]).expert_outputs for sample in samples])
        return surrogate_loss(engine.model, outputs[None], neighbours)(routing)

    return loss


def build(engine: Engine) -> dict[str, Work]:
    """Return the pieces of work: name → what is timed."""
    case = load_gallery(Settings().gallery_dir)[0]
    data = (Settings().gallery_dir / case.image).read_bytes()
    sample = Sample(read_image(data).image, case.question)
    prepared = engine.model.prepare([sample])
    embedding = engine.embedder.embed([case.question])
    features = prepared.image_features.cpu().numpy()
    retrieval = engine.default_retrieval
    number = itertools.count()

    def find() -> Retrieved:
        return engine.index.retrieve(embedding, features, retrieval)

    found = find()
    label = torch.tensor([engine.model.answers.index(case.label)])

    def pose() -> RoutingProblem:
        return build_problem(engine.model, prepared, engine.index, found, retrieval.policy, label)

    problem = pose()
    naive = dataclasses.replace(problem, surrogate_loss=naive_loss(engine, found.neighbours))

    def run(name: str, which: RoutingProblem) -> Work:
        values = engine.default_parameters(name)
        return lambda: get_strategy(name).reroute(which, values)

    works: dict[str, Work] = {
        "frozen model: one answer": lambda: engine.model.answer(engine.model.prepare([sample])),
        f"frozen model: a batch of {BATCH} answers": lambda: engine.model.answer(
            engine.model.prepare([sample] * BATCH)
        ),
        # Another question each time, since the embedder remembers the last ones.
        "task embedding of the question": lambda: engine.embedder.embed(
            [f"{case.question} {next(number)}"]
        ),
        f"retrieval, k = {retrieval.n_neighbours} of {engine.reference.manifest.size}": find,
        "stored expert outputs of the neighbours": pose,
    }
    works.update({f"strategy: {name}": run(name, problem) for name in strategies()})
    works["ngd, the whole model at every step (naive)"] = run("ngd", naive)
    works["fingerprint of the model"] = engine.model.fingerprint
    works["whole decision, default strategy"] = lambda: engine.answer(
        data, case.question, strategies=[engine.default_strategy]
    )
    works["whole decision, all strategies and controls"] = lambda: engine.answer(
        data, case.question, label=case.label
    )
    return works


def measure(works: dict[str, Work], repeats: int) -> dict[str, float]:
    """Return the median seconds of every piece of work."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for work in works.values():
        work()
    for _ in track(range(repeats), "measuring", transient=True):
        for name, work in works.items():
            began = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def main(repeats: int = 30, out: Path | None = None) -> None:
    """Measure and print the table; write it as JSON where `--out` says so."""
    transformers_logging.disable_progress_bar()
    engine = Engine.load(Settings.from_environment())
    medians = measure(build(engine), repeats)
    unit = next(iter(medians.values()))
    ratios = {name: value / unit for name, value in medians.items()}
    table = Table("work", "× one answer of the frozen model", title="What re-routing costs")
    for name, ratio in ratios.items():
        table.add_row(name, f"{ratio:.2f}")
    console = Console()
    console.print(table)
    console.print(
        f"one answer of the frozen model: {unit * 1000:.1f} ms on {engine.device}, "
        f"{torch.get_num_threads()} threads; median of {repeats} interleaved repeats"
    )
    if out is not None:
        record = {
            "unit_seconds": unit,
            "ratios": ratios,
            "repeats": repeats,
            "device": engine.device,
            "threads": torch.get_num_threads(),
            "machine": platform.machine(),
            "torch": torch.__version__,
        }
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
