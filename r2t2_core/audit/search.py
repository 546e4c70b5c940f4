"""What the audit page and `r2t2 audit list` ask: filter, search, one page of rows at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from r2t2_core.audit.access import Principal
from r2t2_core.audit.entries import OVERRIDE, SIGN_OFF
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.schema import decisions, facets, texts

CHOICES = ("kind", "actor", "strategy", "gained")
"""Facets with few values, to choose from."""

MOST_CHOICES = 200


@dataclass(frozen=True)
class Filter:
    """What is looked for; what is None does not matter.

    Attributes
    ----------
    kind, actor, strategy, gained : str
        Kind of entry, who, strategy, expert whose weight grew most.
    flipped, rerouted : bool
        The answer changed; the gate let it.
    reviewer : str
        Who signed off or overrode it.
    reviewed : bool
        Somebody did, or nobody.
    since, until : str
        UTC, ISO 8601; `until` is left out.
    words : str
        Part of the question, or the beginning of the entry's identifier.
    subject : str
        The entry that it is about.
    """

    kind: str | None = None
    actor: str | None = None
    strategy: str | None = None
    gained: str | None = None
    flipped: bool | None = None
    rerouted: bool | None = None
    reviewer: str | None = None
    reviewed: bool | None = None
    since: str | None = None
    until: str | None = None
    words: str | None = None
    subject: str | None = None


@dataclass(frozen=True)
class Row:
    """One line of a list."""

    sequence: int
    entry_id: str
    kind: str
    started_at: str
    actor: str
    role: str
    purpose: str
    subject: str | None
    strategy: str | None
    answer_before: str | None
    answer_after: str | None
    flipped: bool | None
    rerouted: bool | None
    gained: str | None
    question: str | None
    reviewers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Page:
    """Some rows of all that were found, the newest first."""

    rows: tuple[Row, ...]
    total: int


def search(
    recorder: Recorder, wanted: Filter, principal: Principal, *, size: int = 50, number: int = 0
) -> Page:
    """Return one page of what was found.

    Parameters
    ----------
    size : int
        Rows on a page.
    number : int
        The page, from 0.

    Raises
    ------
    AccessError
        The principal may not read the log.
    """
    recorder.access.require(principal, "read")
    chosen = _conditions(wanted)
    found = (
        sa.select(facets.c.sequence)
        .where(*chosen)
        .order_by(facets.c.sequence.desc())
        .limit(size)
        .offset(size * number)
    )
    with recorder.log.database.read() as connection:
        total = connection.execute(
            sa.select(sa.func.count()).select_from(facets).where(*chosen)
        ).scalar_one()
        # First the numbers, from the narrow table; then the few rows.
        sequences = list(connection.execute(found).scalars())
        rows = connection.execute(_rows(sequences)).all()
        reviewers = _reviewers(connection, [row.entry_id for row in rows])
    return Page(
        tuple(Row(**row._mapping, reviewers=reviewers.get(row.entry_id, ())) for row in rows),
        total,
    )


def choices(recorder: Recorder, principal: Principal) -> dict[str, list[str]]:
    """Return the values that there are of each facet with few of them, and the reviewers.

    Raises
    ------
    AccessError
        The principal may not read the log.
    """
    recorder.access.require(principal, "read")
    with recorder.log.database.read() as connection:
        found = {
            name: sorted(
                connection.execute(
                    sa.select(facets.c[name])
                    .where(facets.c[name].is_not(None))
                    .distinct()
                    .limit(MOST_CHOICES)
                ).scalars()
            )
            for name in CHOICES
        }
        found["reviewer"] = sorted(
            connection.execute(
                sa.select(facets.c.actor)
                .where(facets.c.kind.in_((SIGN_OFF, OVERRIDE)))
                .distinct()
                .limit(MOST_CHOICES)
            ).scalars()
        )
    return found


@dataclass(frozen=True)
class Fingerprint:
    """A model's fingerprint, and the decisions that were made with it."""

    fingerprint: str
    decisions: int
    first_at: str
    last_at: str


def fingerprints(recorder: Recorder, principal: Principal) -> list[Fingerprint]:
    """Return every fingerprint that a model had at a decision, the latest first.

    Raises
    ------
    AccessError
        The principal may not read the log.
    """
    recorder.access.require(principal, "read")
    column, moment = facets.c.model_fingerprint, facets.c.started_at
    last = sa.func.max(moment)
    query = (
        sa.select(column, sa.func.count(), sa.func.min(moment), last)
        .where(column.is_not(None))
        .group_by(column)
        .order_by(last.desc())
    )
    with recorder.log.database.read() as connection:
        return [Fingerprint(*tuple(row)) for row in connection.execute(query)]


def _rows(sequences: Sequence[int]) -> sa.Select[Any]:
    return (
        sa.select(
            facets.c.sequence,
            decisions.c.entry_id,
            facets.c.kind,
            facets.c.started_at,
            facets.c.actor,
            facets.c.role,
            facets.c.purpose,
            facets.c.subject,
            facets.c.strategy,
            facets.c.answer_before,
            facets.c.answer_after,
            facets.c.flipped,
            facets.c.rerouted,
            facets.c.gained,
            texts.c.text.label("question"),
        )
        .join(decisions, decisions.c.sequence == facets.c.sequence)
        .outerjoin(texts, texts.c.sequence == facets.c.sequence)
        .where(facets.c.sequence.in_(sequences))
        .order_by(facets.c.sequence.desc())
    )


def _reviewers(connection: sa.Connection, entries: Sequence[str]) -> dict[str, tuple[str, ...]]:
    query = (
        sa.select(facets.c.subject, facets.c.actor)
        .where(facets.c.subject.in_(entries), facets.c.kind.in_((SIGN_OFF, OVERRIDE)))
        .order_by(facets.c.sequence)
    )
    found: dict[str, tuple[str, ...]] = {}
    for subject, actor in connection.execute(query):
        if actor not in found.get(subject, ()):
            found[subject] = (*found.get(subject, ()), actor)
    return found


def _conditions(wanted: Filter) -> list[sa.ColumnElement[bool]]:
    chosen: list[sa.ColumnElement[bool]] = [
        facets.c[name] == value
        for name in ("kind", "actor", "strategy", "gained", "flipped", "rerouted", "subject")
        if (value := getattr(wanted, name)) is not None
    ]
    if wanted.since is not None:
        chosen.append(facets.c.started_at >= wanted.since)
    if wanted.until is not None:
        chosen.append(facets.c.started_at < wanted.until)
    if wanted.reviewer is not None or wanted.reviewed is not None:
        reviews = sa.select(facets.c.subject).where(
            facets.c.kind.in_((SIGN_OFF, OVERRIDE)), facets.c.subject.is_not(None)
        )
        if wanted.reviewer is not None:
            reviews = reviews.where(facets.c.actor == wanted.reviewer)
        about = sa.select(decisions.c.sequence).where(decisions.c.entry_id.in_(reviews))
        is_in = facets.c.sequence.in_(about)
        chosen.append(~is_in if wanted.reviewed is False else is_in)
    if wanted.words:
        asked = sa.select(texts.c.sequence).where(
            texts.c.text.icontains(wanted.words, autoescape=True)
        )
        named = sa.select(decisions.c.sequence).where(
            decisions.c.entry_id.startswith(wanted.words, autoescape=True)
        )
        chosen.append(facets.c.sequence.in_(asked) | facets.c.sequence.in_(named))
    return chosen
