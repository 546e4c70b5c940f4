"""Anchors: signed heads in files that live elsewhere.

Whoever holds the key and the database can put back an old state, and sign it. What he cannot
change is a file on another machine that says how far the log once went.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from r2t2_core.audit.chain import SignedHead, encode
from r2t2_core.audit.keys import is_signed
from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_

PATTERN = "anchor-*.json"


@dataclass(frozen=True)
class Anchor:
    """A signed head that was found outside.

    Attributes
    ----------
    source : str
        The file.
    signed : SignedHead
    count : int
    entry_hash, signed_at : str
        What the statement says.
    """

    source: str
    signed: SignedHead
    count: int
    entry_hash: str
    signed_at: str


def anchor_text(signed: SignedHead) -> str:
    """Return an anchor file's text."""
    return json.dumps(asdict(signed), indent=1) + "\n"


def parse_anchor(text: str, source: str) -> Anchor:
    """Read an anchor.

    Raises
    ------
    AuditError
        It is none, or its signature is not its own key's.
    """
    try:
        signed = SignedHead(**json.loads(text))
        head = signed.head()
        is_own = is_signed(signed.public_key, encode(signed.statement), signed.signature)
    except (ValueError, TypeError, AttributeError):
        head, is_own = None, False
    if head is None or not is_own:
        raise AuditError(
            N_("The anchor {path} is damaged."), N_("Use another copy of it."), path=source
        )
    return Anchor(source, signed, head.count, head.entry_hash, head.signed_at)


def read_anchor(path: Path) -> Anchor:
    """Read an anchor file.

    Raises
    ------
    AuditError
        It is missing or damaged.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise AuditError(
            N_("The anchor {path} cannot be read: {reason}."),
            N_("Check the path and the permissions."),
            path=str(path),
            reason=getattr(error, "strerror", None) or str(error),
        ) from error
    return parse_anchor(text, str(path))


def write_anchor(path: Path, signed: SignedHead) -> None:
    """Write an anchor file, whole or not at all; one that is there is never overwritten.

    Raises
    ------
    AuditError
        It cannot be written, or another head stands there under this name.
    """
    text = anchor_text(signed)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            _give_name(temporary, path)
        finally:
            Path(temporary).unlink(missing_ok=True)
    except FileExistsError as error:
        if read_anchor(path).entry_hash != parse_anchor(text, str(path)).entry_hash:
            raise AuditError(
                N_("The anchor {path} holds another state of the log."),
                N_("Run `r2t2 audit verify`."),
                path=str(path),
            ) from error
    except OSError as error:
        raise AuditError(
            N_("The anchor {path} cannot be written: {reason}."),
            N_("Make room or give permission, or name another place in R2T2_ANCHOR_DIR."),
            path=str(path),
            reason=error.strerror or str(error),
        ) from error


def _give_name(temporary: str, path: Path) -> None:
    """Rename, unless the name is taken."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        # Some network shares know no hard links.
        if path.exists():
            raise FileExistsError(str(path)) from None
        os.replace(temporary, path)


class AnchorFolder:
    """The configured place; an anchor is written there every so many entries.

    Parameters
    ----------
    root : Path or None
        None: there is no such place.
    every : int
    """

    def __init__(self, root: Path | None, every: int) -> None:
        self.root = root
        self.every = every
        self._last: int | None = None

    def note(self, count: int, signed: SignedHead) -> None:
        """Anchor this head if one is due; AuditError where it cannot be written."""
        if self.root is None:
            return
        if self._last is None:
            self._last = max((_count(path) for path in self.paths()), default=0)
        if count // self.every > self._last // self.every:
            write_anchor(self.root / f"anchor-{count:012d}.json", signed)
            self._last = count

    def paths(self) -> Sequence[Path]:
        """Return the anchor files, oldest first."""
        return sorted(self.root.glob(PATTERN)) if self.root and self.root.is_dir() else []


def _count(path: Path) -> int:
    digits = path.stem.removeprefix("anchor-")
    return int(digits) if digits.isdigit() else 0
