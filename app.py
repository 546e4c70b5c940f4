"""R2-T2 Workbench: navigation over the pages, and nothing else."""

from __future__ import annotations

import streamlit as st

from pages.frame.backend import show_backend
from pages.frame.language import choose_language
from r2t2_core.i18n import gettext as _

st.set_page_config(
    page_title="R2-T2 Workbench", page_icon="🧭", layout="wide", initial_sidebar_state=264
)
choose_language()
page = st.navigation(
    [
        st.Page("pages/reroute.py", title=_("Re-route"), icon=":material/alt_route:", default=True),
        # Its address differs from the file's name, which Streamlit would run without this file.
        st.Page(
            "pages/compare.py",
            title=_("Compare"),
            icon=":material/bar_chart:",
            url_path="comparison",
        ),
    ],
    position="sidebar",
)
page.run()
show_backend()
