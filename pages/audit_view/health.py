"""The chain's health, always in sight: what is proved, since when nothing is, how it was checked.

A log is walked once; afterwards only what is new is. The walk is done in the background, so that a
long log holds up nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

import streamlit as st

from pages.audit_view.words import moment
from pages.frame.job import Job
from pages.frame.language import apply_language
from pages.frame.style import show_problem
from r2t2_core.audit.evidence import Part
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.verification import Report, verify
from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import gettext as _
from r2t2_core.i18n import translate_error

QUICK = 1.5
"""Seconds that a page waits for the walk before it is shown without."""

JOB = "audit.health"


@dataclass
class Walked:
    """How far a log was walked in this process, and what came of it."""

    report: Report | None = None
    is_whole: bool = False
    """Pictures were looked at too."""
    problem: WorkbenchError | None = None
    count: int = field(default=-1)


@st.cache_resource(show_spinner=False)
def walked(address: str) -> Walked:
    """Return what this process knows of a log."""
    return Walked()


def look(recorder: Recorder, known: Walked, *, is_whole: bool) -> None:
    """Walk what is new; all of it, with the pictures, where that is asked or something is bad."""
    before = known.report
    again = is_whole or before is None or not before.ok
    since = (0, "0" * 64) if again or before is None else (before.entries, before.last_hash)
    try:
        report = verify(recorder.log, recorder.pictures if again else None, since=since)
    except WorkbenchError as error:
        known.problem = error
        return
    if not again and before is not None:
        report.erased += before.erased
    known.report, known.problem, known.is_whole = report, None, again
    known.count = report.entries


def show_health(recorder: Recorder) -> None:
    """Show the strip; begin a walk where there are new entries."""
    known = walked(recorder.log.database.address)
    job: Job[None] | None = st.session_state.get(JOB)
    is_asked = st.session_state.pop("audit.verify_now", False)
    if job is None and (is_asked or known.report is None or recorder.log.count() != known.count):
        job = st.session_state[JOB] = Job.start(
            "health", lambda _progress, _cancelled: look(recorder, known, is_whole=is_asked)
        )
        job.wait(QUICK)
    if job is not None and job.wait(0):
        st.session_state.pop(JOB)
        job.result()
        job = None
    _strip(known, is_running=job is not None)
    if job is not None:
        _wait()


@st.fragment(run_every=1.0)
def _wait() -> None:
    apply_language()
    job: Job[None] | None = st.session_state.get(JOB)
    if job is None or job.wait(0):
        st.rerun()
    st.caption(_("Walking the log…"))


def _strip(known: Walked, *, is_running: bool) -> None:
    if known.problem is not None:
        show_problem(known.problem)
    report = known.report
    if report is None:
        if is_running:
            st.info(_("The log is being walked for the first time; this page can be used."))
        return
    cards = [
        _card(_("Chain intact"), *_told(report.chain)),
        _card(_("Signature valid"), *_told(report.signature)),
        _card(_("Anchored outside"), *_anchored(report)),
        _card(_("Pictures and questions"), *_told(report.evidence)),
    ]
    st.html(f'<div class="r2"><div class="r2-four">{"".join(cards)}</div></div>')
    for part in (report.chain, report.signature, report.anchors, report.evidence):
        for problem in part.problems[:3]:
            show_problem(problem.error)
    if report.first_bad is not None:
        st.error(_("The first bad entry is {n}.").format(n=report.first_bad))
    left, right = st.columns([5, 2], vertical_alignment="center")
    checked = (
        _("{n} entries, all walked, with their pictures.")
        if known.is_whole
        else _("{n} entries, all walked; pictures of the newest are looked at by “Verify all”.")
    )
    left.caption(checked.format(n=f"{report.entries:,}"))
    right.button(
        _("Verify all"), key="audit.verify", icon=":material/fact_check:", width="stretch",
        on_click=_ask, disabled=is_running,
    )  # fmt: skip


def _ask() -> None:
    st.session_state["audit.verify_now"] = True


def _told(part: Part) -> tuple[str, str]:
    if part.ok:
        return "good", _("yes")
    return "bad", _("no: {reason}").format(reason=translate_error(part.problems[0].error)[0])


def _anchored(report: Report) -> tuple[str, str]:
    if report.anchor_state == "contradicted":
        return "bad", _("an anchor contradicts the log")
    if report.anchor_state == "unanchored":
        return "warn", _("no: a roll-back to an older state could not be seen")
    told = _("up to entry {n}, {time}").format(
        n=report.anchored_to, time=moment(report.anchored_at or "")
    )
    if report.anchored_to < report.entries:
        return "warn", told + _("; not what came after")
    return "good", told


def _card(title: str, kind: str, words: str) -> str:
    mark = {"good": "✓", "bad": "✗", "warn": "!"}[kind]
    return (
        f'<div class="r2-fact"><span class="r2-badge {kind}">{mark}</span>'
        f"<div><b>{escape(title)}</b><small>{escape(words)}</small></div></div>"
    )
