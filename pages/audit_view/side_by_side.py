"""Two decisions side by side: where they part, and what each hangs on."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.audit_view.opened import neighbours_root, show_picture
from pages.audit_view.words import moment
from pages.frame.style import CHART, show_problem
from pages.frame.words import expert_names
from pages.reroute_view.story import verdict
from r2t2_core.audit.access import Principal
from r2t2_core.audit.comparison import compare, produced_by
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.restoring import decision_of
from r2t2_core.decision import Decision
from r2t2_core.errors import WorkbenchError
from r2t2_core.figures.routing_bars import routing_bars
from r2t2_core.i18n import gettext as _


def show_two(recorder: Recorder, names: tuple[str, str], who: Principal) -> None:
    """Compare two recorded decisions."""
    try:
        stored = [recorder.find(name, who) for name in names]
        left, right = (decision_of(found) for found in stored)
    except WorkbenchError as error:
        show_problem(error)
        return
    st.subheader(_("Two decisions side by side"), anchor=False)
    for place, (column, found, decision) in enumerate(
        zip(st.columns(2, gap="medium"), stored, (left, right), strict=True)
    ):
        with column:
            st.caption(
                _("{n} · {time} UTC").format(
                    n=found.entry.sequence, time=moment(found.entry.started_at)
                )
            )
            show_picture(recorder, decision, 220)
            st.text(found.text or _("(the question was erased)"))
            _chart(decision, place)
            st.caption(verdict(decision)[1])
    _table(left, right)
    _parting(left, right)
    if neighbours_root(recorder, left) != neighbours_root(recorder, right):
        st.caption(_("The two used different versions of the reference set."))


def _chart(decision: Decision, place: int) -> None:
    st.plotly_chart(
        routing_bars(
            expert_names(decision),
            decision.base.routing,
            decision.final.routing,
            decision.base.routing_top_k,
            decision.final.routing_top_k,
            height=280,
        ),
        key=f"two.{place}",
        config=CHART,
        alt=_("Routing weights of the experts, before and after"),
    )


def _table(left: Decision, right: Decision) -> None:
    rows = {
        _("answer before"): [f"{d.base.answer} ({d.base.probability:.1%})" for d in (left, right)],
        _("answer after"): [f"{d.final.answer} ({d.final.probability:.1%})" for d in (left, right)],
        _("strategy"): [d.strategy for d in (left, right)],
        _("let pass by the gate"): [_("yes") if d.gate.reroute else _("no") for d in (left, right)],
        _("neighbours"): [", ".join(n.id for n in d.neighbours) for d in (left, right)],
        _("model"): [d.system.model_fingerprint_after for d in (left, right)],
        _("reference set"): [d.reference.content_hash for d in (left, right)],
    }
    st.dataframe(
        pd.DataFrame(
            {
                _("what"): list(rows),
                _("the first"): [values[0] for values in rows.values()],
                _("the second"): [values[1] for values in rows.values()],
            }
        ),
        hide_index=True,
        width="stretch",
    )


def _parting(left: Decision, right: Decision) -> None:
    comparison = compare(left, right)
    if comparison.is_exact:
        st.success(_("Both were computed alike, bit for bit."))
    elif (first := comparison.first) is not None:
        st.markdown(
            _("They part first at **{stage}**: `{path}`.").format(
                stage=_(first.stage), path=first.path
            )
        )
    if hangs := produced_by(left, right):
        st.dataframe(
            {
                _("what"): list(hangs),
                _("the first"): [old for old, _new in hangs.values()],
                _("the second"): [new for _old, new in hangs.values()],
            },
            hide_index=True,
            width="stretch",
        )
