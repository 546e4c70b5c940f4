"""Filters find what they say, and a long log is paged without delay."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa

from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.schema import decisions, facets, texts
from r2t2_core.audit.search import Filter, choices, fingerprints, search


@pytest.fixture
def some(record, recorder, who) -> Recorder:
    record(question="Where is the key?", started_at="2026-01-01T10:00:00+00:00")
    record(question="How many cups?", flips=False, started_at="2026-01-02T10:00:00+00:00")
    record(question="100 % sure?", strategy="other", started_at="2026-01-03T10:00:00+00:00")
    recorder.sign_off("1", "approved", "", principal=who)
    return recorder


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (Filter(), [4, 3, 2, 1]),
        (Filter(kind="decision"), [3, 2, 1]),
        (Filter(words="KEY"), [1]),
        (Filter(words="%"), [3]),
        (Filter(words="_"), []),
        (Filter(flipped=False), [2]),
        (Filter(strategy="other"), [3]),
        (Filter(gained="places"), [3, 1]),
        (Filter(since="2026-01-02", until="2026-01-03"), [2]),
        (Filter(reviewer="ada"), [1]),
        (Filter(reviewer="bob"), []),
        (Filter(kind="decision", reviewed=False), [3, 2]),
        (Filter(reviewed=True), [1]),
        (Filter(actor="bob"), []),
        (Filter(words="x' OR 1=1 --"), []),
    ],
)
def test_filters_find_what_they_say(some, who, wanted, found):
    page = search(some, wanted, who)
    assert [row.sequence for row in page.rows] == found
    assert page.total == len(found)


def test_rows_say_who_reviewed_them(some, who):
    rows = search(some, Filter(words="key"), who).rows
    assert rows[0].reviewers == ("ada",)


def test_an_entry_is_found_by_the_beginning_of_its_identifier(some, who):
    name = search(some, Filter(words="cups"), who).rows[0].entry_id
    assert [row.entry_id for row in search(some, Filter(words=name[:12]), who).rows] == [name]


def test_pages_follow_each_other(some, who):
    pages = [search(some, Filter(), who, size=2, number=number) for number in range(3)]
    assert [[row.sequence for row in page.rows] for page in pages] == [[4, 3], [2, 1], []]


def test_choices_and_fingerprints_are_those_of_the_log(some, who):
    there = choices(some, who)
    assert there["strategy"] == ["ngd", "other"]
    assert there["reviewer"] == ["ada"]
    assert [(row.decisions, row.first_at[:10]) for row in fingerprints(some, who)] == [
        (3, "2026-01-01")
    ]


def fill(recorder: Recorder, count: int) -> None:
    """Put many rows into the tables; the chain itself is not what is timed."""

    def work(connection: sa.Connection) -> None:
        numbers = range(1, count + 1)
        connection.execute(
            decisions.insert(),
            [
                {"sequence": n, "entry_id": f"{n:032d}", "entry_hash": "0" * 64,
                 "payload_hash": "0" * 64, "payload": "x" * 1000}
                for n in numbers
            ],
        )  # fmt: skip
        connection.execute(
            facets.insert(),
            [
                {"sequence": n, "kind": "decision", "started_at": f"2026-01-01T00:00:{n:09d}",
                 "actor": f"p{n % 7}", "role": "local", "purpose": "", "strategy": "ngd",
                 "flipped": n % 3 == 0, "rerouted": True, "gained": "places"}
                for n in numbers
            ],
        )  # fmt: skip
        connection.execute(
            texts.insert(),
            [{"sequence": n, "salt": "00", "text": f"What is {n}?"} for n in numbers],
        )

    recorder.log.database.write(work)


@pytest.mark.slow
def test_a_hundred_thousand_entries_are_paged_without_delay(recorder, who):
    fill(recorder, 100_000)
    wanted = [
        (Filter(), 0), (Filter(), 1999), (Filter(flipped=True, actor="p3"), 40),
        (Filter(words="99999"), 0), (Filter(reviewed=False), 1000),
    ]  # fmt: skip
    for given, number in wanted:
        search(recorder, given, who, number=number)
        began = time.process_time()
        assert search(recorder, given, who, number=number).rows
        assert time.process_time() - began < 0.5, given
