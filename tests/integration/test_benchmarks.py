"""The benchmark runs and says what it should; no time is asserted."""

from __future__ import annotations

import json

from benchmarks import rerouting
from r2t2_core.engine import Engine
from r2t2_core.registry import strategies


def test_every_strategy_is_measured_against_one_answer(engine, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(Engine, "load", classmethod(lambda cls, settings: engine))
    rerouting.main(repeats=1, out=tmp_path / "benchmark.json")
    record = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert record["ratios"]["frozen model: one answer"] == 1
    assert {f"strategy: {name}" for name in strategies()} <= set(record["ratios"])
    assert all(ratio > 0 for ratio in record["ratios"].values())
    assert "What re-routing costs" in capsys.readouterr().out
