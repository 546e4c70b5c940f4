"""Where the log lives: SQLite (WAL) by default, Postgres by address; one writer at a time.

A write is one transaction that first takes the only pen: `BEGIN IMMEDIATE`, or an advisory lock
of Postgres. What may pass (a lock, a full disk, a lost connection) is tried again for a while;
then it is said.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError

from r2t2_core.errors import AuditError
from r2t2_core.i18n import N_
from r2t2_core.settings import Settings

REVISION = "0001"
"""The newest change in `migrations/versions`."""

PATIENCE = 20.0
"""Seconds for which a write that may yet succeed is tried again."""

PEN = 0x52325432
"""Name of the advisory lock that a writer of Postgres holds: "R2T2"."""

WRITES = "r2t2_writes"

PASSING_STATES = ("08", "40", "53", "55P03", "57P")
"""Beginnings of Postgres' states that may pass: connection, clash, resources, lock, shutdown."""

PASSING_WORDS = ("locked", "busy", "full", "disk i/o error", "unable to open")
"""In SQLite's complaints that may pass."""

Result = TypeVar("Result")


class Database:
    """The database of an audit log.

    Parameters
    ----------
    settings : Settings
    patience : float
        Seconds for which a write is tried again.
    """

    def __init__(self, settings: Settings, patience: float = PATIENCE) -> None:
        self.patience = patience
        self.path = None if settings.database_url else settings.data_dir / "audit.db"
        self._engine = self._connectable(settings)
        self._is_ready = False

    @property
    def is_sqlite(self) -> bool:
        """Tell a file of SQLite from a server."""
        return self._engine.dialect.name == "sqlite"

    @property
    def address(self) -> str:
        """The database's address, for people, without a password."""
        return str(self.path) if self.path else self._engine.url.render_as_string()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Read one consistent state of the log.

        Raises
        ------
        AuditError
            It cannot be read.
        """
        self.prepare()
        try:
            with self._engine.connect() as connection:
                if not self.is_sqlite:
                    connection = connection.execution_options(isolation_level="REPEATABLE READ")
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            raise self._unreadable(error) from error

    def write(self, work: Callable[[Connection], Result]) -> Result:
        """Do `work` in one transaction, alone; try again while that may help.

        `work` may run more than once: where a connection was lost while it was committed, nobody
        knows whether it was done. It has to look.

        Raises
        ------
        AuditError
            It could not be written; nothing of it was.
        """
        self.prepare()
        return self._persist(work)

    def prepare(self) -> None:
        """Bring the tables up to date, once for each process."""
        if not self._is_ready:
            if self.path is not None:
                self._create_file(self.path)
            self._persist(_migrate)
            self._is_ready = True

    def close(self) -> None:
        """Let go of all connections."""
        self._engine.dispose()

    def forget(self) -> None:
        """Overwrite what was deleted: SQLite's journal still holds it until it is folded in."""
        if self.is_sqlite:
            with self._engine.connect() as connection:
                # Not within a transaction, which `connection` would begin.
                raw = connection.connection.cursor()
                raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                raw.close()

    def _persist(self, work: Callable[[Connection], Result]) -> Result:
        deadline, pause = time.monotonic() + self.patience, 0.02
        while True:
            try:
                with self._engine.connect() as connection:
                    writing = connection.execution_options(**{WRITES: True})
                    with writing.begin():
                        if not self.is_sqlite:
                            writing.execute(sa.text(f"SELECT pg_advisory_xact_lock({PEN})"))
                        return work(writing)
            except SQLAlchemyError as error:
                if not may_pass(error) or time.monotonic() + pause > deadline:
                    raise self._unwritable(error) from error
            # Writers that wait for the same pen do not all come back at the same moment.
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, 1.0)

    def _connectable(self, settings: Settings) -> Engine:
        try:
            url = make_url(settings.database_url or f"sqlite:///{self.path}")
            if url.drivername in ("postgres", "postgresql"):
                url = url.set(drivername="postgresql+psycopg")
            if url.get_backend_name() == "sqlite":
                engine = sa.create_engine(url, connect_args={"check_same_thread": False})
                sa.event.listen(engine, "connect", _prepare_sqlite)
                sa.event.listen(engine, "begin", _begin_sqlite)
                return engine
            return sa.create_engine(url, pool_pre_ping=True, connect_args={"connect_timeout": 5})
        except (ArgumentError, SQLAlchemyError, ImportError) as error:
            raise AuditError(
                N_("The address in R2T2_DATABASE_URL cannot be used."),
                N_("Write it as postgresql://user:password@host/database, or leave it out."),
            ) from error

    def _create_file(self, path: Path) -> None:
        """Make the file readable for its owner alone, before SQLite makes it for all."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        except OSError as error:
            raise AuditError(
                N_("The audit log {address} cannot be made: {reason}."),
                N_("Make room or give permission, or name another folder in R2T2_DATA_DIR."),
                address=str(path),
                reason=error.strerror or str(error),
            ) from error

    def _unwritable(self, error: SQLAlchemyError) -> AuditError:
        return AuditError(
            N_("The audit log {address} cannot be written: {reason}."),
            N_("Nothing was lost. Make room or restore the connection, and try again."),
            address=self.address,
            reason=_reason(error),
        )

    def _unreadable(self, error: SQLAlchemyError) -> AuditError:
        return AuditError(
            N_("The audit log {address} cannot be read: {reason}."),
            N_("Restore the connection or the file, and try again."),
            address=self.address,
            reason=_reason(error),
        )


def may_pass(error: SQLAlchemyError) -> bool:
    """Tell a complaint that may be gone a moment later."""
    if not isinstance(error, DBAPIError):
        return False
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return str(state).startswith(PASSING_STATES)
    words = str(error.orig).lower()
    if isinstance(error.orig, sqlite3.Error):
        return any(word in words for word in PASSING_WORDS)
    # A server that does not answer gives no state.
    return "connection" in words


def _reason(error: SQLAlchemyError) -> str:
    """Return the database's own words, without the statement, which may hold what was asked."""
    told = str(error.orig) if isinstance(error, DBAPIError) else type(error).__name__
    return told.strip().splitlines()[0].rstrip(".") if told.strip() else type(error).__name__


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    # Transactions are begun by `_begin_sqlite`, not by Python's own rules.
    connection.isolation_level = None
    # A damaged text is reported by `verify`, byte for byte, instead of breaking it.
    connection.text_factory = lambda raw: raw.decode("utf-8", "surrogateescape")
    connection.execute("PRAGMA busy_timeout=5000")
    for attempt in range(100):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError:
            # Turning to WAL does not wait for a lock by itself.
            if attempt == 99:
                raise
            time.sleep(0.05)
    # An acknowledged entry survives a power failure; an erased text is overwritten.
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA secure_delete=ON")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def _migrate(connection: Connection) -> None:
    """Apply the changes that are missing. The pen is held: no other process does the same."""
    if _revision(connection) == REVISION:
        return
    # Loaded only where there is something to change.
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    attributes: dict[str, Any] = config.attributes
    attributes["connection"] = connection
    command.upgrade(config, REVISION)


def _revision(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    return None if found is None else str(found)
