"""How routing, loss and answers move step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go

from r2t2_core.decision import StepRecord, TrajectoryRecord
from r2t2_core.figures.style import (
    FLIP,
    GREY,
    answer_colour,
    expert_colour,
    finish,
    strategy_colour,
    strategy_dash,
)
from r2t2_core.i18n import gettext as _


def routing_by_step(
    record: TrajectoryRecord,
    experts: Sequence[str],
    step: int,
    *,
    height: int = 280,
    legend: bool = True,
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
    finish(figure, height=height, x=_("step"), y=_("routing weight (share)"), legend=legend)
    figure.update_yaxes(range=[0, 1.02])
    _mark(figure, record, step)
    return figure


def answer_by_step(
    record: TrajectoryRecord,
    answers: Sequence[str],
    shown: Sequence[str],
    step: int,
    *,
    height: int = 280,
) -> go.Figure:
    """Draw the probability of some answers over the steps of one strategy.

    Parameters
    ----------
    record : TrajectoryRecord
    answers : sequence of str
        The model's vocabulary, in the order of the probability vectors.
    shown : sequence of str
        Which of them to draw: the answer before first.
    step : int
        The step to mark.
    height : int
        In pixels.
    """
    figure = go.Figure()
    numbers = [point.step for point in record.steps]
    for number, answer in enumerate(shown):
        place = list(answers).index(answer)
        colour, dash = answer_colour(number)
        figure.add_scatter(
            x=numbers,
            y=[point.probabilities[place] for point in record.steps],
            name=f"“{answer}”",
            mode="lines+markers",
            line={"color": colour, "width": 2.5, "dash": dash},
            marker={"size": 5},
            hovertemplate=f"{answer}: %{{y:.1%}}<extra></extra>",
        )
    finish(figure, height=height, x=_("step"), y=_("probability of the answer"))
    figure.update_layout(legend={"y": 1.1})
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
    """Draw one quantity over the steps, all strategies on shared axes.

    A diamond marks the step from which a strategy's answer is another than the router's.
    """
    figure = go.Figure()
    for record in records:
        title, flip = titles[record.strategy], record.flip_step
        figure.add_scatter(
            x=[point.step for point in record.steps],
            y=[value(point) for point in record.steps],
            name=title,
            mode="lines+markers",
            line={
                "color": strategy_colour(record.strategy),
                "width": 2.5,
                "dash": strategy_dash(record.strategy),
            },
            marker={
                "size": [12 if point.step == flip else 5 for point in record.steps],
                "symbol": ["diamond" if point.step == flip else "circle" for point in record.steps],
            },
            hovertemplate=f"{title}: %{{y:.3f}}<extra></extra>",
        )
    finish(figure, height=height, x=_("step"), y=y, legend=legend)
    _mark_step(figure, step)
    return figure


def _mark_step(figure: go.Figure, step: int) -> None:
    _stand(figure, step, {"dash": "dot", "width": 2, "color": GREY})


def _stand(figure: go.Figure, x: float, line: Mapping[str, object]) -> None:
    """Draw a vertical line; many times faster than plotly's own `add_vline`."""
    figure.add_shape(type="line", x0=x, x1=x, y0=0, y1=1, yref="y domain", line=dict(line))


def _mark(figure: go.Figure, record: TrajectoryRecord, step: int) -> None:
    """Mark the chosen step, and the step from which the answer is another one."""
    _mark_step(figure, step)
    flip = record.flip_step
    if flip is None:
        return
    _stand(figure, flip, {"width": 2, "color": FLIP})
    # Above the plot, on the side where there is room.
    late = flip > len(record.steps) / 2
    figure.add_annotation(
        x=flip,
        y=1.0,
        yref="paper",
        yanchor="bottom",
        xanchor="right" if late else "left",
        text=_("answer flips"),
        showarrow=False,
        font={"color": FLIP, "size": 12},
    )
