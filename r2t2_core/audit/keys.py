"""The Ed25519 key that signs the log; made on first use, kept outside the database.

The private key is a PEM file that its owner alone can read. Its public half lies beside it;
whoever audits keeps a copy elsewhere and verifies against that.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_
from r2t2_core.settings import Settings

RESTORE_KEY = N_("Restore the key from a backup, or name it in R2T2_AUDIT_KEY.")


def key_path(settings: Settings) -> Path:
    """Return where the private key is, or will be."""
    return settings.audit_key or settings.data_dir / "keys" / "audit-signing.pem"


def public_path(private: Path) -> Path:
    """Return where the public half of a key lies."""
    return private.with_suffix(".pub.pem")


class SigningKey:
    """A private key in memory."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public = public_hex(private.public_key())

    def sign(self, message: bytes) -> str:
        """Return the signature of a message, hexadecimal."""
        return self._private.sign(message).hex()

    @classmethod
    def load(cls, path: Path) -> SigningKey:
        """Read a key.

        Raises
        ------
        AuditError
            It is missing, damaged, or others may read it.
        """
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            if os.name == "posix" and mode & 0o077:
                raise AuditError(
                    N_("The signing key {path} can be read by others than its owner."),
                    N_("Make it private: chmod 600."),
                    path=str(path),
                )
            key = serialization.load_pem_private_key(path.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise _unreadable(path, error) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise _unreadable(path, ValueError("not an Ed25519 key"))
        return cls(key)

    @classmethod
    def load_or_create(cls, path: Path) -> SigningKey:
        """Read the key; make it where there is none. Processes that start together agree on one.

        Raises
        ------
        AuditError
            It can be neither read nor written.
        """
        if not path.exists():
            try:
                _create(path)
            except OSError as error:
                raise AuditError(
                    N_("The signing key {path} cannot be written: {reason}."),
                    N_("Make room or give permission, or name another place in R2T2_AUDIT_KEY."),
                    path=str(path),
                    reason=error.strerror or str(error),
                ) from error
        return cls.load(path)


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    # mkstemp makes files of mode 0600. A hard link fails where another process was faster.
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return
        public_path(path).write_bytes(public)
    finally:
        os.unlink(temporary)


def _unreadable(path: Path, error: Exception) -> AuditError:
    return AuditError(
        N_("The key {path} cannot be read: {reason}."),
        RESTORE_KEY,
        path=str(path),
        reason=getattr(error, "strerror", None) or str(error),
    )


def public_hex(key: Ed25519PublicKey) -> str:
    """Return the 32 raw bytes of a public key, hexadecimal."""
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()


def load_public(path: Path) -> str:
    """Read a public key (PEM); return its raw bytes, hexadecimal.

    Raises
    ------
    AuditError
        It is missing or damaged.
    """
    try:
        key = serialization.load_pem_public_key(path.read_bytes())
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(key, Ed25519PublicKey):
        raise _unreadable(path, ValueError("not an Ed25519 key"))
    return public_hex(key)


def is_signed(public: str, message: bytes, signature: str) -> bool:
    """Tell whether a signature (hexadecimal) of a message is this public key's."""
    try:
        key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(public))
        key.verify(bytes.fromhex(signature), message)
    except (InvalidSignature, ValueError):
        return False
    # `fromhex` takes capitals and spaces too; a signature is written in one way only.
    return signature == bytes.fromhex(signature).hex() and public == bytes.fromhex(public).hex()
