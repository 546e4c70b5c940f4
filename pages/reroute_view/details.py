"""Below the fold: trajectories with a step slider, neighbours in full, the numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.frame.cases import picture_data
from pages.frame.language import apply_language
from pages.frame.style import CHART, heading, legend
from pages.frame.words import (
    STOP_REASONS,
    YES_NO,
    choice,
    expert_names,
    strategy_titles,
)
from r2t2_core.decision import Decision, StepRecord, TrajectoryRecord
from r2t2_core.figures.routing_bars import routing_bars
from r2t2_core.figures.style import expert_colour, strategy_colour, strategy_dash
from r2t2_core.figures.trajectories import answer_by_step, compare_by_step, routing_by_step
from r2t2_core.i18n import gettext as _
from r2t2_core.registry import strategies

HEIGHT = 290


@st.fragment
def show_trajectories(decision: Decision) -> None:
    """Show how the routing moved; the slider moves every chart."""
    apply_language()
    titles = strategy_titles()
    st.subheader(_("How the routing moves, step by step"), anchor=False)
    moving = [record.strategy for record in decision.trajectories if len(record.steps) > 1]
    if not moving:
        st.caption(_("No strategy took a step."))
        return
    left, right = st.columns([2, 5], gap="medium")
    with left:
        chosen = st.selectbox(
            _("Strategy shown"),
            moving,
            moving.index(decision.strategy) if decision.strategy in moving else 0,
            format_func=titles.__getitem__,
            key=f"shown.{decision.id}",
        )
    record = decision.trajectory(chosen)
    last = len(record.steps) - 1
    with right:
        step = st.slider(_("Step"), 0, last, last, key=f"step.{decision.id}.{chosen}")
    _step_sentence(decision, record, step)
    _step_charts(decision, record, step)
    _shared_charts(decision, titles, step)
    _tables(decision)


def _step_sentence(decision: Decision, record: TrajectoryRecord, step: int) -> None:
    point = record.steps[step]
    now = _("At step {step} the answer is **{answer}** ({share}).").format(
        step=step, answer=point.answer, share=f"{point.probability:.1%}"
    )
    flip = _("The answer does not flip.")
    if record.flip_step is not None:
        flip = _("The answer flips at step {step}.").format(step=record.flip_step)
    st.markdown(f"{now} {flip}")
    if not decision.gate.reroute:
        st.caption(
            _(
                "For study only: the router's answer stands, whatever the steps say. {reasons}"
            ).format(reasons=" ".join(_(reason) for reason in decision.gate.reasons))
        )


def _step_charts(decision: Decision, record: TrajectoryRecord, step: int) -> None:
    experts = expert_names(decision)
    legend([(name, expert_colour(place), "solid") for place, name in enumerate(experts)])
    first, second, third = st.columns(3, gap="medium")
    with first, st.container(gap="xsmall"):
        st.caption(_("Routing weight of each expert"))
        chart = routing_by_step(record, experts, step, height=HEIGHT, legend=False)
        st.plotly_chart(chart, key="t.routing", config=CHART)
    with second, st.container(gap="xsmall"):
        st.caption(_("Probability of the answers"))
        shown = list(
            dict.fromkeys((record.steps[0].answer, record.last.answer, record.steps[step].answer))
        )
        chart = answer_by_step(record, decision.system.answers, shown, step, height=HEIGHT)
        st.plotly_chart(chart, key="t.answers", config=CHART)
    with third, st.container(gap="xsmall"):
        st.caption(_("Routing at this step, against the router's own"))
        start, point = record.steps[0], record.steps[step]
        chart = routing_bars(
            experts,
            start.routing,
            point.routing,
            start.routing_top_k,
            point.routing_top_k,
            height=HEIGHT,
        )
        st.plotly_chart(chart, key="t.bars", config=CHART)


def _shared_charts(decision: Decision, titles: dict[str, str], step: int) -> None:
    records = decision.trajectories
    heading(_("All strategies on the same axes"))
    legend(
        [
            (titles[r.strategy], strategy_colour(r.strategy), strategy_dash(r.strategy))
            for r in records
        ]
    )
    charts: tuple[tuple[str, Callable[[StepRecord], float], str], ...] = (
        (
            _("Loss of the neighbours (lower is better)"),
            lambda point: point.surrogate_loss,
            _("surrogate loss (nats)"),
        ),
        (_("Spread of the routing"), lambda point: point.entropy, _("entropy (bits)")),
        (
            _("Way from the router's own routing"),
            lambda point: point.distance,
            _("distance (Euclidean)"),
        ),
    )
    columns = st.columns(3, gap="medium")
    for number, (column, (caption, value, axis)) in enumerate(zip(columns, charts, strict=True)):
        with column, st.container(gap="xsmall"):
            st.caption(caption)
            figure = compare_by_step(
                records, titles, value, axis, step, legend=False, height=HEIGHT
            )
            st.plotly_chart(figure, key=f"t.shared.{number}", config=CHART)
    st.caption(
        _(
            "A diamond marks the step where a strategy's answer flips; the dotted line, the "
            "step shown."
        )
    )


def _tables(decision: Decision) -> None:
    known = strategies()
    groups: tuple[list[TrajectoryRecord], list[TrajectoryRecord]] = ([], [])
    for record in decision.trajectories:
        groups[known[record.strategy].is_control].append(record)
    real, controls = groups
    if real:
        heading(_("Strategies"))
        st.dataframe(strategy_table(real), hide_index=True, width="stretch")
    if controls:
        heading(_("Controls"))
        st.dataframe(strategy_table(controls), hide_index=True, width="stretch")
        st.caption(
            _(
                "Controls show what the same effort does without the right neighbours; nobody "
                "should use their answers."
            )
        )


def strategy_table(records: Sequence[TrajectoryRecord]) -> pd.DataFrame:
    """Return one row for each trajectory."""
    titles = strategy_titles()
    rows = []
    for record in records:
        first, last = record.steps[0], record.last
        rows.append(
            {
                _("strategy"): titles[record.strategy],
                _("answer"): last.answer,
                _("probability"): f"{last.probability:.1%}",
                _("flips at step"): "–" if record.flip_step is None else str(record.flip_step),
                _("loss from"): round(first.surrogate_loss, 3),
                _("loss to"): round(last.surrogate_loss, 3),
                _("change of loss"): round(last.surrogate_loss - first.surrogate_loss, 3),
                _("stopped because"): _(STOP_REASONS.get(record.stop_reason, record.stop_reason)),
            }
        )
    return pd.DataFrame(rows)


def show_neighbours(decision: Decision, root: Path) -> None:
    """Show the neighbours in full."""
    st.subheader(_("Neighbours in full"), anchor=False)
    reference = decision.reference
    st.caption(
        _(
            "{k} of {n} admitted samples of “{name}” (policy {policy}); {left} "
            "near-duplicates were left out. Kernel {kernel}, bandwidth {width}."
        ).format(
            k=len(decision.neighbours),
            n=reference.eligible,
            name=reference.name,
            policy=choice(reference.policy),
            left=reference.near_duplicates_left_out,
            kernel=choice(reference.kernel),
            width=f"{reference.bandwidth:.4f}",
        )
    )
    table = neighbour_table(decision)
    table.insert(
        0, _("picture"), [picture_data(root / entry.image) for entry in decision.neighbours]
    )
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
            _("kernel weight"): st.column_config.ProgressColumn(
                min_value=0, max_value=1, format="%.2f", width="small"
            ),
            _("question"): st.column_config.TextColumn(width="medium"),
            **{
                name: st.column_config.NumberColumn(format="%.3f", width="small")
                for name in (_("similarity"), _("picture similarity"))
            },
            **{
                name: st.column_config.TextColumn(width="small")
                for name in (_("label"), _("router's answer"), _("right?"), _("sample"))
            },
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
                _("similarity"): entry.similarity,
                _("picture similarity"): entry.image_similarity,
                _("kernel weight"): entry.kernel_weight,
                _("routing"): list(entry.routing),
                _("sample"): entry.id,
                **({_("layer"): entry.layer} if entry.layer else {}),
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
            row.update(
                {f"routing.{name}": w for name, w in zip(experts, point.routing, strict=True)}
            )
            rows.append(row)
    return pd.DataFrame(rows)


def show_numbers(decision: Decision) -> None:
    """Show the numbers as a table, CSV and JSON, and what computed them."""
    st.subheader(_("The numbers"), anchor=False)
    table = step_table(decision)
    name = f"decision-{decision.id[:8]}"
    first, second, _rest = st.columns([1, 1, 2])
    first.download_button(
        _("Steps (CSV)"),
        table.to_csv(index=False),
        f"{name}.csv",
        "text/csv",
        key="csv",
        on_click="ignore",
        width="stretch",
        icon=":material/table:",
    )
    second.download_button(
        _("Whole record (JSON)"),
        decision.canonical_json(),
        f"{name}.json",
        "application/json",
        key="json",
        on_click="ignore",
        width="stretch",
        icon=":material/data_object:",
    )
    with st.expander(_("Table of all steps")):
        st.dataframe(table, hide_index=True, width="stretch")
    with st.expander(_("What computed this")):
        same = decision.system.model_fingerprint_before == decision.system.model_fingerprint_after
        st.markdown(
            _("The model's fingerprint is the same before and after: no weight was changed.")
            if same
            else _("The model's fingerprint is not the same before and after.")
        )
        st.dataframe(origin_table(decision), hide_index=True, width="stretch")
        st.markdown(_("**The gate**, which decides whether another answer may stand:"))
        st.dataframe(gate_table(decision), hide_index=True, width="stretch")
        titles = strategy_titles()
        st.dataframe(
            pd.DataFrame(
                {
                    _("stage"): [_(timing.stage) for timing in decision.timings],
                    _("strategy"): [titles.get(t.strategy or "", "") for t in decision.timings],
                    _("milliseconds"): [round(t.milliseconds, 1) for t in decision.timings],
                }
            ),
            hide_index=True,
        )


def gate_table(decision: Decision) -> pd.DataFrame:
    """Return what the gate looked at: one row for each measure, with its bound."""
    gate = decision.gate
    rows = [
        (_("similarity of the nearest question"), gate.text_similarity, "≥", gate.text_threshold),
        (_("distance of the picture"), gate.image_distance, "≤", gate.image_threshold),
        (_("log-odds that the change repairs"), gate.evidence, "≥", gate.evidence_threshold),
    ]
    return pd.DataFrame(
        {
            _("measure"): [name for name, *_rest in rows],
            _("value"): ["–" if value is None else f"{value:.3f}" for _n, value, *_r in rows],
            _("bound"): [
                "–" if bound is None else f"{sign} {bound:.3f}" for _n, _v, sign, bound in rows
            ],
        }
    )


def origin_table(decision: Decision) -> pd.DataFrame:
    """Return what the decision rests on: one row for each hash, version and setting."""
    system, reference, given = decision.system, decision.reference, decision.input
    rows = {
        _("decision"): decision.id,
        _("time (UTC)"): decision.started_at,
        _("model"): system.model,
        _("fingerprint of the model"): system.model_fingerprint_after,
        _("reference set"): f"{reference.name} {reference.content_hash}",
        _("embedder"): f"{reference.embedder} {reference.embedder_hash}",
        _("picture as received (SHA-256)"): given.image_sha256,
        _("picture as decoded (SHA-256)"): given.pixels_sha256,
        _("question (SHA-256)"): given.question_sha256,
        _("device"): f"{system.device}, {system.dtype}",
        _("threads"): str(system.threads),
        _("seed"): str(system.seed),
        _("versions"): ", ".join(
            f"{name} {version}"
            for name, version in {"r2t2": system.code_version, **system.library_versions}.items()
        ),
    }
    return pd.DataFrame({_("what"): list(rows), _("value"): list(rows.values())})
