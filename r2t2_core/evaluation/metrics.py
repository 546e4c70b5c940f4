"""What a run says: every number is computed from the rows of its Parquet file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from r2t2_core.evaluation.statistics import compare

BASE = "base"
ORACLE = "oracle"

RESAMPLES = 2000
BINS = 15


@dataclass(frozen=True)
class Score:
    """How one method did on one suite (or on all of them together), against the router.

    Attributes
    ----------
    suite, method : str
    n : int
        Samples.
    accuracy, low, high : float
        With its 95 % Wilson interval.
    fixed, broken, unchanged : int
        Wrong made right; right made wrong; neither.
    p_value : float
        Exact McNemar test against the router.
    gap_closed, gap_low, gap_high : float or None
        Share of the way from the router to the oracle, with its 95 % bootstrap interval; None
        without an oracle, or where it is no better than the router.
    calibration_error : float
        Expected calibration error of the probability given, 15 bins.
    gated_accuracy : float
        Where the gate refuses, the router's answer stands.
    gated_fixed, gated_broken : int
    milliseconds : float
        Mean a sample, of the method's own work, in batches.
    """

    suite: str
    method: str
    n: int
    accuracy: float
    low: float
    high: float
    fixed: int
    broken: int
    unchanged: int
    p_value: float
    gap_closed: float | None
    gap_low: float | None
    gap_high: float | None
    calibration_error: float
    gated_accuracy: float
    gated_fixed: int
    gated_broken: int
    milliseconds: float


ALL = "all suites"


def pivot(results: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one column as (sample × method), rows in a fixed order."""
    return results.pivot(index=["suite", "sample"], columns="method", values=column).sort_index()


def score(results: pd.DataFrame, seed: int = 0) -> list[Score]:
    """Score every method on every suite, then on all suites together.

    Parameters
    ----------
    results : DataFrame
        Rows of a run, or some of them.
    seed : int
        Of the bootstrap.
    """
    scores = []
    groups = [(str(name), group) for name, group in results.groupby("suite", sort=False)]
    if len(groups) > 1:
        groups.append((ALL, results))
    for name, group in groups:
        right = pivot(group, "right").astype(bool)
        admitted = pivot(group, "admitted").astype(bool)
        probability = pivot(group, "probability").astype(float)
        spent = group.groupby("method")["milliseconds"].mean()
        for method in dict.fromkeys(group["method"]):
            after, before = right[method].to_numpy(), right[BASE].to_numpy()
            behind = np.where(admitted[method].to_numpy(), after, before)
            outcome, gated = compare(before, after), compare(before, behind)
            gap = (
                gap_closed(before, after, right[ORACLE].to_numpy(), seed)
                if (ORACLE in right)
                else None
            )
            scores.append(
                Score(
                    suite=name,
                    method=str(method),
                    n=len(after),
                    accuracy=outcome.accuracy,
                    low=outcome.low,
                    high=outcome.high,
                    fixed=outcome.fixed,
                    broken=outcome.broken,
                    unchanged=len(after) - outcome.fixed - outcome.broken,
                    p_value=outcome.p_value,
                    gap_closed=None if gap is None else gap[0],
                    gap_low=None if gap is None else gap[1],
                    gap_high=None if gap is None else gap[2],
                    calibration_error=calibration_error(probability[method].to_numpy(), after),
                    gated_accuracy=gated.accuracy,
                    gated_fixed=gated.fixed,
                    gated_broken=gated.broken,
                    milliseconds=float(spent[method]),
                )
            )
    return scores


def gap_closed(
    before: np.ndarray, after: np.ndarray, oracle: np.ndarray, seed: int = 0
) -> tuple[float, float, float] | None:
    """Return the share of the gap from router to oracle that is closed, with its 95 % interval.

    Right/wrong (N,), bool, of the same samples; percentile bootstrap over samples. None where the
    oracle is no better than the router.
    """
    gap = oracle.mean() - before.mean()
    if gap <= 0:
        return None
    generator = np.random.default_rng(seed)
    rows = generator.integers(0, len(before), (RESAMPLES, len(before)))
    gained = after.astype(float) - before
    possible = oracle.astype(float) - before
    denominators = possible[rows].mean(1)
    shares = gained[rows].mean(1)[denominators > 0] / denominators[denominators > 0]
    low, high = np.quantile(shares, [0.025, 0.975])
    return float(gained.mean() / gap), float(low), float(high)


def calibration_error(probability: np.ndarray, right: np.ndarray) -> float:
    """Return the expected calibration error (Naeini et al. 2015) in equal-width bins."""
    places = np.minimum((probability * BINS).astype(int), BINS - 1)
    error = 0.0
    for place in np.unique(places):
        inside = places == place
        error += inside.mean() * abs(right[inside].mean() - probability[inside].mean())
    return float(error)


def accuracy_by_step(results: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy after each step: one row for each step, one column for each method.

    A trajectory that is shorter than the longest stays where it ended.
    """
    columns = {}
    for method, group in results.groupby("method", sort=False):
        longest = int(group["answers_by_step"].map(len).max())
        right = np.array(
            [
                [answers[min(step, len(answers) - 1)] == label for step in range(longest)]
                for answers, label in zip(group["answers_by_step"], group["label"], strict=True)
            ]
        )
        columns[str(method)] = pd.Series(right.mean(0))
    return pd.DataFrame(columns).rename_axis("step")


def flows(results: pd.DataFrame, method: str, experts: Sequence[str]) -> pd.DataFrame:
    """Count how the heaviest expert changed: rows before, columns after re-routing."""
    group = results[results["method"] == method]
    before = np.array([np.argmax(routing) for routing in group["router_routing"]])
    after = np.array([np.argmax(routing) for routing in group["routing"]])
    counts = np.zeros((len(experts), len(experts)), dtype=int)
    np.add.at(counts, (before, after), 1)
    return pd.DataFrame(counts, index=list(experts), columns=list(experts))


def by_family(results: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy: one row for each method, one column for each family."""
    table = results.pivot_table(index="method", columns="family", values="right", aggfunc="mean")
    return table.reindex(list(dict.fromkeys(results["method"])))


def transitions(results: pd.DataFrame, method: str) -> tuple[float, float]:
    """Return the share of wrong answers made right, and of right answers made wrong (paper, Table
    of transitions)."""
    right = pivot(results, "right").astype(bool)
    before, after = right[BASE].to_numpy(), right[method].to_numpy()
    repaired = float(after[~before].mean()) if (~before).any() else 0.0
    harmed = float((~after)[before].mean()) if before.any() else 0.0
    return repaired, harmed
