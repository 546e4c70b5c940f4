"""Pages under Streamlit's own test runner, with the shipped engine loaded once."""

from __future__ import annotations

import pytest

from pages.frame import loading


@pytest.fixture
def shipped_engine(engine, monkeypatch):
    """Let a page load the session's engine instead of one of its own."""
    loading.load_engine.clear()
    monkeypatch.setattr("r2t2_core.engine.Engine.load", classmethod(lambda cls, settings: engine))
    return engine
