"""The audit page under Streamlit's own test runner, over a log of made-up decisions."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from r2t2_core.audit.access import Principal
from r2t2_core.audit.recorder import Recorder, open_recorder
from r2t2_core.settings import Settings
from tests.audit.decisions import make_decision

PAGE = Path(__file__).resolve().parents[2] / "pages" / "audit.py"

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture
def recorder() -> Recorder:
    """Three decisions in the data folder of this test."""
    made = open_recorder(Settings.from_environment())
    who = Principal("ada", "local", "")
    for number in range(3):
        picture = f"no picture {number}".encode()
        decision = make_decision(picture=picture, question=f"{NASTY} {number}?")
        made.record_decision(decision, picture, principal=who)
    return made


@pytest.fixture
def app(recorder) -> AppTest:
    return AppTest.from_file(str(PAGE), default_timeout=120)


def html(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def texts(app: AppTest) -> str:
    shown = (*app.caption, *app.markdown, *app.error, *app.warning, *app.info, *app.subheader)
    return html(app) + " ".join(str(element.value) for element in shown)


def test_the_chains_health_and_the_entries_are_in_sight(app):
    app.run()
    assert not app.exception
    assert "Chain intact" in html(app)
    assert "r2-badge bad" not in html(app)
    assert "a roll-back to an older state could not be seen" in html(app)
    assert "3 entries" in texts(app)
    assert len(app.dataframe[0].value) == 3


def test_a_filter_narrows_the_list(app):
    app.run()
    app.text_input(key="audit.words").set_value("2?").run()
    assert not app.exception
    assert len(app.dataframe[0].value) == 1


def test_tampering_is_shown_with_the_first_bad_entry(app, recorder):
    app.run()
    with sqlite3.connect(recorder.log.database.path) as raw:
        raw.execute("UPDATE decisions SET payload = replace(payload, 'words', 'wards')")
    app.button(key="audit.verify").click().run()
    assert not app.exception
    assert "The first bad entry is 1." in texts(app)
    assert "r2-badge bad" in html(app)


def test_an_opened_entry_shows_its_story_escaped_and_can_be_judged(recorder):
    name = recorder.log.find("2").entry.entry_id
    app = AppTest.from_function(opened, kwargs={"name": name}, default_timeout=120).run()
    assert not app.exception
    assert "r2-cards" in html(app)
    assert "<img src=x" not in html(app)
    assert "&lt;img src=x onerror=alert(1)&gt; 1?" in html(app)
    app.text_area(key=f"sign.reason.{name}").set_value(NASTY)
    next(b for b in app.button if b.label == "Sign off").click().run()
    assert not app.exception
    assert recorder.log.find("4").entry.kind == "sign_off"
    assert "What happened to it later" in html(app)
    assert "<img src=x" not in html(app)


def opened(name: str) -> None:
    from pages.audit_view.opened import show_entry
    from pages.frame.access import load_recorder, signed_in

    show_entry(load_recorder(), name, signed_in())


def test_two_decisions_stand_side_by_side(recorder):
    names = tuple(recorder.log.find(n).entry.entry_id for n in ("1", "2"))
    app = AppTest.from_function(compared, kwargs={"names": names}, default_timeout=120).run()
    assert not app.exception
    assert "They part first at **reading the input**" in texts(app)


def compared(names: tuple[str, str]) -> None:
    from pages.audit_view.side_by_side import show_two
    from pages.frame.access import load_recorder, signed_in

    show_two(load_recorder(), names, signed_in())


def test_with_roles_nothing_is_shown_without_a_token(recorder, monkeypatch):
    monkeypatch.setenv("R2T2_AUTH", "tokens")
    guarded = open_recorder(Settings.from_environment())
    token = guarded.access.add_token(None, "root", "admin")
    app = AppTest.from_file(str(PAGE), default_timeout=120).run()
    assert not app.exception
    assert "asks who you are" in texts(app)
    assert not app.dataframe
    app.session_state["access.token"] = token
    app.run()
    assert app.dataframe
