"""The search for slices: finds what was planted, and claims nothing where nothing is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from r2t2_core.evaluation.slices import (
    LEAST,
    OTHER,
    densities,
    describe,
    find_slices,
    phrasings,
    rows_of,
)
from r2t2_core.evaluation.statistics import holm

N = 1200


def features(seed: int = 0) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "family": generator.choice(["where", "count", "colour"], N),
            "style": generator.choice(["plain", "varied"], N),
            "language": ["en"] * N,
        }
    )


def test_a_planted_slice_comes_first_and_survives_the_correction():
    table = features()
    generator = np.random.default_rng(1)
    bad = ((table["family"] == "count") & (table["style"] == "plain")).to_numpy()
    event = generator.random(N) < np.where(bad, 0.6, 0.05)
    report = find_slices(table, np.ones(N, bool), event)
    first = report.slices[0]
    assert set(first.conditions) == {("family", "count"), ("style", "plain")}
    inside = rows_of(first.conditions, table)
    np.testing.assert_array_equal(inside, bad)
    assert (first.cases, first.events) == (bad.sum(), (event & bad).sum())
    assert first.rest == pytest.approx(event[~bad].mean())
    assert first.excess == pytest.approx(first.events - first.cases * first.rest)
    assert first.p_adjusted < 1e-6
    assert first.low < first.share < first.high


def test_all_looks_count_and_the_whole_is_no_slice():
    table = features()
    event = np.random.default_rng(2).random(N) < 0.2
    report = find_slices(table, np.ones(N, bool), event)
    # 3 families, 2 styles, 6 pairs of them; what holds "en" too is the same slice.
    assert report.looks == 11
    assert not any(("language", "en") in entry.conditions for entry in report.slices)
    assert all(entry.p_adjusted >= entry.p_value for entry in report.slices)


def test_chance_alone_seldom_survives_the_correction():
    """Family-wise error at most 5 %: of 30 searches over noise about 1.5 may claim something."""
    table = features()
    claims = 0
    for seed in range(30):
        event = np.random.default_rng(100 + seed).random(N) < 0.2
        report = find_slices(table, np.ones(N, bool), event)
        claims += any(entry.p_adjusted < 0.05 for entry in report.slices)
    assert claims <= 6


def test_only_cases_at_risk_count():
    table = features()
    risk = (table["family"] == "where").to_numpy()
    event = np.zeros(N, bool)
    event[np.flatnonzero(risk & (table["style"] == "plain"))[:40]] = True
    report = find_slices(table, risk, event)
    assert report.cases == risk.sum()
    assert report.slices[0].conditions == (("style", "plain"),)


def test_a_longer_slice_is_shown_only_where_it_is_clearly_worse():
    table = features()
    # Every second case of a family, in each style alike.
    turn = table.groupby(["family", "style"]).cumcount().to_numpy() % 2 == 0
    event = (table["family"] == "count").to_numpy() & turn
    report = find_slices(table, np.ones(N, bool), event)
    assert report.slices[0].conditions == (("family", "count"),)
    assert not any(len(entry.conditions) > 1 for entry in report.slices)


def test_nothing_happened():
    report = find_slices(features(), np.ones(N, bool), np.zeros(N, bool))
    assert report.slices == ()
    assert report.looks == 0


def test_small_groups_are_not_looked_at():
    table = pd.DataFrame({"family": ["a"] * (LEAST - 1) + ["b"] * 100})
    event = np.arange(len(table)) < LEAST - 1
    report = find_slices(table, np.ones(len(table), bool), event)
    assert report.looks == 1
    assert report.slices == ()


def test_holm_is_the_textbooks():
    np.testing.assert_allclose(holm(np.array([0.04, 0.01, 0.03, 0.005])), [0.06, 0.03, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).max() == 1


def test_phrasings_are_openings_that_enough_questions_share():
    questions = [f"Where is the {n}?" for n in range(30)]
    questions += [f"How many {n} are there?" for n in range(30)]
    questions += ["Is it red?"] * 25 + ["Something else entirely"]
    found = phrasings(questions)
    assert set(found[:30]) == {f"where is the {OTHER}"}
    assert set(found[30:60]) == {f"how many {OTHER}"}
    assert set(found[60:85]) == {"is it red?"}
    assert found[-1] == OTHER


def test_japanese_phrasings_are_endings():
    things = "椅子机箱本猫犬鳥花山川海空星月雨雪風火水木金土石草虫魚貝肉米豆"
    questions = [f"{thing}はどこですか？" for thing in things]
    found = phrasings(questions)
    assert set(found) == {f"{OTHER}はどこですか？"}


def test_densities_are_thirds_and_ties_stay_together():
    found = densities(np.array([0.1, 0.2, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]))
    assert found == ["sparse"] * 3 + ["middle"] * 3 + ["dense"] * 3
    tied = densities(np.array([0.5, 1.0, 1.0, 1.0, np.nan]))
    assert tied == ["sparse", "dense", "dense", "dense", ""]
    assert densities(np.array([np.nan])) == [""]


def test_describe_gives_a_word_for_every_feature():
    table = pd.DataFrame(
        {
            "family": ["where"] * 3, "style": ["plain"] * 3, "label": ["a", "b", "c"],
            "language": ["en"] * 3, "question": ["Where?"] * 3,
            "text_similarity": [0.2, 0.5, 0.9],
        }
    )  # fmt: skip
    found = describe(table)
    assert found["answer"].tolist() == ["a", "b", "c"]
    assert found["density"].tolist() == ["sparse", "middle", "dense"]
