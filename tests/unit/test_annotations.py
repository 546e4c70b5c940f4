"""Tags and notes are kept, found again, and never half written."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from r2t2_core.annotations import LONGEST_NOTE, AnnotationStore
from r2t2_core.errors import AnnotationError


@pytest.fixture
def store(tmp_path) -> AnnotationStore:
    return AnnotationStore(tmp_path / "deep" / "annotations.sqlite")


def test_what_is_saved_is_found_by_another_store(store, tmp_path):
    assert store.all() == {}
    store.save("case/1", ["wrong label", " wrong label ", "hard"], "  look again; 'quoted'  ")
    found = AnnotationStore(tmp_path / "deep" / "annotations.sqlite").get("case/1")
    assert found.tags == ("hard", "wrong label")
    assert found.note == "look again; 'quoted'"
    assert found.updated_at
    assert store.get("case/2").tags == ()


def test_the_last_word_stands_and_nothing_said_removes_it(store):
    store.save("case/1", ["hard"], "first")
    store.save("case/1", [], "second")
    assert store.get("case/1").note == "second"
    assert store.get("case/1").tags == ()
    store.save("case/1", [], " ")
    assert store.all() == {}


def test_what_is_too_long_is_refused_and_the_old_stays(store):
    store.save("case/1", [], "short")
    with pytest.raises(AnnotationError, match="limit"):
        store.save("case/1", [], "x" * (LONGEST_NOTE + 1))
    with pytest.raises(AnnotationError, match="at most"):
        store.save("case/1", ["x" * 200], "")
    assert store.get("case/1").note == "short"


def test_many_writers_at_once(store):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: store.save(f"case/{n}", ["t"], str(n)), range(16)))
    assert {key: entry.note for key, entry in store.all().items()} == {
        f"case/{n}": str(n) for n in range(16)
    }


def test_a_damaged_file_is_said(store, tmp_path):
    path = tmp_path / "deep" / "annotations.sqlite"
    path.parent.mkdir()
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(AnnotationError, match=r"annotations\.sqlite"):
        store.all()
