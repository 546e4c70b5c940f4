"""Intervals and paired counts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

Z95 = 1.959963984540054


def wilson_interval(right: int, cases: int) -> tuple[float, float]:
    """Return the 95 % Wilson score interval of a share (Wilson 1927).

    Raises
    ------
    ValueError
        There are no cases.
    """
    if cases <= 0:
        raise ValueError("an interval needs at least one case")
    share = right / cases
    spread = Z95 * math.sqrt(share * (1 - share) / cases + Z95**2 / (4 * cases**2))
    middle = share + Z95**2 / (2 * cases)
    scale = 1 + Z95**2 / cases
    return max(0.0, (middle - spread) / scale), min(1.0, (middle + spread) / scale)


def mcnemar_exact(fixed: int, broken: int) -> float:
    """Return the two-sided exact p-value of a paired change (McNemar 1947, binomial form)."""
    changed = fixed + broken
    if changed == 0:
        return 1.0
    # Logarithms, since 2^−n underflows for a few thousand changed cases.
    logs = [
        math.lgamma(changed + 1) - math.lgamma(k + 1) - math.lgamma(changed - k + 1)
        for k in range(min(fixed, broken) + 1)
    ]
    peak = max(logs)
    total = sum(math.exp(value - peak) for value in logs)
    return min(1.0, 2 * math.exp(peak - changed * math.log(2)) * total)


def holm(p_values: np.ndarray) -> np.ndarray:
    """Return p-values (m,) corrected for m looks (Holm 1979).

    Bounds the chance of one false finding among all looks, however the tests depend on each other.
    """
    count = len(p_values)
    order = np.argsort(p_values, kind="stable")
    raised = np.maximum.accumulate(p_values[order] * (count - np.arange(count)))
    adjusted: np.ndarray = np.empty(count)
    adjusted[order] = np.minimum(raised, 1.0)
    return adjusted


@dataclass(frozen=True)
class Outcome:
    """How a strategy did on a suite, against the router.

    Attributes
    ----------
    cases, right : int
    low, high : float
        95 % Wilson interval of the accuracy.
    fixed, broken : int
        Wrong answers made right, right answers made wrong.
    p_value : float
        Exact McNemar test of fixed against broken.
    """

    cases: int
    right: int
    low: float
    high: float
    fixed: int
    broken: int
    p_value: float

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right / self.cases


def compare(before: np.ndarray, after: np.ndarray) -> Outcome:
    """Compare right/wrong (N,), bool, of a strategy with the router's on the same cases."""
    right = int(after.sum())
    low, high = wilson_interval(right, len(after))
    fixed, broken = int((~before & after).sum()), int((before & ~after).sum())
    return Outcome(len(after), right, low, high, fixed, broken, mcnemar_exact(fixed, broken))
