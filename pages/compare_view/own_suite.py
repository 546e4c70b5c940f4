"""Run a suite of one's own from the page: a zip, methods, a limit; progress and a cancel."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import streamlit as st

from pages.frame.access import load_recorder, signed_in
from pages.frame.job import Job, Progress
from pages.frame.language import apply_language
from pages.frame.loading import load_engine
from pages.frame.style import show_problem
from r2t2_core.audit.log import now
from r2t2_core.errors import WorkbenchError
from r2t2_core.evaluation.baselines import BASELINES
from r2t2_core.evaluation.costs import measure_costs
from r2t2_core.evaluation.methods import parse_methods
from r2t2_core.evaluation.metrics import score
from r2t2_core.evaluation.runner import Run, evaluate
from r2t2_core.evaluation.suites import load_suite
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _
from r2t2_core.registry import strategies
from r2t2_core.settings import Settings

RUNNING = N_("Evaluating")

CHOSEN = ("ngd", "kernel_regression", "random_neighbours", "oracle")

JOB = "evaluation"


def show_own_suite() -> None:
    """Show the form, or the progress of what runs."""
    with st.expander(_("Run a labelled suite of your own"), icon=":material/upload_file:"):
        if st.session_state.get(JOB) is not None:
            _progress()
            return
        st.caption(
            _(
                "A zip with samples.csv (columns image, question, answer) and the pictures. Rows "
                "that cannot be used are counted and named; they stop nothing."
            )
        )
        file = st.file_uploader(_("Suite (zip)"), type=["zip"], key="suite.file")
        names = st.multiselect(
            _("Methods"), [*strategies(), *BASELINES], list(CHOSEN), key="suite.methods"
        )
        limit = st.number_input(_("At most so many questions"), 10, 100_000, 1000, key="suite.n")
        if st.button(_("Evaluate"), key="suite.go", disabled=file is None) and file is not None:
            try:
                _start(file.getvalue(), file.name, names, int(limit))
            except WorkbenchError as error:
                st.session_state["suite.problem"] = error
            st.rerun()
        if (problem := st.session_state.pop("suite.problem", None)) is not None:
            show_problem(problem)


def _start(data: bytes, name: str, methods: list[str], limit: int) -> None:
    engine, settings = load_engine(), Settings.from_environment()
    recorder, who = load_recorder(), signed_in()
    recorder.access.require(who, "evaluate")
    digest = hashlib.sha256(data).hexdigest()[:12]
    folder = settings.data_dir / "unpacked" / digest
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / f"{Path(name).stem}.zip"
    archive.write_bytes(data)

    def work(progress: Progress, cancelled: Callable[[], bool]) -> Run:
        began = now()
        suite = load_suite(archive, folder / "files")
        chosen = parse_methods(methods, engine.defaults)
        run = evaluate(
            engine,
            [suite],
            chosen,
            settings.data_dir / "runs",
            limit=limit,
            progress=lambda done, total: progress(RUNNING, done / max(total, 1)),
            cancelled=cancelled,
        )
        measure_costs(engine, chosen, run)
        recorder.record_evaluation(
            run.about,
            run.folder / "results.parquet",
            [asdict(entry) for entry in score(run.results)],
            principal=who,
            purpose="compare page",
            started_at=began,
        )
        return run

    st.session_state[JOB] = Job.start(digest, work)


@st.fragment(run_every=0.5)
def _progress() -> None:
    apply_language()
    job: Job[Run] | None = st.session_state.get(JOB)
    if job is None:
        return
    if job.wait(0):
        st.session_state.pop(JOB)
        try:
            st.session_state["run.wanted"] = str(job.result().folder)
        except WorkbenchError as error:
            st.session_state["suite.problem"] = error
        st.rerun()
    st.progress(job.share, text=_(job.stage))
    if st.button(_("Cancel"), key="suite.cancel", icon=":material/stop_circle:"):
        job.cancel()
