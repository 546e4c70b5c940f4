"""Slices: where harm is done, or repairs are missed, more often than elsewhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pages.debug_view.data import View, features_of, slices_of
from pages.debug_view.focus import Focus, look_at
from pages.frame.case_words import condition_title
from pages.frame.style import CHART, heading
from r2t2_core.evaluation.slices import LEAST, Slice, SliceReport, rows_of
from r2t2_core.figures.misrouting import slice_forest
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _

KINDS = {
    "missed": N_("missed repairs: misrouted, and not repaired"),
    "broken": N_("harm: right answers made wrong"),
}

DRAWN = 12
"""Slices in the figure; the table holds more."""

LISTED = 100
"""Slices in the table; the CSV holds all."""

CERTAIN = 0.05


def show_slices(view: View) -> None:
    """Show the worst slices of one kind."""
    left, right = st.columns([2, 3], gap="medium", vertical_alignment="bottom")
    kind = left.selectbox(
        _("Ranked by"), list(KINDS), format_func=lambda name: _(KINDS[name]), key="d.slices.kind"
    )
    certain = right.toggle(
        _("Only those that chance does not explain, after correction for all looks"),
        True,
        key="d.slices.certain",
    )
    report = slices_of(view.folder, view.when, view.found.ceiling, view.method, view.gated, kind)
    st.markdown(sentence(report, kind))
    slices = [entry for entry in report.slices if not certain or entry.p_adjusted < CERTAIN]
    if not slices:
        st.info(
            _("No slice is worse than the rest beyond what chance would do."),
            icon=":material/check_circle:",
        )
        _method(report)
        return
    names = [slice_title(entry) for entry in slices]
    heading(_("The slices with the most cases beyond the rest's share"))
    drawn = slices[:DRAWN]
    overall = report.events / report.cases
    st.plotly_chart(slice_forest(drawn, names[:DRAWN], overall), key="d.slices", config=CHART)
    _table(view, slices, names, kind)
    _method(report)


def sentence(report: SliceReport, kind: str) -> str:
    """Say of how many cases the search is about."""
    if kind == "broken":
        text = _(
            "Of {cases} right answers of the router **{events}** are made wrong; {looks} slices "
            "were looked at."
        )
    else:
        text = _(
            "Of {cases} misrouted cases **{events}** are not repaired; {looks} slices were looked "
            "at."
        )
    return text.format(
        cases=f"{report.cases:,}", events=f"{report.events:,}", looks=f"{report.looks:,}"
    )


def slice_title(entry: Slice) -> str:
    """Return a slice in words."""
    return " · ".join(condition_title(name, value) for name, value in entry.conditions)


def slice_table(slices: list[Slice], names: list[str]) -> pd.DataFrame:
    """Return one row for each slice, for people."""
    return pd.DataFrame(
        {
            _("slice"): names,
            _("cases"): [entry.events for entry in slices],
            _("of"): [entry.cases for entry in slices],
            _("share"): [entry.share for entry in slices],
            _("95 % interval"): [f"{entry.low:.1%} – {entry.high:.1%}" for entry in slices],
            _("the rest"): [f"{entry.rest:.1%}" for entry in slices],
            _("beyond the rest"): [round(entry.excess, 1) for entry in slices],
            _("p"): [f"{entry.p_value:.2g}" for entry in slices],
            _("p, corrected"): [f"{entry.p_adjusted:.2g}" for entry in slices],
        }
    )


def _table(view: View, slices: list[Slice], names: list[str], kind: str) -> None:
    table = slice_table(slices, names)
    event = st.dataframe(
        table.head(LISTED),
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        key=f"d.slices.table.{kind}",
        column_config={
            _("share"): st.column_config.ProgressColumn(min_value=0, max_value=1, format="percent"),
            _("slice"): st.column_config.TextColumn(width="large"),
        },
    )
    left, right, _rest = st.columns([1, 1, 2])
    left.download_button(
        _("Slices (CSV)"),
        table.to_csv(index=False),
        f"slices-{kind}.csv",
        "text/csv",
        key="d.slices.csv",
        on_click="ignore",
        icon=":material/table:",
        width="stretch",
    )
    if not event.selection.rows or event.selection.rows[0] >= len(slices):
        right.caption(_("Choose a slice to see its cases."))
        return
    entry = slices[event.selection.rows[0]]
    inside = rows_of(entry.conditions, features_of(view.folder, view.when))
    happened = view.broken if kind == "broken" else view.missed
    right.button(
        _("See the cases"),
        key="d.slices.see",
        type="primary",
        icon=":material/list:",
        width="stretch",
        on_click=look_at,
        args=(Focus(view.folder, slice_title(entry), np.flatnonzero(inside & happened), kind),),
    )


def _method(report: SliceReport) -> None:
    with st.expander(_("How slices are found, and what the numbers mean")):
        st.markdown(
            _(
                "A slice is one to three conditions on family, style, answer, language, phrasing "
                "(the opening words that at least 1 % of the questions share; the ending in "
                "Japanese) and neighbourhood (thirds by the similarity of the nearest reference "
                "question). All {looks} slices with at least {least} cases at risk were tested "
                "against the other cases (exact hypergeometric test, one-sided), and the p-values "
                "are corrected for all of these looks (Holm), so that with 95 % confidence not "
                "one of the slices below 5 % is there by chance. They are ranked by how many "
                "cases they have beyond the share of the rest. A slice with more conditions is "
                "listed only where its interval lies above the share of every shorter slice that "
                "holds it. The intervals (Wilson) are those of each slice alone: the worst of "
                "many looks a little worse than it is. Families and styles chosen in the "
                "sidebar do not narrow this search."
            ).format(looks=f"{report.looks:,}", least=LEAST)
        )
