"""The debug page: which questions were misrouted, where to, what repairs them, and what is left."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from pages.compare_view.own_suite import show_own_suite
from pages.compare_view.runs import known_runs, run_title, written
from pages.debug_view.data import View, cases_of, misrouting_of
from pages.debug_view.flows import show_flows
from pages.debug_view.focus import SECTION
from pages.debug_view.sides import show_sides
from pages.debug_view.slices import show_slices
from pages.debug_view.triage import show_triage
from pages.frame.case_words import family_title, style_title
from pages.frame.language import apply_language
from pages.frame.style import STYLE, show_problem
from pages.frame.words import EXPERTS, method_titles
from r2t2_core.errors import RunError, WorkbenchError
from r2t2_core.evaluation.misrouting import Cases
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _

SECTIONS: dict[str, tuple[str, Callable[[View], None]]] = {
    "flows": (N_("Flows"), show_flows),
    "slices": (N_("Slices"), show_slices),
    "triage": (N_("Triage"), show_triage),
    "sides": (N_("Two runs"), show_sides),
}

USUAL = ("kernel_regression", "ngd")
"""Methods that the page begins with, where the run holds them."""


def choose_view() -> View | None:
    """Show the choice of run and method in the sidebar."""
    runs = known_runs()
    if not runs:
        return None
    wanted = st.session_state.pop("run.wanted", None)
    if wanted in runs:
        st.session_state["d.run"] = wanted
    elif st.session_state.get("d.run") not in runs:
        st.session_state.pop("d.run", None)
    with st.sidebar:
        folder = st.selectbox(
            _("Run"), list(runs), format_func=lambda path: run_title(runs[path]), key="d.run"
        )
        when = written(runs[folder])
        cases = cases_of(folder, when)
        titles = method_titles(cases.methods)
        method = _choose_method(cases, titles, folder)
        gated = st.toggle(
            _("Behind the gate"),
            True,
            key="d.gated",
            help=_("Where the gate refuses, the router's answer stands: what a person sees."),
        )
        if not cases.ceilings:
            # Says that the run does not know what a better routing would have been.
            misrouting_of(folder, when, "")
        ceiling = st.selectbox(
            _("Right routing according to"),
            list(cases.ceilings),
            format_func=titles.__getitem__,
            key=f"d.ceiling.{folder}",
            help=_(
                "The oracle sees the label and may take any expert that happens to say it; a "
                "question's own expert is known where the suite names its family."
            ),
        )
    found = misrouting_of(folder, when, ceiling)
    names = [_(EXPERTS.get(name, name)) for name in cases.experts]
    return View(folder, when, cases, found, method, gated, _choose_cases(cases), titles, names)


def _choose_method(cases: Cases, titles: dict[str, str], folder: str) -> str:
    usable = list(cases.repairers)
    if not usable:
        raise RunError(
            N_("The run holds no method that could repair anything."),
            N_("Evaluate again with a strategy among the methods."),
        )
    usual = next((name for name in USUAL if name in usable), usable[0])
    return st.selectbox(
        _("Method whose repairs are shown"),
        usable,
        usable.index(usual),
        format_func=titles.__getitem__,
        key=f"d.method.{folder}",
    )


def _choose_cases(cases: Cases) -> np.ndarray:
    """Show the choice of families and styles; return the cases (N,), bool."""
    chosen = np.ones(len(cases), dtype=bool)
    for name, title, words in (
        ("family", _("Families"), family_title),
        ("style", _("Styles"), style_title),
        ("suite", _("Suites"), str),
    ):
        values = sorted(set(cases.table[name]))
        if len(values) < 2:
            continue
        wanted = st.sidebar.multiselect(
            title, values, format_func=words, key=f"d.{name}", placeholder=_("all")
        )
        if wanted:
            chosen &= cases.table[name].isin(wanted).to_numpy()
    return chosen


def show_sentence(view: View) -> None:
    """Say in one sentence what is wrong and what is repaired."""
    cases, found, chosen = view.cases, view.found, view.chosen
    misrouted = int((found.misrouted & chosen).sum())
    repaired = int((found.misrouted & chosen & view.after).sum())
    st.markdown(
        _(
            "Of {n} questions the router answers {wrong} wrongly. **{misrouted}** of them were "
            "**misrouted**: the same model answers them correctly under another routing. {method} "
            "repairs {repaired} and breaks {broken}; {missed} repairs are missed. {hopeless} "
            "answers stay wrong under that routing too."
        ).format(
            n=f"{int(chosen.sum()):,}",
            wrong=f"{int((~cases.right[:, 0] & chosen).sum()):,}",
            misrouted=f"{misrouted:,}",
            method=view.titles.get(view.method, view.method),
            repaired=f"{repaired:,}",
            broken=f"{int((view.broken & chosen).sum()):,}",
            missed=f"{misrouted - repaired:,}",
            hopeless=f"{int((found.hopeless & chosen).sum()):,}",
        )
    )


def page() -> None:
    """Show the page."""
    apply_language()
    st.html(STYLE)
    st.title(_("Debug misroutings"), anchor=False)
    try:
        view = choose_view()
    except WorkbenchError as error:
        show_problem(error)
        show_own_suite()
        return
    if view is None:
        st.info(_("There is no run yet. Run a suite of your own, or `r2t2 evaluate`."))
        show_own_suite()
        return
    show_sentence(view)
    show_own_suite()
    section = st.segmented_control(
        _("Section"),
        list(SECTIONS),
        format_func=lambda name: _(SECTIONS[name][0]),
        default="flows",
        required=True,
        key=SECTION,
        label_visibility="collapsed",
    )
    try:
        SECTIONS[section][1](view)
    except WorkbenchError as error:
        show_problem(error)


page()
