"""Who uses the app: the machine's user, or whoever shows a token where roles are on."""

from __future__ import annotations

import streamlit as st

from pages.frame.style import show_problem
from r2t2_core.audit.access import LOCAL, Principal
from r2t2_core.audit.log import new_id
from r2t2_core.audit.recorder import Recorder, open_recorder
from r2t2_core.errors import AccessError, WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _
from r2t2_core.settings import Settings

ROLE_NAMES = {
    "viewer": N_("viewer"),
    "engineer": N_("engineer"),
    "auditor": N_("auditor"),
    "admin": N_("administrator"),
    LOCAL: N_("user of this machine"),
}

TOKEN, SESSION = "access.token", "access.session"


def load_recorder() -> Recorder:
    """Return the process's one recorder."""
    return open_recorder(Settings.from_environment())


def signed_in() -> Principal:
    """Return who uses this session.

    Raises
    ------
    AccessError
        Roles are on, and no valid token was shown.
    """
    session: str = st.session_state.setdefault(SESSION, new_id()[:12])
    return load_recorder().access.identify(st.session_state.get(TOKEN), session)


def ask_who() -> None:
    """Show the field for a token, where roles are on; stop the page until there is a valid one."""
    try:
        if not load_recorder().access.is_on:
            return
        who = signed_in()
    except AccessError as error:
        with st.form("access.form", border=True):
            st.subheader(_("Who are you?"), anchor=False)
            st.caption(_("Your administrator gives you a token (`r2t2 audit token add`)."))
            token = st.text_input(_("Token"), type="password", key="access.field")
            if st.form_submit_button(_("Sign in"), type="primary") and token:
                st.session_state[TOKEN] = token.strip()
                st.rerun()
        if st.session_state.get(TOKEN):
            show_problem(error)
        st.stop()
    except WorkbenchError as error:
        show_problem(error)
        st.stop()
    with st.sidebar:
        st.caption(
            _("{name}, {role}").format(name=who.name, role=_(ROLE_NAMES.get(who.role, who.role)))
        )
        if st.button(_("Sign out"), key="access.out"):
            # Nothing of the one who leaves stays for the one who comes.
            language = st.session_state.get("language")
            st.session_state.clear()
            if language:
                st.session_state["language"] = language
            st.rerun()
