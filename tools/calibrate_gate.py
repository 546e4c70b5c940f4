"""Fit and calibrate the gate's judgement of changes, for every strategy at its defaults.

    python -m tools.calibrate_gate

On the validation split a logistic regression learns from the changes that repaired and those that
harmed what evidence is; on the calibration split, with seeds of its own, Learn then Test chooses
how much of it is enough. Writes `evidence` into `sample_data/defaults.json`. The styles and
wordings of both splits are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import typer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from r2t2_core.defaults import Defaults
from r2t2_core.engine import Engine
from r2t2_core.evaluation.prepared import BATCH, find
from r2t2_core.evaluation.risk import calibrate
from r2t2_core.gate import Change, EvidenceModel, agreement
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.problem import build_problem
from r2t2_core.registry import get_strategy, strategies
from r2t2_core.settings import Settings
from tools.splits import SPLITS
from tools.suites import build_suite

HARM_BOUND = 0.01
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Changes:
    """What one strategy would change on a split of N questions.

    Attributes
    ----------
    changes : list of Change, length N
    within : ndarray (N,), bool
        Question and picture are within reach.
    right, right_after : ndarray (N,), bool
    """

    changes: list[Change]
    within: np.ndarray
    right: np.ndarray
    right_after: np.ndarray

    @property
    def flips(self) -> np.ndarray:
        """Answers that would change, within reach."""
        return np.array([change.flips for change in self.changes]) & self.within

    @property
    def harmful(self) -> np.ndarray:
        """Right answers that would be made wrong."""
        harmful: np.ndarray = self.flips & self.right & ~self.right_after
        return harmful

    @property
    def helpful(self) -> np.ndarray:
        """Wrong answers that would be made right."""
        helpful: np.ndarray = self.flips & ~self.right & self.right_after
        return helpful


def changes_on(engine: Engine, split: str, names: list[str], work: Path) -> dict[str, Changes]:
    """Run strategies at their defaults over a split."""
    model = engine.model
    assert isinstance(model, SceneMoeAdapter)
    suite = build_suite(SPLITS[split], model, engine.embedder, work)
    retrieval, bounds = engine.default_retrieval, engine.defaults.thresholds
    parts: dict[str, list[Changes]] = {name: [] for name in names}
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
            made = _changes(
                (before.argmax(1) != after.argmax(1)).tolist(),
                before.max(1).values.tolist(),
                after.max(1).values.tolist(),
                *trajectory.surrogate_loss[[0, -1]].tolist(),
                agreement(trajectory.routing[-1], problem.neighbours, problem.spec).tolist(),
                found.similarity_best.tolist(),
            )
            right, right_after = ((p.argmax(1) == labels).numpy() for p in (before, after))
            parts[name].append(Changes(list(made), within, right, right_after))
    return {name: _join(found) for name, found in parts.items()}


def _changes(*columns: list[float]) -> Iterator[Change]:
    for flips, *values in zip(*columns, strict=True):
        yield Change(bool(flips), *values)


def _join(parts: list[Changes]) -> Changes:
    return Changes(
        [change for part in parts for change in part.changes],
        np.concatenate([part.within for part in parts]),
        np.concatenate([part.right for part in parts]),
        np.concatenate([part.right_after for part in parts]),
    )


def fit(made: Changes) -> EvidenceModel:
    """Learn to tell repairs from harm; changes from wrong to wrong teach nothing.

    Classes are weighed alike, so that the intercept does not follow how often each occurs.
    """
    rows = np.flatnonzero(made.helpful | made.harmful)
    names = list(made.changes[0].features)
    features = np.array([list(made.changes[row].features.values()) for row in rows])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
    pipeline.fit(features, made.helpful[rows])
    scaler, regression = pipeline[0], pipeline[1]
    weights = regression.coef_[0] / scaler.scale_
    intercept = float(regression.intercept_[0] - weights @ scaler.mean_)
    return EvidenceModel(
        intercept=round(intercept, 4),
        weights={name: round(float(w), 4) for name, w in zip(names, weights, strict=True)},
        bound=None,
    )


def main(work: Path = Path("build/training")) -> None:
    """Fit, calibrate and write."""
    torch.set_num_threads(2)
    settings = Settings()
    engine = Engine.load(settings)
    names = [name for name, entry in strategies().items() if not entry.is_control]
    fitted_on = changes_on(engine, "validation", names, work)
    calibrated_on = changes_on(engine, "calibration", names, work)
    models: dict[str, EvidenceModel] = {}
    for name in names:
        model, made = fit(fitted_on[name]), calibrated_on[name]
        evidence = np.array([model.evidence(change) for change in made.changes])
        evidence = np.where(made.flips, evidence, -np.inf)
        bound = calibrate(evidence, made.harmful, made.right, HARM_BOUND, CONFIDENCE)
        models[name] = model.model_copy(update={"bound": bound})
        stands = evidence >= (np.inf if bound is None else bound)
        print(
            f"{name}: {dict(model.weights)}, evidence ≥ {bound}; broken "
            f"{(made.harmful & stands).sum()} of {made.right.sum()} right answers "
            f"({made.harmful.sum()} without it), fixed {(made.helpful & stands).sum()} "
            f"({made.helpful.sum()} without it)"
        )
    cases = [len(found[names[0]].changes) for found in (fitted_on, calibrated_on)]
    old = engine.defaults.thresholds
    source = old.source.partition("; evidence:")[0]
    thresholds = old.model_copy(
        update={
            "evidence": models,
            "harm_bound": HARM_BOUND,
            "confidence": CONFIDENCE,
            "source": f"{source}; evidence: logistic regression on the validation split "
            f"({cases[0]} questions), Learn then Test on a calibration split of its own "
            f"({cases[1]} questions)",
        }
    )
    defaults: Defaults = engine.defaults.model_copy(update={"thresholds": thresholds})
    text = json.dumps(defaults.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"
    settings.defaults_path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
