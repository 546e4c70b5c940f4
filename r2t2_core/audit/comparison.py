"""Two decisions side by side, number by number: the same, nearly the same, or where they part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from r2t2_core.decision import Decision
from r2t2_core.i18n import N_

TOLERANCE = 1e-4
"""Greatest difference of a number that other hardware, threads or libraries explain (float32)."""

STAGES: tuple[tuple[str, str], ...] = (
    ("input", N_("reading the input")),
    ("base", N_("the frozen model")),
    ("reference", N_("the reference set")),
    ("neighbours", N_("the neighbours")),
    ("trajectories", N_("re-routing")),
    ("gate", N_("the gate")),
    ("final", N_("the answer after")),
)
"""Parts of a decision in the order in which they are computed, in words."""

PRODUCED = {
    "model": ("system", "model_fingerprint_after"),
    "reference set": ("reference", "content_hash"),
    "embedder": ("reference", "embedder_hash"),
    "code version": ("system", "code_version"),
    "libraries": ("system", "library_versions"),
    "device": ("system", "device"),
    "number format": ("system", "dtype"),
    "threads": ("system", "threads"),
}
"""What a result hangs on → where a decision names it."""


@dataclass(frozen=True)
class Difference:
    """The first place at which two decisions part.

    Attributes
    ----------
    stage : str
        Message identifier.
    strategy : str or None
    step : int or None
        Within a trajectory.
    path : str
        Name of the value.
    recorded, replayed : str
        What it was and what it is.
    """

    stage: str
    strategy: str | None
    step: int | None
    path: str
    recorded: str
    replayed: str


@dataclass(frozen=True)
class Comparison:
    """How two decisions differ.

    Attributes
    ----------
    is_exact : bool
        Bit for bit the same.
    largest : float
        Largest difference of two numbers.
    largest_at : str or None
        Where it is.
    first : Difference or None
        The first difference beyond the tolerance; None where there is none.
    """

    is_exact: bool
    largest: float
    largest_at: str | None
    first: Difference | None


def compare(recorded: Decision, replayed: Decision, tolerance: float = TOLERANCE) -> Comparison:
    """Compare all that was computed, stage by stage."""
    before, after = recorded.model_dump(mode="json"), replayed.model_dump(mode="json")
    is_exact, largest, largest_at, first = True, 0.0, None, None
    for part, stage in STAGES:
        for path, old, new in _differences(before[part], after[part], part):
            is_exact = False
            if _is_number(old) and _is_number(new):
                apart = abs(old - new)
                if apart > largest:
                    largest, largest_at = apart, path
                if apart <= tolerance:
                    continue
            if first is None:
                first = _place(stage, path, recorded, old, new)
    return Comparison(is_exact, largest, largest_at, first)


def produced_by(recorded: Decision, replayed: Decision) -> dict[str, tuple[str, str]]:
    """Return what the two hang on that differs: name → (recorded, replayed)."""
    found = {}
    for name, (part, field) in PRODUCED.items():
        old = getattr(getattr(recorded, part), field)
        new = getattr(getattr(replayed, part), field)
        if old != new:
            found[name] = (_text(old), _text(new))
    return found


def _text(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {part}" for name, part in sorted(value.items()))
    return str(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _differences(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        # In the order of the record, which is that of the computation.
        for name in [*old, *(name for name in new if name not in old)]:
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}")
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            # As words: a missing neighbour is no small difference of a number.
            yield f"{path} (length)", str(len(old)), str(len(new))
            return
        for place, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _differences(left, right, f"{path}[{place}]")
    elif old != new:
        yield path, old, new


def _place(stage: str, path: str, decision: Decision, old: object, new: object) -> Difference:
    strategy, step = None, None
    if path.startswith("trajectories["):
        number, _bracket, rest = path.removeprefix("trajectories[").partition("]")
        strategy = decision.trajectories[int(number)].strategy
        if rest.startswith(".steps["):
            step = int(rest.removeprefix(".steps[").partition("]")[0])
    return Difference(stage, strategy, step, path, str(old), str(new))
