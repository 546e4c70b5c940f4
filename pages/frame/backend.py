"""Says who answers, in the sidebar; sees a backend go, and come back."""

from __future__ import annotations

import streamlit as st

from pages.frame.language import apply_language
from pages.frame.loading import forget_backend, load_backend
from r2t2_core.errors import BackendError, WorkbenchError
from r2t2_core.i18n import gettext as _
from r2t2_core.server.client import RemoteBackend, state_of
from r2t2_core.settings import Settings

LOOK = 3.0
"""Seconds between two looks at the backend."""

SEEN = "backend.state"
"""Session key of what the last look saw."""


def show_backend() -> None:
    """Name backend and device in the sidebar."""
    try:
        settings = Settings.from_environment()
        device = settings.resolve_device()
    except WorkbenchError:
        # The page itself says what is wrong with the settings.
        return
    with st.sidebar:
        if settings.backend_url is None:
            st.caption(
                _("Answers are computed by this program, on {device}.").format(device=device)
            )
        else:
            _watch(settings.backend_url)


@st.fragment(run_every=LOOK)
def _watch(address: str) -> None:
    apply_language()
    state = state_of(address)
    before, st.session_state[SEEN] = st.session_state.get(SEEN), state
    if state == "ok" and before not in (None, "ok"):
        _recover()
    if state == "ok":
        _name()
    elif state == "loading":
        text = _("The backend {address} is loading its model; this page goes on by itself.")
        st.info(text.format(address=address), icon=":material/hourglass_top:")
    else:
        text = _(
            "The backend {address} does not answer. What is shown stays; this page tries again by "
            "itself."
        )
        st.warning(text.format(address=address), icon=":material/cloud_off:")


def _name() -> None:
    try:
        backend = load_backend()
    except WorkbenchError:
        # It went in this very moment; the next look says so.
        return
    if isinstance(backend, RemoteBackend):
        text = _("Answers come from the backend {address}: {model} on {device}.")
        system = backend.system
        st.caption(text.format(address=backend.address, model=system.model, device=system.device))


def _recover() -> None:
    """Ask again what the backend could not answer, and show the page anew."""
    forget_backend()
    _key, problem = st.session_state.get("problem", (None, None))
    if isinstance(problem, BackendError):
        st.session_state.pop("problem")
        st.session_state["answer_now"] = True
    st.rerun()
