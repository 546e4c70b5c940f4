"""The language of this session: the browser's at first, then what the person chose."""

from __future__ import annotations

import streamlit as st

from r2t2_core.i18n import LANGUAGES, negotiate, set_language
from r2t2_core.i18n import gettext as _

KEY = "language"


def apply_language() -> None:
    """Make the session's language the active one; a fragment runs in a thread of its own."""
    set_language(st.session_state.get(KEY) or negotiate(st.context.locale))


def choose_language() -> None:
    """Show the selector in the sidebar and apply the choice."""
    if KEY not in st.session_state:
        st.session_state[KEY] = negotiate(st.context.locale)
    apply_language()
    st.sidebar.selectbox(
        _("Language"),
        list(LANGUAGES),
        format_func=LANGUAGES.__getitem__,
        key=KEY,
    )
