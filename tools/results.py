"""Evaluate everything on the shipped suites; write the results, the record and the model card.

    python -m tools.results

Writes `docs/results.md`, the run for the compare page (`sample_data/evaluation/`: a row for each
question and method) and the tables of `docs/model-card.md`. A run that was interrupted goes on.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import typer
from PIL import Image
from rich.progress import Progress

from r2t2_core.engine import Engine
from r2t2_core.evaluation.costs import measure_costs
from r2t2_core.evaluation.methods import parse_methods
from r2t2_core.evaluation.metrics import BASE, score
from r2t2_core.evaluation.report import report_text
from r2t2_core.evaluation.runner import BATCH, Run, evaluate
from r2t2_core.evaluation.suites import Suite, default_suites, load_suite
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.settings import SAMPLE_DATA, Settings
from r2t2_core.types import Sample
from tools import model_card
from tools.reach_inputs import PARAPHRASES, UNKNOWN, UNRELATED, photographs, textures

DOCS = SAMPLE_DATA.parent / "docs"

METHODS = (
    "kernel_regression", "ngd", "mode_finding",
    "kernel_regression:alpha_mode=search",
    "ngd@all_labelled", "kernel_regression@all_labelled",
    "ngd@correct_only:n_neighbours=5", "kernel_regression@correct_only:n_neighbours=5",
    "mode_finding@correct_only:n_neighbours=5",
    "random_neighbours", "random_experts", "uniform", "knn_vote", "entropy",
    "tent", "memo", "router_finetuned", "own_expert", "oracle",
)  # fmt: skip

FURTHER_SUITES = ("in-domain", "free-wordings")

CHIEF = ("kernel_regression", "ngd", "uniform", "random_experts", "own_expert", "oracle")
"""Methods on the suites that are run when they are named."""

PICTURES = 200
"""Photographs, and textures, that check the reach."""


def check_reach(engine: Engine) -> dict[str, dict[str, int]]:
    """Count what the gate admits of inputs that did not calibrate it."""
    bounds = engine.defaults.thresholds
    texts = {
        "paraphrases": PARAPHRASES[1::2],
        "unrelated questions": UNRELATED[1::2],
        "questions about unknown things": UNKNOWN[1::2],
    }
    counts = {}
    for name, questions in texts.items():
        nearest = engine.embedder.embed(list(questions)) @ engine.reference.embeddings.T
        admitted = int((nearest.max(1) >= bounds.text_similarity).sum())
        counts[name] = {"cases": len(questions), "admitted": admitted}
    pictures: dict[str, list[Image.Image]] = {
        "parts of photographs": photographs(PICTURES),
        "textures": textures(PICTURES),
    }
    for name, images in pictures.items():
        prepared = engine.model.prepare([Sample(image, "where is the chair?") for image in images])
        far = engine.index.picture_distance(prepared.image_features.numpy())
        counts[name] = {"cases": len(images), "admitted": int((far <= bounds.image_distance).sum())}
    return counts


def leakage(engine: Engine, suites: Sequence[Suite]) -> dict[str, dict[str, int]]:
    """Count questions whose wording, and whose wording and picture, stand in the reference set."""
    params = RetrievalParams(policy="all_labelled", n_neighbours=1)
    counts = {}
    for suite in suites:
        worded, both = 0, 0
        for start in range(0, len(suite), BATCH):
            samples = []
            for entry in suite.samples[start : start + BATCH]:
                with Image.open(entry.image) as picture:
                    samples.append(Sample(picture.convert("RGB"), entry.question))
            features = engine.model.prepare(samples).image_features.cpu().numpy()
            embeddings = engine.embedder.embed([sample.question for sample in samples])
            found = engine.index.retrieve(embeddings, features, params)
            nearest = (embeddings @ engine.reference.embeddings.T).max(1)
            worded += int((nearest > params.duplicate_threshold).sum())
            both += int((found.left_out > 0).sum())
        counts[suite.name] = {"cases": len(suite), "worded": worded, "both": both}
    return counts


def router_by_family(results: pd.DataFrame) -> dict[str, list[float]]:
    """Return the router's mean dense weights of each family."""
    base = results[results["method"] == BASE]
    return {
        str(family): pd.DataFrame(group["router_routing"].tolist()).mean().round(4).tolist()
        for family, group in base.groupby("family", sort=False)
    }


def ship(run: Run, folder: Path) -> None:
    """Copy a run, with pictures named from the shipped data on and numbers in single precision."""
    frame = run.results
    frame["image"] = [Path(path).relative_to(SAMPLE_DATA).as_posix() for path in frame["image"]]
    for name in ("routing", "router_routing"):
        frame[name] = [np.asarray(row, dtype=np.float32).round(4) for row in frame[name]]
    for name in frame.select_dtypes("float64"):
        frame[name] = frame[name].astype(np.float32)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    frame.to_parquet(folder / "results.parquet", index=False, compression="zstd")
    for name in ("run.json", "costs.json", "bad_rows.json"):
        shutil.copy(run.folder / name, folder / name)


def record_of(run: Run, further: Run, engine: Engine, suites: Sequence[Suite]) -> dict[str, Any]:
    """Return what the model card says of a run."""
    results = run.results
    return {
        "about": run.about,
        "default": engine.default_strategy,
        "scores": [asdict(entry) for entry in score(results)],
        "router_by_family": router_by_family(results),
        "further": [asdict(entry) for entry in score(further.results)],
        "reach": check_reach(engine),
        "leakage": leakage(engine, suites),
    }


def main(limit: int | None = None) -> None:
    """Evaluate and write."""
    torch.set_num_threads(2)
    settings = Settings.from_environment()
    engine = Engine.load(settings)
    assert isinstance(engine.model, SceneMoeAdapter)
    suites = [load_suite(path) for path in default_suites(SAMPLE_DATA / "suites").values()]
    methods = parse_methods(METHODS, engine.defaults)
    with Progress() as bar:
        task = bar.add_task("evaluating", total=None)
        run = evaluate(
            engine,
            suites,
            methods,
            settings.data_dir / "runs",
            limit=limit,
            resume=True,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    measure_costs(engine, methods, run)
    named = [load_suite(SAMPLE_DATA / "suites" / name) for name in FURTHER_SUITES]
    chief = parse_methods(CHIEF, engine.defaults)
    further = evaluate(engine, named, chief, settings.data_dir / "runs", limit=limit, resume=True)
    record = record_of(run, further, engine, suites)
    ship(run, SAMPLE_DATA / "evaluation")
    (DOCS / "results.md").write_text(report_text(run), encoding="utf-8")
    model_card.write(record, engine.model)
    print(run.folder)


if __name__ == "__main__":
    typer.run(main)
