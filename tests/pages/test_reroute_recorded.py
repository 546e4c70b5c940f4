"""What the re-route page shows was recorded first; what could not be recorded is not shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from r2t2_core.audit.recorder import open_recorder
from r2t2_core.audit.restoring import decision_of
from r2t2_core.settings import Settings

PAGE = Path(__file__).resolve().parents[2] / "pages" / "reroute.py"


def answer() -> AppTest:
    app = AppTest.from_file(str(PAGE), default_timeout=60).run()
    return app.button(key="go").click().run()


def shown(app: AppTest) -> str:
    return " ".join(element.proto.body for element in app.get("html"))


def test_the_shown_decision_is_the_recorded_one(shipped_engine):
    app = answer()
    assert not app.exception
    _key, decision = app.session_state["decision"]
    stored = open_recorder(Settings.from_environment()).log.find(decision.id)
    assert decision_of(stored) == decision
    assert stored.entry.purpose == "re-route page"


@pytest.mark.parametrize(("policy", "is_shown"), [("strict", False), ("tell", True)])
def test_without_a_log_the_policy_decides(shipped_engine, monkeypatch, tmp_path, policy, is_shown):
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    monkeypatch.setenv("R2T2_DATA_DIR", str(blocked))
    monkeypatch.setenv("R2T2_AUDIT_POLICY", policy)
    app = answer()
    assert not app.exception
    assert app.error
    assert ('class="r2-cards"' in shown(app)) == is_shown
