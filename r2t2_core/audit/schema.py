"""The tables of the audit log, as queries see them; `migrations/` makes them."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, MetaData, String, Table, Text

metadata = MetaData()

SEQUENCE = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite gives an INTEGER PRIMARY KEY alone the row's own number."""

decisions = Table(
    "decisions",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=False),
    Column("entry_id", String(64), nullable=False, unique=True),
    Column("entry_hash", String(64), nullable=False),
    Column("payload_hash", String(64), nullable=False),
    Column("payload", Text, nullable=False),
)
"""The chain: one row for each entry of any kind, the canonical JSON in `payload`."""

facets = Table(
    "facets",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=False),
    Column("kind", String(40), nullable=False),
    Column("started_at", String(40), nullable=False),
    Column("actor", String(200), nullable=False),
    Column("role", String(40), nullable=False),
    Column("purpose", String(200), nullable=False),
    Column("subject", String(64)),
    Column("strategy", String(80)),
    Column("answer_before", Text),
    Column("answer_after", Text),
    Column("flipped", Boolean),
    Column("rerouted", Boolean),
    Column("gained", String(80)),
    Column("picture", String(64)),
    Column("model_fingerprint", String(64)),
    Index("facets_subject", "subject"),
    Index("facets_picture", "picture"),
)
"""What a search asks for, copied from the payloads; narrow, so that it is read in one breath."""

texts = Table(
    "texts",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True, autoincrement=False),
    Column("salt", String(64), nullable=False),
    Column("text", Text, nullable=False),
)
"""Questions beside the chain, with the salts of their hashes: they can be erased."""

heads = Table(
    "heads",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("statement", Text, nullable=False),
    Column("signature", String(128), nullable=False),
    Column("public_key", String(64), nullable=False),
)
"""One row: the signed head."""

tokens = Table(
    "tokens",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("role", String(40), nullable=False),
    Column("created_at", String(40), nullable=False),
    Column("revoked_at", String(40)),
)
"""Who may do what; of a token only its hash."""
