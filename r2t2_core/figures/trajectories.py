"""How routing, loss and answers move step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go

from r2t2_core.decision import StepRecord, TrajectoryRecord
from r2t2_core.figures.style import expert_colour, finish, strategy_colour
from r2t2_core.i18n import gettext as _


def routing_by_step(
    record: TrajectoryRecord, experts: Sequence[str], step: int, *, height: int = 300
) -> go.Figure:
    """Draw each expert's dense routing weight over the steps of one strategy."""
    figure = go.Figure()
    numbers = [point.step for point in record.steps]
    for place, name in enumerate(experts):
        figure.add_scatter(
            x=numbers,
            y=[point.routing[place] for point in record.steps],
            name=name,
            mode="lines+markers",
            line={"color": expert_colour(place), "width": 2.5},
            marker={"size": 5},
            hovertemplate=f"{name}: %{{y:.3f}}<extra></extra>",
        )
    finish(figure, height=height, x=_("step"), y=_("routing weight (share)"))
    figure.update_yaxes(range=[0, 1.02])
    _mark(figure, record, step)
    return figure


def answer_by_step(
    record: TrajectoryRecord,
    answers: Sequence[str],
    shown: Sequence[str],
    step: int,
    *,
    height: int = 300,
) -> go.Figure:
    """Draw the probability of some answers over the steps of one strategy."""
    figure = go.Figure()
    numbers = [point.step for point in record.steps]
    dashes = ("solid", "dash", "dot", "dashdot")
    for number, answer in enumerate(shown):
        place = list(answers).index(answer)
        figure.add_scatter(
            x=numbers,
            y=[point.probabilities[place] for point in record.steps],
            name=f"“{answer}”",
            mode="lines+markers",
            line={"color": expert_colour(number + 1), "width": 2.5, "dash": dashes[number % 4]},
            marker={"size": 5},
            hovertemplate=f"{answer}: %{{y:.1%}}<extra></extra>",
        )
    finish(figure, height=height, x=_("step"), y=_("probability of the answer"))
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    _mark(figure, record, step)
    return figure


def compare_by_step(
    records: Sequence[TrajectoryRecord],
    titles: Mapping[str, str],
    value: Callable[[StepRecord], float],
    y: str,
    step: int,
    *,
    height: int = 260,
    legend: bool = True,
) -> go.Figure:
    """Draw one quantity over the steps, all strategies on shared axes."""
    figure = go.Figure()
    for record in records:
        title = titles[record.strategy]
        figure.add_scatter(
            x=[point.step for point in record.steps],
            y=[value(point) for point in record.steps],
            name=title,
            mode="lines+markers",
            line={"color": strategy_colour(record.strategy), "width": 2.5},
            marker={"size": 5},
            hovertemplate=f"{title}: %{{y:.3f}}<extra></extra>",
        )
    finish(figure, height=height, x=_("step"), y=y, legend=legend)
    figure.add_vline(x=step, line={"dash": "dot", "width": 1.5, "color": "#8b93a3"})
    return figure


def _mark(figure: go.Figure, record: TrajectoryRecord, step: int) -> None:
    """Mark the chosen step, and the step from which the answer is another one."""
    figure.add_vline(x=step, line={"dash": "dot", "width": 1.5, "color": "#8b93a3"})
    if record.flip_step is not None:
        figure.add_vline(
            x=record.flip_step,
            line={"width": 2, "color": "#d8621c"},
            annotation_text=_("answer flips"),
            annotation_position="bottom right",
            annotation_font_color="#d8621c",
        )
