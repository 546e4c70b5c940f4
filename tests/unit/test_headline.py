"""The executive's numbers, counted by hand; times that are measured or said to be missing."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from pages.home_view.costs import cost_table, ways
from r2t2_core.errors import RunError
from r2t2_core.evaluation.headline import headline
from r2t2_core.evaluation.statistics import wilson_interval
from r2t2_core.evaluation.upkeep import FILE, Upkeep, load_upkeep, training_time


def rows(right_before, right_after, admitted):
    table = []
    for number, (before, after, gate) in enumerate(
        zip(right_before, right_after, admitted, strict=True)
    ):
        key = {"suite": f"suite-{number % 2}", "sample": number}
        table.append({**key, "method": "base", "right": before, "admitted": True})
        table.append({**key, "method": "ngd", "right": after, "admitted": gate})
    return pd.DataFrame(table)


def test_help_and_harm_are_counted_behind_the_gate():
    found = headline(
        rows(
            [False, False, False, True, True, True],
            [True, True, False, False, False, True],
            [True, False, True, True, False, True],
        ),
        "ngd",
    )
    assert (found.questions, found.suites) == (6, 2)
    assert (found.fixed, found.broken) == (1, 1)
    assert (found.right_before, found.wrong_before, found.right_after) == (3, 3, 3)
    assert found.help_share == pytest.approx(1 / 3)
    assert found.harm_share == pytest.approx(1 / 3)
    assert (found.harm_low, found.harm_high) == wilson_interval(1, 3)


def test_nothing_to_break_is_no_certainty():
    found = headline(rows([False], [True], [True]), "ngd")
    assert found.harm_share == 0
    assert (found.harm_low, found.harm_high) == (0, 1)


def test_a_method_that_was_not_run_is_no_number():
    with pytest.raises(RunError, match="no results of magic"):
        headline(rows([True], [True], [True]), "magic")


def upkeep(**changes):
    values = {
        "model_fingerprint": "a", "reference_hash": "b", "strategy": "ngd", "device": "cpu",
        "cores": 2, "threads": 1, "questions": 10, "answer_seconds": 0.004,
        "rerouting_seconds": 0.01, "reference_samples": 100, "reference_seconds": 6.0,
        "finetuning_seconds": 30.0,
    }  # fmt: skip
    return Upkeep(**{**values, **changes})


def test_costs_are_seconds_times_the_readers_price():
    own = headline(rows([False], [True], [True]), "ngd")
    table = cost_table(ways(upkeep(training_seconds=3600.0), own, None), 2000, 18.0)
    assert list(table["together, 2,000 questions (s)"]) == ["26.0", "30.0", "3,600.0"]
    assert list(table["in money"]) == ["0.1300", "0.1500", "18.0000"]
    assert list(table["repairs / breaks"]) == ["1 / 0", "not measured", "not measured"]
    assert list(table["every 1,000 questions (s)"]) == ["10.0", "0.0", "0.0"]


def test_what_nobody_measured_has_no_number():
    own = headline(rows([False], [True], [True]), "ngd")
    table = cost_table(ways(upkeep(), own, own), 1000, 1.0)
    assert list(table.iloc[2])[2:] == ["not measured"] * 5


def test_times_of_another_model_are_not_this_models(tmp_path):
    (tmp_path / FILE).write_text(upkeep().model_dump_json())
    assert load_upkeep((tmp_path / "missing", tmp_path), "a") == upkeep()
    assert load_upkeep((tmp_path,), "another") is None
    (tmp_path / FILE).write_text("{}")
    assert load_upkeep((tmp_path,), "a") is None


def test_the_training_time_is_what_the_training_wrote(tmp_path):
    path = tmp_path / "training.json"
    assert training_time(path) == (None, "")
    path.write_text(json.dumps({"stage1": [{"minutes": 6.5}, {"minutes": 12.0}]}))
    assert training_time(path) == (720.0, "training.json")
    path.write_text(json.dumps({"stage1": [{"loss": 1}]}))
    assert training_time(path) == (None, "")
