"""The measurements run and say what they should; no time is asserted."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from benchmarks import __main__ as bench
from benchmarks import rerouting
from benchmarks.clients import many_clients
from benchmarks.curves import growth
from benchmarks.measuring import measure
from benchmarks.page import performance_page
from benchmarks.retrieval import large_retrieval
from benchmarks.startup import start_up
from r2t2_core.engine import Engine
from r2t2_core.registry import strategies


def test_one_command_measures_and_writes_the_page(engine, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, settings: engine))
    out, page = tmp_path / "benchmark.json", tmp_path / "performance.md"
    bench.main(out, page, only=["rerouting"], small=True, repeats=1, references=1000)
    record = json.loads(out.read_text(encoding="utf-8"))
    assert {f"strategy alone: {name}" for name in strategies()} <= set(record["rerouting"])
    assert all(seconds > 0 for seconds in record["rerouting"].values())
    text = page.read_text(encoding="utf-8")
    unit = record["rerouting"][rerouting.UNIT]
    assert f"| ≤ 1.15 | {record['rerouting'][rerouting.NGD] / unit:.2f} |" in text
    assert "these numbers mean nothing" in text
    assert "| what | aim | measured |" in capsys.readouterr().out


def test_every_way_to_an_answer_gives_the_same_answer(engine):
    works = rerouting.build(engine)
    fast = works[rerouting.NGD]()
    for name in (rerouting.NGD_AUTOGRAD, rerouting.NGD_NAIVE):
        assert abs(works[name]() - fast).max() < 1e-3, name
    assert abs(works[rerouting.NGD_BATCH]()[0] - fast[0]).max() < 1e-3


def test_curves_cover_what_they_change(engine):
    curves, unit = growth(rerouting.Bench(engine), 1, largest=1_000)
    assert unit > 0
    assert [curve.name for curve in curves] == [
        "neighbours k", "steps", "reference samples", "experts",
    ]  # fmt: skip
    assert all(seconds > 0 for curve in curves for seconds in curve.points.values())


def test_approximate_retrieval_is_measured_against_exact(engine):
    found = large_retrieval(engine.reference.embeddings, 4_000)
    assert found.recall >= 0.99
    assert 0 < found.p50 <= found.p99
    record = {"retrieval": asdict(found), "small": False, "made_at": "now", "device": "cpu",
              "model": "m", "reference_size": 1, "repeats": 1,
              "machine": {"load": None, "cores": 2, "machine": "x", "system": "y", "threads": 1,
                          "torch": "z"}}  # fmt: skip
    assert f"{found.recall:.3f}" in performance_page(record)


def test_works_are_measured_alike():
    seconds = measure({"nothing": lambda: None, "some": lambda: sum(range(100_000))}, 5)
    assert seconds["nothing"] < seconds["some"]


@pytest.mark.slow
def test_clients_are_served_and_counted():
    met = many_clients(clients=4, requests=12, alone=3)
    assert met.failed == 0
    assert met.many > 0
    assert met.batch >= 1


@pytest.mark.slow
def test_the_app_starts_and_answers():
    start = start_up()
    assert 0 < start.interaction < start.first_answer
