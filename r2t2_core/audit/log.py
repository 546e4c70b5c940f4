"""The log: append one entry, in one transaction, with a new signed head; read entries back."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import rfc8785
import sqlalchemy as sa
from pydantic import ValidationError
from sqlalchemy.engine import Connection

from r2t2_core.audit.anchors import AnchorFolder
from r2t2_core.audit.chain import (
    GENESIS,
    Head,
    SignedHead,
    encode,
    entry_hash,
    payload_hash,
    salted_hash,
)
from r2t2_core.audit.database import Database
from r2t2_core.audit.entries import BODIES, Entry, facets_of
from r2t2_core.audit.keys import SigningKey, is_signed, key_path
from r2t2_core.audit.schema import decisions, facets, heads, texts
from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_
from r2t2_core.settings import Settings

QUESTION_HASH = "question_salted_sha256"
"""Field of a body that stands for the text beside the chain."""

HEAD_ID = 1


def now() -> str:
    """Return the time in UTC, ISO 8601."""
    return datetime.now(UTC).isoformat()


def new_id() -> str:
    """Return an identifier for an entry."""
    return uuid.uuid4().hex


@dataclass(frozen=True)
class Draft:
    """An entry before it has a place in the chain.

    Attributes
    ----------
    kind : str
    body : mapping
        JSON; of the kind's own class where it has one.
    actor, role, session, purpose : str
    started_at, ended_at : str
        UTC, ISO 8601.
    subject : str or None
        The entry that it is about.
    text : str or None
        A question: kept beside the chain; the body gets its salted hash.
    erased_texts : sequence of int
        Sequences of entries whose text this entry erases.
    """

    kind: str
    body: Mapping[str, Any]
    actor: str
    role: str
    session: str = ""
    purpose: str = ""
    started_at: str = field(default_factory=now)
    ended_at: str = field(default_factory=now)
    subject: str | None = None
    entry_id: str = field(default_factory=new_id)
    text: str | None = None
    erased_texts: Sequence[int] = ()


@dataclass(frozen=True)
class Recorded:
    """What the log says of an entry that it has taken: it is on the disk.

    Attributes
    ----------
    anchor_problem : AuditError or None
        Why an anchor that was due could not be written; the entry itself is safe.
    """

    sequence: int
    entry_id: str
    entry_hash: str
    anchor_problem: AuditError | None = None


@dataclass(frozen=True)
class Stored:
    """An entry as it was read.

    Attributes
    ----------
    payload : str
        Its canonical JSON, as stored.
    entry : Entry
    text, salt : str or None
        The question and its salt; None where there is none, or it was erased.
    """

    payload: str
    entry_hash: str
    entry: Entry
    text: str | None
    salt: str | None


class AuditLog:
    """An append-only log.

    Parameters
    ----------
    settings : Settings
    database : Database, optional
    """

    def __init__(self, settings: Settings, database: Database | None = None) -> None:
        self.database = database or Database(settings)
        self.key_path = key_path(settings)
        self.anchors = AnchorFolder(settings.anchor_dir, settings.anchor_every)

    def append(self, draft: Draft) -> Recorded:
        """Append an entry; when this returns, it is on the disk and the head is signed.

        Raises
        ------
        AuditError
            It could not be written, or the log does not agree with its signed head; nothing
            was changed then.
        """
        salt = secrets.token_hex(16)
        pieces = _pieces(draft, salt)
        attempts = 0

        def work(connection: Connection) -> tuple[Recorded, SignedHead]:
            nonlocal attempts
            attempts += 1
            known = connection.execute(
                sa.select(decisions.c.sequence, decisions.c.entry_hash).where(
                    decisions.c.entry_id == draft.entry_id
                )
            ).first()
            if known is not None:
                if attempts == 1:
                    raise AuditError(
                        N_("The entry {name} is recorded already."), name=draft.entry_id
                    )
                # An attempt before was committed although its connection was lost.
                signed = self.read_head(connection)
                assert signed is not None
                return Recorded(known.sequence, draft.entry_id, known.entry_hash), signed
            return self._insert(connection, draft, pieces, salt)

        recorded, signed = self.database.write(work)
        try:
            self.anchors.note(recorded.sequence, signed)
        except AuditError as error:
            return Recorded(recorded.sequence, recorded.entry_id, recorded.entry_hash, error)
        return recorded

    def _insert(
        self, connection: Connection, draft: Draft, pieces: Mapping[str, bytes], salt: str
    ) -> tuple[Recorded, SignedHead]:
        count, previous, key = self._tip(connection)
        sequence = count + 1
        placed = {
            **pieces,
            "sequence": rfc8785.dumps(sequence),
            "previous_hash": rfc8785.dumps(previous),
        }
        payload = (
            b"{" + b",".join(b'"%s":%s' % (k.encode(), placed[k]) for k in sorted(placed)) + b"}"
        ).decode()
        digest = payload_hash(payload)
        hashed = entry_hash(sequence, previous, digest)
        head = Head(count=sequence, entry_hash=hashed, signed_at=now())
        statement = head.statement()
        signed = SignedHead(statement.decode(), key.sign(statement), key.public)
        connection.execute(
            decisions.insert().values(
                sequence=sequence,
                entry_id=draft.entry_id,
                entry_hash=hashed,
                payload_hash=digest,
                payload=payload,
            )
        )
        about = {
            "sequence": sequence, "kind": draft.kind, "started_at": draft.started_at,
            "actor": draft.actor, "role": draft.role, "purpose": draft.purpose,
            "subject": draft.subject, "body": draft.body,
        }  # fmt: skip
        connection.execute(facets.insert().values(**facets_of(about)))
        if draft.text is not None:
            connection.execute(texts.insert().values(sequence=sequence, salt=salt, text=draft.text))
        if draft.erased_texts:
            connection.execute(texts.delete().where(texts.c.sequence.in_(draft.erased_texts)))
        connection.execute(heads.delete().where(heads.c.id == HEAD_ID))
        connection.execute(
            heads.insert().values(
                id=HEAD_ID,
                statement=signed.statement,
                signature=signed.signature,
                public_key=signed.public_key,
            )
        )
        return Recorded(sequence, draft.entry_id, hashed), signed

    def _tip(self, connection: Connection) -> tuple[int, str, SigningKey]:
        """Return how far the log goes; refuse to continue one that was tampered with.

        A new signature over a shortened log would make what is missing invisible.
        """
        signed = self.read_head(connection)
        last = connection.execute(
            sa.select(decisions.c.sequence, decisions.c.entry_hash)
            .order_by(decisions.c.sequence.desc())
            .limit(1)
        ).first()
        if signed is None and last is None:
            if self.anchors.paths():
                raise _refusal()
            return 0, GENESIS, SigningKey.load_or_create(self.key_path)
        key = SigningKey.load(self.key_path)
        head = signed.head() if signed else None
        agrees = (
            signed is not None
            and head is not None
            and last is not None
            and signed.public_key == key.public
            and is_signed(key.public, encode(signed.statement), signed.signature)
            and (last.sequence, last.entry_hash) == (head.count, head.entry_hash)
        )
        if not agrees or head is None:
            raise _refusal()
        return head.count, head.entry_hash, key

    def signed_head(self) -> SignedHead | None:
        """Return the signed head as it is stored; None where nothing was recorded yet."""
        with self.database.read() as connection:
            return self.read_head(connection)

    @staticmethod
    def read_head(connection: Connection) -> SignedHead | None:
        """Return the signed head in the state that a connection sees."""
        row = connection.execute(
            sa.select(heads.c.statement, heads.c.signature, heads.c.public_key)
        ).first()
        return None if row is None else SignedHead(*row)

    def count(self) -> int:
        """Return how many entries there are."""
        with self.database.read() as connection:
            found = connection.execute(sa.select(sa.func.max(decisions.c.sequence))).scalar()
        return int(found or 0)

    def find(self, name: str) -> Stored:
        """Return one entry, by its identifier, the beginning of it, or its number.

        Raises
        ------
        AuditError
            There is none, or the beginning fits several, or it cannot be read.
        """
        chosen = (
            decisions.c.sequence == int(name)
            if name.isascii() and name.isdigit() and len(name) < 16
            else decisions.c.entry_id.startswith(name, autoescape=True)
        )
        query = (
            sa.select(decisions, texts.c.text, texts.c.salt)
            .outerjoin(texts, texts.c.sequence == decisions.c.sequence)
            .where(chosen)
            .limit(2)
        )
        with self.database.read() as connection:
            rows = connection.execute(query).all()
        if len(rows) != 1 or not name:
            raise AuditError(
                N_("There is no entry {name}.")
                if not rows or not name
                else N_("More than one entry begins with {name}."),
                N_("`r2t2 audit list` shows them."),
                name=name,
            )
        return read_row(rows[0])

    def about(self, entry_id: str) -> list[Stored]:
        """Return what was recorded about an entry later: sign-offs, overrides, replays."""
        query = (
            sa.select(decisions, texts.c.text, texts.c.salt)
            .join(facets, facets.c.sequence == decisions.c.sequence)
            .outerjoin(texts, texts.c.sequence == decisions.c.sequence)
            .where(facets.c.subject == entry_id)
            .order_by(decisions.c.sequence)
        )
        with self.database.read() as connection:
            return [read_row(row) for row in connection.execute(query)]


def read_row(row: sa.Row[Any]) -> Stored:
    """Return a row of `decisions` joined with `texts` as a record.

    Raises
    ------
    AuditError
        It is none any more.
    """
    try:
        entry = Entry.model_validate_json(row.payload)
    except (ValidationError, ValueError, TypeError) as error:
        raise AuditError(
            N_("Entry {name} is damaged."), N_("Run `r2t2 audit verify`."), name=str(row.sequence)
        ) from error
    return Stored(row.payload, row.entry_hash, entry, row.text, row.salt)


def _pieces(draft: Draft, salt: str) -> dict[str, bytes]:
    """Return the canonical JSON of every field but the place in the chain.

    RFC 8785 composes: an object is its members in order, so that what is long is written before
    the pen is taken, and not while others wait for it.
    """
    body = dict(draft.body)
    if draft.text is not None:
        body[QUESTION_HASH] = salted_hash(salt, draft.text)
    fields: dict[str, Any] = {
        "schema_version": "1", "entry_id": draft.entry_id, "kind": draft.kind,
        "started_at": draft.started_at, "ended_at": draft.ended_at, "actor": draft.actor,
        "role": draft.role, "session": draft.session, "purpose": draft.purpose,
        "subject": draft.subject, "body": body,
    }  # fmt: skip
    try:
        Entry(sequence=1, previous_hash=GENESIS, **fields)
        pieces = {name: rfc8785.dumps(value) for name, value in fields.items()}
        if draft.kind in BODIES:
            BODIES[draft.kind].model_validate_json(pieces["body"])
    except (ValidationError, rfc8785.CanonicalizationError, UnicodeError) as error:
        told = error.errors()[0] if isinstance(error, ValidationError) else None
        reason = f"{'.'.join(map(str, told['loc']))}: {told['msg']}" if told else str(error)
        raise AuditError(
            N_("This cannot be recorded: {reason}."), N_("Correct it and try again."), reason=reason
        ) from error
    return pieces


def _refusal() -> AuditError:
    return AuditError(
        N_("The audit log does not agree with its signed head or its anchors: it was changed."),
        N_("Nothing more is recorded. Run `r2t2 audit verify`, and restore the log from a backup."),
    )
