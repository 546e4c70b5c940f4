"""The hash chain and its signed head: pure functions over bytes.

    payload hash   SHA-256 of the canonical JSON (RFC 8785) of an entry
    entry hash     SHA-256 of domain, sequence, hash of the entry before, payload hash
    head           count and hash of the last entry, canonical JSON, signed with Ed25519

The payload's own hash is a part of its own so that a segment of the chain can be proved
without showing the entries between.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import rfc8785
from pydantic import BaseModel, ConfigDict, ValidationError

ENTRY_DOMAIN = "r2t2-audit-entry-1"

GENESIS = "0" * 64
"""Stands for the entry before the first."""


class Head(BaseModel):
    """How far the log goes: what is signed, and what an anchor holds.

    Attributes
    ----------
    count : int
        Number of entries, which is the sequence of the last one.
    entry_hash : str
        Entry hash of the last entry.
    signed_at : str
        UTC, ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    domain: str = "r2t2-audit-head-1"
    count: int
    entry_hash: str
    signed_at: str

    def statement(self) -> bytes:
        """Return the bytes that are signed."""
        canonical: bytes = rfc8785.dumps(self.model_dump(mode="json"))
        return canonical


@dataclass(frozen=True)
class SignedHead:
    """A head with its signature.

    Attributes
    ----------
    statement : str
        The canonical JSON of a `Head`, as it was signed.
    signature, public_key : str
        Hexadecimal.
    """

    statement: str
    signature: str
    public_key: str

    def head(self) -> Head | None:
        """Return what the statement says; None where it is not one, byte for byte."""
        try:
            head = Head.model_validate_json(self.statement)
        except (ValidationError, ValueError):
            return None
        same = head.statement() == encode(self.statement)
        return head if same and head.domain == Head.model_fields["domain"].default else None


def encode(text: str) -> bytes:
    """Return the stored bytes of a text, damaged ones too."""
    return text.encode("utf-8", "surrogateescape")


def payload_hash(payload: str) -> str:
    """Return the hash of an entry's canonical JSON."""
    return hashlib.sha256(encode(payload)).hexdigest()


def entry_hash(sequence: int, previous: str, payload: str) -> str:
    """Return the hash that chains an entry: `previous` is the entry hash before it, `payload`
    the hash of its payload.
    """
    whole = f"{ENTRY_DOMAIN}|{sequence}|{previous}|{payload}"
    return hashlib.sha256(encode(whole)).hexdigest()


def salted_hash(salt: str, text: str) -> str:
    """Return the hash of a text under a salt (hexadecimal): whoever lacks the salt cannot guess."""
    return hashlib.sha256(bytes.fromhex(salt) + encode(text)).hexdigest()
