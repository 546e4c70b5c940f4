"""Fit the map of a version once, in the background, with progress and a cancel."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages.frame.job import Job, Progress
from pages.frame.language import apply_language
from pages.frame.style import show_problem
from pages.reference_view.samples import projection_of, store, vectors_of
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import gettext as _
from r2t2_core.projection import Projection, fit_projection

JOB = "map.job"
PROBLEM = "map.problem"


def fitted(content_hash: str, space: str) -> Projection | None:
    """Return the map; where there is none yet, begin to fit it and show how far that is."""
    found = projection_of(content_hash, space)
    if found is not None:
        return found
    key = f"{content_hash} {space}"
    problem_key, problem = st.session_state.get(PROBLEM, (None, None))
    if problem is not None and problem_key == key:
        show_problem(problem)
        if st.button(_("Try again"), key="map.again", icon=":material/refresh:"):
            st.session_state.pop(PROBLEM)
            st.rerun()
        return None
    job: Job[Projection] | None = st.session_state.get(JOB)
    if job is None or job.key != key:
        if job is not None:
            job.cancel()
        st.session_state[JOB] = _start(key, content_hash, space)
    _progress()
    return None


def _start(key: str, content_hash: str, space: str) -> Job[Projection]:
    vectors = vectors_of(content_hash, space)

    def work(progress: Progress, cancelled: Callable[[], bool]) -> Projection:
        made = fit_projection(vectors, space, content_hash, progress=progress, cancelled=cancelled)
        store().save(made)
        return made

    return Job.start(key, work)


@st.fragment(run_every=0.5)
def _progress() -> None:
    apply_language()
    job: Job[Projection] | None = st.session_state.get(JOB)
    if job is None:
        return
    if job.wait(0):
        st.session_state.pop(JOB)
        try:
            job.result()
        except WorkbenchError as error:
            st.session_state[PROBLEM] = (job.key, error)
        st.rerun()
    st.info(
        _(
            "The map of this version of the reference set is being drawn, once; it is kept and "
            "opens at once from then on."
        ),
        icon=":material/map:",
    )
    st.progress(job.share, text=_(job.stage))
    if st.button(_("Cancel"), key="map.cancel", icon=":material/stop_circle:"):
        job.cancel()
