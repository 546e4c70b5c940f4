"""R2-T2 Workbench: navigation over the pages, and nothing else."""

from __future__ import annotations

import streamlit as st

from pages.frame.language import choose_language
from r2t2_core.i18n import gettext as _

st.set_page_config(
    page_title="R2-T2 Workbench", page_icon="🧭", layout="wide", initial_sidebar_state=264
)
choose_language()
page = st.navigation(
    [
        st.Page("pages/home.py", title=_("Home"), icon=":material/home:", default=True),
        # Addresses differ from the files' names, which Streamlit would run without this file.
        st.Page(
            "pages/reroute.py",
            title=_("Re-route"),
            icon=":material/alt_route:",
            url_path="rerouting",
        ),
        st.Page(
            "pages/compare.py",
            title=_("Compare"),
            icon=":material/bar_chart:",
            url_path="comparison",
        ),
        st.Page(
            "pages/reference_set.py",
            title=_("Reference set"),
            icon=":material/map:",
            url_path="references",
        ),
        st.Page(
            "pages/debug.py",
            title=_("Debug"),
            icon=":material/bug_report:",
            url_path="debugging",
        ),
    ],
    position="sidebar",
)
page.run()
