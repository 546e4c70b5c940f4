"""Ablations: one thing at a time is changed, all else stays at what validation chose."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from r2t2_core import __version__
from r2t2_core.engine import Engine
from r2t2_core.errors import RunError
from r2t2_core.evaluation.methods import parse_methods
from r2t2_core.evaluation.metrics import Score, score
from r2t2_core.evaluation.report import together
from r2t2_core.evaluation.runner import evaluate
from r2t2_core.evaluation.suites import Suite
from r2t2_core.i18n import N_
from r2t2_core.kernels import BANDWIDTH_RULES, KERNELS
from r2t2_core.models.base import Prepared
from r2t2_core.reference.store import POLICIES
from r2t2_core.refine import refine
from r2t2_core.registry import get_strategy

SETTINGS: dict[str, Sequence[str]] = {
    "policy": POLICIES,
    "n_neighbours": ("1", "3", "5", "10", "20", "50"),
    "radius": ("0.5", "0.6", "0.7", "0.8"),
    "kernel": tuple(KERNELS),
    "bandwidth_rule": tuple(BANDWIDTH_RULES),
    "image_share": ("0", "0.1", "0.25", "0.5"),
    "steps": ("1", "2", "5", "10", "20", "50"),
    "step_size": ("0.03", "0.1", "0.3", "0.5", "1", "2"),
    "final_step_size": ("0", "0.0005", "0.05", "0.3"),
    "optimiser": ("adam", "gradient"),
    "alpha": ("0", "0.25", "0.5", "0.75"),
}
"""Axis → values."""

SIZES = (20, 50, 100, 300, 1000, 3000)
"""Samples that the reference set is cut to."""

NOISE = (0.05, 0.1, 0.2, 0.4)
"""Share of the references whose label is replaced by another answer, before they are refined."""

NARROW = ("colour", "kind", "existence")
"""Families of a reference set that was made for another use."""


@dataclass(frozen=True)
class Point:
    """One value on one axis.

    Attributes
    ----------
    strategy, axis, value : str
    score : Score
        Over all suites together.
    """

    strategy: str
    axis: str
    value: str
    score: Score


@dataclass(frozen=True)
class Ablation:
    """All points that were measured, and with what.

    Attributes
    ----------
    about : mapping
        Fingerprints, hashes and the number of questions.
    points : tuple of Point
    """

    about: Mapping[str, Any]
    points: tuple[Point, ...]

    def write(self, path: Path) -> None:
        """Write as JSON."""
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Ablation:
        """Read what `write` wrote.

        Raises
        ------
        RunError
            The file is missing or damaged.
        """
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            points = tuple(
                Point(p["strategy"], p["axis"], p["value"], Score(**p["score"]))
                for p in told["points"]
            )
            return cls(told["about"], points)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(
                N_("The ablations in {path} cannot be read: {reason}."),
                N_("Restore the file from the repository, or run `r2t2 ablate`."),
                path=str(path),
                reason=str(error),
            ) from error


def about_ablations(engine: Engine, points: Sequence[Point]) -> dict[str, Any]:
    """Return what points were measured with."""
    return {
        "model_fingerprint": engine.model_fingerprint,
        "reference_hash": engine.reference.manifest.content_hash,
        "code_version": __version__,
        "questions": points[0].score.n if points else 0,
    }


def settings_of(strategy: str) -> dict[str, dict[str, str]]:
    """Return, for every axis that a strategy has, value → method (see `methods`)."""
    own = get_strategy(strategy).params.model_fields
    found: dict[str, dict[str, str]] = {}
    for axis, values in SETTINGS.items():
        if axis == "policy":
            found[axis] = {value: f"{strategy}@{value}" for value in values}
        elif axis == "radius":
            found[axis] = {value: f"{strategy}:mode=ball:radius={value}" for value in values}
        elif axis in ("n_neighbours", "kernel", "bandwidth_rule", "image_share") or axis in own:
            found[axis] = {value: f"{strategy}:{axis}={value}" for value in values}
    return found


def reference_variants(engine: Engine) -> Iterator[tuple[str, str, Engine]]:
    """Yield (axis, value, engine) with a smaller, a noisier, and a mismatched reference set."""
    reference = engine.reference
    generator = np.random.default_rng(0)
    order = generator.permutation(len(reference))

    def using(rows: np.ndarray, labels: np.ndarray | None, about: str) -> Engine:
        made = reference.variant(rows, labels, about=about)
        return Engine(engine.model, engine.embedder, made, engine.defaults, engine.preprocessing)

    for size in SIZES:
        if size <= len(reference):
            yield "reference size", str(size), using(order[:size], None, f"{size} samples")
    for share in NOISE:
        flipped = order[: round(share * len(reference))]
        labels = reference.labels.copy()
        answers = len(engine.model.answers)
        labels[flipped] = (labels[flipped] + generator.integers(1, answers, len(flipped))) % answers
        yield "label noise", f"{share:.0%}", noisy(engine, labels, share)
    narrow = np.flatnonzero(np.isin(reference.families, NARROW))
    if len(narrow):
        yield "mismatch", ", ".join(NARROW), using(narrow, None, "narrow families")
    for style in sorted(set(reference.styles.tolist())):
        rows = np.flatnonzero(reference.styles == style)
        yield "mismatch", f"{style} alone", using(rows, None, f"{style} alone")


def noisy(engine: Engine, labels: np.ndarray, share: float) -> Engine:
    """Return an engine whose references have wrong labels, and were refined towards them."""
    model, reference = engine.model, engine.reference
    rows = torch.arange(len(reference))
    routing = torch.tensor(reference.router_routing)
    prepared = Prepared(reference.outputs_of(rows), routing, torch.zeros(len(rows), 0))
    wanted = torch.from_numpy(labels)
    refined = refine(model, prepared, wanted)
    correct = (model.answer(prepared, refined).argmax(1) == wanted).numpy()
    about = f"{share:.0%} of the labels wrong"
    made = reference.variant(rows.numpy(), labels, (refined.numpy(), correct), about=about)
    return Engine(model, engine.embedder, made, engine.defaults, engine.preprocessing)


def ablate(
    engine: Engine,
    suites: Sequence[Suite],
    strategy: str,
    folder: Path,
    *,
    limit: int | None = None,
    progress: Callable[[str], None] = lambda what: None,
) -> list[Point]:
    """Measure a strategy along all its axes.

    Parameters
    ----------
    engine : Engine
    suites : sequence of Suite
    strategy : str
    folder : Path
        Runs are kept below it; a run that is there already is not computed again.
    limit : int, optional
        Samples in all.
    progress : callable
        Told what comes next.
    """

    def measure(used: Engine, specs: Sequence[str]) -> dict[str, Score]:
        methods = parse_methods([*specs, "oracle"], used.defaults)
        run = evaluate(used, suites, methods, folder, limit=limit, resume=True)
        return {entry.method: entry for entry in together(score(run.results))}

    points = []
    axes = settings_of(strategy)
    progress("parameters")
    found = measure(engine, [spec for values in axes.values() for spec in values.values()])
    for axis, values in axes.items():
        points += [Point(strategy, axis, value, found[spec]) for value, spec in values.items()]
    for axis, value, used in reference_variants(engine):
        progress(f"{axis} {value}")
        points.append(Point(strategy, axis, value, measure(used, [strategy])[strategy]))
    return points


def ablation_text(strategy: str, points: Sequence[Point]) -> str:
    """Return a strategy's ablations as Markdown."""
    count = points[0].score.n if points else 0
    lines = [f"## `{strategy}`: {count:,} questions", "", "| axis | value | accuracy | fixed / "
             "broken | gap closed |", "|---|---|---|---|---|"]  # fmt: skip
    for point in points:
        entry = point.score
        gap = "" if entry.gap_closed is None else f"{entry.gap_closed:.0%}"
        share = f"{entry.accuracy:.1%} ({entry.low:.1%} to {entry.high:.1%})"
        lines.append(
            f"| {point.axis} | {point.value} | {share} | {entry.fixed} / {entry.broken} | {gap} |"
        )
    return "\n".join([*lines, ""])
