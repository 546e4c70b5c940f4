"""Colours and layout that all figures share; readable on light and on dark."""

from __future__ import annotations

import plotly.graph_objects as go

from r2t2_core.registry import get_strategy

EXPERT_COLOURS = (
    "#e69f00", "#56b4e9", "#009e73", "#e08fc2", "#c2470c", "#5566d4", "#858b97", "#cfc23f",
)  # fmt: skip
"""One for each expert, in the order of the routing vector; told apart by colour-blind readers: the
tests simulate deuteranopia and protanopia. Lightness differs where hue does not."""

STRATEGY_COLOURS = {
    "base": "#8b93a3",
    "ngd": "#3f8fd2",
    "kernel_regression": "#12a37f",
    "mode_finding": "#e69f00",
    "oracle": "#c96ba8",
    "uniform": "#b3a48a",
    "random_neighbours": "#d8621c",
    "entropy": "#8a7cdb",
}

GREY = "#8b93a3"
GRID = "rgba(139,147,163,0.22)"
FLIP = "#d8621c"
"""The step from which the answer is another one."""

ANSWER_STYLES = (("#8b93a3", "dot"), ("#2f9fb5", "solid"), ("#b07cc6", "dash"))
"""Colour and dash of the answer before, the answer after, and a third on the way."""


def expert_colour(number: int) -> str:
    """Return an expert's colour by its place in the routing vector."""
    return EXPERT_COLOURS[number % len(EXPERT_COLOURS)]


def strategy_colour(name: str) -> str:
    """Return a strategy's colour; grey for strategies of third parties."""
    return STRATEGY_COLOURS.get(name, GREY)


def strategy_dash(name: str) -> str:
    """Return a strategy's kind of line: controls are dashed, to be told without colour."""
    return "dash" if get_strategy(name).is_control else "solid"


def answer_colour(number: int) -> tuple[str, str]:
    """Return colour and dash of an answer by its place among those that are drawn."""
    return ANSWER_STYLES[min(number, len(ANSWER_STYLES) - 1)]


def finish(figure: go.Figure, *, height: int, x: str, y: str, legend: bool = True) -> go.Figure:
    """Set the layout that all figures share: transparent, calm grid, axis titles."""
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 24, "b": 8},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"size": 13},
        showlegend=legend,
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "title": None},
        hovermode="closest",
    )
    axis = {"gridcolor": GRID, "zeroline": False, "automargin": True, "linecolor": GRID}
    figure.update_xaxes(title=x, **axis)
    figure.update_yaxes(title=y, **axis)
    return figure
