"""Pictures and questions beside the chain: those of the entries, or erased by an entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from r2t2_core.audit.chain import salted_hash
from r2t2_core.audit.entries import DECISION
from r2t2_core.audit.log import QUESTION_HASH
from r2t2_core.audit.pictures import PictureStore, is_digest
from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was written.

    Attributes
    ----------
    sequence : int or None
        The first entry that it concerns.
    error : AuditError
        What it is, in words.
    """

    sequence: int | None
    error: AuditError


@dataclass
class Part:
    """One of the things that are proved apart."""

    problems: list[Problem] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing is wrong."""
        return not self.problems

    def add(self, sequence: int | None, message: str, **params: object) -> None:
        """Note a problem."""
        self.problems.append(Problem(sequence, AuditError(message, "", **params)))


@dataclass
class Evidence:
    """What entries say of pictures and questions, gathered while walking."""

    first_use: dict[object, int] = field(default_factory=dict)
    last_use: dict[object, int] = field(default_factory=dict)
    erased_pictures: dict[object, int] = field(default_factory=dict)
    erased_texts: set[int] = field(default_factory=set)
    with_text: set[int] = field(default_factory=set)
    without_text: set[int] = field(default_factory=set)


def gather(
    evidence: Evidence,
    chain: Part,
    part: Part,
    row: Mapping[str, Any],
    sequence: int,
    entry: Mapping[str, Any],
) -> None:
    """Note what an entry says of pictures and questions; check its own question.

    Parameters
    ----------
    chain, part : Part
        Take what is wrong with the entry, and with its question.
    row : mapping
        The columns `texts_sequence`, `texts_text` and `texts_salt`.
    """
    body = entry["body"]
    try:
        if entry["kind"] == DECISION:
            picture = body["decision"]["input"]["image_sha256"]
            evidence.first_use.setdefault(picture, sequence)
            evidence.last_use[picture] = sequence
        if entry["kind"] in ("erasure", "retention"):
            evidence.erased_pictures.update(dict.fromkeys(body["pictures"], sequence))
            evidence.erased_texts.update(body["texts"])
    except (KeyError, TypeError):
        chain.add(sequence, N_("Entry {n} is no entry any more."), n=sequence)
        return
    text, salt = row["texts_text"], row["texts_salt"]
    if row["texts_sequence"] is None:
        if QUESTION_HASH in body:
            evidence.without_text.add(sequence)
        return
    evidence.with_text.add(sequence)
    if not _is_question(text, salt, body.get(QUESTION_HASH)):
        part.add(
            sequence, N_("The question of entry {n} is not the one that was asked."), n=sequence
        )


def _is_question(text: object, salt: object, expected: object) -> bool:
    try:
        return (
            isinstance(text, str)
            and isinstance(salt, str)
            # `fromhex` reads capitals and spaces too; a salt is written in one way only.
            and bytes.fromhex(salt).hex() == salt
            and salted_hash(salt, text) == expected
        )
    except ValueError:
        return False


def check_evidence(
    part: Part, evidence: Evidence, pictures: PictureStore | None, *, is_whole: bool
) -> int:
    """Check that all is there that was not erased; return how much was.

    Parameters
    ----------
    is_whole : bool
        All entries were walked; otherwise pictures may have been erased by none of these.
    """
    # An erasure of an entry that was walked before is seen as such only in a whole walk.
    for sequence in sorted(evidence.without_text - evidence.erased_texts):
        part.add(sequence, N_("The question of entry {n} is gone; no entry erased it."), n=sequence)
    for sequence in sorted(evidence.with_text & evidence.erased_texts):
        part.add(sequence, N_("The question of entry {n} was erased, but is there."), n=sequence)
    erased = len(evidence.erased_texts)
    for picture, last in evidence.last_use.items() if pictures else ():
        assert pictures is not None
        first = evidence.first_use[picture]
        is_erased = evidence.erased_pictures.get(picture, 0) > last
        erased += is_erased
        if not isinstance(picture, str) or not is_digest(picture):
            part.add(first, N_("Entry {n} is no entry any more."), n=first)
        elif is_erased and pictures.has_file(picture):
            part.add(first, N_("The picture of entry {n} was erased, but is there."), n=first)
        elif not is_erased and pictures.get(picture) is None and is_whole:
            part.add(first, N_("The picture of entry {n} is missing or changed."), n=first)
    return erased
