"""Two decisions that should agree: everything but their identity and the clock is compared."""

from __future__ import annotations

from typing import Any

from r2t2_core.decision import Decision

OWN = {"id", "started_at", "timings"}
"""What no two decisions share."""


def differences(first: Decision, second: Decision, within: float = 0.0) -> list[str]:
    """Return the paths at which two decisions differ by more than `within`."""
    leave_out = {**dict.fromkeys(OWN, True), "system": {"batch"}}
    return list(
        _walk(
            first.model_dump(mode="json", exclude=leave_out),
            second.model_dump(mode="json", exclude=leave_out),
            within,
            "",
        )
    )


def _walk(first: Any, second: Any, within: float, path: str):
    if isinstance(first, dict) and isinstance(second, dict) and first.keys() == second.keys():
        for name in first:
            yield from _walk(first[name], second[name], within, f"{path}.{name}")
    elif isinstance(first, list) and isinstance(second, list) and len(first) == len(second):
        for place, pair in enumerate(zip(first, second, strict=True)):
            yield from _walk(*pair, within, f"{path}[{place}]")
    elif isinstance(first, float) and isinstance(second, float):
        if not abs(first - second) <= within * max(1.0, abs(first)):
            yield f"{path}: {first} is not {second}"
    elif first != second or type(first) is not type(second):
        yield f"{path}: {first!r} is not {second!r}"
