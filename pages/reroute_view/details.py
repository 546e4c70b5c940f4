"""Below the fold: trajectories with a step slider, neighbours in full, the numbers."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import streamlit as st

from pages.reroute_view.language import apply_language
from pages.reroute_view.story import picture_data
from pages.reroute_view.words import STOP_REASONS, YES_NO, expert_names, strategy_titles
from r2t2_core.decision import Decision, TrajectoryRecord
from r2t2_core.figures.routing_bars import routing_bars
from r2t2_core.figures.trajectories import answer_by_step, compare_by_step, routing_by_step
from r2t2_core.i18n import gettext as _
from r2t2_core.registry import strategies

CHART = {"displayModeBar": False}


@st.fragment
def show_trajectories(decision: Decision) -> None:
    """Show how the routing moved; the slider moves every chart."""
    apply_language()
    titles = strategy_titles()
    st.subheader(_("How the routing moves, step by step"))
    names = [record.strategy for record in decision.trajectories if len(record.steps) > 2]
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        chosen = st.selectbox(
            _("Strategy shown"),
            names,
            names.index(decision.strategy) if decision.strategy in names else 0,
            format_func=titles.__getitem__,
            key=f"shown.{decision.id}",
        )
    record = decision.trajectory(chosen)
    with right:
        step = st.slider(
            _("Step"), 0, len(record.steps) - 1, len(record.steps) - 1, key=f"step.{decision.id}.{chosen}"
        )
    point = record.steps[step]
    flip = (
        _("The answer flips at step {step}.").format(step=record.flip_step)
        if record.flip_step is not None
        else _("The answer does not flip.")
    )
    st.markdown(
        _("At step {step} the answer is **{answer}** ({share}).").format(
            step=step, answer=point.answer, share=f"{point.probability:.1%}"
        )
        + " "
        + flip
    )
    _step_charts(decision, record, step)
    st.markdown("**" + _("All strategies on the same axes") + "**")
    _shared_charts(decision, titles, step)
    st.dataframe(strategy_table(decision), hide_index=True, width="stretch")
    st.caption(
        _("Controls show what the same effort does without the right neighbours; nobody should use their answers.")
    )


def _step_charts(decision: Decision, record: TrajectoryRecord, step: int) -> None:
    experts = expert_names(decision)
    first, second, third = st.columns(3)
    with first:
        st.caption(_("Routing weight of each expert"))
        st.plotly_chart(routing_by_step(record, experts, step), key="t.routing", config=CHART)
    with second:
        st.caption(_("Probability of the answers"))
        shown = list(dict.fromkeys([record.steps[0].answer, record.last.answer, record.steps[step].answer]))
        chart = answer_by_step(record, decision.system.answers, shown, step)
        st.plotly_chart(chart, key="t.answers", config=CHART)
    with third:
        st.caption(_("Routing at this step, against the router's own"))
        point = record.steps[step]
        bars = routing_bars(
            experts, record.steps[0].routing, point.routing, point.routing_top_k, height=300
        )
        st.plotly_chart(bars, key="t.bars", config=CHART)


def _shared_charts(decision: Decision, titles: dict[str, str], step: int) -> None:
    records = decision.trajectories
    charts = (
        (_("Loss of the neighbours (lower is better)"), lambda point: point.surrogate_loss, _("surrogate loss (nats)")),
        (_("Spread of the routing"), lambda point: point.entropy, _("entropy (bits)")),
        (_("Way from the router's own routing"), lambda point: point.distance, _("distance (Euclidean)")),
    )  # fmt: skip
    for number, (column, (caption, value, axis)) in enumerate(zip(st.columns(3), charts, strict=True)):
        with column:
            st.caption(caption)
            figure = compare_by_step(records, titles, value, axis, step, legend=number == 0, height=300)
            st.plotly_chart(figure, key=f"t.shared.{number}", config=CHART)


def strategy_table(decision: Decision) -> pd.DataFrame:
    """Return one row for each strategy, controls last."""
    titles, known = strategy_titles(), strategies()
    ordered = sorted(decision.trajectories, key=lambda record: known[record.strategy].is_control)
    rows = []
    for record in ordered:
        first, last = record.steps[0], record.last
        rows.append(
            {
                _("strategy"): titles[record.strategy],
                _("control"): _(YES_NO[known[record.strategy].is_control]),
                _("answer"): last.answer,
                _("probability"): f"{last.probability:.1%}",
                _("flips at step"): "" if record.flip_step is None else str(record.flip_step),
                _("loss from"): round(first.surrogate_loss, 3),
                _("loss to"): round(last.surrogate_loss, 3),
                _("stopped because"): _(STOP_REASONS.get(record.stop_reason, record.stop_reason)),
            }
        )
    return pd.DataFrame(rows)


def show_neighbours(decision: Decision, root: Path) -> None:
    """Show the neighbours in full."""
    st.subheader(_("Neighbours in full"))
    reference = decision.reference
    st.caption(
        _("{k} of {n} admitted samples of “{name}” (policy {policy}); {left} near-duplicates were left out. Kernel {kernel}, bandwidth {width}.").format(
            k=len(decision.neighbours),
            n=reference.eligible,
            name=reference.name,
            policy=reference.policy,
            left=reference.near_duplicates_left_out,
            kernel=reference.kernel,
            width=f"{reference.bandwidth:.4f}",
        )
    )
    table = neighbour_table(decision)
    table.insert(0, _("picture"), [picture_data(root / entry.image) for entry in decision.neighbours])
    st.dataframe(
        table,
        hide_index=True,
        width="stretch",
        row_height=76,
        column_config={
            _("picture"): st.column_config.ImageColumn(width="small"),
            _("routing"): st.column_config.BarChartColumn(
                help=_("Routing weights, in the order of the experts"), y_min=0, y_max=1
            ),
            _("kernel weight"): st.column_config.ProgressColumn(min_value=0, max_value=1, format="%.2f"),
        },
    )


def neighbour_table(decision: Decision) -> pd.DataFrame:
    """Return one row for each neighbour."""
    return pd.DataFrame(
        [
            {
                _("question"): entry.question,
                _("label"): entry.label,
                _("router's answer"): entry.model_answer,
                _("right?"): _(YES_NO[entry.is_correct]),
                _("similarity"): round(entry.similarity, 3),
                _("picture similarity"): round(entry.image_similarity, 3),
                _("kernel weight"): entry.kernel_weight,
                _("routing"): list(entry.routing),
                _("sample"): entry.id,
            }
            for entry in decision.neighbours
        ]
    )


def step_table(decision: Decision) -> pd.DataFrame:
    """Return one row for each step of each strategy: the numbers behind every chart."""
    experts = [name for gate in decision.system.gates for name in gate.experts]
    rows = []
    for record in decision.trajectories:
        for point in record.steps:
            row = {
                "strategy": record.strategy,
                "step": point.step,
                "answer": point.answer,
                "probability": point.probability,
                "surrogate_loss": point.surrogate_loss,
                "step_size": point.step_size,
                "gradient_norm": point.gradient_norm,
                "entropy_bits": point.entropy,
                "distance": point.distance,
            }
            row.update({f"routing.{name}": w for name, w in zip(experts, point.routing, strict=True)})
            rows.append(row)
    return pd.DataFrame(rows)


def show_numbers(decision: Decision) -> None:
    """Show the numbers as a table, CSV and JSON, and what computed them."""
    st.subheader(_("The numbers"))
    table = step_table(decision)
    first, second, third = st.columns([1, 1, 2])
    first.download_button(
        _("Steps (CSV)"), table.to_csv(index=False), f"decision-{decision.id[:8]}.csv",
        "text/csv", key="csv", on_click="ignore", width="stretch", icon=":material/table:",
    )  # fmt: skip
    second.download_button(
        _("Whole record (JSON)"), decision.canonical_json(), f"decision-{decision.id[:8]}.json",
        "application/json", key="json", on_click="ignore", width="stretch", icon=":material/data_object:",
    )  # fmt: skip
    with st.expander(_("Table of all steps")):
        st.dataframe(table, hide_index=True, width="stretch")
    with st.expander(_("What computed this")):
        same = decision.system.model_fingerprint_before == decision.system.model_fingerprint_after
        st.markdown(
            _("The model's fingerprint is the same before and after: no weight was changed.")
            if same
            else _("The model's fingerprint is not the same before and after.")
        )
        st.code(
            "\n".join(
                [
                    f"model            {decision.system.model}",
                    f"fingerprint      {decision.system.model_fingerprint_after}",
                    f"reference set    {decision.reference.content_hash}",
                    f"embedder         {decision.reference.embedder} {decision.reference.embedder_hash}",
                    f"picture (bytes)  {decision.input.image_sha256}",
                    f"picture (pixels) {decision.input.pixels_sha256}",
                    f"question         {decision.input.question_sha256}",
                    f"decision         {decision.id}  {decision.started_at}",
                ]
            ),
            language=None,
        )
        stages = [(timing.stage.partition(": "), timing.milliseconds) for timing in decision.timings]
        st.dataframe(
            pd.DataFrame(
                {
                    _("stage"): [_(name) + (f": {detail}" if detail else "") for (name, _s, detail), _ms in stages],
                    _("milliseconds"): [round(value, 1) for _parts, value in stages],
                }
            ),
            hide_index=True,
        )
