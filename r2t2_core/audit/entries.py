"""What an entry of the log holds: an envelope, and a body for each kind.

Kinds are open: a kind without a body class here is kept as it is given.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

import rfc8785
from pydantic import Field, StringConstraints

from r2t2_core.decision import Frozen, Record, Scalar

DECISION, WHAT_IF, EVALUATION, REPLAY = "decision", "what_if", "evaluation", "replay"
SIGN_OFF, OVERRIDE, CORRECTION = "sign_off", "override", "correction"
ERASURE, RETENTION, ACCESS = "erasure", "retention", "access"
REFERENCE_PROMOTION, ALERT = "reference_promotion", "alert"

Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,39}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=200)]
Words = Annotated[str, StringConstraints(max_length=4000)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]

Body = TypeVar("Body", bound=Record)


class Entry(Record):
    """One entry: who did what, when, and why; `body` is what the kind says."""

    schema_version: Literal["1"]
    entry_id: Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
    sequence: Annotated[int, Field(ge=1)]
    previous_hash: Sha256
    """Entry hash of the entry before; zeros before the first."""
    kind: Kind
    started_at: str
    """UTC, ISO 8601."""
    ended_at: str
    actor: Name
    role: Annotated[str, StringConstraints(min_length=1, max_length=40)]
    session: Annotated[str, StringConstraints(max_length=200)]
    purpose: Annotated[str, StringConstraints(max_length=200)]
    subject: str | None
    """The entry that this one is about."""
    body: Frozen[Any]

    def read(self, body: type[Body]) -> Body:
        """Return the body as a record; pydantic's ValidationError when it is not one."""
        return body.model_validate_json(rfc8785.dumps(dict(self.body)))


class HostRecord(Record):
    """What computed, beyond what the decision itself names."""

    fingerprint_at_load: str
    """The model's fingerprint when the process loaded it."""
    router_fingerprint: str | None
    """Of the router's weights alone; `None` where the model does not part them."""
    policy_version: str
    """SHA-256 of the gate's thresholds in force."""
    code_sha256: str
    """Over the program's own source files."""
    determinism: Frozen[Scalar]
    """Switches of torch that decide whether the same input gives the same bits."""
    platform: str


class DecisionBody(Record):
    """A decision, its question by salted hash alone."""

    question_salted_sha256: Sha256
    """SHA-256 of salt and text, which stand beside the chain and can be erased."""
    decision: Frozen[Any]
    """The `Decision`, without question and question_sha256."""
    host: HostRecord | None
    neighbour_pictures: Frozen[str | None]
    """Neighbour → SHA-256 of its picture's file; `None` where only the layer's owner has it."""


class EvaluationBody(Record):
    """A run of methods over suites."""

    run: Frozen[Any]
    """Everything that decides the results (`run.json`)."""
    results_sha256: Sha256
    """Of the run's Parquet file."""
    scores: tuple[Frozen[Any], ...]


class SignOffBody(Record):
    """A person has looked at an entry."""

    decision: Literal["approved", "rejected"]
    reason: Words


class OverrideBody(Record):
    """A person sets another answer in place of the recorded one."""

    answer: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=4000)]


class CorrectionBody(Record):
    """Something in an earlier entry was wrong; the entry stays as it is."""

    field: Name
    value: Words
    reason: Annotated[str, StringConstraints(min_length=1, max_length=4000)]


class ErasureBody(Record):
    """Pictures and texts that were erased; the chain still holds their hashes."""

    pictures: tuple[Sha256, ...]
    texts: tuple[int, ...]
    """Sequences of the entries whose question was erased."""
    reason: Words


class RetentionBody(Record):
    """What retention erased."""

    pictures: tuple[Sha256, ...]
    texts: tuple[int, ...]
    days: int
    cutoff: str


class AccessBody(Record):
    """A token was made or revoked."""

    action: Literal["made", "revoked"]
    name: Name
    role: str


BODIES: Mapping[str, type[Record]] = {
    DECISION: DecisionBody,
    EVALUATION: EvaluationBody,
    SIGN_OFF: SignOffBody,
    OVERRIDE: OverrideBody,
    CORRECTION: CorrectionBody,
    ERASURE: ErasureBody,
    RETENTION: RetentionBody,
    ACCESS: AccessBody,
}
"""Kind → what its body must be; other kinds may hold any JSON."""


DECISION_FACETS = (
    "strategy", "answer_before", "answer_after", "flipped", "rerouted", "gained", "picture",
    "model_fingerprint",
)  # fmt: skip


def facets_of(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a search may ask of an entry, from its JSON; whatever it lacks is None."""
    decision = _decision(entry)
    found: dict[str, Any] = {
        name: entry.get(name)
        for name in ("sequence", "kind", "started_at", "actor", "role", "purpose", "subject")
    }
    if decision is None:
        return {**found, **dict.fromkeys(DECISION_FACETS)}
    before, after = decision["base"], decision["final"]
    return {
        **found,
        "strategy": decision["strategy"],
        "answer_before": before["answer"],
        "answer_after": after["answer"],
        "flipped": before["answer"] != after["answer"],
        "rerouted": decision["gate"]["reroute"],
        "gained": _gained(decision),
        "picture": decision["input"]["image_sha256"],
        "model_fingerprint": decision["system"]["model_fingerprint_after"],
    }


def _decision(entry: Mapping[str, Any]) -> Mapping[str, Any] | None:
    body = entry.get("body")
    return body.get("decision") if entry.get("kind") == DECISION and body else None


def _gained(decision: Mapping[str, Any]) -> str | None:
    """Return the expert whose weight grew most; None where no weight moved."""
    experts = [name for gate in decision["system"]["gates"] for name in gate["experts"]]
    moved = [
        after - before
        for before, after in zip(
            decision["base"]["routing"], decision["final"]["routing"], strict=True
        )
    ]
    best = max(range(len(moved)), key=moved.__getitem__)
    return experts[best] if moved[best] > 0 else None
