"""A bound on harm: thresholds that keep the share of right answers made wrong low, with confidence.

Learn then Test (Angelopoulos et al. 2021) with fixed-sequence testing: thresholds are tried from
the strictest on; each is a hypothesis "the harm exceeds the bound", rejected by an exact binomial
test; the last one before the first failure is taken. The guarantee holds for questions drawn as
the calibration's were.
"""

from __future__ import annotations

import math

import numpy as np

THRESHOLDS = tuple(float(value) for value in np.arange(20, -20.05, -0.1).round(2))
"""Evidence, strictest first; fixed before any data are seen."""


def binomial_tail(successes: int, cases: int, share: float) -> float:
    """Return the chance of so few successes or fewer, out of so many cases."""
    if cases == 0:
        return 1.0
    logs = [
        math.lgamma(cases + 1) - math.lgamma(k + 1) - math.lgamma(cases - k + 1)
        + k * math.log(share) + (cases - k) * math.log1p(-share)
        for k in range(successes + 1)
    ]  # fmt: skip
    peak = max(logs)
    return min(1.0, math.exp(peak) * sum(math.exp(value - peak) for value in logs))


def calibrate(
    evidence: np.ndarray, harmful: np.ndarray, right: np.ndarray, bound: float, confidence: float
) -> float | None:
    """Return the lowest threshold of evidence that keeps harm below the bound.

    Parameters
    ----------
    evidence : ndarray (N,)
        Evidence for the answer after, minus infinity where it is not to stand anyway.
    harmful : ndarray (N,), bool
        The answer was right, and the change makes it wrong.
    right : ndarray (N,), bool
        The router's answer is right: what can be harmed.
    bound : float
        Greatest share of right answers made wrong.
    confidence : float
        Of the guarantee.

    Returns
    -------
    float or None
        None where not even the strictest threshold passes.
    """
    cases = int(right.sum())
    chosen = None
    for threshold in THRESHOLDS:
        harmed = int((harmful & (evidence >= threshold)).sum())
        if binomial_tail(harmed, cases, bound) > 1 - confidence:
            break
        chosen = threshold
    return chosen
