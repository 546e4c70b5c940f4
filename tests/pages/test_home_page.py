"""The home page under Streamlit's own test runner: its numbers are those of run and record."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from pages.home_view.player import player_data, shots
from r2t2_core.evaluation.headline import headline_of
from r2t2_core.evaluation.runner import Run
from r2t2_core.evaluation.upkeep import FILE, Upkeep
from r2t2_core.explain.paragraph import heaviest
from r2t2_core.figures.one_page import one_page
from r2t2_core.i18n import set_language
from r2t2_core.settings import SAMPLE_DATA, Settings

PAGE = Path(__file__).resolve().parents[2] / "pages" / "home.py"


@pytest.fixture
def app(shipped_engine) -> AppTest:
    return AppTest.from_file(str(PAGE), default_timeout=60)


def html(app: AppTest) -> str:
    text = " ".join(element.proto.body for element in app.get("html"))
    return re.sub(r"<style>.*?</style>", " ", text, flags=re.S)


def test_the_numbers_are_those_of_the_run(app, engine):
    app.run()
    assert not app.exception
    assert not app.error
    own = headline_of(Run.open(SAMPLE_DATA / "evaluation"), engine.default_strategy)
    text = html(app)
    assert f"{own.fixed:,} of {own.wrong_before:,} wrong answers became right" in text
    assert f"{own.broken:,} of {own.right_before:,} right answers became wrong" in text
    assert any(f"{own.questions:,}" in caption.value for caption in app.caption)


def test_without_measured_times_nothing_is_invented(app, engine, monkeypatch):
    monkeypatch.setattr("r2t2_core.evaluation.upkeep.load_upkeep", lambda *_given: None)
    app.run()
    assert not app.exception
    assert any("Nothing is estimated" in caption.value for caption in app.caption)
    assert not app.dataframe


def test_with_measured_times_the_price_is_the_readers(app, engine):
    folder = Settings.from_environment().data_dir
    folder.mkdir(parents=True, exist_ok=True)
    measured = Upkeep(
        model_fingerprint=engine.model_fingerprint, reference_hash="b", strategy="x",
        device="cpu", cores=2, threads=1, questions=10, answer_seconds=0.004,
        rerouting_seconds=0.01, reference_samples=100, reference_seconds=6.0,
        finetuning_seconds=30.0,
    )  # fmt: skip
    (folder / FILE).write_text(measured.model_dump_json())
    app.run()
    assert "+10.0 ms" in html(app)
    app.number_input(key="cost.rate").set_value(3600.0).run()
    assert not app.exception
    (table,) = app.dataframe
    assert list(table.value["in money"])[:2] == ["16.0000", "30.0000"]


def test_japanese_has_no_english_sentence_left(app):
    app.session_state["language"] = "ja"
    app.run()
    assert not app.exception
    text = html(app) + " ".join(str(b.label) for b in app.button) + str(app.title[0].value)
    assert "どのくらい役立つか" in text
    for words in ("How often", "wrong answers", "The evidence", "A model", "Try"):
        assert words not in text, words


@pytest.fixture(scope="module")
def told(engine, cases, gallery_dir):
    """A case that is repaired by asking another expert most."""
    for case in cases:
        if case.outcome != "repaired":
            continue
        picture = (gallery_dir / case.image).read_bytes()
        decision = engine.answer(picture, case.question, label=case.label)
        last = decision.trajectory(decision.strategy).last
        if heaviest(decision, decision.base)[0] != heaviest(decision, last)[0]:
            return case, picture, decision
    raise AssertionError("the gallery holds no such case")


def test_the_animation_draws_the_record(told, engine):
    case, picture, decision = told
    data = player_data(decision, picture, engine.reference.root)
    record = decision.trajectory(decision.strategy)
    assert [step["weights"] for step in data["steps"]] == [list(p.routing) for p in record.steps]
    assert [step["used"] for step in data["steps"]] == [
        [weight > 0 for weight in p.routing_top_k] for p in record.steps
    ]
    assert data["before"] == {"answer": decision.base.answer, "right": False}
    assert data["after"] == {"answer": case.label, "right": True}
    assert all(0 <= shot["step"] < len(record.steps) for shot in data["shots"])
    assert data["shots"][-1]["step"] == len(record.steps) - 1
    assert data["fingerprints"][0] == engine.model_fingerprint[:10]


def test_the_animation_claims_a_repair_only_where_there_is_one(told):
    _case, _picture, decision = told
    assert shots(decision)[1].title == "It asks the wrong expert"
    assert shots(decision)[-1].title == "The answer is repaired"
    wrong = decision.model_copy(update={"final": decision.base})
    assert shots(wrong)[1].title == "The router asks an expert"
    assert shots(wrong)[-1].title != "The answer is repaired"
    system = decision.system.model_copy(update={"model_fingerprint_after": "changed"})
    changed = decision.model_copy(update={"system": system})
    assert "Not one weight" not in shots(changed)[-1].text


def test_the_page_for_the_meeting_stands_alone_and_escapes(told, engine):
    _case, picture, decision = told
    own = headline_of(Run.open(SAMPLE_DATA / "evaluation"), engine.default_strategy)
    given = decision.input.model_copy(update={"question": "<script>alert(1)</script>"})
    page = one_page(decision.model_copy(update={"input": given}), picture, own, None, None, {})
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page.replace("charset", "")
    assert f"{own.fixed:,} of {own.wrong_before:,}" in page
    assert f"{decision.base.routing[0]:.1%}" in page
    set_language("ja")
    assert "どのくらい害があるか" in one_page(decision, picture, own, None, None, {})
