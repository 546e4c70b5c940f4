"""Metrics against cases worked by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from r2t2_core.evaluation.metrics import (
    ALL,
    accuracy_by_step,
    by_family,
    calibration_error,
    flows,
    gap_closed,
    score,
    transitions,
)


def rows(suite: str, method: str, right: list[int], admitted: list[int] | None = None):
    return [
        {
            "suite": suite,
            "sample": f"{place}",
            "method": method,
            "family": "even" if place % 2 == 0 else "odd",
            "label": "y",
            "answer": "y" if is_right else "n",
            "right": bool(is_right),
            "probability": 0.75,
            "admitted": bool(admitted[place]) if admitted else True,
            "answers_by_step": ["n", "y"] if is_right else ["n"],
            "router_routing": [0.7, 0.3],
            "routing": [0.2, 0.8] if is_right else [0.6, 0.4],
            "milliseconds": 1.0,
        }
        for place, is_right in enumerate(right)
    ]


@pytest.fixture
def results() -> pd.DataFrame:
    return pd.DataFrame(
        rows("one", "base", [1, 0, 0, 0])
        + rows("one", "ngd", [0, 1, 1, 0], [0, 1, 0, 1])
        + rows("one", "oracle", [1, 1, 1, 0])
        + rows("two", "base", [0, 0])
        + rows("two", "ngd", [1, 1])
        + rows("two", "oracle", [1, 1])
    )


def test_scores_by_hand(results):
    found = {(entry.suite, entry.method): entry for entry in score(results)}
    one = found["one", "ngd"]
    assert (one.n, one.accuracy, one.fixed, one.broken, one.unchanged) == (4, 0.5, 2, 1, 1)
    # (2 − 1) / (3 − 1)
    assert one.gap_closed == pytest.approx(0.5)
    # The gate keeps the router's answer on samples 0 and 2: only sample 1 is fixed.
    assert (one.gated_accuracy, one.gated_fixed, one.gated_broken) == (0.5, 1, 0)
    assert one.calibration_error == pytest.approx(0.25)
    together = found[ALL, "ngd"]
    assert (together.n, together.fixed, together.broken) == (6, 4, 1)
    assert together.gap_closed == pytest.approx(3 / 4)


def test_the_gap_has_an_interval_that_holds_it():
    generator = np.random.default_rng(0)
    before = generator.random(400) < 0.4
    oracle = before | (generator.random(400) < 0.9)
    after = before | (oracle & (generator.random(400) < 0.5))
    share, low, high = gap_closed(before, after, oracle)
    assert low < share < high
    assert high - low < 0.25
    assert gap_closed(before, after, before) is None


def test_calibration_by_hand():
    probability = np.array([0.95, 0.95, 0.55, 0.55])
    right = np.array([True, True, True, False])
    assert calibration_error(probability, right) == pytest.approx(0.5 * 0.05 + 0.5 * 0.05)


def test_steps_families_flows_and_transitions(results):
    steps = accuracy_by_step(results[results["suite"] == "one"])
    assert steps["ngd"].tolist() == [0.0, 0.5]
    assert by_family(results).loc["ngd", "even"] == pytest.approx(2 / 3)
    counts = flows(results, "ngd", ["a", "b"])
    assert counts.loc["a"].tolist() == [2, 4]
    assert counts.loc["b"].tolist() == [0, 0]
    repaired, harmed = transitions(results, "ngd")
    assert repaired == pytest.approx(4 / 5)
    assert harmed == 1
