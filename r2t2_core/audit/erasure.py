"""Erasing pictures and questions: a person's right, and retention. The chain still verifies.

An erasure is an entry; it is written first, then the pictures go. Where the program stops
between the two, the next erasure finishes what is left, and `verify` says so until then.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from r2t2_core.audit.access import Principal
from r2t2_core.audit.entries import (
    DECISION,
    ERASURE,
    RETENTION,
    ErasureBody,
    RetentionBody,
)
from r2t2_core.audit.log import AuditLog, Draft, Recorded, read_row
from r2t2_core.audit.pictures import PictureStore
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.schema import decisions, facets, texts
from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_

What = Literal["picture", "question", "both"]


@dataclass(frozen=True)
class Plan:
    """What would be erased.

    Attributes
    ----------
    pictures : tuple of str
        Hashes.
    texts : tuple of int
        Sequences of the entries whose question it is.
    """

    pictures: tuple[str, ...]
    texts: tuple[int, ...]

    @property
    def is_empty(self) -> bool:
        """There is nothing to erase."""
        return not self.pictures and not self.texts


def plan_erasure(
    recorder: Recorder, names: Sequence[str], what: What, principal: Principal
) -> Plan:
    """Say what an erasure would erase: a picture goes from every entry that has it.

    Raises
    ------
    AccessError
        The principal may not erase.
    AuditError
        There is no such entry, or it has neither picture nor question.
    """
    recorder.access.require(principal, "erase")
    pictures: set[str] = set()
    sequences: set[int] = set()
    for name in names:
        stored = recorder.log.find(name)
        if stored.entry.kind == DECISION and what in ("picture", "both"):
            digest = str(stored.entry.body["decision"]["input"]["image_sha256"])
            if recorder.pictures.has_file(digest):
                pictures.add(digest)
        if stored.text is not None and what in ("question", "both"):
            sequences.add(stored.entry.sequence)
    return Plan(tuple(sorted(pictures)), tuple(sorted(sequences)))


def erase(recorder: Recorder, plan: Plan, reason: str, principal: Principal) -> Recorded:
    """Erase what is planned, as an entry with a reason.

    Raises
    ------
    AccessError
        The principal may not erase.
    AuditError
        There is nothing to erase, or it cannot be recorded or removed.
    """
    recorder.access.require(principal, "erase")
    if plan.is_empty:
        raise AuditError(
            N_("There is nothing to erase: it was erased before, or the entry never had it.")
        )
    if not reason.strip():
        raise AuditError(N_("An erasure needs a reason."), N_("Say who asked for it, and when."))
    body = ErasureBody(pictures=plan.pictures, texts=plan.texts, reason=reason.strip())
    return _carry_out(recorder, ERASURE, body, principal)


def plan_retention(recorder: Recorder, days: int, principal: Principal) -> tuple[Plan, str]:
    """Say what is older than so many days, and the moment before which everything is.

    A picture that a younger entry has too is kept.

    Raises
    ------
    AccessError
        The principal may not erase.
    """
    recorder.access.require(principal, "erase")
    cutoff = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    used = (
        sa.select(facets.c.picture)
        .where(facets.c.picture.is_not(None))
        .group_by(facets.c.picture)
        .having(sa.func.max(facets.c.started_at) < cutoff)
    )
    asked = (
        sa.select(texts.c.sequence)
        .join(facets, facets.c.sequence == texts.c.sequence)
        .where(facets.c.started_at < cutoff)
        .order_by(texts.c.sequence)
    )
    with recorder.log.database.read() as connection:
        pictures = list(connection.execute(used).scalars())
        sequences = tuple(connection.execute(asked).scalars())
    kept = [digest for digest in pictures if recorder.pictures.has_file(digest)]
    return Plan(tuple(sorted(kept)), sequences), cutoff


def retain(
    recorder: Recorder, plan: Plan, days: int, cutoff: str, principal: Principal
) -> Recorded:
    """Erase what retention planned, as an entry.

    Raises
    ------
    AccessError
        The principal may not erase.
    AuditError
        There is nothing to erase, or it cannot be recorded or removed.
    """
    recorder.access.require(principal, "erase")
    if plan.is_empty:
        raise AuditError(N_("Nothing is older than {days} days."), days=days)
    body = RetentionBody(pictures=plan.pictures, texts=plan.texts, days=days, cutoff=cutoff)
    return _carry_out(recorder, RETENTION, body, principal)


def _carry_out(
    recorder: Recorder, kind: str, body: ErasureBody | RetentionBody, principal: Principal
) -> Recorded:
    recorded = recorder.log.append(
        Draft(
            kind,
            body.model_dump(mode="json"),
            principal.name,
            principal.role,
            principal.session,
            erased_texts=body.texts,
        )
    )
    finish(recorder.log, recorder.pictures)
    return recorded


def finish(log: AuditLog, pictures: PictureStore) -> None:
    """Remove every picture that an entry erased and no later decision has."""
    query = (
        sa.select(decisions, texts.c.text, texts.c.salt)
        .join(facets, facets.c.sequence == decisions.c.sequence)
        .outerjoin(texts, texts.c.sequence == decisions.c.sequence)
        .where(facets.c.kind.in_((ERASURE, RETENTION)))
        .order_by(decisions.c.sequence)
    )
    with log.database.read() as connection:
        erased: dict[str, int] = {}
        for row in connection.execute(query):
            entry = read_row(row).entry
            erased.update(dict.fromkeys(entry.body["pictures"], entry.sequence))
        gone = list(_unused(connection, erased))
    for digest in gone:
        pictures.erase(digest)
    # Whoever copies the database afterwards must not find the text in its journal.
    log.database.forget()


def _unused(connection: sa.Connection, erased: dict[str, int]) -> Iterable[str]:
    for digest, sequence in erased.items():
        last = connection.execute(
            sa.select(sa.func.max(facets.c.sequence)).where(facets.c.picture == digest)
        ).scalar()
        if last is None or last < sequence:
            yield digest
