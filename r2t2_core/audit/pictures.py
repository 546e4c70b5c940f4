"""Pictures by content hash, beside the chain: kept once, erasable, checked when they are read."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path

from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_


def is_digest(name: object) -> bool:
    """Tell a SHA-256, written as hashes are written here."""
    return isinstance(name, str) and re.fullmatch(r"[0-9a-f]{64}", name) is not None


class PictureStore:
    """A folder of picture files, named by their SHA-256.

    Parameters
    ----------
    root : Path
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, data: bytes) -> str:
        """Keep a picture and return its hash; it is on the disk when this returns.

        Raises
        ------
        AuditError
            It cannot be written.
        """
        digest = hashlib.sha256(data).hexdigest()
        path = self._path(digest)
        if self.get(digest) is not None:
            return digest
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise AuditError(
                N_("The picture cannot be kept for the audit log: {reason}."),
                N_("Make room or give permission, and try again."),
                reason=error.strerror or str(error),
            ) from error
        return digest

    def get(self, digest: str) -> bytes | None:
        """Return a picture; None where it is not here, or is not what its name says."""
        try:
            data = self._path(digest).read_bytes()
        except OSError:
            return None
        return data if hashlib.sha256(data).hexdigest() == digest else None

    def has_file(self, digest: str) -> bool:
        """Tell whether there is a file of this name, whatever it holds."""
        return self._path(digest).is_file()

    def erase(self, digest: str) -> None:
        """Remove a picture for good.

        Raises
        ------
        AuditError
            The file cannot be removed.
        """
        try:
            self._path(digest).unlink(missing_ok=True)
        except OSError as error:
            raise AuditError(
                N_("The picture {name} cannot be erased: {reason}."),
                N_("Give permission, and erase it again."),
                name=digest,
                reason=error.strerror or str(error),
            ) from error

    def _path(self, digest: str) -> Path:
        # A hash comes from an entry; it must not lead out of the folder.
        if not is_digest(digest):
            raise AuditError(N_("{name} is not a SHA-256."), name=digest)
        return self.root / digest[:2] / digest
