"""Where routings lie: expert by expert on parallel axes, and in a flat view of the simplex."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go

from r2t2_core.analysis import PlaneRecord
from r2t2_core.decision import Decision, NeighbourRecord, TrajectoryRecord
from r2t2_core.figures.style import (
    FLIP,
    GREY,
    GRID,
    expert_colour,
    finish,
    strategy_colour,
    strategy_dash,
)
from r2t2_core.i18n import gettext as _

FAINT = 0.35
"""Opacity of neighbours, and of strategies that are not shown."""

AS_IT_IS = {"marker": {"opacity": 1}}
"""What is not selected does not fade: a click chooses a step or a neighbour, and no subset."""

BAND = "rgba(139,147,163,{alpha})"


@dataclass(frozen=True)
class Scene:
    """What both views draw of a decision, for one gate.

    Attributes
    ----------
    decision : Decision
    plane : PlaneRecord
        Flat view and density of the reference set's routings, for this gate.
    block : slice
        Where the gate stands in a routing vector.
    experts : sequence of str, length of the block
        Names, translated.
    titles : mapping
        Strategy → title, translated.
    shown : str
        The strategy whose steps are drawn.
    step : int
    marked : str or None
        A neighbour to bring out.
    """

    decision: Decision
    plane: PlaneRecord
    block: slice
    experts: Sequence[str]
    titles: Mapping[str, str]
    shown: str
    step: int
    marked: str | None = None

    @property
    def record(self) -> TrajectoryRecord:
        """The trajectory whose steps are drawn."""
        return self.decision.trajectory(self.shown)

    def weights(self, routing: Sequence[float]) -> tuple[float, ...]:
        """Return the gate's part of a routing vector."""
        return tuple(routing[self.block])

    def place(self, routing: Sequence[float]) -> tuple[float, float]:
        """Return where a routing stands in the flat view."""
        difference = np.array(self.weights(routing)) - np.array(self.plane.centre)
        x, y = (float(np.dot(axis, difference)) for axis in self.plane.axes)
        return x, y


def parallel_axes(scene: Scene, *, height: int = 360) -> go.Figure:
    """Draw routings expert by expert: a line is a routing, an axis an expert's weight.

    Grey bands hold the middle half and the middle nine tenths of the reference set's routings.
    """
    figure = go.Figure()
    axes = list(range(len(scene.experts)))
    low, lower, _middle, upper, high = scene.plane.quantiles
    for name, bottom, top, alpha in (
        (_("reference set: middle 90 %"), low, high, 0.14),
        (_("reference set: middle 50 %"), lower, upper, 0.24),
    ):
        figure.add_scatter(
            x=[*axes, *reversed(axes)],
            y=[*top, *reversed(bottom)],
            fill="toself",
            fillcolor=BAND.format(alpha=alpha),
            line={"width": 0},
            mode="lines",
            name=name,
            hoverinfo="skip",
        )
    neighbours = scene.decision.neighbours
    _lines(
        figure,
        [scene.weights(neighbour.routing) for neighbour in neighbours],
        [_about(neighbour) for neighbour in neighbours],
        _("neighbours"),
        {"color": GREY, "width": 1},
        FAINT,
    )
    for neighbour in neighbours:
        if neighbour.id == scene.marked:
            row, line = scene.weights(neighbour.routing), {"color": FLIP, "width": 3}
            _lines(figure, [row], [_about(neighbour)], neighbour.id, line, 1)
    for record in scene.decision.trajectories:
        if record.strategy == scene.shown or len(record.steps) < 2:
            continue
        title, end = scene.titles[record.strategy], scene.weights(record.last.routing)
        colour, dash = strategy_colour(record.strategy), strategy_dash(record.strategy)
        _lines(figure, [end], [title], title, {"color": colour, "width": 1.5, "dash": dash}, 0.7)
    colour = strategy_colour(scene.shown)
    others = [point for point in scene.record.steps[1:] if point.step != scene.step]
    _lines(
        figure,
        [scene.weights(point.routing) for point in others],
        [_("step {step}").format(step=point.step) for point in others],
        _("other steps"),
        {"color": colour, "width": 1},
        0.3,
    )
    start, here = scene.record.steps[0], scene.record.steps[scene.step]
    router = {"color": GREY, "width": 3, "dash": "dot"}
    name = _("router's own")
    _lines(figure, [scene.weights(start.routing)], [name], name, router, 1)
    name = _("{strategy}, step {step}").format(strategy=scene.titles[scene.shown], step=here.step)
    figure.add_scatter(
        x=axes,
        y=list(scene.weights(here.routing)),
        mode="lines+markers",
        name=name,
        line={"color": colour, "width": 4},
        marker={"size": 10, "color": [expert_colour(scene.block.start + axis) for axis in axes]},
        hovertemplate=f"%{{y:.3f}}<extra>{name}</extra>",
    )
    # The page shows one legend for both views; names here would cover the axes.
    finish(figure, height=height, x="", y=_("routing weight (share)"), legend=False)
    figure.update_yaxes(range=[-0.02, 1.02])
    figure.update_xaxes(
        tickvals=axes,
        ticktext=[
            f'<span style="color:{expert_colour(scene.block.start + axis)}">■</span> {name}'
            for axis, name in zip(axes, scene.experts, strict=True)
        ],
        gridcolor=GRID,
    )
    return figure


def _lines(
    figure: go.Figure,
    rows: Sequence[Sequence[float]],
    about: Sequence[str],
    name: str,
    line: Mapping[str, object],
    opacity: float,
) -> None:
    """Draw several routings as one trace, since many traces are slow; a gap parts two of them."""
    x: list[int | None] = []
    y: list[float | None] = []
    text: list[str] = []
    for weights, words in zip(rows, about, strict=True):
        x += [*range(len(weights)), None]
        y += [*weights, None]
        text += [words] * (len(weights) + 1)
    figure.add_scatter(
        x=x,
        y=y,
        text=text,
        mode="lines",
        name=name,
        line=dict(line),
        opacity=opacity,
        hovertemplate="%{text}: %{y:.3f}<extra></extra>",
    )


def flat_view(scene: Scene, *, height: int = 360) -> go.Figure:
    """Draw routings in the flat view: density of the reference set, neighbours, all strategies.

    Neighbours are as large as their kernel weight; the ways of the strategies begin at the
    router's own routing. `customdata` tells a click what it met: a neighbour's identifier alone,
    or a step with its answer and strategy.
    """
    plane, figure = scene.plane, go.Figure()
    counts = np.array(plane.density, dtype=float)
    figure.add_heatmap(
        z=np.log1p(counts),
        x=_centres(plane.x_edges),
        y=_centres(plane.y_edges),
        customdata=counts,
        colorscale=[[0, "rgba(0,0,0,0)"], [0.01, BAND.format(alpha=0.16)],
                    [1, BAND.format(alpha=0.6)]],
        showscale=False,
        name=_("reference set"),
        hovertemplate=_("reference samples here: {count}").format(count="%{customdata}")
        + "<extra></extra>",
    )  # fmt: skip
    _corners(figure, scene)
    neighbours = scene.decision.neighbours
    places = [scene.place(neighbour.routing) for neighbour in neighbours]
    heaviest = max(neighbour.kernel_weight for neighbour in neighbours)
    figure.add_scatter(
        x=[x for x, _y in places],
        y=[y for _x, y in places],
        mode="markers",
        name=_("neighbours"),
        marker={
            "symbol": "circle-open",
            "color": [FLIP if entry.id == scene.marked else GREY for entry in neighbours],
            "size": [8 + 12 * entry.kernel_weight / max(heaviest, 1e-9) for entry in neighbours],
            "line": {"width": [4 if entry.id == scene.marked else 2 for entry in neighbours]},
        },
        customdata=[[entry.id] for entry in neighbours],
        unselected=AS_IT_IS,
        text=[_about(entry) for entry in neighbours],
        hovertemplate="%{text}<extra></extra>",
    )
    for record in scene.decision.trajectories:
        if len(record.steps) > 1:
            _way(figure, scene, record)
    x, y = scene.place(scene.record.steps[0].routing)
    figure.add_scatter(
        x=[x],
        y=[y],
        mode="markers",
        name=_("router's own"),
        marker={"symbol": "x", "size": 13, "color": GREY, "line": {"width": 2}},
        hovertemplate=_("router's own") + "<extra></extra>",
    )
    x, y = scene.place(scene.record.steps[scene.step].routing)
    name = _("step {step}").format(step=scene.step)
    figure.add_scatter(
        x=[x],
        y=[y],
        mode="markers",
        name=name,
        marker={
            "symbol": "star",
            "size": 18,
            "color": strategy_colour(scene.shown),
            "line": {"width": 1.5, "color": "#ffffff"},
        },
        hovertemplate=f"{name}<extra></extra>",
    )
    ternary = plane.kind == "ternary"
    first = "" if ternary else _("first direction of the reference set's routings (share)")
    second = "" if ternary else _("second direction (share)")
    finish(figure, height=height, x=first, y=second, legend=False)
    # Room for the names at the corners.
    low, high = plane.x_edges[0], plane.x_edges[-1]
    figure.update_xaxes(range=[low - 0.1 * (high - low), high + 0.1 * (high - low)])
    figure.update_yaxes(scaleanchor="x" if ternary else None, showgrid=not ternary)
    figure.update_xaxes(showgrid=not ternary)
    if ternary:
        figure.update_xaxes(visible=False)
        figure.update_yaxes(visible=False)
    return figure


def _corners(figure: go.Figure, scene: Scene) -> None:
    """Mark where each expert alone would stand; for three experts, draw the triangle."""
    plane = scene.plane
    if plane.kind == "ternary":
        ring = [*plane.corners, plane.corners[0]]
        figure.add_scatter(
            x=[x for x, _y in ring],
            y=[y for _x, y in ring],
            mode="lines",
            line={"color": GREY, "width": 1.5},
            name=_("one expert alone"),
            hoverinfo="skip",
        )
    middle = np.array(plane.corners).mean(0)
    figure.add_scatter(
        x=[x for x, _y in plane.corners],
        y=[y for _x, y in plane.corners],
        mode="markers+text",
        name=_("one expert alone"),
        text=list(scene.experts),
        textposition=[
            "top center" if y >= middle[1] else "bottom center" for _x, y in plane.corners
        ],
        textfont={"size": 11},
        cliponaxis=False,
        marker={
            "symbol": "square",
            "size": 9,
            "color": [
                expert_colour(scene.block.start + place) for place in range(len(plane.corners))
            ],
        },
        hovertemplate="%{text}<extra></extra>",
    )


def _way(figure: go.Figure, scene: Scene, record: TrajectoryRecord) -> None:
    """Draw one strategy's way, step by step."""
    shown = record.strategy == scene.shown
    places = [scene.place(point.routing) for point in record.steps]
    title = scene.titles[record.strategy]
    figure.add_scatter(
        x=[x for x, _y in places],
        y=[y for _x, y in places],
        mode="lines+markers",
        name=title,
        opacity=1 if shown else 0.55,
        line={
            "color": strategy_colour(record.strategy),
            "width": 3.5 if shown else 1.5,
            "dash": strategy_dash(record.strategy),
        },
        marker={"size": 6 if shown else 3},
        customdata=[[point.step, point.answer, record.strategy] for point in record.steps],
        unselected=AS_IT_IS,
        hovertemplate=f"{title}, %{{customdata[0]}}: “%{{customdata[1]}}”<extra></extra>",
    )


def _centres(edges: Sequence[float]) -> list[float]:
    return [(low + high) / 2 for low, high in pairwise(edges)]


def _about(neighbour: NeighbourRecord) -> str:
    """Say which neighbour it is; quotation marks keep plotly from reading tags."""
    question = neighbour.question.replace("<", "‹").replace(">", "›")
    label = neighbour.label.replace("<", "‹").replace(">", "›")
    return f"{neighbour.id}: {question} → {label}"
