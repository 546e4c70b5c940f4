"""Calibrate the gate's bound on harm, for every strategy at its defaults.

    python -m tools.calibrate_gate

Writes `evidence` into `sample_data/defaults.json`. The split has seeds of its own; its styles and
wordings are those of validation.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
import typer

from r2t2_core.defaults import Defaults
from r2t2_core.engine import Engine
from r2t2_core.evaluation.prepared import BATCH, find
from r2t2_core.evaluation.risk import calibrate
from r2t2_core.gate import Change
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.problem import build_problem
from r2t2_core.registry import get_strategy, strategies
from r2t2_core.settings import Settings
from tools.splits import SPLITS
from tools.suites import build_suite

HARM_BOUND = 0.01
CONFIDENCE = 0.95


def evidence_of(engine: Engine, work: Path) -> dict[str, dict[str, np.ndarray]]:
    """Return, for every strategy, evidence, harm and help on the calibration split."""
    model = engine.model
    assert isinstance(model, SceneMoeAdapter)
    suite = build_suite(SPLITS["calibration"], model, engine.embedder, work)
    retrieval, bounds = engine.default_retrieval, engine.defaults.thresholds
    names = [name for name, entry in strategies().items() if not entry.is_control]
    columns: dict[str, dict[str, list[np.ndarray]]] = {
        name: {"evidence": [], "harmful": [], "helpful": [], "right": []} for name in names
    }
    for start in range(0, len(suite), BATCH):
        rows = slice(start, min(start + BATCH, len(suite)))
        prepared, labels = suite.rows(rows), suite.labels[rows]
        found = find(engine.index, suite, rows, retrieval)
        far = engine.index.picture_distance(prepared.image_features.numpy())
        within = (found.similarity_best >= bounds.text_similarity) & (far <= bounds.image_distance)
        problem = build_problem(model, prepared, engine.index, found, retrieval.policy)
        before = model.answer(prepared)
        for name in names:
            trajectory = get_strategy(name).reroute(problem, engine.default_parameters(name))
            after = model.answer(prepared, trajectory.routing[-1])
            flips = (before.argmax(1) != after.argmax(1)).numpy() & within
            evidence = [
                Change(True, float(b), float(a), float(loss)).evidence
                for b, a, loss in zip(
                    before.max(1).values, after.max(1).values, trajectory.surrogate_loss[-1],
                    strict=True,
                )
            ]  # fmt: skip
            right = (before.argmax(1) == labels).numpy()
            made_right = (after.argmax(1) == labels).numpy()
            column = columns[name]
            column["evidence"].append(np.where(flips, evidence, -np.inf))
            column["harmful"].append(flips & right & ~made_right)
            column["helpful"].append(flips & ~right & made_right)
            column["right"].append(right)
    return {
        name: {key: np.concatenate(parts) for key, parts in column.items()}
        for name, column in columns.items()
    }


def main(work: Path = Path("build/training")) -> None:
    """Calibrate and write."""
    torch.set_num_threads(2)
    settings = Settings()
    engine = Engine.load(settings)
    measured = evidence_of(engine, work)
    bounds: dict[str, float | None] = {}
    for name, column in measured.items():
        bound = calibrate(
            column["evidence"], column["harmful"], column["right"], HARM_BOUND, CONFIDENCE
        )
        bounds[name] = bound
        stands = column["evidence"] >= (np.inf if bound is None else bound)
        print(
            f"{name}: evidence ≥ {bound}; broken {(column['harmful'] & stands).sum()} of "
            f"{column['right'].sum()} right answers ({column['harmful'].sum()} without it), fixed "
            f"{(column['helpful'] & stands).sum()} ({column['helpful'].sum()} without it)"
        )
    cases = len(next(iter(measured.values()))["right"])
    old = engine.defaults.thresholds
    source = old.source.partition("; evidence:")[0]
    thresholds = old.model_copy(
        update={
            "evidence": bounds,
            "harm_bound": HARM_BOUND,
            "confidence": CONFIDENCE,
            "source": f"{source}; evidence: Learn then Test on a calibration split of its own "
            f"({cases} questions)",
        }
    )
    defaults: Defaults = engine.defaults.model_copy(update={"thresholds": thresholds})
    text = json.dumps(defaults.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    settings.defaults_path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
