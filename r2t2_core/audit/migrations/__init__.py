"""Numbered, recorded changes of the audit log's tables (Alembic)."""
