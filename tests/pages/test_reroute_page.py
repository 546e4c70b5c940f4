"""The re-route page under Streamlit's own test runner, with the shipped engine."""

from __future__ import annotations

import re
import time
from pathlib import Path
from threading import Event

import pytest
from streamlit.testing.v1 import AppTest

from r2t2_core.errors import Cancelled, NeighbourhoodError
from r2t2_core.explain.store import ExplanationStore
from r2t2_core.i18n import set_language
from r2t2_core.settings import Settings

# Streamlit's test runner does not run the navigation again on a second run, so that the page is
# tested by itself; the browser test goes through `app.py`.
PAGE = Path(__file__).resolve().parents[2] / "pages" / "reroute.py"


@pytest.fixture
def app(shipped_engine) -> AppTest:
    return AppTest.from_file(str(PAGE), default_timeout=60)


@pytest.fixture
def japanese():
    # The test runner formats the options of a selectbox again, in the test's own context.
    set_language("ja")
    yield
    set_language("en")


def html(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def seen(app: AppTest) -> str:
    kinds = (
        app.title,
        app.subheader,
        app.caption,
        app.markdown,
        app.error,
        app.warning,
        app.button,
    )
    return html(app) + " ".join(
        str(e.label if kind is app.button else e.value) for kind in kinds for e in kind
    )


def answer(app: AppTest) -> AppTest:
    return app.button(key="go").click().run()


def test_the_first_page_explains_itself_and_offers_cases(app):
    app.run()
    assert not app.exception
    assert "moves the routing towards what works there" in html(app)
    assert [b for b in app.button if (b.key or "").startswith("begin.")]
    assert "r2-cards" not in re.sub(r"<style>.*?</style>", "", html(app), flags=re.S)


def test_one_button_tells_the_whole_story(app, cases):
    answer(app.run())
    assert not app.exception
    story = html(app)
    assert "Repaired: wrong before, right after" in story
    assert cases[0].label in story
    assert "SceneMoE v1" in story
    assert story.count("<figure") >= 5
    assert app.slider


def test_the_step_slider_moves_the_sentence(app):
    answer(app.run())
    slider = next(s for s in app.slider if s.key.startswith("step."))
    slider.set_value(0).run()
    assert not app.exception
    assert "At step 0 the answer is" in seen(app)


def test_another_question_makes_the_result_stale(app):
    answer(app.run())
    assert not app.warning
    question = next(t for t in app.text_input if (t.key or "").startswith("question."))
    question.set_value("What colour is the chair?").run()
    assert "earlier" in " ".join(w.value for w in app.warning)
    answer(app)
    assert not app.warning


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("", "The question is empty."),
        ("椅子はどこ？", "answered in English"),
        ("a" * 400, "limit is 300"),
    ],
)
def test_a_bad_question_is_one_sentence_and_the_app_stays_up(app, question, words):
    app.run()
    next(t for t in app.text_input if (t.key or "").startswith("question.")).set_value(question)
    answer(app)
    assert not app.exception
    assert words in " ".join(error.value for error in app.error)
    next(t for t in app.text_input if (t.key or "").startswith("question.")).set_value(
        "Where is it?"
    )
    answer(app)
    assert not app.error


def test_a_question_out_of_reach_is_no_repair(app):
    app.run()
    field = next(t for t in app.text_input if (t.key or "").startswith("question."))
    field.set_value("What is the capital of France?")
    answer(app)
    assert "Repaired" not in html(app)
    assert "router's answer" in html(app).replace("&#x27;", "'")


def test_what_goes_wrong_inside_is_said(app, engine, monkeypatch):
    def refuse(*args, **kwargs):
        raise NeighbourhoodError("The neighbourhood is empty.", "Choose another reference policy.")

    monkeypatch.setattr(engine, "answer", refuse)
    answer(app.run())
    assert "The neighbourhood is empty." in " ".join(error.value for error in app.error)


def test_a_long_question_shows_progress_and_can_be_cancelled(app, engine, monkeypatch):
    started, heard = Event(), Event()

    def slow(*_given, progress, cancelled, **_more):
        progress("Re-routing", 0.5)
        started.set()
        while not cancelled():
            time.sleep(0.01)
        heard.set()
        raise Cancelled("Cancelled.", "Nothing was changed.")

    monkeypatch.setattr(engine, "answer", slow)
    answer(app.run())
    assert started.is_set()
    assert not heard.is_set()
    assert "r2-cards" not in re.sub(r"<style>.*?</style>", "", html(app), flags=re.S)
    app.button(key="cancel").click().run()
    assert heard.wait(5)
    app.run()
    assert "Cancelled." in " ".join(info.value for info in app.info)
    assert not app.exception


@pytest.mark.parametrize("key", ["params.ngd.step_size", "params.mode_finding.alpha"])
@pytest.mark.parametrize("end", ["min", "max"])
def test_a_parameter_at_its_end_leaves_the_page_up(app, key, end):
    widget = app.run().number_input(key=key)
    widget.set_value(getattr(widget, end))
    answer(app)
    assert not app.exception
    assert not app.error
    assert "r2-cards" in re.sub(r"<style>.*?</style>", "", html(app), flags=re.S)


def test_the_page_in_japanese_has_no_english_sentence_left(app, japanese):
    app.session_state["language"] = "ja"
    answer(app.run())
    assert not app.exception
    text = re.sub(r"<style>.*?</style>", " ", seen(app), flags=re.S)
    assert "修復：前は誤り、後は正解" in text
    for sentence in (
        "Before",
        "Repaired",
        "similarity",
        "Neighbours",
        "How the routing",
        "Answer,",
    ):
        assert sentence not in text, sentence


def widget(app: AppTest, kind: str, start: str):
    return next(entry for entry in getattr(app, kind) if (entry.key or "").startswith(start))


def decision_of(app: AppTest):
    return app.session_state["decision"][1]


def test_causes_and_words_are_those_of_the_record(app):
    answer(app.run())
    assert not app.exception
    decision = decision_of(app)
    analysis = app.session_state[f"analysis.{decision.id}"]
    assert analysis.belongs_to(decision)
    assert f"“{decision.base.answer}” (probability {decision.base.probability:.0%})" in html(app)
    tables = [frame.value for frame in app.dataframe]
    causes = next(table for table in tables if "answer without it" in table)
    assert list(causes["answer without it"]) == [n.without.answer for n in analysis.neighbours]
    grounds = next(table for table in tables if "ground" in table)
    assert f"{decision.gate.text_similarity:.3f}" in list(grounds["value"])


def test_back_next_and_the_address_follow_the_step(app):
    answer(app.run())
    slider = widget(app, "slider", "step.")
    last = slider.value
    assert "case" in app.query_params
    assert "step" not in app.query_params
    widget(app, "button", "back.").click().run()
    assert widget(app, "slider", "step.").value == last - 1
    assert app.query_params["step"] == [str(last - 1)]
    widget(app, "button", "on.").click().run()
    assert widget(app, "slider", "step.").value == last
    assert not app.exception


def test_a_link_to_a_case_sets_everything(app, cases):
    case = cases[1]
    app.query_params["case"] = case.id
    app.query_params["retrieval.n_neighbours"] = "7"
    app.query_params["ngd.step_size"] = "0.25"
    app.query_params["strategy"] = "ngd"
    app.query_params["step"] = "3"
    app.run()
    assert not app.exception
    assert not app.error
    decision = decision_of(app)
    assert decision.input.question == case.question
    assert decision.strategy == "ngd"
    assert len(decision.neighbours) == 7
    assert decision.trajectory("ngd").parameters["step_size"] == 0.25
    assert widget(app, "slider", "step.").value == 3
    assert app.query_params["retrieval.n_neighbours"] == ["7"]
    assert app.query_params["ngd.step_size"] == ["0.25"]


@pytest.mark.parametrize(
    "query", [{"case": "nobody"}, {"case": "x", "step": "y"}, {"decision": "0" * 32}]
)
def test_a_link_that_leads_nowhere_is_one_sentence(app, query):
    for name, value in query.items():
        app.query_params[name] = value
    app.run()
    assert not app.exception
    assert len(app.error) == 1
    answer(app)
    assert not app.error


def test_a_decision_that_is_kept_opens_as_it_was(app, engine):
    app.run()
    question = widget(app, "text_input", "question.")
    question.set_value("What colour is the chair?")
    answer(app)
    assert "decision" not in app.query_params
    app.button(key="keep").click().run()
    assert not app.exception
    decision = decision_of(app)
    assert app.query_params["decision"] == [decision.id]
    again = AppTest.from_file(str(PAGE), default_timeout=60)
    again.query_params["decision"] = decision.id
    again.run()
    assert not again.exception
    assert not again.error
    assert decision_of(again) == decision


def test_a_what_if_is_marked_and_recorded_only_when_it_is_saved(app, engine):
    answer(app.run())
    decision = decision_of(app)
    folder = Settings.from_environment().data_dir / "explanations"
    assert "human intervention" in html(app)
    widget(app, "slider", "if.k.").set_value(3).run()
    assert not app.exception
    assert not folder.exists()
    dropped = widget(app, "multiselect", "if.dropped.")
    dropped.set_value([decision.neighbours[0].id]).run()
    app.button(key="if.save").click().run()
    assert not app.exception
    (saved,) = ExplanationStore(folder).what_ifs(decision.id)
    assert saved.kind == "human intervention"
    assert saved.intervention.retrieval["n_neighbours"] == 3
    assert saved.intervention.dropped == (decision.neighbours[0].id,)
    assert len(saved.neighbours) == 2


def test_weights_set_by_hand_are_the_routing(app, engine):
    answer(app.run())
    widget(app, "segmented_control", "if.mode.").set_value("hand").run()
    sliders = [entry for entry in app.slider if entry.key.startswith("if.weight.")]
    assert len(sliders) == engine.model.routing_spec.size
    for place, slider in enumerate(sliders):
        slider.set_value(100 if place == 2 else 0)
    sliders[0].run()
    assert not app.exception
    app.button(key="if.save").click().run()
    folder = Settings.from_environment().data_dir / "explanations"
    (saved,) = ExplanationStore(folder).what_ifs(decision_of(app).id)
    assert saved.routing[2] == 1
    analysis = app.session_state[f"analysis.{decision_of(app).id}"]
    assert saved.result.answer == analysis.experts[2].alone.answer


def test_where_experts_look_is_shown_when_asked_for(app):
    answer(app.run())
    assert "r2-looks" not in re.sub(r"<style>.*?</style>", "", html(app), flags=re.S)
    app.button(key="looks").click().run()
    assert not app.exception
    assert "r2-looks" in re.sub(r"<style>.*?</style>", "", html(app), flags=re.S)
    decision = decision_of(app)
    assert app.session_state[f"analysis.{decision.id}"].occlusion is not None
