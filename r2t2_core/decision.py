"""The one record: everything that was seen, computed and decided for one question.

Screen, export, command line and (later) the audit log render from it. It is
frozen and serialises to canonical JSON (RFC 8785) and back without loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, TypeVar

import rfc8785
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

Value = TypeVar("Value")


def _read_only(values: Mapping[str, Any]) -> Mapping[str, Any]:
    return MappingProxyType(dict(values))


Frozen = Annotated[
    Mapping[str, Value], AfterValidator(_read_only), PlainSerializer(dict, return_type=dict)
]
"""Names with values, read-only."""

Scalar = float | int | str | bool | None

Share = Annotated[float, Field(ge=0, le=1)]


class Record(BaseModel):
    """A frozen part of a decision; unknown fields and values of another type are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, strict=True)


class InputRecord(Record):
    """What was asked of which picture."""

    image_sha256: str
    """Hash of the raw bytes as received."""
    pixels_sha256: str
    """Hash of the decoded RGB picture."""
    image_width: int
    image_height: int
    image_format: str
    notes: tuple[str, ...]
    """What intake did to picture and question, as message identifiers."""
    preprocessing: str
    """Version of intake and of the model's processor."""
    question: str
    question_sha256: str
    label: str | None
    """The right answer, as the model's vocabulary has it, where it was given."""


class GateRecord(Record):
    """One gate of the model."""

    name: str
    experts: tuple[str, ...]
    top_k: int | None


class SystemRecord(Record):
    """What computed it."""

    model: str
    model_fingerprint_before: str
    model_fingerprint_after: str
    gates: tuple[GateRecord, ...]
    answers: tuple[str, ...]
    """The answer vocabulary; every probability vector follows its order."""
    code_version: str
    library_versions: Frozen[str]
    device: str
    dtype: str
    threads: int
    seed: int
    batch: Annotated[int, Field(ge=1)] = 1
    """How many questions were computed together: alone the same bits, in a batch to 1e-5."""


class ReferenceRecord(Record):
    """Which reference set served, and how it was asked."""

    name: str
    content_hash: str
    policy: Literal["correct_only", "all_labelled", "refined"]
    embedder: str
    embedder_hash: str
    metric: Literal["cosine"]
    size: int
    eligible: int
    """How many samples the policy admits."""
    retrieval: Literal["knn", "ball"]
    n_neighbours: int | None
    """The k of kNN; `None` for a ball."""
    radius: float | None
    """Least cosine similarity of the ball; `None` for kNN."""
    truncated: bool
    """The ball held more samples than are used at most; the nearest were taken."""
    duplicate_threshold: float
    """Samples more similar than this in text and picture were left out."""
    kernel: str
    bandwidth: float
    """The bandwidth that the rule gave for this query, in cosine distance."""
    bandwidth_rule: str
    near_duplicates_left_out: int


class NeighbourRecord(Record):
    """One retrieved reference sample."""

    id: str
    question: str
    label: str
    model_answer: str
    is_correct: bool
    family: str
    similarity: float
    """Cosine similarity of the task embeddings."""
    image_similarity: float
    distance: float
    """1 − similarity: what the kernel sees."""
    kernel_weight: Share
    routing: tuple[float, ...]
    """The routing that the policy in force offers (dense)."""
    router_routing: tuple[float, ...]
    """What the router itself chose for the reference sample (dense)."""
    image: str
    """Path of its picture below the reference set's folder."""


class AnswerRecord(Record):
    """An answer and the routing that gave it."""

    answer: str
    probability: Share
    probabilities: tuple[float, ...]
    routing: tuple[float, ...]
    """Dense routing weights."""
    routing_top_k: tuple[float, ...]
    """Projected to the experts that the sparse gate really uses."""


class StepRecord(Record):
    """One point of a trajectory."""

    step: int
    routing: tuple[float, ...]
    routing_top_k: tuple[float, ...]
    surrogate_loss: float
    step_size: float
    gradient_norm: float | None
    entropy: float
    """Shannon entropy of the dense routing, in bits, summed over gates."""
    distance: float
    """Euclidean distance from the router's own routing."""
    answer: str
    probability: Share
    probabilities: tuple[float, ...]


class TrajectoryRecord(Record):
    """How the routing moved under one strategy."""

    strategy: str
    parameters: Frozen[Scalar]
    steps: Annotated[tuple[StepRecord, ...], Field(min_length=1)]
    """Step 0 is the router's own routing."""
    stop_reason: str
    flipped: bool
    """The last answer differs from the router's."""
    flip_step: int | None
    """First step from which the last answer holds to the end; `None` when the answer is kept."""

    @property
    def last(self) -> StepRecord:
        """The final point."""
        return self.steps[-1]


class GateVerdict(Record):
    """Whether the re-routed answer may stand for the model's answer, and why."""

    reroute: bool
    reasons: tuple[str, ...]
    """Message identifiers; empty when re-routing is allowed."""
    text_similarity: float
    text_threshold: float
    image_distance: float
    image_threshold: float
    evidence: float | None
    """Evidence for another answer (log-odds, see `gate.Change`); `None` where it stays the same."""
    evidence_threshold: float | None
    """Least evidence; `None` where the strategy was not calibrated, or no bound was low enough."""
    harm_bound: float | None
    """Share of right answers that may be made wrong, by calibration; `None` without one."""
    confidence: float | None
    thresholds_from: str
    """Where the thresholds were calibrated."""


class Timing(Record):
    """Wall-clock time of one stage."""

    stage: str
    """Message identifier."""
    strategy: str | None = None
    """The strategy that it was spent on, in the stage of re-routing."""
    milliseconds: float


class Decision(Record):
    """One decision, whole."""

    schema_version: Literal["1"]
    id: str
    started_at: str
    """UTC, ISO 8601."""
    input: InputRecord
    system: SystemRecord
    reference: ReferenceRecord
    neighbours: tuple[NeighbourRecord, ...]
    base: AnswerRecord
    trajectories: tuple[TrajectoryRecord, ...]
    strategy: str
    """The strategy whose answer stands as `final` (validation chose it, or the person)."""
    gate: GateVerdict
    final: AnswerRecord
    """The answer after: the strategy's where the gate allows it, else the router's own."""
    timings: tuple[Timing, ...]

    @model_validator(mode="after")
    def _belongs_together(self) -> Self:
        """Refuse vectors that do not fit the model's experts and answers."""
        experts = sum(len(gate.experts) for gate in self.system.gates)
        steps = [step for record in self.trajectories for step in record.steps]
        points: tuple[AnswerRecord | StepRecord, ...] = (self.base, self.final, *steps)
        for point in points:
            if not len(point.routing) == len(point.routing_top_k) == experts:
                raise ValueError(f"a routing vector does not have {experts} weights")
            if len(point.probabilities) != len(self.system.answers):
                raise ValueError(f"there are not {len(self.system.answers)} probabilities")
            if point.answer not in self.system.answers:
                raise ValueError(f"{point.answer!r} is not in the answer vocabulary")
        if any(len(neighbour.routing) != experts for neighbour in self.neighbours):
            raise ValueError(f"a neighbour's routing does not have {experts} weights")
        return self

    def trajectory(self, strategy: str) -> TrajectoryRecord:
        """Return the trajectory of one strategy; KeyError when it was not run."""
        for record in self.trajectories:
            if record.strategy == strategy:
                return record
        raise KeyError(strategy)

    @property
    def flipped(self) -> bool:
        """The answer after differs from the answer before."""
        return self.final.answer != self.base.answer

    def canonical_json(self) -> bytes:
        """Serialise to canonical JSON (RFC 8785)."""
        canonical: bytes = rfc8785.dumps(self.model_dump(mode="json"))
        return canonical

    @classmethod
    def from_json(cls, data: bytes | str) -> Decision:
        """Read a record back; pydantic's ValidationError when it is not one."""
        return cls.model_validate_json(data)
