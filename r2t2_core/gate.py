"""Whether a re-routed answer may stand for the model's answer.

Three questions: is the question, and is the picture, within reach of the reference set; and
where the answer would change, is the evidence strong enough? The bounds come from splits made
for that (`sample_data/defaults.json`), never from a test.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict

from r2t2_core.decision import GateVerdict
from r2t2_core.i18n import N_

FAR_QUESTION = N_("No question in the reference set is like this one.")
FAR_IMAGE = N_("No picture in the reference set is like this one.")
WEAK_EVIDENCE = N_("The evidence for another answer is too weak.")

SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1 before their log-odds are taken."""


class GateThresholds(BaseModel):
    """Bounds of the gate.

    Attributes
    ----------
    text_similarity : float
        Least cosine similarity of the nearest reference question.
    image_distance : float
        Greatest distance of the picture from the reference set's.
    evidence : mapping
        Strategy → least evidence for another answer; None where no bound keeps the harm low
        enough. A strategy that is not listed was not calibrated and is not bounded.
    harm_bound, confidence : float
        The share of right answers made wrong is at most `harm_bound`, with this confidence, for
        questions like those of the calibration and the strategies' default parameters.
    source : str
        How and on what they were calibrated, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_similarity: float
    image_distance: float
    evidence: Mapping[str, float | None]
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
    loss : float
        The neighbours' surrogate loss after re-routing, in nats.
    """

    flips: bool
    before: float
    after: float
    loss: float

    @property
    def evidence(self) -> float:
        """Evidence for the new answer.

        How much surer the model is of it than it was of the old one, in log-odds, less what the new
        routing still gets wrong on the neighbours.
        """
        return _log_odds(self.after) - _log_odds(self.before) - self.loss


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
    bound = thresholds.evidence.get(strategy)
    calibrated = strategy in thresholds.evidence
    if change.flips and calibrated and (bound is None or change.evidence < bound):
        reasons.append(WEAK_EVIDENCE)
    return GateVerdict(
        reroute=not reasons,
        reasons=tuple(reasons),
        text_similarity=near.text_similarity,
        text_threshold=thresholds.text_similarity,
        image_distance=near.image_distance,
        image_threshold=thresholds.image_distance,
        evidence=change.evidence if change.flips else None,
        evidence_threshold=bound,
        harm_bound=thresholds.harm_bound if calibrated else None,
        confidence=thresholds.confidence if calibrated else None,
        thresholds_from=thresholds.source,
    )
