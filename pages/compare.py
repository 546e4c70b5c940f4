"""The compare page: strategies and baselines over suites; who helps, who harms, at what cost."""

from __future__ import annotations

import json
from dataclasses import asdict

import pandas as pd
import streamlit as st

from pages.compare_view.ablations import show_ablations
from pages.compare_view.cases import show_cases
from pages.compare_view.own_suite import show_own_suite
from pages.compare_view.runs import (
    bad_rows,
    costs,
    is_shipped,
    known_runs,
    results_of,
    scores_of,
    written,
)
from pages.frame.language import apply_language
from pages.frame.style import CHART, STYLE, heading, legend, show_problem
from pages.frame.words import EXPERTS, method_titles
from r2t2_core.errors import WorkbenchError
from r2t2_core.evaluation.metrics import BASE, Score, accuracy_by_step, flows
from r2t2_core.evaluation.report import best_of, together
from r2t2_core.evaluation.runner import Run
from r2t2_core.figures.evaluation import (
    accuracy_over_steps,
    cost_against_accuracy,
    expert_flows,
    forest,
    help_and_harm,
    method_style,
)
from r2t2_core.i18n import gettext as _


def choose_run() -> Run | None:
    """Show the choice of a run in the sidebar."""
    runs = known_runs()
    if not runs:
        return None
    wanted = st.session_state.pop("run.wanted", None)
    if wanted in runs:
        st.session_state["run"] = wanted
    elif st.session_state.get("run") not in runs:
        st.session_state.pop("run", None)
    chosen = st.sidebar.selectbox(
        _("Run"), list(runs), format_func=lambda folder: run_title(runs[folder]), key="run"
    )
    return runs[chosen]


def run_title(run: Run) -> str:
    """Return a run's name for people."""
    if is_shipped(run):
        return _("Shipped: all suites")
    names = ", ".join(suite["name"] for suite in run.about["suites"])
    count = sum(suite["samples"] for suite in run.about["suites"])
    return f"{names} ({count})"


def choose_suites(run: Run) -> tuple[str, ...]:
    """Show the choice of suites in the sidebar."""
    names = [suite["name"] for suite in run.about["suites"]]
    chosen = st.sidebar.multiselect(_("Suites"), names, names, key=f"suites.{run.folder.name}")
    return tuple(chosen or names)


def show_sentence(scores: list[Score], titles: dict[str, str]) -> None:
    """Say in one sentence what came of it."""
    best = best_of(scores)
    base = next(entry for entry in together(scores) if entry.method == "base")
    st.markdown(
        _(
            "**{name}** answers **{accuracy}** of {n} questions ({low} to {high}), the router "
            "{base}. It fixed {fixed} answers and broke {broken}; behind the gate, which keeps the "
            "router's answer where too little speaks for another one, it fixed {gated_fixed} and "
            "broke {gated_broken}."
        ).format(
            name=titles.get(best.method, best.method),
            accuracy=f"{best.accuracy:.1%}",
            n=f"{best.n:,}",
            low=f"{best.low:.1%}",
            high=f"{best.high:.1%}",
            base=f"{base.accuracy:.1%}",
            fixed=f"{best.fixed:,}",
            broken=f"{best.broken:,}",
            gated_fixed=f"{best.gated_fixed:,}",
            gated_broken=f"{best.gated_broken:,}",
        )
    )


def point_to_cases() -> None:
    """Let the list of cases show the method whose point was chosen in a figure."""
    for key in ("c.forest", "c.cost"):
        points = st.session_state.get(key, {}).get("selection", {}).get("points", [])
        if points and (chosen := points[0].get("customdata")):
            method = chosen[0] if isinstance(chosen, list) else chosen
            if method != BASE:
                st.session_state["cases.method"] = method


def show_figures(
    run: Run, results: pd.DataFrame, scores: list[Score], titles: dict[str, str]
) -> None:
    """Show all figures of the chosen suites together."""
    overall = together(scores)
    left, right = st.columns(2, gap="medium")
    with left:
        heading(_("Accuracy, with its 95 % interval"))
        st.plotly_chart(
            forest(overall, titles),
            key="c.forest",
            config=CHART,
            on_select=point_to_cases,
            selection_mode="points",
        )
        st.caption(_("Choose a point: the cases behind it are listed below."))
    with right:
        heading(_("What was fixed, what was broken"))
        st.plotly_chart(help_and_harm(overall, titles), key="c.harm", config=CHART)
    steps = accuracy_by_step(results)[[entry.method for entry in overall]]
    styles = [(entry.method, *method_style(place)) for place, entry in enumerate(overall)]
    legend(
        [
            (titles.get(name, name), colour, dash)
            for name, colour, dash, _symbol in styles
            if name != "base"
        ]
    )
    left, right = st.columns(2, gap="medium")
    with left:
        heading(_("Accuracy by step"))
        figure = accuracy_over_steps(steps, titles, legend=False)
        st.plotly_chart(figure, key="c.steps", config=CHART)
    measured = costs(run)
    with right:
        heading(_("Cost against accuracy"))
        if measured:
            figure = cost_against_accuracy(overall, measured, titles, legend=False)
            st.plotly_chart(
                figure, key="c.cost", config=CHART, on_select=point_to_cases,
                selection_mode="points",
            )  # fmt: skip
        else:
            st.caption(_("Costs were not measured in this run; `r2t2 evaluate` measures them."))


def show_flows(
    run: Run, results: pd.DataFrame, scores: list[Score], titles: dict[str, str]
) -> None:
    """Show which expert gains and loses under one method."""
    heading(_("Which expert gains and loses"))
    moving = [entry.method for entry in together(scores) if entry.method != "base"]
    best = best_of(scores).method
    method = st.selectbox(
        _("Method"),
        moving,
        moving.index(best) if best in moving else 0,
        format_func=lambda name: titles.get(name, name),
        key="flows.method",
    )
    names = [_(EXPERTS.get(name, name)) for name in run.about["experts"]]
    counts = flows(results, method, run.about["experts"])
    st.plotly_chart(expert_flows(counts, names), key="c.flows", config=CHART)


def show_numbers(scores: list[Score], titles: dict[str, str]) -> None:
    """Show the numbers behind the figures: table, CSV, JSON."""
    st.subheader(_("The numbers"), anchor=False)
    table = score_table(scores, titles)
    st.dataframe(table, hide_index=True, width="stretch")
    plain = pd.DataFrame([asdict(entry) for entry in scores])
    left, right, _rest = st.columns([1, 1, 2])
    left.download_button(
        _("Scores (CSV)"), plain.to_csv(index=False), "scores.csv", "text/csv", key="scores.csv",
        on_click="ignore", width="stretch", icon=":material/table:",
    )  # fmt: skip
    right.download_button(
        _("Scores (JSON)"), json.dumps([asdict(entry) for entry in scores], indent=1),
        "scores.json", "application/json", key="scores.json", on_click="ignore", width="stretch",
        icon=":material/data_object:",
    )  # fmt: skip


def score_table(scores: list[Score], titles: dict[str, str]) -> pd.DataFrame:
    """Return one row for each suite and method, for people."""
    return pd.DataFrame(
        [
            {
                _("suite"): entry.suite,
                _("method"): titles.get(entry.method, entry.method),
                _("questions"): entry.n,
                _("accuracy"): f"{entry.accuracy:.1%}",
                _("95 % interval"): f"{entry.low:.1%} – {entry.high:.1%}",
                _("fixed"): entry.fixed,
                _("broken"): entry.broken,
                _("p (McNemar)"): f"{entry.p_value:.2g}",
                _("gap closed"): "–" if entry.gap_closed is None else f"{entry.gap_closed:.0%}",
                _("behind the gate"): f"{entry.gated_accuracy:.1%}",
                _("calibration error"): f"{entry.calibration_error:.3f}",
            }
            for entry in scores
        ]
    )


def page() -> None:
    """Show the page."""
    apply_language()
    st.html(STYLE)
    st.title(_("Compare strategies"), anchor=False)
    try:
        run = choose_run()
        if run is None:
            st.info(_("There is no run yet. Run a suite of your own, or `r2t2 evaluate`."))
            show_own_suite()
            return
        titles = method_titles(method["spec"] for method in run.about["methods"])
        suites = choose_suites(run)
        when = written(run)
        results = results_of(str(run.folder), when)
        results = results[results["suite"].isin(suites)]
        scores = scores_of(str(run.folder), when, suites)
    except WorkbenchError as error:
        show_problem(error)
        return
    show_sentence(scores, titles)
    if len(bad := bad_rows(run)):
        with st.expander(_("{count} rows could not be used").format(count=len(bad))):
            st.dataframe(bad, hide_index=True, width="stretch")
    show_own_suite()
    show_figures(run, results, scores, titles)
    show_flows(run, results, scores, titles)
    show_ablations()
    show_cases(results, [entry.method for entry in together(scores)], titles)
    show_numbers(scores, titles)


page()
