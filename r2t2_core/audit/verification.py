"""What can be proved of the log: chain intact, signature valid, anchored outside; evidence whole.

Trusts nothing that it reads: every column may hold anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection
from sqlalchemy.types import NullType

from r2t2_core.audit.anchors import Anchor, read_anchor
from r2t2_core.audit.chain import (
    GENESIS,
    SignedHead,
    encode,
    entry_hash,
    payload_hash,
)
from r2t2_core.audit.entries import facets_of
from r2t2_core.audit.evidence import Evidence, Part, Problem, check_evidence, gather
from r2t2_core.audit.keys import SigningKey, is_signed, load_public, public_path
from r2t2_core.audit.log import HEAD_ID, AuditLog
from r2t2_core.audit.pictures import PictureStore
from r2t2_core.audit.schema import decisions, facets, heads, texts
from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_

AnchorState = Literal["anchored", "unanchored", "contradicted"]


@dataclass
class Report:
    """What `verify` found.

    Attributes
    ----------
    entries : int
        How many entries there are.
    chain : Part
        Every entry is what was chained, in its order, none missing between.
    signature : Part
        Head and count are signed by the pinned key.
    anchors : Part
        No anchor contradicts the log.
    evidence : Part
        Pictures and questions are those of the entries, or were erased by an entry.
    anchored_to : int
        Up to this entry an anchor from outside proves the log; 0 without one.
    anchored_at : str or None
        When that anchor was signed.
    last_hash : str
        Entry hash of the last entry.
    erased : int
        Pictures and questions that were erased.
    """

    entries: int = 0
    chain: Part = field(default_factory=Part)
    signature: Part = field(default_factory=Part)
    anchors: Part = field(default_factory=Part)
    evidence: Part = field(default_factory=Part)
    anchored_to: int = 0
    anchored_at: str | None = None
    last_hash: str = GENESIS
    erased: int = 0

    @property
    def ok(self) -> bool:
        """Nothing is wrong; the log may be unanchored."""
        return self.chain.ok and self.signature.ok and self.anchors.ok and self.evidence.ok

    @property
    def anchor_state(self) -> AnchorState:
        """Whether something outside vouches for the log."""
        if not self.anchors.ok:
            return "contradicted"
        return "anchored" if self.anchored_to else "unanchored"

    @property
    def first_bad(self) -> int | None:
        """The first entry that is bad, if any."""
        # A walk names the entry itself; head and anchors only a stretch that it lies in.
        for parts in ((self.chain, self.evidence), (self.signature, self.anchors)):
            found = [p.sequence for part in parts for p in part.problems if p.sequence is not None]
            if found:
                return min(found)
        return None


def pinned_key(log: AuditLog) -> str | None:
    """Return this installation's public key; None where there is no key yet."""
    public = public_path(log.key_path)
    if log.key_path.exists():
        return SigningKey.load(log.key_path).public
    return load_public(public) if public.exists() else None


def verify(
    log: AuditLog,
    pictures: PictureStore | None = None,
    *,
    public_key: str | None = None,
    anchors: Sequence[Anchor] = (),
    since: tuple[int, str] = (0, GENESIS),
) -> Report:
    """Verify the log.

    Parameters
    ----------
    log : AuditLog
    pictures : PictureStore, optional
        Without it pictures are not looked at.
    public_key : str, optional
        The pinned key, hexadecimal; this installation's own by default.
    anchors : sequence of Anchor
        Anchors from elsewhere, beside those in the configured place.
    since : tuple of int and str
        An entry that was verified before, with its hash: only what follows is walked. Evidence
        is then looked at for the new entries alone.

    Raises
    ------
    AuditError
        The log or the key cannot be read.
    """
    report = Report()
    pinned = public_key or pinned_key(log)
    found = list(anchors)
    for path in log.anchors.paths():
        try:
            found.append(read_anchor(path))
        except AuditError as error:
            report.anchors.problems.append(Problem(None, error))
    wanted = {anchor.count for anchor in found}
    evidence, hashes = Evidence(), {since[0]: since[1]}
    with log.database.read() as connection:
        _walk(connection, report, evidence, since, wanted, hashes)
        _look_for_strays(connection, report)
        rows = connection.execute(
            sa.select(heads.c.id, heads.c.statement, heads.c.signature, heads.c.public_key)
        ).all()
    _check_head(report, rows, pinned)
    _check_anchors(report, found, pinned, hashes, since[0])
    report.erased = check_evidence(report.evidence, evidence, pictures, is_whole=since[0] == 0)
    return report


def _raw(table: sa.Table) -> list[sa.Label[Any]]:
    """Return a table's columns as they are stored, not as their types would read them."""
    return [
        sa.type_coerce(column, NullType()).label(f"{table.name}_{column.name}")
        for column in table.columns
    ]


def _walk(
    connection: Connection,
    report: Report,
    evidence: Evidence,
    since: tuple[int, str],
    wanted: set[int],
    hashes: dict[int, str],
) -> None:
    count, previous = since
    query = (
        sa.select(*_raw(decisions), *_raw(facets), *_raw(texts))
        .outerjoin(facets, facets.c.sequence == decisions.c.sequence)
        .outerjoin(texts, texts.c.sequence == decisions.c.sequence)
        .where(decisions.c.sequence > count)
        .order_by(decisions.c.sequence)
        .execution_options(yield_per=50)
    )
    for row in connection.execute(query).mappings():
        sequence = row["decisions_sequence"]
        if sequence != count + 1:
            report.chain.add(count + 1, N_("Entry {n} is missing."), n=count + 1)
        stored = row["decisions_entry_hash"]
        entry = _check_entry(report.chain, row, sequence, previous)
        if entry is not None:
            gather(evidence, report.chain, report.evidence, dict(row), sequence, entry)
        previous = stored if isinstance(stored, str) else GENESIS
        count = sequence
        if count in wanted:
            hashes[count] = previous
    report.entries, report.last_hash = count, previous


def _check_entry(
    chain: Part, row: sa.RowMapping, sequence: int, previous: str
) -> dict[str, Any] | None:
    """Check one row; return its JSON, None where it has none."""
    payload = row["decisions_payload"]
    if not isinstance(payload, str):
        chain.add(sequence, N_("Entry {n} has no payload."), n=sequence)
        return None
    try:
        entry = json.loads(payload)
        told = (entry["sequence"], entry["entry_id"], entry["previous_hash"])
    except (ValueError, KeyError, TypeError, RecursionError):
        chain.add(sequence, N_("Entry {n} is no entry any more."), n=sequence)
        return None
    digest = payload_hash(payload)
    hashed = entry_hash(sequence, told[2], digest)
    if told[0] != sequence or told[1] != row["decisions_entry_id"]:
        chain.add(sequence, N_("Entry {n} stands in another's place."), n=sequence)
    elif (hashed, digest) != (row["decisions_entry_hash"], row["decisions_payload_hash"]):
        chain.add(sequence, N_("Entry {n} is not what its hash says."), n=sequence)
    elif told[2] != previous:
        before = max(sequence - 1, 1)
        chain.add(before, N_("Entry {n} is not the one that the next was chained to."), n=before)
    try:
        expected = facets_of(entry)
        same = all(row[f"facets_{name}"] == value for name, value in expected.items())
    except (KeyError, TypeError, ValueError, AttributeError, IndexError):
        same = False
    if not same:
        chain.add(
            sequence, N_("What the search holds of entry {n} is not what it says."), n=sequence
        )
    return entry if isinstance(entry.get("body"), dict) else None


def _look_for_strays(connection: Connection, report: Report) -> None:
    """Find rows beside the chain that belong to no entry."""
    for table in (facets, texts):
        stray: object = connection.execute(
            sa.select(sa.type_coerce(table.c.sequence, NullType()))
            .where(~sa.exists().where(decisions.c.sequence == table.c.sequence))
            .order_by(table.c.sequence)
            .limit(1)
        ).scalar()
        if stray is not None:
            report.chain.add(
                stray if isinstance(stray, int) else None,
                N_("Something of an entry {n} is left, but not the entry."),
                n=stray,
            )


def _check_head(report: Report, rows: Sequence[Any], pinned: str | None) -> None:
    part, count = report.signature, report.entries
    if not rows:
        if count:
            part.add(1, N_("There is no signed head."))
        elif pinned is not None:
            part.add(1, N_("There is a signing key, but no entry: the log was removed."))
        return
    if len(rows) > 1 or rows[0].id != HEAD_ID:
        part.add(None, N_("There is more than one signed head, or a strange one."))
        return
    _id, statement, signature, public = rows[0]
    if not all(isinstance(value, str) for value in (statement, signature, public)):
        part.add(1, N_("The signed head is damaged."))
        return
    if pinned is None:
        part.add(1, N_("There is no key to check the signature against."))
    elif public != pinned:
        part.add(1, N_("The head is signed with another key than the pinned one."))
    if not is_signed(pinned or public, encode(statement), signature):
        part.add(1, N_("The signature of the head is not valid."))
        return
    head = SignedHead(statement, signature, public).head()
    if head is None:
        part.add(1, N_("The signed head is damaged."))
    elif head.count > count:
        part.add(
            count + 1,
            N_("The signed head counts {signed} entries; the log has {n}."),
            signed=head.count, n=count,
        )  # fmt: skip
    elif head.count < count:
        part.add(head.count + 1, N_("The log goes on after its signed head."))
    elif head.entry_hash != report.last_hash:
        part.add(count, N_("The last entry is not the one that was signed."))


def _check_anchors(
    report: Report,
    anchors: Iterable[Anchor],
    pinned: str | None,
    hashes: dict[int, str],
    walked_from: int,
) -> None:
    part = report.anchors
    for anchor in sorted(anchors, key=lambda found: found.count):
        if anchor.count < walked_from:
            # It was compared when that part of the log was walked.
            report.anchored_to, report.anchored_at = anchor.count, anchor.signed_at
        elif pinned is not None and anchor.signed.public_key != pinned:
            part.add(
                report.anchored_to + 1,
                N_("The anchor {path} is signed with another key."),
                path=anchor.source,
            )
        elif anchor.count > report.entries:
            part.add(
                report.entries + 1,
                N_("The anchor {path} proves {anchored} entries; the log has {n}."),
                path=anchor.source, anchored=anchor.count, n=report.entries,
            )  # fmt: skip
        elif hashes.get(anchor.count) != anchor.entry_hash:
            part.add(
                report.anchored_to + 1,
                N_("The anchor {path} proves another log up to entry {anchored}."),
                path=anchor.source, anchored=anchor.count,
            )  # fmt: skip
        elif part.ok and report.chain.ok:
            report.anchored_to, report.anchored_at = anchor.count, anchor.signed_at
