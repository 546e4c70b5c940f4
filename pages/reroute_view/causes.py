"""Why: the decision in plain words, whether it should have been re-routed, what it hangs on."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.frame.cases import picture_data
from pages.frame.language import apply_language
from pages.frame.style import CHART, show_problem
from pages.frame.words import EXPERTS, YES_NO, strategy_titles
from pages.reroute_view.link import store
from r2t2_core.analysis import Analysis, Counterfactual, OcclusionMap
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import WorkbenchError
from r2t2_core.explain.analyse import analyse, with_occlusion
from r2t2_core.explain.paragraph import paragraph
from r2t2_core.figures.causes import answers_between, loss_between, neighbour_shares
from r2t2_core.figures.occlusion import spotlight
from r2t2_core.figures.style import expert_colour
from r2t2_core.i18n import gettext as _
from r2t2_core.intake.image import read_image


def analysis_of(engine: Engine, decision: Decision, image: bytes) -> Analysis | None:
    """Return the causes of a decision: kept, computed before, or computed now.

    Where they cannot be computed the page says why, and None is returned.
    """
    key = f"analysis.{decision.id}"
    if key not in st.session_state:
        for other in [str(name) for name in st.session_state]:
            if other.startswith("analysis."):
                del st.session_state[other]
        try:
            kept = st.session_state.get(f"kept.{decision.id}")
            found = store().analysis(decision) if kept else None
            with st.spinner(_("Looking for causes")):
                st.session_state[key] = found or analyse(engine, decision, image)
        except WorkbenchError as error:
            show_problem(error)
            return None
    analysis: Analysis = st.session_state[key]
    return analysis


def show_words(decision: Decision, analysis: Analysis) -> None:
    """Show the decision in plain words, and what speaks for and against re-routing."""
    words = {name: _(title) for name, title in EXPERTS.items()} | strategy_titles()
    title, text = _("In plain words"), paragraph(decision, analysis, words)
    st.html(
        f'<div class="r2"><div class="r2-card"><small>{escape(title)}</small>'
        f'<p class="r2-words">{escape(text)}</p></div></div>'
    )
    with st.expander(_("Should we have re-routed?"), icon=":material/balance:"):
        st.dataframe(grounds(decision, analysis), hide_index=True, width="stretch")
        st.caption(
            _(
                "Bounds of the gate come from splits made for that. The other rows have no bound: "
                "they are for a person to weigh."
            )
        )


def grounds(decision: Decision, analysis: Analysis) -> pd.DataFrame:
    """Return what speaks for re-routing: one row for each ground, its value and its bound."""
    gate, agreement, reach = decision.gate, analysis.agreement, analysis.reach
    record = decision.trajectory(decision.strategy)
    real = [vote for vote in agreement.strategies if not vote.is_control]
    controls = [vote for vote in agreement.strategies if vote.is_control]
    fall = record.steps[0].surrogate_loss - record.last.surrogate_loss
    none = "–"
    evidence = none if gate.evidence is None else f"{gate.evidence:.2f}"
    least = none if gate.evidence_threshold is None else f"≥ {gate.evidence_threshold:.2f}"
    rows: list[tuple[str, str, str]] = [
        (
            _("Similarity of the nearest question"),
            f"{gate.text_similarity:.3f}",
            f"≥ {gate.text_threshold:.3f}",
        ),
        (
            _("Reference questions that are no nearer to theirs"),
            f"{reach.text_percentile:.0%}",
            none,
        ),
        (
            _("Distance of the picture"),
            f"{gate.image_distance:.3f}",
            f"≤ {gate.image_threshold:.3f}",
        ),
        (
            _("Reference pictures that are no farther out"),
            f"{reach.image_percentile:.0%}",
            none,
        ),
        (
            _("Neighbours whose own heaviest expert is the new one (by weight)"),
            f"{agreement.neighbours_same_expert:.0%}",
            none,
        ),
        (
            _("Neighbours answered rightly: router's routing → new routing (by weight)"),
            f"{agreement.neighbours_answered_before:.0%} → "
            f"{agreement.neighbours_answered_after:.0%}",
            none,
        ),
        (_("Fall of the neighbours' loss (nats)"), f"{fall:.3f}", none),
        (
            _("Strategies that give this answer"),
            _("{agree} of {all}").format(agree=sum(v.agrees for v in real), all=len(real)),
            none,
        ),
        (
            _("Controls that give this answer"),
            _("{agree} of {all}").format(agree=sum(v.agrees for v in controls), all=len(controls)),
            none,
        ),
        (_("Evidence for another answer"), evidence, least),
        (_("The gate's verdict"), _(YES_NO[gate.reroute]), " ".join(map(_, gate.reasons)) or none),
    ]
    return pd.DataFrame(
        {
            _("ground"): [ground for ground, _v, _b in rows],
            _("value"): [value for _g, value, _b in rows],
            _("bound"): [bound for _g, _v, bound in rows],
        }
    )


@st.fragment
def show_causes(engine: Engine, decision: Decision, analysis: Analysis, image: bytes) -> None:
    """Show what the answer hangs on."""
    apply_language()
    st.subheader(_("What the answer hangs on"), anchor=False)
    if analysis.moved.answer != decision.final.answer:
        st.caption(
            _(
                "For study only: these are causes of the strategy's answer “{answer}”, which the "
                "gate did not let stand."
            ).format(answer=analysis.moved.answer)
        )
    tabs = st.tabs(
        [
            _("Neighbours"),
            _("Experts"),
            _("Where each expert looks"),
            _("Smallest change that flips it"),
            _("Loss between two routings"),
        ]
    )
    with tabs[0]:
        _show_neighbours(decision, analysis, engine.reference.root)
    with tabs[1]:
        _show_experts(analysis)
    with tabs[2]:
        _show_looks(engine, decision, analysis, image)
    with tabs[3]:
        _show_changes(decision, analysis)
    with tabs[4]:
        _show_landscape(decision, analysis)


def _show_neighbours(decision: Decision, analysis: Analysis, root: Path) -> None:
    deciding = [cause for cause in analysis.neighbours if cause.decides]
    sentence = _("No single neighbour decides: without any one of them the answer stays.")
    if deciding:
        sentence = _("The answer hangs on: {names}.").format(
            names=", ".join(f"{cause.id} (→ “{cause.without.answer}”)" for cause in deciding)
        )
    if analysis.dropped_until_flip is not None:
        sentence += " " + _(
            "It changes when the {count} heaviest examples are missing together."
        ).format(count=analysis.dropped_until_flip)
    st.markdown(sentence)
    st.caption(
        _(
            "Each neighbour was left out in turn and the strategy run again. A part below zero "
            "pulls against the others."
        )
    )
    left, right = st.columns([5, 6], gap="medium")
    with left:
        st.plotly_chart(neighbour_shares(analysis), key="w.shares", config=CHART)
    with right:
        table = neighbour_cause_table(decision, analysis)
        pictures = [picture_data(root / entry.image) for entry in decision.neighbours]
        table.insert(0, _("picture"), pictures)
        st.dataframe(
            table,
            hide_index=True,
            width="stretch",
            row_height=52,
            height=min(560, 60 + 52 * len(table)),
            column_config={_("picture"): st.column_config.ImageColumn(width="small")},
        )


def neighbour_cause_table(decision: Decision, analysis: Analysis) -> pd.DataFrame:
    """Return one row for each neighbour: what it did."""
    return pd.DataFrame(
        [
            {
                _("sample"): cause.id,
                _("answer without it"): cause.without.answer,
                _("probability"): f"{cause.without.probability:.1%}",
                _("hangs on it"): _(YES_NO[cause.decides]),
                _("part of the gradient"): _percent(cause.gradient_share),
                _("part of the way"): _percent(cause.pull_share),
                _("answered before"): _(YES_NO[cause.answered_before]),
                _("answered after"): _(YES_NO[cause.answered_after]),
                _("question"): neighbour.question,
                _("label"): neighbour.label,
            }
            for cause, neighbour in zip(analysis.neighbours, decision.neighbours, strict=True)
        ]
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.1%}"


def _show_experts(analysis: Analysis) -> None:
    st.caption(
        _(
            "Each expert was taken out in turn, its weight shared among the others, and the gate "
            "chose anew. The last column asks that expert alone."
        )
    )
    st.dataframe(expert_cause_table(analysis), hide_index=True, width="stretch")


def expert_cause_table(analysis: Analysis) -> pd.DataFrame:
    """Return one row for each expert: the answers without it, and its own."""
    return pd.DataFrame(
        [
            {
                _("expert"): _(EXPERTS.get(cause.expert, cause.expert)),
                _("router, without it"): _said(cause.without_before.answer,
                                               cause.without_before.probability),
                _("re-routed, without it"): _said(cause.without_after.answer,
                                                  cause.without_after.probability),
                _("hangs on it"): _(YES_NO[cause.decides]),
                _("this expert alone"): _said(cause.alone.answer, cause.alone.probability),
            }
            for cause in analysis.experts
        ]
    )  # fmt: skip


def _said(answer: str, probability: float) -> str:
    return f"{answer} ({probability:.0%})"


def _show_looks(engine: Engine, decision: Decision, analysis: Analysis, image: bytes) -> None:
    if analysis.occlusion is None:
        st.caption(
            _(
                "Parts of the picture are hidden one after the other, and every expert is asked "
                "again; where its output moves, it looks."
            )
        )
        if st.button(_("Show where they look"), key="looks", icon=":material/visibility:"):
            _look(engine, decision, analysis, image)
        return
    picture = read_image(image).image
    figures = []
    for place, entry in enumerate(analysis.occlusion.maps):
        data = base64.b64encode(spotlight(picture, analysis.occlusion, entry)).decode()
        title, colour = _map_title(entry, place)
        words = _("hardly looks") if entry.total == 0 else f"“{entry.answer}”"
        figures.append(
            f'<figure><img src="data:image/png;base64,{data}" alt=""><figcaption>'
            f'<b style="border-left:4px solid {colour};padding-left:5px">{escape(title)}</b>'
            f"{escape(words)} · {entry.total:.3f}</figcaption></figure>"
        )
    st.html(f'<div class="r2"><div class="r2-strip r2-looks">{"".join(figures)}</div></div>')
    st.caption(
        _(
            "Bright is where hiding moves the output most; all experts share one scale, and so do "
            "the two pictures of the whole model. The number is the mean effect; 0 means that it "
            "never looks. The words are what it says of the whole picture."
        )
    )
    with st.expander(_("The numbers")):
        st.dataframe(look_table(analysis), hide_index=True, width="stretch")


def _look(engine: Engine, decision: Decision, analysis: Analysis, image: bytes) -> None:
    """Add the maps to the analysis, and show the page again with them."""
    try:
        with st.spinner(_("Hiding parts of the picture")):
            found = with_occlusion(engine, decision, image, analysis)
        if st.session_state.get(f"kept.{decision.id}"):
            store().keep_analysis(found)
    except WorkbenchError as error:
        show_problem(error)
        return
    st.session_state[f"analysis.{decision.id}"] = found
    st.rerun()


def _map_title(entry: OcclusionMap, place: int) -> tuple[str, str]:
    if entry.about == "before":
        return _("model, before"), "#8b93a3"
    if entry.about == "after":
        return _("model, after"), "#d8621c"
    # Two maps of the whole model come first.
    return _(EXPERTS.get(entry.expert or "", entry.expert or "")), expert_colour(place - 2)


def look_table(analysis: Analysis) -> pd.DataFrame:
    """Return one row for each window of each map."""
    assert analysis.occlusion is not None
    return pd.DataFrame(
        [
            {
                "about": entry.expert or entry.about,
                "row": row,
                "column": column,
                "effect": value,
            }
            for entry in analysis.occlusion.maps
            for row, values in enumerate(entry.effect)
            for column, value in enumerate(values)
        ]
    )


def _show_changes(decision: Decision, analysis: Analysis) -> None:
    if not analysis.counterfactuals:
        st.markdown(_("Nothing that was tried gives another answer."))
        return
    st.dataframe(change_table(decision, analysis), hide_index=True, width="stretch")
    exact = any(flip.method == "cells" for flip in analysis.counterfactuals)
    st.caption(
        _(
            "Searched over every pair of experts and every mix of them, in fine steps: nothing "
            "that was tried is nearer, and the model was asked again about the result."
        )
        if exact
        else _(
            "Searched along straight lines through the space of routings; the model was asked "
            "again about the result, but a smaller change may exist."
        )
    )


def change_table(decision: Decision, analysis: Analysis) -> pd.DataFrame:
    """Return one row for each smallest change."""
    experts = [name for gate in decision.system.gates for name in gate.experts]
    rows = []
    for flip in analysis.counterfactuals:
        row = {
            _("from"): _change_title(flip),
            _("answer"): _said(flip.result.answer, flip.result.probability),
            _("distance"): f"{flip.distance:.3f}",
        }
        for name, weight in zip(experts, flip.routing, strict=True):
            row[_(EXPERTS.get(name, name))] = f"{weight:.1%}"
        rows.append(row)
    return pd.DataFrame(rows)


def _change_title(flip: Counterfactual) -> str:
    if flip.origin == "after":
        return _("new routing, to any other answer")
    if flip.wanted == "any other answer":
        return _("router's routing, to any other answer")
    return _("router's routing, to the strategy's answer")


def _show_landscape(decision: Decision, analysis: Analysis) -> None:
    left, right = st.columns(2, gap="medium")
    with left, st.container(gap="xsmall"):
        st.caption(_("Loss of the neighbours (lower is better)"))
        st.plotly_chart(loss_between(analysis.landscape), key="w.loss", config=CHART)
    with right, st.container(gap="xsmall"):
        st.caption(_("Probability of the answers; orange: another answer from here on"))
        chart = answers_between(analysis.landscape, decision.base.answer, analysis.moved.answer)
        st.plotly_chart(chart, key="w.answers", config=CHART)
    with st.expander(_("The numbers")):
        rows = [point.model_dump(exclude={"routing"}) for point in analysis.landscape]
        st.dataframe(pd.DataFrame(rows), hide_index=True, width="stretch")
