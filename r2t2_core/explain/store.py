"""Where explained decisions are kept: the record, its picture, its causes, what people tried.

One folder for each decision, below the data folder. Files are written whole or not at all, and a
decision is never written twice.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from pydantic import ValidationError

from r2t2_core.analysis import Analysis, WhatIf
from r2t2_core.decision import Decision
from r2t2_core.errors import ExplanationError
from r2t2_core.i18n import N_

IDENTIFIER = re.compile(r"[0-9a-f]{32}")
"""What an identifier looks like; nothing else becomes a path."""


class ExplanationStore:
    """Kept decisions.

    Parameters
    ----------
    root : Path
        Made when something is first kept.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def keep(self, decision: Decision, image_bytes: bytes) -> None:
        """Keep a decision with its picture, as it was received.

        Raises
        ------
        ExplanationError
            The picture is not the decision's, or the folder cannot be written.
        """
        if hashlib.sha256(image_bytes).hexdigest() != decision.input.image_sha256:
            raise ExplanationError(
                N_("The picture is not the one that the decision was about."),
                N_("Open the decision with its own picture."),
            )
        folder = self._folder(decision.id)
        if not (folder / "decision.json").is_file():
            # The picture first: a decision without one cannot be opened.
            self._write(folder / "picture", image_bytes)
            self._write(folder / "decision.json", decision.canonical_json())

    def keep_analysis(self, analysis: Analysis) -> None:
        """Keep the causes beside their decision; later ones take the place of earlier ones.

        Raises
        ------
        ExplanationError
            The decision is not kept, or the folder cannot be written.
        """
        self.decision(analysis.decision_id)
        path = self._folder(analysis.decision_id) / "analysis.json"
        self._write(path, analysis.canonical_json())

    def keep_what_if(self, what_if: WhatIf) -> None:
        """Keep a human intervention beside its decision.

        Raises
        ------
        ExplanationError
            The decision is not kept, or the folder cannot be written.
        """
        self.decision(what_if.decision_id)
        _check(what_if.id)
        path = self._folder(what_if.decision_id) / f"what-if-{what_if.id}.json"
        self._write(path, what_if.canonical_json())

    def decision(self, identifier: str) -> tuple[Decision, bytes]:
        """Return a kept decision and its picture.

        Raises
        ------
        ExplanationError
            There is none, or its files are damaged.
        """
        folder = self._folder(identifier)
        try:
            decision = Decision.from_json((folder / "decision.json").read_bytes())
            picture = (folder / "picture").read_bytes()
        except FileNotFoundError as error:
            raise ExplanationError(
                N_("No decision {id} is kept on this machine."),
                N_("Ask for the link again where the decision was made, or answer anew."),
                id=identifier,
            ) from error
        except (OSError, ValidationError) as error:
            raise _damaged(folder, error) from error
        if hashlib.sha256(picture).hexdigest() != decision.input.image_sha256:
            raise _damaged(folder, ValueError("picture"))
        return decision, picture

    def analysis(self, decision: Decision) -> Analysis | None:
        """Return the causes that are kept of a decision; None without, or of another decision.

        Raises
        ------
        ExplanationError
            They are damaged.
        """
        path = self._folder(decision.id) / "analysis.json"
        if not path.is_file():
            return None
        try:
            analysis = Analysis.from_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise _damaged(path, error) from error
        return analysis if analysis.belongs_to(decision) else None

    def what_ifs(self, identifier: str) -> tuple[WhatIf, ...]:
        """Return the interventions that are kept of a decision, oldest first.

        Raises
        ------
        ExplanationError
            One is damaged.
        """
        found = []
        for path in sorted(self._folder(identifier).glob("what-if-*.json")):
            try:
                found.append(WhatIf.from_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                raise _damaged(path, error) from error
        return tuple(sorted(found, key=lambda entry: entry.made_at))

    def _folder(self, identifier: str) -> Path:
        _check(identifier)
        return self.root / identifier

    def _write(self, path: Path, data: bytes) -> None:
        """Write a file whole: to a temporary one first, then moved into place."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                file.write(data)
            os.replace(file.name, path)
        except OSError as error:
            raise ExplanationError(
                N_("The decision cannot be kept in {folder}: {reason}."),
                N_("Check the folder's permissions and the space on the disk."),
                folder=str(path.parent),
                reason=error.strerror or str(error),
            ) from error


def _check(identifier: str) -> None:
    if not IDENTIFIER.fullmatch(identifier):
        raise ExplanationError(
            N_("“{id}” is not the identifier of a decision."),
            N_("Check the link: an identifier has 32 digits and letters a to f."),
            id=identifier[:64],
        )


def _damaged(path: Path, error: Exception) -> ExplanationError:
    return ExplanationError(
        N_("What is kept in {path} cannot be read: {reason}."),
        N_("Answer the question again, and keep the new decision."),
        path=str(path),
        reason=str(error).splitlines()[0],
    )
