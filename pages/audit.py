"""The audit page: what was decided, by whom, with which evidence; proved, replayed, judged."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.audit_view.freeze import show_freeze
from pages.audit_view.health import show_health
from pages.audit_view.listing import read_filter, show_list
from pages.audit_view.opened import show_entry
from pages.audit_view.side_by_side import show_two
from pages.frame.access import load_recorder, signed_in
from pages.frame.language import apply_language
from pages.frame.style import STYLE, show_problem
from r2t2_core.audit.entries import DECISION
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import gettext as _

OWN_STYLE = Path(__file__).parent / "audit_view" / "style.css"


def page() -> None:
    """Show the page."""
    apply_language()
    st.html(STYLE)
    st.html(OWN_STYLE)
    st.title(_("Audit"), anchor=False)
    try:
        recorder, who = load_recorder(), signed_in()
        recorder.access.require(who, "read")
        show_health(recorder)
        wanted = read_filter(recorder, who)
        chosen = show_list(recorder, wanted, who)
        show_freeze(recorder, who)
    except WorkbenchError as error:
        show_problem(error)
        return
    if len(chosen) == 2 and all(row.kind == DECISION for row in chosen):
        show_two(recorder, (chosen[1].entry_id, chosen[0].entry_id), who)
    elif len(chosen) > 1:
        st.info(_("Tick one entry to open it, or two decisions to compare them."))
    elif chosen:
        show_entry(recorder, chosen[0].entry_id, who)


page()
