"""Run by Alembic: applies the changes over the connection that `database.migrate` opened."""

from __future__ import annotations

from alembic import context

from r2t2_core.audit.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=False,
)
context.run_migrations()
