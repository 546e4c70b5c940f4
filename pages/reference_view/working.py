"""Work on reference sets in the background: one job at a time in a view, with a cancel."""

from __future__ import annotations

import time
from typing import Any

import streamlit as st

from pages.frame.job import Ask, Job
from pages.frame.language import apply_language
from pages.frame.style import show_problem
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import gettext as _
from r2t2_core.reference.library import Library
from r2t2_core.settings import Settings

SOONEST = 0.02
"""Share of the work after which the time left is told."""


def library() -> Library:
    """Return this machine's library of reference sets."""
    settings = Settings.from_environment()
    return Library(settings.library_dir, settings.reference_dir)


def start(view: str, key: str, ask: Ask[Any]) -> None:
    """Begin a piece of work of a view."""
    st.session_state[f"{view}.job"] = Job.start(key, ask)
    st.session_state[f"{view}.began"] = time.monotonic()
    st.rerun()


def running(view: str) -> bool:
    """Show the progress of a view's work, if it runs; say what went wrong with the last one."""
    if st.session_state.get(f"{view}.job") is not None:
        _progress(view)
        return True
    if (problem := st.session_state.pop(f"{view}.problem", None)) is not None:
        show_problem(problem)
    return False


@st.fragment(run_every=0.5)
def _progress(view: str) -> None:
    apply_language()
    job: Job[Any] | None = st.session_state.get(f"{view}.job")
    if job is None:
        return
    if job.wait(0):
        st.session_state.pop(f"{view}.job")
        try:
            st.session_state[f"{view}.result"] = job.result()
        except WorkbenchError as error:
            st.session_state[f"{view}.problem"] = error
        st.rerun()
    text = _(job.stage)
    spent = time.monotonic() - st.session_state[f"{view}.began"]
    if job.share > SOONEST:
        left = round(spent * (1 - job.share) / job.share)
        text = _("{stage}: about {left} s left").format(stage=text, left=left)
    st.progress(min(job.share, 1.0), text=text)
    if st.button(_("Cancel"), key=f"{view}.cancel", icon=":material/stop_circle:"):
        job.cancel()
