"""The cases behind a figure: choose a method and an outcome, look at one, open it."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.compare_view.runs import picture_path
from pages.frame.cases import Case, hand_over, picture_data
from pages.frame.style import heading
from r2t2_core.i18n import gettext as _

SHOWN = 200
"""Cases in the list; the CSV holds all of them."""


def show_cases(results: pd.DataFrame, methods: list[str], titles: dict[str, str]) -> None:
    """Show the cases of one method and outcome; one can be opened on the re-route page."""
    heading(_("The cases behind the numbers"))
    left, right = st.columns(2)
    moving = [method for method in methods if method != "base"]
    method = left.selectbox(
        _("Method"), moving, format_func=lambda name: titles.get(name, name), key="cases.method"
    )
    outcomes = {
        "fixed": _("fixed: wrong made right"),
        "broken": _("broken: right made wrong"),
        "wrong": _("wrong before and after"),
        "refused": _("refused by the gate"),
    }
    outcome = right.selectbox(
        _("Outcome"), list(outcomes), format_func=outcomes.__getitem__, key="cases.outcome"
    )
    chosen = select(results, method, outcome)
    st.caption(_("{count} cases. Choose one to open it.").format(count=len(chosen)))
    if chosen.empty:
        return
    table = case_table(chosen.head(SHOWN))
    event = st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        row_height=64,
        height=360,
        on_select="rerun",
        selection_mode="single-row",
        key=f"cases.{method}.{outcome}",
        column_config={_("picture"): st.column_config.ImageColumn(width="small")},
    )
    st.download_button(
        _("Cases (CSV)"),
        chosen.drop(columns=["routing", "router_routing", "answers_by_step"]).to_csv(index=False),
        f"cases-{outcome}.csv",
        "text/csv",
        key="cases.csv",
        on_click="ignore",
        icon=":material/table:",
    )
    if rows := event.selection.rows:
        case = chosen.iloc[rows[0]]
        if st.button(_("Open on the re-route page"), key="open", type="primary"):
            picture = picture_path(case["image"]).read_bytes()
            hand_over(Case(picture, case["question"], case["label"]))
            st.switch_page("pages/reroute.py")


def select(results: pd.DataFrame, method: str, outcome: str) -> pd.DataFrame:
    """Return a method's rows with an outcome, the most probable answers first."""
    rows = results[results["method"] == method]
    was_right = rows["router_answer"] == rows["label"]
    mask = {
        "fixed": ~was_right & rows["right"],
        "broken": was_right & ~rows["right"],
        "wrong": ~was_right & ~rows["right"],
        "refused": ~rows["admitted"].astype(bool),
    }[outcome]
    return rows[mask].sort_values("probability", ascending=False)


def case_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the list shows of cases."""
    return pd.DataFrame(
        {
            _("picture"): [picture_data(picture_path(path)) for path in rows["image"]],
            _("suite"): rows["suite"].tolist(),
            _("question"): rows["question"].tolist(),
            _("label"): rows["label"].tolist(),
            _("router's answer"): rows["router_answer"].tolist(),
            _("answer"): rows["answer"].tolist(),
            _("probability"): [f"{value:.0%}" for value in rows["probability"]],
        }
    )
