"""The health check: a verdict, and behind it each check with its figure and its numbers."""

from __future__ import annotations

import json
from collections.abc import Callable

import streamlit as st

from pages.frame.job import Progress
from pages.frame.style import CHART
from pages.reference_view.working import running, start
from r2t2_core.curation.checks.finding import Finding
from r2t2_core.curation.checks.report import TITLES, VERDICTS, CheckReport, check_reference
from r2t2_core.engine import Engine
from r2t2_core.evaluation.suites import load_suite, shipped_suites
from r2t2_core.figures.reference_checks import figures_of
from r2t2_core.i18n import gettext as _
from r2t2_core.settings import Settings

VIEW = "checks"

ICONS = {
    "usable": ":material/check_circle:",
    "weak": ":material/warning:",
    "unusable": ":material/block:",
    "not_assessed": ":material/remove:",
}

QUICK = 400
"""Samples and questions that are drawn at first."""


def last_report(engine: Engine) -> CheckReport | None:
    """Return the last report on the set in use, if it is on this version."""
    report: CheckReport | None = st.session_state.get(f"{VIEW}.result")
    current = engine.reference.manifest.content_hash
    return report if report is not None and report.content_hash == current else None


def show(engine: Engine) -> None:
    """Show the check of the set in use."""
    st.caption(
        _(
            "Re-routing is as good as its examples. The check asks whether the set can be relied "
            "on: whether its routings carry a signal, its labels are right, its samples cover what "
            "is asked, and whether any of them harm."
        )
    )
    if running(VIEW):
        return
    shipped = shipped_suites(Settings.from_environment().sample_data / "suites")
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    names = left.multiselect(
        _("Questions to be covered"), list(shipped), list(shipped)[:2], key="checks.suites"
    )
    limit = right.number_input(_("Samples drawn"), 50, 100_000, QUICK, step=50, key="checks.limit")
    if st.button(_("Check this set"), key="checks.go", type="primary"):

        def work(progress: Progress, cancelled: Callable[[], bool]) -> CheckReport:
            suites = [load_suite(shipped[name]) for name in names]
            return check_reference(
                engine, engine.reference, suites, limit=int(limit), progress=progress,
                cancelled=cancelled,
            )  # fmt: skip

        start(VIEW, engine.reference.manifest.content_hash, work)
    report = last_report(engine)
    if report is not None:
        _show_report(report)


def _show_report(report: CheckReport) -> None:
    word = _(VERDICTS[report.verdict])
    text = _("This set is **{verdict}**.").format(verdict=word)
    banner = {"usable": st.success, "weak": st.warning}.get(report.verdict, st.error)
    banner(text, icon=ICONS[report.verdict])
    for finding in report.findings:
        _show_finding(finding)
    st.download_button(
        _("Report (JSON)"), json.dumps(report.plain(), indent=1, ensure_ascii=False),
        "reference-check.json", "application/json", key="checks.json", on_click="ignore",
        icon=":material/data_object:",
    )  # fmt: skip


def _show_finding(finding: Finding) -> None:
    title = f"{_(TITLES[finding.check])}: {_(VERDICTS[finding.verdict])}"
    is_open = finding.verdict in ("weak", "unusable")
    with st.expander(title, icon=ICONS[finding.verdict], expanded=is_open):
        st.markdown(finding.words.text())
        if finding.advice.message:
            st.markdown(_("**What to do:** {advice}").format(advice=finding.advice.text()))
        for number, figure in enumerate(figures_of(finding)):
            st.plotly_chart(figure, key=f"checks.{finding.check}.{number}", config=CHART)
        plain = {
            key: value for key, value in finding.numbers.items() if key not in ("permuted", "rows")
        }
        if plain:
            st.json(plain, expanded=False)
