"""What is misrouted, where to, who repairs it, and what changed between two sides."""

from __future__ import annotations

import numpy as np
import pytest

from r2t2_core.errors import RunError
from r2t2_core.evaluation.comparison import Side, changes_by_family, compare_sides
from r2t2_core.evaluation.misrouting import (
    by_family_and_style,
    expert_flows,
    find_misrouted,
    flow_table,
    load_cases,
    repairs,
)
from tests.runs import write_run

LABELS = ["a", "a", "a", "b", "b", "b"]

ANSWERS = {
    # right, misrouted, misrouted, hopeless, right, misrouted
    "base": ["a", "b", "b", "a", "b", "a"],
    "ngd": ["a", "a", "a", "a", "a", "a"],
    "oracle": ["a", "a", "a", "a", "b", "b"],
}

CHOSEN = {
    "base": [0, 2, 2, 2, 1, 0],
    "ngd": [0, 1, 0, 2, 1, 0],
    "oracle": [0, 1, 1, 0, 1, 1],
}


@pytest.fixture
def cases(tmp_path):
    admitted = {"base": [True] * 6, "ngd": [True, True, False, True, False, True],
                "oracle": [True] * 6}  # fmt: skip
    families = ["where", "where", "count", "count", "count", "where"]
    run = write_run(tmp_path / "run", ANSWERS, LABELS, CHOSEN, families=families, admitted=admitted)
    return load_cases(run)


@pytest.fixture
def everything(cases):
    return np.ones(len(cases), dtype=bool)


def test_cases_are_what_was_written(cases):
    assert cases.methods == ("base", "ngd", "oracle")
    assert cases.ceilings == ("oracle",)
    assert cases.repairers == ("ngd",)
    assert cases.table["sample"].tolist() == [f"{n:04d}" for n in range(6)]
    assert cases.table["case"].iloc[0] == "c" * 16 + "/0000"
    for place, method in enumerate(cases.methods):
        assert cases.answer[:, place].tolist() == ANSWERS[method]
        assert cases.routing[:, place].argmax(1).tolist() == CHOSEN[method]
    assert cases.loss[0, 0] == pytest.approx(-np.log(0.9), abs=1e-5)


def test_misrouted_is_wrong_under_the_router_and_right_under_the_oracle(cases):
    found = find_misrouted(cases)
    assert found.misrouted.tolist() == [False, True, True, False, False, True]
    assert found.hopeless.tolist() == [False, False, False, True, False, False]
    # −ln 0.02 + ln 0.9
    assert found.regret[1] == pytest.approx(np.log(0.9 / 0.02), abs=1e-4)
    assert found.regret[0] == pytest.approx(0, abs=1e-6)


def test_flows_count_misrouted_cases_alone(cases, everything):
    found = find_misrouted(cases)
    counts = expert_flows(found, everything, 3)
    expected = np.zeros((3, 3), int)
    expected[2, 1], expected[0, 1] = 2, 1
    np.testing.assert_array_equal(counts, expected)
    some = (cases.table["family"] == "count").to_numpy()
    assert expert_flows(found, some, 3).sum() == 1
    table = flow_table(cases, found, everything, ("ngd",), gated=True)
    assert table[["source", "target", "count"]].to_numpy().tolist() == [[2, 1, 2], [0, 1, 1]]
    assert table["ngd"].tolist() == [0.5, 0.0]
    assert flow_table(cases, found, everything, ("ngd",), gated=False)["ngd"].tolist() == [1.0, 0.0]


def test_repairs_and_what_the_gate_keeps(cases, everything):
    found = find_misrouted(cases)
    (free,) = repairs(cases, found, everything, gated=False)
    assert (free.misrouted, free.repaired, free.at_risk, free.broken) == (3, 2, 2, 1)
    (gated,) = repairs(cases, found, everything, gated=True)
    assert (gated.repaired, gated.broken) == (1, 0)
    assert gated.low < gated.share < gated.high
    assert repairs(cases, found, ~everything, gated=True) == []


def test_families_and_styles_are_counted(cases):
    table = by_family_and_style(cases, find_misrouted(cases))
    assert table["cases"].sum() == 6
    assert table["wrong"].sum() == 4
    assert table["misrouted"].sum() == 3
    assert table["misrouted"].is_monotonic_decreasing


def test_a_run_without_a_ceiling_is_refused(tmp_path):
    run = write_run(tmp_path / "run", {"base": ["a"], "ngd": ["a"]}, ["a"],
                    {"base": [0], "ngd": [0]})  # fmt: skip
    with pytest.raises(RunError, match="better routing"):
        find_misrouted(load_cases(run))


def test_a_run_with_holes_is_refused(tmp_path):
    run = write_run(tmp_path / "run", {"base": ["a", "a"], "oracle": ["a", "b"]}, ["a", "b"],
                    {"base": [0, 0], "oracle": [0, 1]})  # fmt: skip
    path = run.folder / "results.parquet"
    run.results.iloc[1:].to_parquet(path)
    with pytest.raises(RunError, match="every method"):
        load_cases(run)


def test_two_methods_of_a_run_side_by_side(cases):
    found = compare_sides(Side(cases, "base", False), Side(cases, "ngd", False))
    assert found.table["change"].tolist() == ["", "fixed", "fixed", "", "broken", ""]
    assert (found.outcome.fixed, found.outcome.broken) == (2, 1)
    assert (found.only_first, found.only_second) == (0, 0)
    table = changes_by_family(found)
    assert table.set_index("family").loc["count"].tolist() == [3, 1, 1]
    gated = compare_sides(Side(cases, "base", True), Side(cases, "ngd", True))
    assert gated.table["change"].tolist() == ["", "fixed", "", "", "", ""]
    assert gated.table["after"].tolist() == ["a", "a", "b", "a", "b", "a"]


def test_two_runs_are_joined_by_what_a_case_is(cases, tmp_path):
    """Another run over fewer cases of the same suite, in another order of methods."""
    other = write_run(
        tmp_path / "other",
        {"base": ANSWERS["base"][:4], "oracle": ANSWERS["oracle"][:4], "ngd": ["b"] * 4},
        LABELS[:4],
        {name: chosen[:4] for name, chosen in CHOSEN.items()},
        key="j" * 64,
    )
    found = compare_sides(Side(cases, "ngd", False), Side(load_cases(other), "ngd", False))
    assert len(found.table) == 4
    assert (found.only_first, found.only_second) == (2, 0)
    assert found.table["change"].tolist() == ["broken", "broken", "broken", "fixed"]
    stranger = write_run(tmp_path / "third", {"base": ["a"], "ngd": ["a"]}, ["a"],
                         {"base": [0], "ngd": [0]}, content_hash="d" * 64)  # fmt: skip
    with pytest.raises(RunError, match="in common"):
        compare_sides(Side(cases, "ngd", False), Side(load_cases(stranger), "ngd", False))
