"""What another part of the page narrows the triage list to: a flow, a slice, changed cases."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st

KEY = "debug.focus"
SECTION = "debug.section"
PLACE = "debug.place"
KIND = "debug.kind"


@dataclass(frozen=True)
class Focus:
    """Some cases of a run.

    Attributes
    ----------
    folder : str
        Of the run.
    title : str
        What they are, in the language in which they were chosen.
    rows : ndarray (n,), int64
    kind : str
        Which of them the list begins with: a key of `triage.KINDS`.
    """

    folder: str
    title: str
    rows: np.ndarray
    kind: str


def look_at(focus: Focus) -> None:
    """Narrow the triage list and open it; for use as a callback."""
    st.session_state[KEY] = focus
    st.session_state[SECTION] = "triage"
    st.session_state[KIND] = focus.kind
    st.session_state[PLACE] = 0


def present_focus(folder: str) -> Focus | None:
    """Return what the list of a run is narrowed to, if it is."""
    found: Focus | None = st.session_state.get(KEY)
    return found if found is not None and found.folder == folder else None


def widen() -> None:
    """Show all cases again; for use as a callback."""
    st.session_state.pop(KEY, None)
    st.session_state[PLACE] = 0
