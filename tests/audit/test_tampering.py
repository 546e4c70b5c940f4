"""Whatever is changed behind the log's back is found, and the first bad entry is named."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from r2t2_core.audit.anchors import read_anchor
from r2t2_core.audit.chain import Head, entry_hash, payload_hash
from r2t2_core.audit.keys import SigningKey, key_path, public_path
from r2t2_core.audit.log import AuditLog
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.schema import decisions
from r2t2_core.audit.verification import Report, verify
from r2t2_core.errors import AuditError
from r2t2_core.settings import Settings
from tests.audit.decisions import make_decision

ENTRIES = 6


@pytest.fixture
def full(tmp_path, who) -> Recorder:
    """A log of a few entries, anchored at the fourth."""
    settings = Settings(data_dir=tmp_path / "data", anchor_dir=tmp_path / "away", anchor_every=4)
    recorder = Recorder(settings)
    for number in range(ENTRIES - 1):
        picture = f"picture {number}".encode()
        decision = make_decision(picture=picture, question=f"Question {number}?")
        recorder.record_decision(decision, picture, principal=who)
    recorder.sign_off("2", "approved", "seen", principal=who)
    return recorder


def raw(recorder: Recorder) -> sqlite3.Connection:
    recorder.log.database.close()
    path = recorder.log.database.path
    assert path is not None
    return sqlite3.connect(path, isolation_level=None)


def look(recorder: Recorder, **options: object) -> Report:
    return verify(recorder.log, recorder.pictures, **options)


def test_an_untouched_log_is_well_and_anchored_as_far_as_it_is(full):
    report = look(full)
    assert report.ok
    assert report.first_bad is None
    assert report.entries == ENTRIES
    assert report.anchor_state == "anchored"
    assert report.anchored_to == 4


def test_a_log_without_anchors_is_well_but_unanchored(record, recorder):
    record()
    report = verify(recorder.log, recorder.pictures)
    assert report.ok
    assert report.anchor_state == "unanchored"
    assert report.anchored_to == 0


def test_an_edited_payload_is_named(full):
    with raw(full) as database:
        database.execute(
            "UPDATE decisions SET payload = replace(payload, 'Made up', 'Made xx') "
            "WHERE sequence = 3"
        )
    report = look(full)
    assert not report.chain.ok
    assert report.signature.ok
    assert report.first_bad == 3


def test_an_edit_with_its_hash_made_to_fit_is_named(full):
    with raw(full) as database:
        payload = database.execute("SELECT payload FROM decisions WHERE sequence=3").fetchone()[0]
        forged = payload.replace("Made up", "Made xx")
        previous = json.loads(payload)["previous_hash"]
        database.execute(
            "UPDATE decisions SET payload=?, entry_hash=?, payload_hash=? WHERE sequence=3",
            (forged, entry_hash(3, previous, payload_hash(forged)), payload_hash(forged)),
        )
    report = look(full)
    assert not report.chain.ok
    assert report.first_bad == 3


def test_the_last_entry_forged_with_its_hash_is_named(full):
    with raw(full) as database:
        payload = database.execute(
            "SELECT payload FROM decisions ORDER BY sequence DESC"
        ).fetchone()[0]
        forged = payload.replace("approved", "rejected")
        previous = json.loads(payload)["previous_hash"]
        database.execute(
            "UPDATE decisions SET payload=?, entry_hash=?, payload_hash=? WHERE sequence=?",
            (
                forged,
                entry_hash(ENTRIES, previous, payload_hash(forged)),
                payload_hash(forged),
                ENTRIES,
            ),
        )
    report = look(full)
    assert report.chain.ok
    assert not report.signature.ok
    assert report.first_bad == ENTRIES


@pytest.mark.parametrize(("gone", "first"), [(1, 1), (3, 3), (ENTRIES, ENTRIES)])
def test_a_deleted_entry_is_named(full, gone, first):
    with raw(full) as database:
        for table in ("decisions", "facets", "texts"):
            database.execute(f"DELETE FROM {table} WHERE sequence=?", (gone,))
    report = look(full)
    assert not report.ok
    assert report.first_bad == first


def test_a_truncated_tail_is_found(full):
    with raw(full) as database:
        for table in ("decisions", "facets", "texts"):
            database.execute(f"DELETE FROM {table} WHERE sequence > 2")
    report = look(full)
    assert report.chain.ok
    assert not report.signature.ok
    assert report.anchor_state == "contradicted"
    assert report.first_bad == 3


def test_a_truncated_tail_is_not_signed_over(full, who):
    """Else the next decision would make what is missing invisible."""
    with raw(full) as database:
        for table in ("decisions", "facets", "texts"):
            database.execute(f"DELETE FROM {table} WHERE sequence > 5")
    with pytest.raises(AuditError, match="does not agree"):
        full.record("what_if", {}, principal=who, permission="answer")


def test_an_emptied_log_is_not_begun_anew(full, who):
    with raw(full) as database:
        for table in ("decisions", "facets", "texts", "heads"):
            database.execute(f"DELETE FROM {table}")
    assert look(full).first_bad == 1
    with pytest.raises(AuditError, match="does not agree"):
        full.record("what_if", {}, principal=who, permission="answer")


def test_a_removed_database_is_found(full):
    full.log.database.close()
    for path in full.settings.data_dir.glob("audit.db*"):
        path.unlink()
    report = verify(AuditLog(full.settings))
    assert not report.ok
    assert report.first_bad == 1


def test_swapped_entries_are_found(full):
    with raw(full) as database:
        rows = database.execute(
            "SELECT entry_id, entry_hash, payload_hash, payload FROM decisions "
            "WHERE sequence IN (2, 4) ORDER BY sequence"
        ).fetchall()
        database.execute("UPDATE decisions SET entry_id = sequence WHERE sequence IN (2, 4)")
        for sequence, row in ((4, rows[0]), (2, rows[1])):
            database.execute(
                "UPDATE decisions SET entry_id=?, entry_hash=?, payload_hash=?, payload=? "
                "WHERE sequence=?",
                (*row, sequence),
            )
    report = look(full)
    assert not report.chain.ok
    assert report.first_bad == 2


def rewrite(recorder: Recorder, key: SigningKey, count: int = ENTRIES) -> None:
    """Forge the whole chain, consistently, and sign it with a key."""
    with raw(recorder) as database:
        previous = "0" * 64
        for sequence in range(1, count + 1):
            payload = database.execute(
                "SELECT payload FROM decisions WHERE sequence=?", (sequence,)
            ).fetchone()[0]
            entry = json.loads(payload)
            entry["purpose"] = "forged"
            entry["previous_hash"] = previous
            forged = json.dumps(entry, sort_keys=True, separators=(",", ":"))
            previous = entry_hash(sequence, previous, payload_hash(forged))
            database.execute(
                "UPDATE decisions SET payload=?, entry_hash=?, payload_hash=? WHERE sequence=?",
                (forged, previous, payload_hash(forged), sequence),
            )
        database.execute("UPDATE facets SET purpose='forged'")
        head = Head(count=count, entry_hash=previous, signed_at="2026-01-01T00:00:00+00:00")
        statement = head.statement()
        database.execute(
            "UPDATE heads SET statement=?, signature=?, public_key=?",
            (statement.decode(), key.sign(statement), key.public),
        )


def test_a_chain_rewritten_with_another_key_is_found(full, tmp_path):
    rewrite(full, SigningKey.load_or_create(tmp_path / "mallory.pem"))
    report = look(full)
    assert report.chain.ok
    assert not report.signature.ok
    assert report.first_bad == 1


def test_a_chain_rewritten_with_the_stolen_key_is_found_by_the_anchor(full):
    rewrite(full, SigningKey.load(key_path(full.settings)))
    report = look(full)
    assert report.chain.ok
    assert report.signature.ok
    assert report.anchor_state == "contradicted"
    assert report.first_bad == 1


def test_a_chain_and_key_replaced_together_are_found_by_anchor_and_pinned_key(full, tmp_path):
    pinned = SigningKey.load(key_path(full.settings)).public
    key_path(full.settings).unlink()
    public_path(key_path(full.settings)).unlink()
    rewrite(full, SigningKey.load_or_create(key_path(full.settings)))
    assert look(full).anchor_state == "contradicted"
    assert not look(full, public_key=pinned).signature.ok


def test_a_roll_back_to_an_old_signed_state_is_found_by_an_anchor_alone(full, tmp_path, who):
    full.log.database.close()
    old = tmp_path / "old.db"
    with raw(full) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = full.log.database.path
    shutil.copy(path, old)
    for number in range(3):
        full.record("what_if", {"n": number}, principal=who, permission="answer")
    full.log.database.close()
    for left in path.parent.glob("audit.db*"):
        left.unlink()
    shutil.copy(old, path)
    anchors = sorted(full.settings.anchor_dir.iterdir())
    report = look(full)
    assert report.anchor_state == "contradicted"
    assert report.first_bad == ENTRIES + 1
    # Without the newer anchor nothing shows it: that is what the report says of itself.
    anchors[-1].unlink()
    report = look(full)
    assert report.ok
    assert report.anchored_to == 4


def test_an_anchor_that_was_edited_is_refused(full, tmp_path):
    (anchor,) = full.settings.anchor_dir.iterdir()
    anchor.write_text(anchor.read_text().replace("4", "5", 1))
    with pytest.raises(AuditError, match="damaged"):
        read_anchor(anchor)
    assert not look(full).ok


def test_a_picture_that_was_changed_or_lost_is_named(full):
    files = sorted(path for path in full.pictures.root.rglob("*") if path.is_file())
    files[0].write_bytes(b"another picture")
    assert not look(full).evidence.ok
    files[0].unlink()
    report = look(full)
    assert not report.evidence.ok
    assert report.chain.ok
    assert report.first_bad is not None


def test_a_question_that_was_changed_or_lost_is_named(full):
    with raw(full) as database:
        database.execute("UPDATE texts SET text='Another?' WHERE sequence=2")
    assert look(full).first_bad == 2
    with raw(full) as database:
        database.execute("DELETE FROM texts WHERE sequence=2")
    report = look(full)
    assert not report.evidence.ok
    assert report.first_bad == 2


def cells(database: sqlite3.Connection) -> Iterator[tuple[str, str, object, object]]:
    """Yield every cell of the log: table, column, key of its row, value."""
    for table, key in (
        ("decisions", "sequence"), ("facets", "sequence"), ("texts", "sequence"), ("heads", "id"),
    ):  # fmt: skip
        columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
        for row in database.execute(f"SELECT * FROM {table}").fetchall():
            for column, value in zip(columns, row, strict=True):
                yield table, column, row[columns.index(key)], value


def changed(value: object, place: int, bit: int) -> list[object]:
    """Return what a cell may become: one byte changed, as text and as bytes; or nothing."""
    if value is None:
        return ["x", 0]
    if isinstance(value, int):
        return [value ^ (1 << bit % 3), None]
    data = bytearray(str(value).encode())
    data[place % len(data)] ^= 1 << bit
    return [bytes(data)]


def write(database: sqlite3.Connection, cell: tuple[str, str, object, object], new: object) -> bool:
    """Put a value into a cell, text as text; tell whether the database let it."""
    table, column, key, _old = cell
    name = "id" if table == "heads" else "sequence"
    value = "CAST(? AS TEXT)" if isinstance(new, bytes) else "?"
    try:
        database.execute(f"UPDATE {table} SET {column}={value} WHERE {name}=?", (new, key))
    except sqlite3.IntegrityError:
        return False
    return True


def undo(database: sqlite3.Connection, cell: tuple[str, str, object, object], new: object) -> None:
    table, column, key, old = cell
    name = "id" if table == "heads" else "sequence"
    now = new if column == name else key
    database.execute(f"UPDATE {table} SET {column}=? WHERE {name}=?", (old, now))


def mutations(
    database: sqlite3.Connection, payload_share: float, share: float, seed: int
) -> Iterator[tuple]:
    """A share of the payloads' bytes, and a share of all other cells'."""
    draw = random.Random(seed)
    for cell in cells(database):
        value = cell[3]
        size = len(str(value).encode()) if value is not None and not isinstance(value, int) else 1
        for place in range(size):
            if draw.random() >= (payload_share if cell[1] == "payload" else share):
                continue
            for new in changed(value, place, draw.randrange(8)):
                yield cell, new


def count_missed(
    recorder: Recorder, payload_share: float, share: float, seed: int
) -> tuple[int, int]:
    """Change one byte after another; return how many changes there were, and were missed."""
    tried = missed = 0
    with raw(recorder) as database:
        for cell, new in list(mutations(database, payload_share, share, seed)):
            if not write(database, cell, new):
                continue
            tried += 1
            try:
                is_missed = verify(recorder.log, recorder.pictures).ok
            except AuditError:
                is_missed = False
            missed += is_missed
            assert not is_missed, (cell[:3], new)
            undo(database, cell, new)
    return tried, missed


def test_either_database_tells_of_an_edit_and_of_a_missing_row(any_settings, who):
    recorder = Recorder(any_settings)
    for number in range(3):
        recorder.record("what_if", {"n": number}, principal=who, permission="answer")
    assert verify(recorder.log).ok
    edit = decisions.update().where(decisions.c.sequence == 2).values(payload="{}")
    recorder.log.database.write(lambda connection: connection.execute(edit))
    assert verify(recorder.log).first_bad == 2
    cut = decisions.delete().where(decisions.c.sequence == 3)
    recorder.log.database.write(lambda connection: connection.execute(cut))
    assert not verify(recorder.log).signature.ok
    recorder.log.database.close()


@pytest.fixture
def small(tmp_path: Path, who) -> Recorder:
    """Two entries, and one of each kind of row."""
    recorder = Recorder(Settings(data_dir=tmp_path / "data"))
    recorder.record_decision(make_decision(), b"bytes of a picture", principal=who)
    recorder.sign_off("1", "approved", "seen", principal=who)
    return recorder


def test_a_changed_byte_anywhere_is_found(small):
    tried, missed = count_missed(small, payload_share=0.01, share=0.15, seed=1)
    assert tried > 100
    assert missed == 0
    assert verify(small.log, small.pictures).ok


@pytest.mark.slow
def test_every_changed_byte_is_found(small):
    tried, missed = count_missed(small, payload_share=1.0, share=1.0, seed=2)
    assert tried > 4000
    assert missed == 0
    assert verify(small.log, small.pictures).ok
