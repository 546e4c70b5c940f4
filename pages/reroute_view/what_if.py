"""What if: a person sets weights, drops neighbours, changes how they are found.

Marked as a human intervention everywhere; saved only when the person says so.
"""

from __future__ import annotations

from html import escape

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages.frame.language import apply_language
from pages.frame.style import CHART, show_problem
from pages.frame.words import choice, expert_names, strategy_titles
from pages.reroute_view.link import store
from r2t2_core.analysis import Analysis, WhatIf
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import WorkbenchError
from r2t2_core.explain.evidence import Query, parameters_of, reopen, retrieval_of
from r2t2_core.explain.what_if import Change, try_change
from r2t2_core.figures.routing_bars import routing_bars
from r2t2_core.i18n import gettext as _
from r2t2_core.parameters import bounds, choices
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import strategies

HAND, STRATEGY = "hand", "strategy"


@st.fragment
def show_what_if(engine: Engine, decision: Decision, analysis: Analysis, image: bytes) -> None:
    """Show the panel; every change is answered at once from cached expert outputs."""
    apply_language()
    st.subheader(_("What if?"), anchor=False)
    st.caption(
        _(
            "Change something and see the answer at once. This is your intervention and not the "
            "model's decision; nothing is recorded until you save it."
        )
    )
    try:
        query = _query(engine, decision, image)
        left, right = st.columns([6, 5], gap="medium")
        with left:
            change = _controls(decision)
        result = try_change(engine, decision, analysis, query, change)
        with right:
            _show_result(decision, result)
            _save(engine, decision, analysis, image, query, change)
    except WorkbenchError as error:
        show_problem(error)


def _query(engine: Engine, decision: Decision, image: bytes) -> Query:
    """Return the model's work on the question: computed once for a decision."""
    known = st.session_state.get("what_if.query")
    if known is None or known[0] != decision.id:
        with engine.exclusive():
            known = (decision.id, reopen(engine, decision, image).query)
        st.session_state["what_if.query"] = known
    query: Query = known[1]
    return query


def _controls(decision: Decision) -> Change:
    """Show the controls; return what is set."""
    titles = strategy_titles()
    mode = st.segmented_control(
        _("Who moves the routing?"),
        [STRATEGY, HAND],
        format_func={STRATEGY: _("The strategy"), HAND: _("I do, by hand")}.__getitem__,
        default=STRATEGY,
        required=True,
        key=f"if.mode.{decision.id}",
    )
    weights = _weights(decision) if mode == HAND else None
    with st.container(border=True):
        usable = [record.strategy for record in decision.trajectories
                  if not strategies()[record.strategy].is_control]  # fmt: skip
        first, second = st.columns(2)
        strategy = first.selectbox(
            _("Strategy"),
            usable,
            usable.index(decision.strategy),
            format_func=titles.__getitem__,
            key=f"if.strategy.{decision.id}",
            disabled=mode == HAND,
        )
        retrieval = _retrieval(decision, first, second)
        about = {
            neighbour.id: f"{number}. {neighbour.question} → {neighbour.label}"
            for number, neighbour in enumerate(decision.neighbours, start=1)
        }
        dropped = st.multiselect(
            _("Neighbours to leave out"),
            list(about),
            format_func=about.__getitem__,
            placeholder=_("none"),
            key=f"if.dropped.{decision.id}",
        )
    return Change(
        strategy,
        parameters_of(decision, strategy),
        retrieval,
        frozenset(dropped),
        weights,
    )


def _weights(decision: Decision) -> tuple[float, ...]:
    """Show one slider for each expert."""
    values = []
    columns = st.columns(2)
    names = expert_names(decision)
    for place, (name, weight) in enumerate(zip(names, decision.final.routing, strict=True)):
        with columns[place % 2]:
            value = st.slider(
                name, 0, 100, round(100 * weight), format="%d %%",
                key=f"if.weight.{decision.id}.{place}",
            )  # fmt: skip
        values.append(float(value))
    st.caption(_("Weights are scaled to sum to 100 % in each gate; the gate then takes its top."))
    return tuple(values)


def _retrieval(
    decision: Decision, first: DeltaGenerator, second: DeltaGenerator
) -> RetrievalParams:
    """Show what finds the neighbours."""
    now = retrieval_of(decision)
    fields = RetrievalParams.model_fields
    limits = bounds(fields["n_neighbours"])
    values = now.model_dump()
    with second:
        values["n_neighbours"] = st.slider(
            _("Neighbours (k)"), int(limits.low), int(limits.high), now.n_neighbours,
            key=f"if.k.{decision.id}", disabled=now.mode == "ball",
        )  # fmt: skip
    labels = {
        "policy": _("Reference samples"),
        "kernel": _("Kernel"),
        "bandwidth_rule": _("Bandwidth"),
    }
    for number, (name, label) in enumerate(labels.items()):
        options = choices(fields[name]) or ()
        with (first, second)[number % 2]:
            values[name] = st.selectbox(
                label, options, options.index(values[name]), format_func=choice,
                key=f"if.{name}.{decision.id}",
            )  # fmt: skip
    return RetrievalParams.parse(values)


def _show_result(decision: Decision, result: WhatIf) -> None:
    """Show the answer under the intervention, against the decision's."""
    label = decision.input.label
    mark = ""
    if label is not None:
        right = result.result.answer == label
        mark = " <span>" + escape("✓ " + _("right") if right else "✗ " + _("wrong")) + "</span>"
    changes = (
        _("Another answer than the decision's “{answer}”").format(answer=decision.final.answer)
        if result.changes_answer
        else _("The same answer as the decision's")
    )
    share = f"{result.result.probability:.0%}"
    badge, probability = escape(_("human intervention")), escape(_("probability"))
    st.html(
        '<div class="r2"><div class="r2-card"><small>'
        f'<span class="r2-badge warn">{badge}</span></small>'
        f"<b>{escape(result.result.answer)}{mark}</b>"
        f"<small>{probability} {share} · {escape(changes)}</small>"
        f'<div class="r2-bar"><i style="width:{share}"></i></div></div></div>'
    )
    chart = routing_bars(
        expert_names(decision),
        decision.final.routing,
        result.routing,
        decision.final.routing_top_k,
        result.routing_top_k,
        height=320,
        names=(_("as decided"), _("by your hand")),
    )
    st.plotly_chart(chart, key="if.bars", config=CHART)
    st.caption(
        _("{count} neighbours in force; their loss at this routing: {loss} nats.").format(
            count=len(result.neighbours), loss=f"{result.surrogate_loss:.3f}"
        )
    )


def _save(
    engine: Engine,
    decision: Decision,
    analysis: Analysis,
    image: bytes,
    query: Query,
    change: Change,
) -> None:
    """Show the button that records the intervention, and those that are recorded."""
    note = st.text_input(
        _("Note"), key=f"if.note.{decision.id}", placeholder=_("what this shows"), max_chars=500
    )
    kept = store()
    if st.button(_("Save this what-if"), key="if.save", icon=":material/save:"):
        kept.keep(decision, image)
        kept.keep_analysis(analysis)
        kept.keep_what_if(try_change(engine, decision, analysis, query, change, note.strip()))
        st.session_state[f"kept.{decision.id}"] = True
        st.toast(_("Saved as a human intervention."), icon=":material/save:")
    if saved := kept.what_ifs(decision.id):
        with st.expander(_("{count} saved").format(count=len(saved))):
            st.dataframe(what_if_table(saved), hide_index=True, width="stretch")
            st.download_button(
                _("Saved what-ifs (JSON)"),
                b"[" + b",".join(entry.canonical_json() for entry in saved) + b"]",
                f"what-ifs-{decision.id[:8]}.json",
                "application/json",
                key="if.json",
                on_click="ignore",
                icon=":material/data_object:",
            )


def what_if_table(saved: tuple[WhatIf, ...]) -> pd.DataFrame:
    """Return one row for each saved intervention."""
    titles = strategy_titles()
    return pd.DataFrame(
        [
            {
                _("time (UTC)"): entry.made_at[:19],
                _("answer"): entry.result.answer,
                _("probability"): f"{entry.result.probability:.1%}",
                _("moved by"): _("by hand")
                if entry.intervention.weights is not None
                else titles.get(entry.intervention.strategy, entry.intervention.strategy),
                _("left out"): ", ".join(entry.intervention.dropped) or "–",
                _("k"): entry.intervention.retrieval["n_neighbours"],
                _("note"): entry.note,
            }
            for entry in saved
        ]
    )
