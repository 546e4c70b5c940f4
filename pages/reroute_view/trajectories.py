"""How the routing moves: every view of it, moved by one slider, which can also play."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path

import pandas as pd
import streamlit as st

from pages.frame.cases import picture_data
from pages.frame.language import apply_language
from pages.frame.style import CHART, heading, legend
from pages.frame.words import STOP_REASONS, expert_names, strategy_titles
from pages.reroute_view.link import show_link, update_address
from r2t2_core.analysis import Analysis
from r2t2_core.decision import Decision, StepRecord, TrajectoryRecord
from r2t2_core.engine import Engine
from r2t2_core.figures.simplex import Scene, flat_view, parallel_axes
from r2t2_core.figures.style import GREY, expert_colour, strategy_colour, strategy_dash
from r2t2_core.figures.trajectories import answer_by_step, compare_by_step, routing_by_step
from r2t2_core.i18n import gettext as _
from r2t2_core.registry import strategies

HEIGHT = 290
PACE = 0.9
"""Seconds a step stays while it plays."""


def show_trajectories(
    engine: Engine, decision: Decision, analysis: Analysis | None, image: bytes, case: str | None
) -> None:
    """Show how the routing moved; the slider moves every chart.

    Without an analysis (it could not be computed, and the page says why) the views that need the
    reference set's routings are left out.
    """
    playing = st.session_state.get(f"playing.{decision.id}", False)
    shown = st.fragment(_trajectories, run_every=PACE if playing else None)
    shown(engine, decision, analysis, image, case)


def _trajectories(
    engine: Engine, decision: Decision, analysis: Analysis | None, image: bytes, case: str | None
) -> None:
    apply_language()
    titles = strategy_titles()
    st.subheader(_("How the routing moves, step by step"), anchor=False)
    moving = [record.strategy for record in decision.trajectories if len(record.steps) > 1]
    if not moving:
        st.caption(_("No strategy took a step."))
        return
    record, step, marked = _controls(decision, moving, titles)
    update_address(engine, decision, case)
    _step_sentence(decision, record, step)
    if marked is not None:
        _marked_neighbour(decision, analysis, marked, engine.reference.root)
    if analysis is not None:
        _simplex(decision, analysis, record, step, marked, titles)
    _step_charts(decision, record, step)
    _shared_charts(decision, titles, step)
    _tables(decision)
    show_link(engine, decision, analysis, image, case)


def _controls(
    decision: Decision, moving: list[str], titles: dict[str, str]
) -> tuple[TrajectoryRecord, int, str | None]:
    """Show strategy, step (with its keys and play) and the neighbour to bring out."""
    left, middle, right = st.columns([3, 5, 3], gap="medium", vertical_alignment="bottom")
    wanted = st.session_state.pop("link.shown", None)
    if wanted in moving:
        st.session_state[f"shown.{decision.id}"] = wanted
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
    key, playing = f"step.{decision.id}.{chosen}", f"playing.{decision.id}"
    wanted_step = st.session_state.pop("link.step", None)
    if wanted_step is not None:
        st.session_state[key] = min(wanted_step, last)
    # Kept beside the widget's own state, which goes with the page.
    st.session_state.setdefault(key, last)
    if st.session_state.get(playing):
        if st.session_state[key] < last:
            st.session_state[key] += 1
        else:
            st.session_state[playing] = False
            st.rerun()
    with middle:
        step = st.slider(_("Step"), 0, last, key=key, on_change=_pause, args=(playing,))
        _buttons(key, playing, last)
    with right:
        names = [neighbour.id for neighbour in decision.neighbours]
        about = {
            neighbour.id: f"{number}. {neighbour.question} → {neighbour.label}"
            for number, neighbour in enumerate(decision.neighbours, start=1)
        }
        marked = st.selectbox(
            _("Neighbour to bring out"),
            names,
            index=None,
            format_func=about.__getitem__,
            placeholder=_("none"),
            key=f"marked.{decision.id}",
        )
    return record, step, marked


def _buttons(key: str, playing: str, last: int) -> None:
    """Show back, play and on; each has a key of the keyboard."""
    row = st.container(horizontal=True, gap="small")
    row.button(
        _("Back"), key=f"back.{key}", icon=":material/skip_previous:", width="stretch",
        on_click=_go, args=(key, playing, -1, last), shortcut="B",
    )  # fmt: skip
    runs = st.session_state.get(playing, False)
    if row.button(
        _("Pause") if runs else _("Play"), key=f"play.{key}", width="stretch", shortcut="P",
        icon=":material/pause:" if runs else ":material/play_arrow:",
        on_click=_play, args=(key, playing, last),
    ):  # fmt: skip
        # The clock of a fragment is set where the whole page runs.
        st.rerun()
    row.button(
        _("Next"), key=f"on.{key}", icon=":material/skip_next:", width="stretch",
        on_click=_go, args=(key, playing, 1, last), shortcut="N",
    )  # fmt: skip


def _pause(playing: str) -> None:
    st.session_state[playing] = False


def _go(key: str, playing: str, by: int, last: int) -> None:
    st.session_state[key] = min(last, max(0, st.session_state[key] + by))
    st.session_state[playing] = False


def _play(key: str, playing: str, last: int) -> None:
    st.session_state[playing] = not st.session_state.get(playing, False)
    if st.session_state[playing] and st.session_state[key] == last:
        # One less than the first step that is shown: the clock adds one at once.
        st.session_state[key] = 0


def _step_sentence(decision: Decision, record: TrajectoryRecord, step: int) -> None:
    point = record.steps[step]
    now = _("At step {step} the answer is **{answer}** ({share}).").format(
        step=step, answer=point.answer, share=f"{point.probability:.1%}"
    )
    flip = _("The answer does not flip.")
    if record.flip_step is not None:
        flip = _("The answer flips at step {step}.").format(step=record.flip_step)
    spread = _("Spread {entropy} bits, {distance} away from the router's own routing.").format(
        entropy=f"{point.entropy:.2f}", distance=f"{point.distance:.2f}"
    )
    st.markdown(f"{now} {flip} {spread}")
    if not decision.gate.reroute:
        st.caption(
            _(
                "For study only: the router's answer stands, whatever the steps say. {reasons}"
            ).format(reasons=" ".join(_(reason) for reason in decision.gate.reasons))
        )


def _simplex(
    decision: Decision,
    analysis: Analysis,
    record: TrajectoryRecord,
    step: int,
    marked: str | None,
    titles: dict[str, str],
) -> None:
    """Show both views of the simplex, for each gate."""
    experts = expert_names(decision)
    legend(
        [
            (_("router's own"), GREY, "dot"),
            (_("neighbours"), GREY, "solid"),
            *(
                (titles[entry.strategy], strategy_colour(entry.strategy),
                 strategy_dash(entry.strategy))
                for entry in decision.trajectories
                if len(entry.steps) > 1
            ),
        ]
    )  # fmt: skip
    start = 0
    for gate in decision.system.gates:
        block = slice(start, start + len(gate.experts))
        start = block.stop
        plane = next((view for view in analysis.planes if view.gate == gate.name), None)
        if plane is None:
            continue
        scene = Scene(decision, plane, block, experts[block], titles, record.strategy, step, marked)
        left, right = st.columns(2, gap="medium")
        with left, st.container(gap="xsmall"):
            st.caption(
                _(
                    "Expert by expert: a line is a routing; grey bands hold the middle 50 % and "
                    "90 % of the reference set's"
                )
            )
            chart = parallel_axes(scene, height=430)
            st.plotly_chart(chart, key=f"t.parallel.{gate.name}", config=CHART)
        with right, st.container(gap="xsmall"):
            st.caption(_flat_caption(plane.kind, plane.explained))
            key = f"t.flat.{gate.name}"
            st.plotly_chart(
                flat_view(scene, height=430),
                key=key,
                config=CHART,
                on_select=partial(_follow_click, key, decision.id, record.strategy),
                selection_mode="points",
            )


def _follow_click(chart: str, decision: str, shown: str) -> None:
    """Bring out the neighbour, or go to the step, that was clicked in the flat view."""
    for point in st.session_state[chart]["selection"]["points"]:
        met = point.get("customdata") or []
        if len(met) == 1:
            st.session_state[f"marked.{decision}"] = met[0]
        elif len(met) == 3 and met[2] == shown:
            st.session_state[f"step.{decision}.{shown}"] = met[0]
            st.session_state[f"playing.{decision}"] = False


def _marked_neighbour(
    decision: Decision, analysis: Analysis | None, marked: str, root: Path
) -> None:
    """Show the neighbour that is brought out: its picture, and what it did."""
    place = next(n for n, entry in enumerate(decision.neighbours) if entry.id == marked)
    neighbour = decision.neighbours[place]
    words = _("{id}: similarity {similarity}, kernel weight {weight}.").format(
        id=neighbour.id,
        similarity=f"{neighbour.similarity:.2f}",
        weight=f"{neighbour.kernel_weight:.1%}",
    )
    if analysis is not None:
        cause = analysis.neighbours[place]
        words += " " + _("Without it the answer would be “{answer}” ({share}).").format(
            answer=cause.without.answer, share=f"{cause.without.probability:.0%}"
        )
    st.html(
        '<div class="r2 r2-marked">'
        f'<img src="{picture_data(root / neighbour.image)}" alt="">'
        f"<div><b>{escape(neighbour.question)} → {escape(neighbour.label)}</b><br>"
        f"{escape(words)}</div></div>"
    )


def _flat_caption(kind: str, explained: float) -> str:
    if kind == "ternary":
        return _(
            "The whole triangle of three experts; grey: where the reference set's lie. Click a "
            "step or a neighbour."
        )
    return _(
        "Seen flat, in the two directions that show {share} of the reference set's differences. "
        "Click a step or a neighbour."
    ).format(share=f"{explained:.0%}")


def _step_charts(decision: Decision, record: TrajectoryRecord, step: int) -> None:
    experts = expert_names(decision)
    legend([(name, expert_colour(place), "solid") for place, name in enumerate(experts)])
    first, second = st.columns(2, gap="medium")
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
