"""The debug page on a small run with known answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.debug_view.data import View, cases_of, misrouting_of, notes
from pages.debug_view.focus import Focus
from pages.debug_view.triage import export_table, in_order, list_table
from pages.frame.words import method_titles
from tests.pages.test_compare_page import text_of
from tests.runs import write_run

PAGE = Path(__file__).resolve().parents[2] / "pages" / "debug.py"

N = 80
MISROUTED, HOPELESS = 50, 10
"""The first cases are misrouted, the next stay wrong; the rest is right."""

LABELS = ["a"] * N
ANSWERS = {
    "base": ["b"] * (MISROUTED + HOPELESS) + ["a"] * (N - MISROUTED - HOPELESS),
    # Repairs every misrouted case but the first 25, and breaks the last one.
    "ngd": ["b"] * 25 + ["a"] * 25 + ["b"] * HOPELESS + ["a"] * 19 + ["b"],
    "uniform": ["b"] * N,
    "oracle": ["a"] * MISROUTED + ["b"] * HOPELESS + ["a"] * (N - MISROUTED - HOPELESS),
}
FAMILIES = ["count"] * 25 + ["where"] * 55


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A data folder with one run, and no shipped one."""
    monkeypatch.setenv("R2T2_SAMPLE_DATA", str(tmp_path / "nothing"))
    picture = tmp_path / "picture.png"
    Image.new("RGB", (32, 24), "#3f8fd2").save(picture)
    experts = {name: [2] * N for name in ANSWERS} | {"oracle": [1] * 40 + [0] * 40}
    run = write_run(
        tmp_path / "data" / "runs" / "first", ANSWERS, LABELS, experts, families=FAMILIES,
        images=[str(picture)] * N,
        questions=[f"<b>how</b> many are {n}?" for n in range(N)],
    )  # fmt: skip
    return run.folder


@pytest.fixture
def view(folder) -> View:
    when = (folder / "results.parquet").stat().st_mtime
    cases = cases_of(str(folder), when)
    return View(
        str(folder), when, cases, misrouting_of(str(folder), when, "oracle"), "ngd", False,
        np.ones(N, bool), method_titles(cases.methods), list(cases.experts),
    )  # fmt: skip


def opened(section: str = "flows") -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.session_state["debug.section"] = section
    app.run()
    assert not app.exception
    assert not app.error
    return app


def test_the_page_says_what_the_run_says(folder):
    app = opened()
    text = text_of(app)
    assert f"Of {N} questions the router answers 60 wrongly. **50** of them were" in text
    assert "NGD repairs 25 and breaks 1; 25 repairs are missed. 10 answers stay wrong" in text
    # Sankey, matrix, repairs.
    assert len(app.get("plotly_chart")) == 3
    flows = app.dataframe[0].value
    assert flows["misrouted"].tolist() == [40, 10]
    assert flows["right expert"].tolist() == ["position", "colour"]
    assert flows["repaired"].tolist() == [15 / 40, 1.0]


def test_a_family_narrows_what_is_counted(folder):
    app = opened()
    app.multiselect(key="d.family").set_value(["count"]).run()
    assert "Of 25 questions the router answers 25 wrongly" in text_of(app)
    assert app.dataframe[0].value["misrouted"].tolist() == [25]


def test_the_slice_that_is_missed_is_found(folder):
    app = opened("slices")
    assert "Of 50 misrouted cases **25** are not repaired" in text_of(app)
    table = next(frame.value for frame in app.dataframe if "slice" in frame.value)
    assert table["slice"].iloc[0] == "family: counting"
    assert (table["cases"].iloc[0], table["of"].iloc[0]) == (25, 25)


def test_triage_goes_from_case_to_case_and_keeps_tags_and_notes(folder):
    app = opened("triage")
    assert "Case **1** of 50" in text_of(app)
    listed = app.dataframe[0].value
    assert listed["regret"].is_monotonic_decreasing
    assert listed["·"].tolist()[0] == "▶"
    assert listed["picture"].iloc[0].startswith("data:image/jpeg")
    app.button(key="d.next").click().run()
    assert "Case **2** of 50" in text_of(app)
    # What a person wrote is text, never markup.
    html = " ".join(element.proto.body for element in app.get("html"))
    assert "&lt;b&gt;how&lt;/b&gt;" in html
    assert "<b>how</b>" not in html
    app.text_area[0].set_value("the label is wrong")
    tags = next(field for field in app.multiselect if field.label == "Tags")
    tags.set_value(["wrong label"])
    next(button for button in app.button if button.label == "Keep").click().run()
    assert not app.exception
    ((case, kept),) = notes().all().items()
    assert (kept.tags, kept.note) == (("wrong label",), "the label is wrong")
    assert case.startswith("c" * 16)
    assert app.dataframe[0].value["tags"].iloc[1] == "wrong label"
    next(f for f in app.multiselect if f.key == "d.tags.filter").set_value(["wrong label"]).run()
    assert "Case **1** of 1" in text_of(app)


def test_triage_narrowed_to_a_flow(folder):
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.session_state["debug.section"] = "triage"
    app.session_state["debug.focus"] = Focus(str(folder), "a flow", np.array([3, 4]), "misrouted")
    app.run()
    assert "Case **1** of 2" in text_of(app)
    app.button(key="d.widen").click().run()
    assert "Case **1** of 50" in text_of(app)


def test_two_methods_side_by_side(folder):
    app = opened("sides")
    text = text_of(app)
    assert "**25** fixed, **1** broken" in text
    assert f"Of {N} common cases the first answers **25.0%** correctly" in text


def test_a_run_without_the_oracle_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("R2T2_SAMPLE_DATA", str(tmp_path / "nothing"))
    write_run(tmp_path / "data" / "runs" / "x", {"base": ["a"], "ngd": ["a"]}, ["a"],
              {"base": [0], "ngd": [0]})  # fmt: skip
    app = AppTest.from_file(str(PAGE), default_timeout=300).run()
    assert not app.exception
    assert "with the oracle among the methods" in " ".join(e.value for e in app.error)


def test_without_a_run_the_page_offers_one(tmp_path, monkeypatch):
    monkeypatch.setenv("R2T2_SAMPLE_DATA", str(tmp_path / "nothing"))
    app = AppTest.from_file(str(PAGE), default_timeout=300).run()
    assert not app.exception
    assert "There is no run yet" in " ".join(entry.value for entry in app.info)


def test_japanese_has_no_english_sentence_left(folder):
    app = AppTest.from_file(str(PAGE), default_timeout=300)
    app.session_state["language"] = "ja"
    app.session_state["debug.section"] = "slices"
    app.run()
    assert not app.exception
    text = text_of(app)
    assert "ルーティングの誤りを調べる" in text
    for words in ("Of ", "questions", "misrouted", "The slices"):
        assert words not in text, words


def test_the_costliest_come_first_and_a_case_without_a_loss_last(view):
    rows = in_order(view, np.arange(N), "regret")
    regret = view.found.regret[rows]
    assert (np.diff(regret) <= 1e-6).all()
    assert in_order(view, np.arange(N), "order").tolist() == list(range(N))
    # What re-routing repaired has no regret left.
    left = in_order(view, np.flatnonzero(view.found.misrouted), "left")
    assert set(left[:25]) == set(range(25))


def test_what_is_exported_is_what_the_run_holds(view):
    notes().save(str(view.cases.table["case"].iloc[0]), ["hard"], "a\nnote")
    table = export_table(view, np.arange(N), notes().all())
    assert table["misrouted"].sum() == MISROUTED
    assert table["repaired"].sum() == 25
    assert table["broken"].sum() == 1
    assert table["router_expert"].iloc[0] == "language"
    assert table["right_expert"].iloc[0] == "position"
    assert (table["tags"].iloc[0], table["note"].iloc[0]) == ("hard", "a\nnote")
    np.testing.assert_allclose(
        table["regret"], table["router_loss"] - table["right_routing_loss"], atol=1e-6
    )
    assert json.loads(table.to_json(orient="records"))[0]["label"] == "a"
    assert len(list_table(view, np.arange(3), 1, notes().all())) == 3
