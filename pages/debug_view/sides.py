"""Two runs side by side: which cases changed, which were fixed and which broken."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pages.compare_view.runs import known_runs, picture_path, run_title, written
from pages.debug_view.data import View, cases_of
from pages.debug_view.focus import Focus, look_at
from pages.frame.case_words import family_title
from pages.frame.style import CHART, heading
from pages.frame.thumbnails import thumbnail
from pages.frame.words import method_titles
from r2t2_core.evaluation.comparison import Comparison, Side, changes_by_family, compare_sides
from r2t2_core.figures.misrouting import change_bars
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _

CHANGES = {
    "fixed": N_("fixed: wrong made right"),
    "broken": N_("broken: right made wrong"),
    "other": N_("another wrong answer"),
}

SHOWN = 40
"""Cases in the table; the CSV and the triage list hold all."""


def show_sides(view: View) -> None:
    """Show both choices and what changed between them."""
    st.caption(
        _(
            "Compare two runs (another reference set, another k), or two methods of one run, over "
            "the cases that both have."
        )
    )
    left, right = st.columns(2, gap="medium")
    with left:
        heading(_("First"))
        first = _side("first", view, view.cases.methods[0])
    with right:
        heading(_("Second"))
        second = _side("second", view, view.method)
    found = compare_sides(first, second)
    st.markdown(sentence(found))
    table = changes_by_family(found)
    table = table[table["fixed"] + table["broken"] > 0]
    if not table.empty:
        figure = change_bars(
            [family_title(name) for name in table["family"]],
            table["fixed"].tolist(),
            table["broken"].tolist(),
        )
        st.plotly_chart(figure, key="d.sides", config=CHART)
    _changed(view, first, found)


def _side(name: str, view: View, method: str) -> Side:
    """Show the choice of run, method and gate of one side."""
    runs = known_runs()
    folder = st.selectbox(
        _("Run"),
        list(runs),
        list(runs).index(view.folder),
        format_func=lambda path: run_title(runs[path]),
        key=f"d.side.run.{name}",
    )
    cases = cases_of(folder, written(runs[folder]))
    titles = method_titles(cases.methods)
    chosen = st.selectbox(
        _("Method"),
        list(cases.methods),
        cases.methods.index(method) if method in cases.methods else 0,
        format_func=titles.__getitem__,
        key=f"d.side.method.{name}.{folder}",
    )
    gated = st.toggle(_("Behind the gate"), view.gated, key=f"d.side.gate.{name}")
    return Side(cases, chosen, gated)


def sentence(found: Comparison) -> str:
    """Say what changed."""
    outcome = found.outcome
    before = outcome.right - outcome.fixed + outcome.broken
    text = _(
        "Of {n} common cases the first answers **{before}** correctly, the second **{after}**: "
        "**{fixed}** fixed, **{broken}** broken (exact McNemar test: p = {p})."
    ).format(
        n=f"{outcome.cases:,}",
        before=f"{before / outcome.cases:.1%}",
        after=f"{outcome.accuracy:.1%}",
        fixed=f"{outcome.fixed:,}",
        broken=f"{outcome.broken:,}",
        p=f"{outcome.p_value:.2g}",
    )
    if found.only_first or found.only_second:
        alone = _("{first} cases are in the first alone, {second} in the second alone.").format(
            first=f"{found.only_first:,}", second=f"{found.only_second:,}"
        )
        text = f"{text} {alone}"
    return text


def _changed(view: View, first: Side, found: Comparison) -> None:
    heading(_("The cases that changed"))
    kind = st.segmented_control(
        _("Change"),
        list(CHANGES),
        format_func=lambda name: (
            f"{_(CHANGES[name])} ({int((found.table['change'] == name).sum()):,})"
        ),
        default="fixed",
        required=True,
        key="d.sides.kind",
        label_visibility="collapsed",
    )
    rows = found.table[found.table["change"] == kind]
    if rows.empty:
        st.caption(_("None."))
        return
    st.dataframe(
        change_table(rows.head(SHOWN)),
        hide_index=True,
        width="stretch",
        row_height=52,
        height=min(460, 40 + 52 * min(len(rows), SHOWN)),
        column_config={_("picture"): st.column_config.ImageColumn(width=64)},
    )
    left, right, _rest = st.columns([1, 1, 2])
    left.download_button(
        _("Changed cases (CSV)"),
        found.table[found.table["change"] != ""]
        .drop(columns=["first", "second"])
        .to_csv(index=False),
        "changed.csv",
        "text/csv",
        key="d.sides.csv",
        on_click="ignore",
        icon=":material/table:",
        width="stretch",
    )
    if first.cases is view.cases:
        right.button(
            _("See these cases in the triage list"),
            key="d.sides.see",
            icon=":material/list:",
            width="stretch",
            on_click=look_at,
            args=(Focus(view.folder, _(CHANGES[kind]), rows["first"].to_numpy(np.int64), "all"),),
        )


def change_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the list shows of changed cases."""
    return pd.DataFrame(
        {
            _("picture"): [thumbnail(picture_path(path)) for path in rows["image"]],
            _("question"): rows["question"].tolist(),
            _("label"): rows["label"].tolist(),
            _("first answer"): rows["before"].tolist(),
            _("second answer"): rows["after"].tolist(),
            _("family"): [family_title(name) for name in rows["family"]],
        }
    )
