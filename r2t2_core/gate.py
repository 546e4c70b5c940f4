"""Whether a re-routed answer may stand: is the question, and is the picture, within reach of the
reference set?

The thresholds come from the validation split (`sample_data/defaults.json`), never from a test.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from r2t2_core.decision import GateVerdict
from r2t2_core.i18n import N_

FAR_QUESTION = N_("No question in the reference set is like this one.")
FAR_IMAGE = N_("No picture in the reference set is like this one.")


class GateThresholds(BaseModel):
    """Bounds of reach.

    Attributes
    ----------
    text_similarity : float
        Least cosine similarity of the nearest reference question.
    image_distance : float
        Greatest standardised distance of the nearest reference pictures.
    source : str
        How and on what they were calibrated, in words.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text_similarity: float
    image_distance: float
    source: str


def judge(text_similarity: float, image_distance: float, thresholds: GateThresholds) -> GateVerdict:
    """Compare a query's nearness with the thresholds.

    Parameters
    ----------
    text_similarity : float
        Cosine similarity of the nearest reference question (1 is the same).
    image_distance : float
        Mean standardised Euclidean distance to the nearest reference pictures.
    thresholds : GateThresholds
    """
    reasons = []
    if text_similarity < thresholds.text_similarity:
        reasons.append(FAR_QUESTION)
    if image_distance > thresholds.image_distance:
        reasons.append(FAR_IMAGE)
    return GateVerdict(
        reroute=not reasons,
        reasons=tuple(reasons),
        text_similarity=text_similarity,
        text_threshold=thresholds.text_similarity,
        image_distance=image_distance,
        image_threshold=thresholds.image_distance,
        thresholds_from=thresholds.source,
    )
