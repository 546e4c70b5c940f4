"""Tags and notes that people give to cases, in one SQLite file below the data folder.

A note belongs to a case (its suite's content hash, and its id there), not to a run, so that it is
found again in every run over the same suite.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from r2t2_core.errors import AnnotationError
from r2t2_core.i18n import N_

LONGEST_NOTE = 4000
LONGEST_TAG = 60
MOST_TAGS = 20

PATIENCE = 20.0
"""Seconds to wait for another process that writes."""

TABLE = """
CREATE TABLE IF NOT EXISTS annotations (
    case_key TEXT PRIMARY KEY,
    tags TEXT NOT NULL,
    note TEXT NOT NULL,
    updated_at TEXT NOT NULL
)
"""


@dataclass(frozen=True)
class Annotation:
    """What people said about a case.

    Attributes
    ----------
    case : str
    tags : tuple of str
        In alphabetical order, each once.
    note : str
    updated_at : str
        UTC, ISO 8601; empty where nothing was said yet.
    """

    case: str
    tags: tuple[str, ...] = ()
    note: str = ""
    updated_at: str = ""


class AnnotationStore:
    """Keeps annotations; safe for several sessions and processes at once.

    Parameters
    ----------
    path : Path
        The SQLite file; it and its folder are made when first written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, case: str, tags: Sequence[str], note: str) -> Annotation:
        """Store what is said about a case; empty tags and note remove it.

        Raises
        ------
        AnnotationError
            A tag or the note is too long, there are too many tags, or the file cannot be written.
        """
        kept = tuple(sorted({tag.strip() for tag in tags if tag.strip()}))
        text = note.strip()
        _check(kept, text)
        made = Annotation(case, kept, text, datetime.now(UTC).isoformat(timespec="seconds"))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._connect() as connection:
            if kept or text:
                connection.execute(
                    "INSERT INTO annotations VALUES (?, ?, ?, ?) ON CONFLICT (case_key) DO UPDATE "
                    "SET tags = excluded.tags, note = excluded.note, "
                    "updated_at = excluded.updated_at",
                    (case, json.dumps(kept, ensure_ascii=False), text, made.updated_at),
                )
            else:
                connection.execute("DELETE FROM annotations WHERE case_key = ?", (case,))
        return made

    def all(self) -> dict[str, Annotation]:
        """Return all annotations by case.

        Raises
        ------
        AnnotationError
            The file cannot be read.
        """
        if not self._path.is_file():
            return {}
        with self._connect() as connection:
            rows = connection.execute("SELECT case_key, tags, note, updated_at FROM annotations")
            return {row[0]: Annotation(row[0], tuple(json.loads(row[1])), row[2], row[3])
                    for row in rows}  # fmt: skip

    def get(self, case: str) -> Annotation:
        """Return what was said about a case; an empty annotation where nothing was."""
        return self.all().get(case, Annotation(case))

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        try:
            # Transactions are begun by hand, with the right to write from the start: one that asks
            # for it later is refused at once, not made to wait.
            with closing(
                sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)
            ) as connection:
                connection.execute("BEGIN IMMEDIATE")
                connection.execute(TABLE)
                yield connection
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise AnnotationError(
                N_("The tags and notes in {file} cannot be read or written: {reason}."),
                N_("Close other programs that use the file, or move it away."),
                file=self._path.name,
                reason=str(error),
            ) from error


def _check(tags: Sequence[str], note: str) -> None:
    if len(note) > LONGEST_NOTE:
        raise AnnotationError(
            N_("The note has {count} characters; the limit is {limit}."),
            N_("Shorten it."),
            count=len(note),
            limit=LONGEST_NOTE,
        )
    if len(tags) > MOST_TAGS or any(len(tag) > LONGEST_TAG for tag in tags):
        raise AnnotationError(
            N_("A case has at most {most} tags of at most {length} characters each."),
            N_("Use fewer or shorter tags."),
            most=MOST_TAGS,
            length=LONGEST_TAG,
        )
