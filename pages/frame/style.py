"""The look of all pages, and small pieces of it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import streamlit as st

from r2t2_core.errors import Cancelled, WorkbenchError
from r2t2_core.i18n import translate_error

STYLE = Path(__file__).parent / "style.css"

CHART = {"displayModeBar": False}
"""Plotly's settings on all pages."""


def heading(text: str) -> None:
    """Show a small heading."""
    st.html(f'<div class="r2"><h4>{escape(text)}</h4></div>')


LINES = {"solid": "solid", "dash": "dashed", "dot": "dotted"}
"""Kinds of line: plotly's word → CSS's."""


def legend(entries: Sequence[tuple[str, str, str]]) -> None:
    """Show one legend for several charts: name, colour and kind of line of each entry."""
    spans = "".join(
        f'<span><i style="border-color:{colour};border-top-style:{LINES[dash]}"></i>'
        f"{escape(name)}</span>"
        for name, colour, dash in entries
    )
    st.html(f'<div class="r2 r2-legend">{spans}</div>')


def show_problem(problem: WorkbenchError) -> None:
    """Say what was wrong and what to do; a cancel is no error."""
    text = " ".join(translate_error(problem))
    if isinstance(problem, Cancelled):
        st.info(text, icon=":material/stop_circle:")
    else:
        st.error(text, icon=":material/error:")
