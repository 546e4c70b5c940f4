"""Whether a re-routed answer may stand for the model's answer.

Three questions: is the question, and is the picture, within reach of the reference set; and
where the answer would change, is the evidence strong enough (how sure the model is before and
after, whether the neighbours agree, how far the surrogate loss falls)? The bounds come from splits
made for that (`sample_data/defaults.json`), never from a test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict

from r2t2_core.decision import GateVerdict
from r2t2_core.i18n import N_
from r2t2_core.types import Neighbours, RoutingSpec, Tensor

FAR_QUESTION = N_("No question in the reference set is like this one.")
FAR_IMAGE = N_("No picture in the reference set is like this one.")
WEAK_EVIDENCE = N_("The evidence for another answer is too weak.")

MOST_LOSS = 10.0
"""A surrogate loss counts as no more than this, in nats: what is hopeless is hopeless."""

SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1 before their log-odds are taken."""


class EvidenceModel(BaseModel):
    """How a change's evidence is weighed, and how much of it is enough.

    Attributes
    ----------
    intercept : float
    weights : mapping
        Name of one of `Change.features` → weight. Evidence is the intercept plus the weighted sum:
        log-odds that the change repairs rather than harms, as fitted on the validation split.
    bound : float or None
        Least evidence for another answer; None where no bound keeps the harm low enough.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    intercept: float
    weights: Mapping[str, float]
    bound: float | None

    def evidence(self, change: Change) -> float:
        """Weigh a change."""
        features = change.features
        return self.intercept + sum(w * features[name] for name, w in self.weights.items())


class GateThresholds(BaseModel):
    """Bounds of the gate.

    Attributes
    ----------
    text_similarity : float
        Least cosine similarity of the nearest reference question.
    image_distance : float
        Greatest distance of the picture from the reference set's.
    evidence : mapping
        Strategy → how its changes are judged. A strategy that is not listed was not calibrated
        and is not bounded.
    harm_bound, confidence : float
        The share of right answers made wrong is at most `harm_bound`, with this confidence, for
        questions like those of the calibration and the strategies' default parameters.
    source : str
        How and on what they were calibrated, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_similarity: float
    image_distance: float
    evidence: Mapping[str, EvidenceModel]
    harm_bound: float
    confidence: float
    source: str


@dataclass(frozen=True)
class Nearness:
    """How near a query is to the reference set.

    Attributes
    ----------
    text_similarity : float
        Cosine similarity of the nearest reference question (1 is the same).
    image_distance : float
        Distance of the picture; about 1 for the reference set's own.
    """

    text_similarity: float
    image_distance: float


@dataclass(frozen=True)
class Change:
    """What a strategy would change.

    Attributes
    ----------
    flips : bool
        The answer becomes another one.
    before, after : float
        Probability of the router's answer, and of the answer after.
    loss_before, loss_after : float
        The neighbours' surrogate loss under the router's own routing, and after, in nats.
    agreement : float
        Share of the neighbours' kernel weight whose strongest expert is the new routing's, 0 to 1
        (see `agreement`).
    similarity : float
        Cosine similarity of the nearest reference question.
    """

    flips: bool
    before: float
    after: float
    loss_before: float
    loss_after: float
    agreement: float
    similarity: float

    @property
    def features(self) -> dict[str, float]:
        """What its evidence is weighed from: names and values, dimensionless or in nats."""
        return {
            "answer_before": _log_odds(self.before),
            "answer_after": _log_odds(self.after),
            "surrogate_loss": min(self.loss_after, MOST_LOSS),
            "surrogate_gain": min(self.loss_before, MOST_LOSS) - min(self.loss_after, MOST_LOSS),
            "agreement": self.agreement,
            "similarity": self.similarity,
        }


def agreement(routing: Tensor, neighbours: Neighbours, spec: RoutingSpec) -> Tensor:
    """Return how far neighbours agree with a routing (B, E) on the strongest experts: (B,).

    For each gate, the share of the kernel weight of the neighbours whose strongest expert is the
    routing's; the mean over the gates.
    """
    shares = []
    for block in spec.blocks:
        own = routing[:, block].argmax(-1, keepdim=True)
        others = neighbours.routing[..., block].argmax(-1)
        shares.append(((others == own) * neighbours.weight).sum(-1))
    return torch.stack(shares).mean(0)


def _log_odds(probability: float) -> float:
    inside = min(max(probability, SMALLEST), 1 - SMALLEST)
    return math.log(inside / (1 - inside))


def judge(near: Nearness, change: Change, strategy: str, thresholds: GateThresholds) -> GateVerdict:
    """Say whether a strategy's answer may stand, and why not."""
    reasons = []
    if near.text_similarity < thresholds.text_similarity:
        reasons.append(FAR_QUESTION)
    if near.image_distance > thresholds.image_distance:
        reasons.append(FAR_IMAGE)
    model = thresholds.evidence.get(strategy)
    evidence = model.evidence(change) if model is not None and change.flips else None
    if (
        evidence is not None
        and model is not None
        and (model.bound is None or evidence < model.bound)
    ):
        reasons.append(WEAK_EVIDENCE)
    return GateVerdict(
        reroute=not reasons,
        reasons=tuple(reasons),
        text_similarity=near.text_similarity,
        text_threshold=thresholds.text_similarity,
        image_distance=near.image_distance,
        image_threshold=thresholds.image_distance,
        agreement=change.agreement,
        surrogate_loss_before=change.loss_before,
        surrogate_loss_after=change.loss_after,
        evidence=evidence,
        evidence_threshold=None if model is None else model.bound,
        harm_bound=None if model is None else thresholds.harm_bound,
        confidence=None if model is None else thresholds.confidence,
        thresholds_from=thresholds.source,
    )
