"""The gate's three questions, and the bound on harm that calibrates the third."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom

from r2t2_core.evaluation.risk import THRESHOLDS, binomial_tail, calibrate
from r2t2_core.gate import (
    FAR_IMAGE,
    FAR_QUESTION,
    MOST_LOSS,
    WEAK_EVIDENCE,
    Change,
    EvidenceModel,
    GateThresholds,
    Nearness,
    agreement,
    judge,
)
from r2t2_core.types import GateSpec, Neighbours, RoutingSpec

WEIGHTS = {"answer_before": -1.0, "answer_after": 1.0, "surrogate_loss": -1.0}


def change(flips: bool, before: float, after: float, loss: float) -> Change:
    return Change(flips, before, after, 2.5, loss, 0.8, 0.9)


BOUNDS = GateThresholds(
    text_similarity=0.7,
    image_distance=1.5,
    evidence={
        "ngd": EvidenceModel(intercept=1.0, weights=WEIGHTS, bound=0.5),
        "mode_finding": EvidenceModel(intercept=1.0, weights=WEIGHTS, bound=None),
    },
    harm_bound=0.01,
    confidence=0.95,
    source="by hand",
)
NEAR = Nearness(0.9, 1.0)
SURE = change(True, 0.4, 0.99, 0.1)


def test_near_and_well_founded_may_stand():
    verdict = judge(NEAR, SURE, "ngd", BOUNDS)
    assert verdict.reroute
    assert verdict.reasons == ()
    assert verdict.harm_bound == 0.01


@pytest.mark.parametrize(
    ("near", "made", "strategy", "reasons"),
    [
        (Nearness(0.6, 1.0), SURE, "ngd", (FAR_QUESTION,)),
        (Nearness(0.9, 1.6), SURE, "ngd", (FAR_IMAGE,)),
        (Nearness(0.6, 1.6), SURE, "ngd", (FAR_QUESTION, FAR_IMAGE)),
        (NEAR, change(True, 0.9, 0.5, 2.0), "ngd", (WEAK_EVIDENCE,)),
        # No bound was low enough: a changed answer never stands, an unchanged one does.
        (NEAR, SURE, "mode_finding", (WEAK_EVIDENCE,)),
        (NEAR, change(False, 0.9, 0.5, 2.0), "mode_finding", ()),
        (NEAR, change(False, 0.9, 0.5, 2.0), "ngd", ()),
        # Not calibrated: not bounded.
        (NEAR, change(True, 0.9, 0.5, 2.0), "another", ()),
    ],
)
def test_reasons(near, made, strategy, reasons):
    assert judge(near, made, strategy, BOUNDS).reasons == reasons


def test_evidence_by_hand():
    odds = 1 + math.log(0.8 / 0.2) - math.log(0.4 / 0.6) - 0.3
    model = BOUNDS.evidence["ngd"]
    assert model.evidence(change(True, 0.4, 0.8, 0.3)) == pytest.approx(odds)
    assert math.isfinite(model.evidence(change(True, 0.0, 1.0, math.inf)))
    verdict = judge(NEAR, change(True, 0.4, 0.8, 0.3), "ngd", BOUNDS)
    assert verdict.evidence == pytest.approx(odds)
    assert (verdict.surrogate_loss_before, verdict.surrogate_loss_after) == (2.5, 0.3)
    assert judge(NEAR, change(False, 0.4, 0.8, 0.3), "ngd", BOUNDS).evidence is None


def test_all_features_can_be_weighed():
    made = Change(True, 0.5, 0.5, 3.0, 1.0, 0.25, 0.75)
    assert made.features == {
        "answer_before": 0.0, "answer_after": 0.0, "surrogate_loss": 1.0, "surrogate_gain": 2.0,
        "agreement": 0.25, "similarity": 0.75,
    }  # fmt: skip
    assert change(True, 0.5, 0.5, 1e9).features["surrogate_loss"] == MOST_LOSS


def test_agreement_is_the_weight_of_the_neighbours_that_prefer_the_same_expert():
    spec = RoutingSpec((GateSpec("one", ("a", "b", "c")), GateSpec("two", ("d", "e"))))
    routing = torch.tensor([[0.7, 0.2, 0.1, 0.4, 0.6]])
    theirs = torch.tensor([[[0.5, 0.3, 0.2, 0.1, 0.9], [0.1, 0.8, 0.1, 0.2, 0.8],
                            [0.9, 0.1, 0.0, 0.9, 0.1]]])  # fmt: skip
    none = torch.zeros(1, 3, dtype=torch.int64)
    neighbours = Neighbours(none, none.float(), torch.tensor([[0.5, 0.3, 0.2]]), theirs, none)
    # First gate: the first and the third neighbour; second gate: the first and the second.
    assert agreement(routing, neighbours, spec).tolist() == pytest.approx([(0.7 + 0.8) / 2])


@pytest.mark.parametrize(("k", "n"), [(0, 10), (3, 300), (19, 2857), (40, 500)])
def test_the_tail_is_the_binomials(k, n):
    assert binomial_tail(k, n, 0.01) == pytest.approx(binom.cdf(k, n, 0.01), rel=1e-9)


def test_the_guarantee_holds_over_many_draws():
    """With a true harm that grows as the threshold falls, the bound is broken in 5 % at most."""
    generator = np.random.default_rng(0)
    broken = 0
    for _ in range(200):
        evidence = generator.normal(0, 3, 2000)
        right = generator.random(2000) < 0.5
        harmful = right & (generator.random(2000) < 0.08 / (1 + np.exp(evidence)))
        threshold = calibrate(evidence, harmful, right, 0.01, 0.95)
        if threshold is None:
            continue
        # The true risk, from a million fresh draws of the same law.
        fresh = np.random.default_rng(1).normal(0, 3, 200_000)
        risk = np.mean((fresh >= threshold) * 0.08 / (1 + np.exp(fresh)))
        broken += risk > 0.01
    assert broken / 200 <= 0.09


def test_no_threshold_is_given_where_none_is_low_enough():
    right = np.ones(100, dtype=bool)
    # Too few cases to say anything with confidence.
    assert calibrate(np.full(100, 50.0), np.zeros(100, dtype=bool), right, 0.01, 0.95) is None
    many = np.ones(1000, dtype=bool)
    everything = calibrate(np.full(1000, 50.0), np.zeros(1000, dtype=bool), many, 0.01, 0.95)
    assert everything == THRESHOLDS[-1]
    assert calibrate(np.full(1000, 50.0), many, many, 0.01, 0.95) is None
