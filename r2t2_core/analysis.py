"""Causes of one decision, and what a person changed by hand: frozen records keyed by the decision.

An `Analysis` is computed on demand (`r2t2_core.explain`) and kept beside its `Decision`; a
`WhatIf` is a human intervention and no decision of the model. Both name the decision by its
identifier and by the hash of its canonical JSON, so that they cannot be laid beside another one.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, Literal

import rfc8785
from pydantic import Field

from r2t2_core.decision import Decision, Frozen, Record, Scalar, Share


def decision_hash(decision: Decision) -> str:
    """Return the SHA-256 of a decision's canonical JSON."""
    return hashlib.sha256(decision.canonical_json()).hexdigest()


class AnswerGiven(Record):
    """What the model says under some routing."""

    answer: str
    probability: Share


class NeighbourCause(Record):
    """What one neighbour did."""

    id: str
    kernel_weight: Share
    without: AnswerGiven
    """The strategy's answer without it; the other neighbours keep their places."""
    routing_without: tuple[float, ...]
    loss_without: float
    """Surrogate loss of the other neighbours at the end of the strategy's way, in nats."""
    decides: bool
    """Without it the strategy's answer is another one."""
    gradient_share: float | None
    """Its part of the surrogate loss's gradient at the router's own routing, along the simplices.
    The parts sum to one; one below zero pulls against the others. `None` where the gradient is
    zero."""
    pull_share: float | None
    """Its part of the way from the router's own routing to the neighbours' mean; as above."""
    answered_before: bool
    """The model answers it rightly under the router's routing of the question."""
    answered_after: bool
    """The model answers it rightly under the strategy's routing of the question."""


class ExpertCause(Record):
    """What one expert did. Weights that are left are scaled to sum to one, then the gate acts."""

    gate: str
    expert: str
    without_before: AnswerGiven
    """Under the router's routing, without this expert."""
    without_after: AnswerGiven
    """Under the strategy's routing, without this expert."""
    alone: AnswerGiven
    """This expert is the only one of its gate that is asked; other gates as after re-routing."""
    decides: bool
    """Without it the strategy's answer is another one."""


class Counterfactual(Record):
    """The smallest change of a routing that was found to give another answer."""

    origin: Literal["before", "after"]
    """Which routing is changed: the router's, or the strategy's."""
    wanted: Literal["any other answer", "the strategy's answer"]
    routing: tuple[float, ...]
    routing_top_k: tuple[float, ...]
    distance: float
    """Euclidean distance from the routing that is changed."""
    result: AnswerGiven
    method: Literal["cells", "rays"]
    """`cells`: every pair of experts with every mix of them, up to the resolution. `rays`: along
    straight lines; a smaller change may exist."""
    resolution: float | None
    """Spacing of the mixes that were tried (share of the heavier weight); `None` for rays."""
    tried: int
    """How many routings were tried."""


class LandscapePoint(Record):
    """One point of the straight line from the router's routing to the neighbours' mean."""

    share: float
    """Share of the way: 0 is the router's routing, 1 the neighbours' mean."""
    routing: tuple[float, ...]
    surrogate_loss: float
    before: Share
    """Probability of the router's answer, behind the gate's top k."""
    after: Share
    """Probability of the strategy's answer, behind the gate's top k."""
    answer: str


class StrategyVote(Record):
    """Where one strategy ended."""

    strategy: str
    answer: str
    probability: Share
    agrees: bool
    """It gives the answer of the strategy that counts."""
    is_control: bool


class Agreement(Record):
    """Who agrees with the answer of the strategy that counts."""

    strategies: tuple[StrategyVote, ...]
    neighbours_same_expert: Share
    """Kernel-weighted share of neighbours whose own heaviest expert is the strategy's heaviest."""
    neighbours_same_answer: Share
    """Kernel-weighted share of neighbours whose label is the strategy's answer. Neighbours have
    other pictures, so that a low share says nothing against the answer."""
    neighbours_answered_before: Share
    """Kernel-weighted share of neighbours answered rightly under the router's routing."""
    neighbours_answered_after: Share
    """The same under the strategy's routing."""


class Reach(Record):
    """How near the question is, against how near reference samples are to each other."""

    text_percentile: Share
    """Share of reference samples whose nearest other sample is no more similar than ours is."""
    image_percentile: Share
    """Share of reference pictures that are no farther from the set than ours is."""
    compared_with: int
    """How many reference samples were drawn for the comparison."""


class OcclusionMap(Record):
    """How an answer suffers when a part of the picture is hidden."""

    about: Literal["expert", "before", "after"]
    """One expert asked alone; or the model under the router's, or the strategy's routing."""
    expert: str | None
    gate: str | None
    answer: str
    """What it says of the whole picture."""
    effect: tuple[tuple[float, ...], ...]
    """Rows from the top, columns from the left: what hiding that window does. Of an expert: how far
    its output moves, relative to the output's own length. Of the model: how much less sure it is of
    its answer (loss of log-odds, in nats; below zero where it is surer)."""
    total: float
    """Mean of the effect's size: 0 means that it never looks."""


class Occlusion(Record):
    """Maps of all experts over one grid of windows."""

    grid: int
    """Windows a side."""
    window: float
    """Side of a window, as a share of the picture's side."""
    fill: Literal["mean colour"]
    maps: tuple[OcclusionMap, ...]


class PlaneRecord(Record):
    """A flat view of one gate's block of the routing, and where the reference set lies in it."""

    gate: str
    kind: Literal["ternary", "pca"]
    centre: tuple[float, ...]
    """Block weights that stand at (0, 0)."""
    axes: tuple[tuple[float, ...], tuple[float, ...]]
    """Two directions; a block's place is the product of its difference from the centre with
    them."""
    explained: Share
    """Share of the reference routings' variance that the view shows; 1 for three experts."""
    corners: tuple[tuple[float, float], ...]
    """Where each expert alone would stand."""
    x_edges: tuple[float, ...]
    y_edges: tuple[float, ...]
    density: tuple[tuple[int, ...], ...]
    """Reference samples in each cell; rows along y."""
    quantiles: tuple[tuple[float, ...], ...]
    """5, 25, 50, 75 and 95 % of the reference set's weight of each expert: five rows."""
    size: int
    """Reference samples that the policy admits."""


class Analysis(Record):
    """Causes of one decision."""

    schema_version: Literal["1"]
    decision_id: str
    decision_sha256: str
    computed_at: str
    """UTC, ISO 8601."""
    strategy: str
    """The strategy whose answer counts; all causes are of its answer, whatever the gate said."""
    moved: AnswerGiven
    """Its answer (the decision's final answer only where the gate lets it stand)."""
    neighbours: tuple[NeighbourCause, ...]
    dropped_until_flip: int | None
    """How many neighbours must go, heaviest first, until the answer is another; `None` where it
    holds with one left. In another order fewer may do."""
    experts: tuple[ExpertCause, ...]
    counterfactuals: tuple[Counterfactual, ...]
    landscape: Annotated[tuple[LandscapePoint, ...], Field(min_length=2)]
    agreement: Agreement
    reach: Reach
    planes: tuple[PlaneRecord, ...]
    occlusion: Occlusion | None
    """`None` until somebody asks for it: it runs the model on many pictures."""
    milliseconds: float

    def belongs_to(self, decision: Decision) -> bool:
        """Tell whether these are the causes of a decision."""
        return self.decision_sha256 == decision_hash(decision)

    def canonical_json(self) -> bytes:
        """Serialise to canonical JSON (RFC 8785)."""
        canonical: bytes = rfc8785.dumps(self.model_dump(mode="json"))
        return canonical

    @classmethod
    def from_json(cls, data: bytes | str) -> Analysis:
        """Read a record back; pydantic's ValidationError when it is not one."""
        return cls.model_validate_json(data)


class Intervention(Record):
    """What a person changed by hand, against the decision."""

    strategy: str
    parameters: Frozen[Scalar]
    retrieval: Frozen[Scalar]
    dropped: tuple[str, ...]
    """Neighbours that were left out."""
    weights: tuple[float, ...] | None
    """Routing set by hand, instead of the strategy's; `None` where the strategy moved it."""


class WhatIf(Record):
    """The answer under a person's intervention: for study, never the model's own answer."""

    schema_version: Literal["1"]
    kind: Literal["human intervention"]
    id: str
    decision_id: str
    decision_sha256: str
    model_fingerprint: str
    reference_hash: str
    made_at: str
    """UTC, ISO 8601."""
    intervention: Intervention
    neighbours: tuple[str, ...]
    """Neighbours that were in force."""
    result: AnswerGiven
    probabilities: tuple[float, ...]
    routing: tuple[float, ...]
    routing_top_k: tuple[float, ...]
    surrogate_loss: float
    """Of the neighbours in force, at this routing, in nats."""
    changes_answer: bool
    """The answer is not the one that the decision gave."""
    note: str
    """What the person wrote about it."""

    def canonical_json(self) -> bytes:
        """Serialise to canonical JSON (RFC 8785)."""
        canonical: bytes = rfc8785.dumps(self.model_dump(mode="json"))
        return canonical

    @classmethod
    def from_json(cls, data: bytes | str) -> WhatIf:
        """Read a record back; pydantic's ValidationError when it is not one."""
        return cls.model_validate_json(data)
