"""What is recorded, by how many at once, and what happens where it cannot be."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import stat
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import rfc8785
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from r2t2_core.audit import database as database_module
from r2t2_core.audit import pictures as pictures_module
from r2t2_core.audit.chain import payload_hash, salted_hash
from r2t2_core.audit.database import Database, may_pass
from r2t2_core.audit.keys import SigningKey, key_path
from r2t2_core.audit.log import AuditLog, Draft
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.restoring import decision_of
from r2t2_core.audit.schema import metadata
from r2t2_core.audit.verification import verify
from r2t2_core.errors import AuditError
from r2t2_core.settings import Settings
from tests.audit.decisions import PICTURE, make_decision


def note(log: AuditLog, number: int = 0) -> None:
    log.append(Draft("what_if", {"number": number}, "ada", "local"))


def test_a_decision_comes_back_as_it_was(record, recorder):
    decision = record(question="Where is the key?")
    stored = recorder.log.find(decision.id)
    assert decision_of(stored) == decision
    assert stored.text == "Where is the key?"
    assert stored.entry.actor == "ada"
    assert stored.entry.purpose == "test"
    assert stored.entry.started_at == decision.started_at
    assert recorder.pictures.get(decision.input.image_sha256) == PICTURE


def test_the_chain_holds_no_question_but_its_salted_hash(record, recorder, settings):
    decision = record(question="A very private question?")
    with sqlite3.connect(settings.data_dir / "audit.db") as raw:
        (payload,) = raw.execute("SELECT payload FROM decisions").fetchone()
    assert "private" not in payload
    assert decision.input.question_sha256 not in payload
    stored = recorder.log.find("1")
    proof = stored.entry.body["question_salted_sha256"]
    assert proof == salted_hash(stored.salt, "A very private question?")


def test_a_payload_is_canonical_json(record, recorder):
    record()
    payload = recorder.log.find("1").payload
    assert rfc8785.dumps(json.loads(payload)).decode() == payload


def test_the_same_question_has_another_hash_every_time(record, recorder):
    record()
    record()
    hashes = {recorder.log.find(n).entry.body["question_salted_sha256"] for n in ("1", "2")}
    assert len(hashes) == 2


def test_key_and_database_are_their_owners_alone(record, settings):
    record()
    for path in (key_path(settings), settings.data_dir / "audit.db"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert key_path(settings).parent != settings.data_dir / "audit.db"


def test_a_key_that_others_may_read_is_refused(record, settings):
    record()
    key_path(settings).chmod(0o644)
    with pytest.raises(AuditError, match="read by others"):
        record()


def test_a_lost_key_is_not_replaced_in_silence(record, settings, recorder):
    record()
    key_path(settings).unlink()
    with pytest.raises(AuditError, match="cannot be read"):
        record()
    assert not key_path(settings).exists()


def test_the_log_is_kept_in_wal_mode(record, settings):
    record()
    with sqlite3.connect(settings.data_dir / "audit.db") as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_migrations_make_the_tables_that_queries_see(any_settings):
    database = Database(any_settings)
    with database.read() as connection:
        context = MigrationContext.configure(connection)
        assert compare_metadata(context, metadata) == []
    database.close()


def test_a_decision_is_recorded_once(recorder, who, record):
    decision = record()
    with pytest.raises(AuditError, match="recorded already"):
        recorder.record_decision(decision, PICTURE, principal=who)
    assert recorder.log.count() == 1


def test_another_picture_is_not_taken_for_the_decisions(recorder, who):
    with pytest.raises(AuditError, match="not the one"):
        recorder.record_decision(make_decision(), b"another", principal=who)


@pytest.mark.parametrize(
    "body", [{"decision": "maybe", "reason": ""}, {"decision": "approved"}, {"wrong": 1}]
)
def test_a_body_that_is_not_its_kinds_is_refused(recorder, body):
    with pytest.raises(AuditError, match="cannot be recorded"):
        recorder.log.append(Draft("sign_off", body, "ada", "local"))
    assert recorder.log.count() == 0


def test_kinds_are_open(recorder):
    recorder.log.append(Draft("reference_promotion", {"to": "v2", "n": 3}, "ada", "local"))
    assert recorder.log.find("1").entry.body == {"to": "v2", "n": 3}


def test_eight_writers_make_one_chain(any_settings):
    """Threads of two recorders, each with connections of its own."""
    recorders = [Recorder(any_settings) for _ in range(2)]
    each = 12

    def work(number: int) -> None:
        for step in range(each):
            note(recorders[number % 2].log, number * 100 + step)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    report = verify(recorders[0].log)
    assert report.ok
    assert report.entries == 8 * each
    written = {recorders[0].log.find(str(n + 1)).entry.body["number"] for n in range(8 * each)}
    assert len(written) == 8 * each
    for recorder in recorders:
        recorder.log.database.close()


def test_processes_that_start_together_agree_on_key_and_tables(settings):
    children = []
    for number in range(8):
        if (child := os.fork()) == 0:
            try:
                note(AuditLog(settings), number)
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 8
    report = verify(AuditLog(settings))
    assert report.ok
    assert report.entries == 8


def test_a_lock_is_waited_for(settings):
    log = AuditLog(settings)
    note(log)
    other = sqlite3.connect(
        settings.data_dir / "audit.db", isolation_level=None, check_same_thread=False
    )
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.5, lambda: other.execute("COMMIT"))
    timer.start()
    note(log)
    timer.join()
    assert log.count() == 2


def test_a_lock_that_stays_is_said_and_nothing_is_lost(settings):
    log = AuditLog(settings, Database(settings, patience=0.3))
    note(log)
    with log.database.read():
        pass
    other = sqlite3.connect(settings.data_dir / "audit.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with log.database._engine.connect() as connection:
        connection.connection.cursor().execute("PRAGMA busy_timeout=10")
    with pytest.raises(AuditError, match="locked"):
        note(log)
    other.execute("COMMIT")
    note(log)
    assert verify(log).ok
    assert log.count() == 2


def test_a_full_disk_is_said_and_nothing_is_lost(settings):
    """A limit on SQLite's pages is what a full disk is to it."""
    log = AuditLog(settings, Database(settings, patience=0.3))
    note(log)

    def limit(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA max_page_count=1")

    log.database.close()
    sa.event.listen(log.database._engine, "connect", limit)
    big = Draft("what_if", {"words": "x" * 200_000}, "ada", "local")
    with pytest.raises(AuditError, match="full"):
        log.append(big)
    sa.event.remove(log.database._engine, "connect", limit)
    log.database.close()
    log.append(big)
    report = verify(log)
    assert report.ok
    assert report.entries == 2


def test_a_disk_too_full_for_the_picture_records_nothing(recorder, who, monkeypatch):
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pictures_module.os, "fsync", full)
    with pytest.raises(AuditError, match="No space left"):
        recorder.record_decision(make_decision(), PICTURE, principal=who)
    assert recorder.log.count() == 0
    assert not [path for path in recorder.pictures.root.rglob("*") if path.is_file()]


@pytest.mark.parametrize(("policy", "is_shown"), [("strict", False), ("tell", True)])
def test_what_cannot_be_recorded_is_shown_only_if_the_policy_says_so(
    tmp_path, who, policy, is_shown
):
    blocked = tmp_path / "data"
    blocked.write_text("a file where the folder should be")
    recorder = Recorder(Settings(data_dir=blocked, audit_policy=policy))
    if is_shown:
        answered = recorder.keep(make_decision(), PICTURE, principal=who)
        assert answered.recorded is None
        assert answered.problem is not None
    else:
        with pytest.raises(AuditError, match="so it is not shown"):
            recorder.keep(make_decision(), PICTURE, principal=who)


def test_a_commit_whose_answer_was_lost_is_not_written_twice(settings, monkeypatch):
    """The connection breaks after the commit: the second attempt finds the entry."""
    log = AuditLog(settings)
    note(log)
    real, calls = log.database.write, []

    def write(work):
        def twice(connection):
            calls.append(1)
            if len(calls) == 1:
                return work(connection)
            return work(connection)

        first = real(twice)
        second = real(twice)
        assert first[0] == second[0]
        return second

    monkeypatch.setattr(log.database, "write", write)
    note(log)
    assert len(calls) == 2
    assert log.count() == 2


@pytest.mark.parametrize(
    ("state", "passes"), [("08006", True), ("57P01", True), ("53100", True), ("42601", False)]
)
def test_which_complaints_of_postgres_may_pass(state, passes):
    error = sa.exc.OperationalError("x", {}, type("Lost", (Exception,), {"sqlstate": state})())
    assert may_pass(error) is passes


@pytest.mark.postgres
def test_a_lost_connection_to_postgres_is_mended(request, tmp_path):
    from tests.audit.conftest import fresh_database

    settings = Settings(data_dir=tmp_path / "data", database_url=fresh_database(request))
    log = AuditLog(settings)
    note(log)
    import psycopg

    with psycopg.connect(settings.database_url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    note(log)
    report = verify(log)
    assert report.ok
    assert report.entries == 2
    log.database.close()


def test_a_password_is_never_shown(tmp_path):
    address = "postgresql://r2t2:very-secret@127.0.0.1:1/none"
    settings = Settings(data_dir=tmp_path, database_url=address)
    log = AuditLog(settings, Database(settings, patience=0.1))
    with pytest.raises(AuditError) as caught:
        note(log)
    assert "very-secret" not in str(caught.value) + repr(settings)
    assert "127.0.0.1" in str(caught.value)


def test_a_printed_entry_hashes_to_what_is_chained(record, recorder, settings):
    record()
    with sqlite3.connect(settings.data_dir / "audit.db") as raw:
        (payload,) = raw.execute("SELECT payload FROM decisions").fetchone()
    told = subprocess.run(["sha256sum"], input=payload.encode(), capture_output=True, check=True)
    assert told.stdout.decode().split()[0] == payload_hash(payload)


def test_the_newest_migration_is_the_one_that_is_asked_for():
    folder = database_module.Path(database_module.__file__).parent / "migrations" / "versions"
    newest = max(path.name for path in folder.glob("v*.py"))
    assert newest.startswith(f"v{database_module.REVISION}")


def test_the_signing_key_signs(tmp_path):
    key = SigningKey.load_or_create(tmp_path / "key.pem")
    assert SigningKey.load_or_create(tmp_path / "key.pem").public == key.public
    assert len(key.sign(b"x")) == 128
