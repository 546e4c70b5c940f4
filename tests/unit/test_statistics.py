"""Intervals and paired tests against published and hand-worked values."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from r2t2_core.evaluation.statistics import compare, mcnemar_exact, wilson_interval


def test_wilson_interval_by_hand():
    # 8 of 10: centre (0.8 + z²/20) / (1 + z²/10), from Wilson's formula with z = 1.96.
    low, high = wilson_interval(8, 10)
    assert low == pytest.approx(0.4902, abs=1e-4)
    assert high == pytest.approx(0.9433, abs=1e-4)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_an_interval_holds_its_share_and_stays_within_bounds(counts):
    right, cases = counts
    low, high = wilson_interval(right, cases)
    assert 0 <= low <= right / cases + 1e-12
    assert right / cases - 1e-12 <= high <= 1
    assert high > low


def test_an_interval_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one case"):
        wilson_interval(0, 0)


@pytest.mark.parametrize(("fixed", "broken"), [(0, 5), (1, 9), (7, 3), (12, 12), (30, 11)])
def test_mcnemar_is_the_two_sided_binomial(fixed, broken):
    changed = fixed + broken
    tail = sum(math.comb(changed, k) for k in range(min(fixed, broken) + 1)) / 2**changed
    assert mcnemar_exact(fixed, broken) == pytest.approx(min(1, 2 * tail), rel=1e-12)
    assert mcnemar_exact(fixed, broken) == mcnemar_exact(broken, fixed)


def test_mcnemar_of_thousands_does_not_underflow_to_nonsense():
    assert mcnemar_exact(0, 0) == 1
    assert mcnemar_exact(2000, 2000) == 1
    assert 0 <= mcnemar_exact(1960, 53) < 1e-300


def test_fixed_and_broken_are_counted_by_case():
    before = np.array([True, True, False, False, False])
    after = np.array([True, False, True, True, False])
    outcome = compare(before, after)
    assert (outcome.cases, outcome.right, outcome.fixed, outcome.broken) == (5, 3, 2, 1)
    assert outcome.accuracy == 0.6
