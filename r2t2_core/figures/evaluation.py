"""Figures of an evaluation run: accuracy, help and harm, cost, steps, flows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd
import plotly.graph_objects as go

from r2t2_core.evaluation.costs import MODEL, Cost
from r2t2_core.evaluation.metrics import Score
from r2t2_core.figures.style import GREY, GRID, finish
from r2t2_core.i18n import gettext as _

GOOD, BAD = "#12a37f", "#d83c28"

PALETTE = ("#3f8fd2", "#12a37f", "#e69f00", "#d8621c", "#8a7cdb", "#c96ba8", "#b3a48a", "#2f9fb5")

LEGEND_BELOW = {"orientation": "h", "x": 0, "y": -0.24, "yanchor": "top", "font": {"size": 12}}

ROW = 26
"""Pixels a row of a forest plot."""


def method_style(place: int) -> tuple[str, str, str]:
    """Return colour, kind of line and marker of a method by its place in a run."""
    group = place // len(PALETTE) % 3
    dash, symbol = (("solid", "circle"), ("dash", "square"), ("dot", "diamond"))[group]
    return PALETTE[place % len(PALETTE)], dash, symbol


def forest(scores: Sequence[Score], titles: Mapping[str, str]) -> go.Figure:
    """Draw accuracy with its interval: one row for each method of one suite, the best on top."""
    ordered = sorted(scores, key=lambda entry: entry.accuracy)
    names = [titles.get(entry.method, entry.method) for entry in ordered]
    base = next((entry.accuracy for entry in ordered if entry.method == "base"), None)
    figure = go.Figure(
        go.Scatter(
            x=[entry.accuracy for entry in ordered],
            y=names,
            mode="markers",
            marker={"size": 10, "color": [_colour(entry, base) for entry in ordered]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [entry.high - entry.accuracy for entry in ordered],
                "arrayminus": [entry.accuracy - entry.low for entry in ordered],
                "color": GREY,
                "thickness": 1.5,
            },
            customdata=[
                [entry.method, f"{entry.low:.1%}", f"{entry.high:.1%}", entry.n]
                for entry in ordered
            ],
            hovertemplate="%{y}<br>%{x:.1%} (%{customdata[1]} – %{customdata[2]})"
            "<br>n = %{customdata[3]}<extra></extra>",
        )
    )
    if base is not None:
        figure.add_vline(x=base, line={"color": GREY, "dash": "dot"})
    finish(
        figure,
        height=90 + ROW * len(ordered),
        x=_("accuracy; dotted: the router"),
        y="",
        legend=False,
    )
    return figure.update_xaxes(tickformat=".0%", range=[0, 1.02])


def _colour(entry: Score, base: float | None) -> str:
    if base is None or entry.method == "base" or entry.p_value >= 0.05:
        return GREY
    return GOOD if entry.accuracy > base else BAD


def help_and_harm(scores: Sequence[Score], titles: Mapping[str, str]) -> go.Figure:
    """Draw how many answers each method fixed (right) and broke (left)."""
    ordered = sorted(
        (entry for entry in scores if entry.method != "base"), key=lambda e: e.fixed - e.broken
    )
    names = [titles.get(entry.method, entry.method) for entry in ordered]
    figure = go.Figure(
        [
            go.Bar(
                x=[sign * value for value in values],
                y=names,
                orientation="h",
                name=name,
                marker={"color": colour},
                text=[str(value) for value in values],
                textposition="outside",
                cliponaxis=False,
                hovertemplate="%{y}: %{text}<extra></extra>",
            )
            for name, sign, colour, values in (
                (_("fixed: wrong made right"), 1, GOOD, [entry.fixed for entry in ordered]),
                (_("broken: right made wrong"), -1, BAD, [entry.broken for entry in ordered]),
            )
        ]
    )
    figure.update_layout(barmode="relative")
    finish(figure, height=110 + ROW * len(ordered), x=_("answers changed"), y="")
    reach = 1.3 * max([1, *(max(entry.fixed, entry.broken) for entry in ordered)])
    return figure.update_xaxes(range=[-reach, reach])


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the points (cost, accuracy) that no cheaper one reaches, cheapest first."""
    front: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        # A cost of zero has no place on a logarithmic axis.
        if cost > 0 and (not front or accuracy > front[-1][1]):
            front.append((cost, accuracy))
    return front


def cost_against_accuracy(
    scores: Sequence[Score],
    costs: Sequence[Cost],
    titles: Mapping[str, str],
    *,
    legend: bool = True,
) -> go.Figure:
    """Draw accuracy over cost: upper left is better. Styles follow the order of the scores."""
    unit = next(cost.milliseconds for cost in costs if cost.method == MODEL)
    spent = {cost.method: cost.milliseconds / unit for cost in costs}
    figure = go.Figure()
    for place, entry in enumerate(scores):
        if entry.method not in spent or entry.method == "base":
            continue
        colour, _dash, symbol = method_style(place)
        figure.add_scatter(
            x=[spent[entry.method]],
            y=[entry.accuracy],
            mode="markers",
            name=titles.get(entry.method, entry.method),
            marker={"size": 11, "color": colour, "symbol": symbol},
            customdata=[[entry.method]],
            hovertemplate="%{fullData.name}<br>× %{x:.2f}, %{y:.1%}<extra></extra>",
        )
    front = pareto_front([(spent[e.method], e.accuracy) for e in scores if e.method in spent])
    figure.add_scatter(
        x=[cost for cost, _accuracy in front],
        y=[accuracy for _cost, accuracy in front],
        mode="lines",
        line={"color": GREY, "width": 1, "dash": "dash", "shape": "hv"},
        hoverinfo="skip",
        name=_("nothing is better for less"),
    )
    base = next((entry.accuracy for entry in scores if entry.method == "base"), None)
    if base is not None:
        figure.add_hline(y=base, line={"color": GREY, "dash": "dot"})
    finish(
        figure,
        height=500 if legend else 340,
        x=_("extra time, × one answer (log)"),
        y=_("accuracy; dotted: the router"),
        legend=legend,
    )
    figure.update_layout(legend=LEGEND_BELOW)
    return figure.update_xaxes(type="log").update_yaxes(tickformat=".0%")


def accuracy_over_steps(
    table: pd.DataFrame, titles: Mapping[str, str], *, legend: bool = True
) -> go.Figure:
    """Draw accuracy after each step: a line for each method with more than one step.

    Styles follow the order of the table's columns.
    """
    figure = go.Figure()
    for place, name in enumerate(table.columns):
        line = table[name].dropna()
        if len(line) <= 2:
            continue
        colour, dash, _symbol = method_style(place)
        figure.add_scatter(
            x=line.index,
            y=line,
            mode="lines+markers",
            name=titles.get(name, name),
            line={"color": colour, "dash": dash},
            hovertemplate="%{fullData.name}<br>%{x}: %{y:.1%}<extra></extra>",
        )
    height = 500 if legend else 340
    finish(figure, height=height, x=_("step"), y=_("accuracy"), legend=legend)
    figure.update_layout(legend=LEGEND_BELOW)
    return figure.update_yaxes(tickformat=".0%")


def expert_flows(counts: pd.DataFrame, names: Sequence[str]) -> go.Figure:
    """Draw how often the heaviest expert changed: rows before, columns after."""
    figure = go.Figure(
        go.Heatmap(
            z=counts.to_numpy(),
            x=list(names),
            y=list(names),
            # White on blue reads on light and on dark; a flow of nothing stays empty.
            text=[[str(value) if value else "" for value in row] for row in counts.to_numpy()],
            texttemplate="%{text}",
            textfont={"color": "#ffffff"},
            colorscale=[[0, "rgba(0,0,0,0)"], [1e-6, "#5b9bd5"], [1, "#174f8f"]],
            showscale=False,
            hovertemplate="%{y} → %{x}: %{z}<extra></extra>",
        )
    )
    finish(
        figure,
        height=420,
        x=_("heaviest expert after re-routing"),
        y=_("heaviest expert of the router"),
        legend=False,
    )
    figure.update_xaxes(gridcolor=GRID, side="bottom")
    return figure.update_yaxes(autorange="reversed")
