"""Bodies of the API, version 1; a re-route is answered by a `Decision`."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue

from r2t2_core import errors
from r2t2_core.decision import Decision, NeighbourRecord, ReferenceRecord
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.intake.image import MAX_BYTES
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy, parse_params
from r2t2_core.request import AnswerRequest

Scalar = float | int | str | bool | None

Tags = list[str | Enum]
Responses = dict[int | str, dict[str, Any]]
"""What a route tells OpenAPI."""

MAX_BATCH = 64
"""Requests in the body of one batch."""

MAX_PICTURE_TEXT = MAX_BYTES // 3 * 4 + 4
"""Characters of the largest picture in base64."""


def _base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is not base64") from error
    return text


class Body(BaseModel):
    """Base of all bodies: frozen, nothing unknown, no NaN."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class PictureBody(Body):
    """A picture with a question."""

    image: Annotated[str, AfterValidator(_base64)] = Field(
        max_length=MAX_PICTURE_TEXT,
        description="A picture file (PNG, JPEG, WebP, GIF, BMP, TIFF) in base64.",
        json_schema_extra={"contentEncoding": "base64"},
    )
    question: str = Field(max_length=10_000, description="A question about it.")


class RetrievalBody(PictureBody):
    """A picture with a question, and how neighbours are found."""

    retrieval: RetrievalParams | None = Field(
        default=None, description="By default what validation chose."
    )


class RerouteBody(RetrievalBody):
    """All that a decision depends on."""

    strategy: str | None = Field(
        default=None,
        max_length=100,
        description="Whose answer counts; by default what validation chose.",
    )
    strategies: tuple[Annotated[str, Field(max_length=100)], ...] | None = Field(
        default=None,
        max_length=50,
        description="Which to run; by default all that the question allows.",
    )
    parameters: dict[str, dict[str, Scalar]] = Field(
        default_factory=dict,
        max_length=50,
        description="Strategy → parameters that differ from its own defaults.",
    )
    label: str | None = Field(
        default=None, max_length=1000, description="The right answer, where it is known."
    )

    def to_request(self) -> AnswerRequest:
        """Return the request; ParameterError where a parameter is unknown or out of bounds."""
        return AnswerRequest(
            base64.b64decode(self.image),
            self.question,
            self.retrieval,
            {
                name: parse_params(get_strategy(name), values)
                for name, values in self.parameters.items()
            },
            self.strategies,
            self.strategy,
            self.label,
        )


class BatchBody(Body):
    """Several requests; each gets its own decision or its own problem."""

    requests: tuple[RerouteBody, ...] = Field(min_length=1, max_length=MAX_BATCH)


class Problem(BaseModel):
    """What was wrong and what to do: a sentence for people, and its parts for programs."""

    model_config = ConfigDict(frozen=True)

    type: str = Field(description="Kind of error, for example `ImageError`.")
    detail: str = Field(description="One or two sentences in English.")
    message: str = Field(description="Message identifier, with placeholders.")
    remedy: str = Field(description="Message identifier of what to do.")
    params: dict[str, str] = Field(description="Values of the placeholders.")

    @classmethod
    def of(cls, error: WorkbenchError) -> Problem:
        """Describe an error."""
        return cls(
            type=type(error).__name__,
            detail=str(error),
            message=error.message,
            remedy=error.remedy,
            params={name: str(value) for name, value in error.params.items()},
        )

    def to_error(self) -> WorkbenchError:
        """Return the error again; one of a kind that is not known here is a BackendError."""
        kind = getattr(errors, self.type, errors.BackendError)
        if not (isinstance(kind, type) and issubclass(kind, WorkbenchError)):
            kind = errors.BackendError
        return kind(self.message, self.remedy, **self.params)


class BatchItem(Body):
    """What became of one request of a batch."""

    decision: Decision | None = None
    problem: Problem | None = None


class BatchResponse(Body):
    """In the order of the requests."""

    items: tuple[BatchItem, ...]


class AnswerResponse(Body):
    """The frozen model's own answer, not re-routed."""

    answer: str
    probability: float
    routing: dict[str, float] = Field(description="Expert → dense routing weight.")
    model: str
    model_fingerprint: str


class NeighboursResponse(Body):
    """The reference samples that a re-route would use."""

    reference: ReferenceRecord
    neighbours: tuple[NeighbourRecord, ...]


class StrategyInfo(Body):
    """A registered strategy."""

    name: str
    title: str
    summary: str
    needs_label: bool
    is_control: bool
    parameters: dict[str, JsonValue] = Field(description="JSON schema of its parameters.")
    defaults: dict[str, Scalar] = Field(description="What validation chose.")


class ReferenceSetInfo(Body):
    """A reference set."""

    name: str
    size: int
    content_hash: str
    created_at: str
    licence: str
    source: str
    model: str
    embedder: str
    admitted: dict[str, int] = Field(description="Policy → how many samples it admits.")


class SystemInfo(Body):
    """What answers here."""

    model: str
    model_fingerprint: str
    device: str
    dtype: str
    threads: int
    code_version: str
    experts: tuple[str, ...]
    answers: tuple[str, ...]
    reference_hash: str
    default_strategy: str
    default_retrieval: RetrievalParams


class Health(Body):
    """Whether the process lives, or is ready to answer."""

    status: Literal["ok", "loading", "stopping", "damaged"]


class EvaluationBody(Body):
    """Methods over suites, as `r2t2 evaluate` runs them."""

    suites: tuple[Annotated[str, Field(max_length=100)], ...] = Field(
        default=(), max_length=50, description="Names of shipped suites; all where none is named."
    )
    archive: Annotated[str, AfterValidator(_base64)] | None = Field(
        default=None,
        max_length=MAX_PICTURE_TEXT,
        description="A suite of one's own instead: a zip in base64.",
        json_schema_extra={"contentEncoding": "base64"},
    )
    methods: tuple[Annotated[str, Field(max_length=300)], ...] = Field(
        default=("base", "ngd", "kernel_regression"), min_length=1, max_length=50
    )
    limit: int | None = Field(default=None, ge=1, le=1_000_000)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)


ENDED = frozenset(("finished", "failed", "cancelled"))
"""States in which a job stays."""


class JobInfo(Body):
    """A piece of long work."""

    id: str
    kind: Literal["evaluation"]
    state: Literal["waiting", "running", "finished", "failed", "cancelled"]
    done: int
    total: int
    problem: Problem | None = None


class JobResult(Body):
    """What an evaluation found: one entry for each suite and method."""

    scores: tuple[Mapping[str, Any], ...]
    bad_rows: int


UNREADABLE = N_("The request cannot be read: {reason}.")
SEE_SCHEMA = N_("See the API's description at /docs.")
