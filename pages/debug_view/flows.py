"""From which expert to which: flows of misrouted cases, and who repairs them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from pages.debug_view.data import View
from pages.debug_view.focus import Focus, look_at
from pages.frame.case_words import family_title, style_title
from pages.frame.style import CHART, heading
from r2t2_core.evaluation.misrouting import (
    by_family_and_style,
    expert_flows,
    flow_table,
    repairs,
)
from r2t2_core.figures.misrouting import misrouting_matrix, misrouting_sankey, repair_bars
from r2t2_core.i18n import gettext as _


def show_flows(view: View) -> None:
    """Show flows, and what each method repairs of them."""
    misrouted = view.found.misrouted & view.chosen
    if not misrouted.any():
        st.info(_("None of these cases is misrouted."), icon=":material/check_circle:")
        return
    counts = expert_flows(view.found, view.chosen, len(view.experts))
    left, right = st.columns(2, gap="medium")
    with left, st.container(gap="xsmall"):
        heading(_("From the router's expert to the right one"))
        st.plotly_chart(misrouting_sankey(counts, view.experts), key="d.sankey", config=CHART)
    with right, st.container(gap="xsmall"):
        heading(_("The same as a matrix"))
        st.plotly_chart(misrouting_matrix(counts, view.experts), key="d.matrix", config=CHART)
    st.caption(
        _(
            "An expert stands here for a routing in which it weighs most. A case on the diagonal "
            "has the right heaviest expert, but the wrong one beside it."
        )
    )
    left, right = st.columns(2, gap="medium")
    with left:
        _flows(view)
    with right:
        _families(view)
    _repairs(view)


def _flows(view: View) -> None:
    heading(_("The flows, and what is repaired of them"))
    table = flow_table(view.cases, view.found, view.chosen, (view.method,), view.gated)
    shown = pd.DataFrame(
        {
            _("router's expert"): [view.experts[place] for place in table["source"]],
            _("right expert"): [view.experts[place] for place in table["target"]],
            _("misrouted"): table["count"],
            _("repaired"): table[view.method],
        }
    )
    event = st.dataframe(
        shown,
        hide_index=True,
        width="stretch",
        height=330,
        on_select="rerun",
        selection_mode="single-row",
        key="d.flows",
        column_config={
            _("repaired"): st.column_config.ProgressColumn(
                min_value=0, max_value=1, format="percent"
            )
        },
    )
    if not event.selection.rows or event.selection.rows[0] >= len(table):
        st.caption(_("Choose a flow to see its cases."))
        return
    flow = table.iloc[event.selection.rows[0]]
    rows = np.flatnonzero(
        view.found.misrouted
        & view.chosen
        & (view.found.router_expert == flow["source"])
        & (view.found.right_expert == flow["target"])
    )
    title = f"{view.experts[int(flow['source'])]} → {view.experts[int(flow['target'])]}"
    st.button(
        _("See the cases of {name}").format(name=title),
        key="d.flows.see",
        type="primary",
        icon=":material/list:",
        on_click=look_at,
        args=(Focus(view.folder, title, rows, "misrouted"),),
    )


def _families(view: View) -> None:
    heading(_("By family and style"))
    table = by_family_and_style(view.cases, view.found)
    shown = pd.DataFrame(
        {
            _("family"): [family_title(name) for name in table["family"]],
            _("style"): [style_title(name) for name in table["style"]],
            _("questions"): table["cases"],
            _("router wrong"): table["wrong"],
            _("misrouted"): table["misrouted"],
            _("share misrouted"): table["misrouted"] / table["cases"],
        }
    )
    st.dataframe(
        shown,
        hide_index=True,
        width="stretch",
        height=330,
        key="d.families",
        column_config={
            _("share misrouted"): st.column_config.ProgressColumn(
                min_value=0, max_value=1, format="percent"
            )
        },
    )
    st.caption(_("All families and styles of the run, whatever is chosen in the sidebar."))


def _repairs(view: View) -> None:
    heading(_("Who repairs the misrouted cases"))
    entries = repairs(view.cases, view.found, view.chosen, view.gated)
    left, right = st.columns(2, gap="medium")
    with left:
        st.plotly_chart(repair_bars(entries, view.titles), key="d.repairs", config=CHART)
    with right:
        st.dataframe(
            pd.DataFrame(
                {
                    _("method"): [view.titles.get(e.method, e.method) for e in entries],
                    _("repaired"): [e.repaired for e in entries],
                    _("of"): [e.misrouted for e in entries],
                    _("share"): [f"{e.share:.1%}" for e in entries],
                    _("95 % interval"): [f"{e.low:.1%} – {e.high:.1%}" for e in entries],
                    _("broken"): [e.broken for e in entries],
                    _("of right"): [e.at_risk for e in entries],
                }
            ),
            hide_index=True,
            width="stretch",
            key="d.repairs.table",
        )
        st.caption(
            _("Behind the gate: where it refuses, the router's answer stands.")
            if view.gated
            else _("Without the gate.")
        )
