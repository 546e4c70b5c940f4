"""What a method costs: floating-point operations and time for one question, measured alone."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

from torch.utils.flop_counter import FlopCounterMode

from r2t2_core.engine import Engine
from r2t2_core.evaluation.baselines import BASELINES, Batch
from r2t2_core.evaluation.methods import Method
from r2t2_core.evaluation.runner import Run
from r2t2_core.intake.image import read_image
from r2t2_core.problem import answers_along, build_problem
from r2t2_core.registry import get_strategy
from r2t2_core.types import Sample

REPEATS = 7

Work = Callable[[], object]


@dataclass(frozen=True)
class Cost:
    """Cost of one question, over and above the frozen model's own work on it.

    Attributes
    ----------
    method : str
    flops : int
        Of multiplications of matrices and convolutions; element-wise work is not counted.
    milliseconds : float
        Median of seven.
    """

    method: str
    flops: int
    milliseconds: float


MODEL = "frozen model, one answer"


def measure_costs(engine: Engine, methods: Sequence[Method], run: Run) -> list[Cost]:
    """Measure every method on the first sample of a run; write `costs.json` beside its results."""
    first = run.results.iloc[0]
    with open(first["image"], "rb") as file:
        sample = Sample(read_image(file.read()).image, first["question"])
    prepared = engine.model.prepare([sample])
    embedding = engine.embedder.embed([sample.question])
    features = prepared.image_features.cpu().numpy()

    def whole() -> None:
        engine.model.answer(engine.model.prepare([sample]))

    costs = [_measure(MODEL, whole)]
    for method in methods:
        found = engine.index.retrieve(embedding, features, method.retrieval)
        batch = Batch([sample], [first["family"]], ["cost"], prepared, found)
        work = _baseline_work if method.is_baseline else _strategy_work
        costs.append(_measure(method.spec, work(engine, method, batch)))
    text = json.dumps([asdict(cost) for cost in costs], indent=1) + "\n"
    (run.folder / "costs.json").write_text(text, encoding="utf-8")
    return costs


def _baseline_work(engine: Engine, method: Method, batch: Batch) -> Work:
    answer = BASELINES[method.name](engine.model, engine.index)
    return lambda: answer(batch)


def _strategy_work(engine: Engine, method: Method, batch: Batch) -> Work:
    # The oracle's label: any will do, the work is the same.
    label = engine.model.answer(batch.prepared).argmax(1).cpu()

    def work() -> None:
        problem = build_problem(
            engine.model,
            batch.prepared,
            engine.index,
            batch.found,
            method.retrieval.policy,
            label,
        )
        trajectory = get_strategy(method.name).reroute(problem, method.params)
        answers_along(engine.model, batch.prepared, trajectory.routing[-1:])

    return work


def _measure(name: str, work: Work) -> Cost:
    with FlopCounterMode(display=False) as counter:
        work()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append((time.perf_counter() - began) * 1000)
    return Cost(name, int(counter.get_total_flops()), statistics.median(times))
