"""Figures of ablations: accuracy along one axis, all else as validation chose it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from r2t2_core.evaluation.ablations import Point
from r2t2_core.figures.evaluation import PALETTE
from r2t2_core.figures.style import finish
from r2t2_core.i18n import gettext as _


def number_of(value: str) -> float | None:
    """Read a value on an axis as a number (a percentage as a share); None for a word."""
    try:
        return float(value.rstrip("%")) / (100 if value.endswith("%") else 1)
    except ValueError:
        return None


def ablation_curve(
    points: Sequence[Point], axis: str, titles: Mapping[str, str], label: str
) -> go.Figure:
    """Draw accuracy along an axis: a curve with its 95 % intervals for each strategy.

    Parameters
    ----------
    points : sequence of Point
        Those of other axes are left out.
    axis : str
    titles : mapping
        Strategy → name for people.
    label : str
        What the axis is called.
    """
    chosen = [point for point in points if point.axis == axis]
    numbers = [number_of(point.value) for point in chosen]
    numeric = all(number is not None for number in numbers)
    figure = go.Figure()
    for place, strategy in enumerate(dict.fromkeys(point.strategy for point in chosen)):
        own = [point for point in chosen if point.strategy == strategy]
        scores = [point.score for point in own]
        figure.add_scatter(
            x=[number_of(p.value) for p in own] if numeric else [p.value for p in own],
            y=[entry.accuracy for entry in scores],
            mode="lines+markers",
            name=titles.get(strategy, strategy),
            marker={"size": 8, "color": PALETTE[place % len(PALETTE)]},
            line={"color": PALETTE[place % len(PALETTE)], "width": 2},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": [entry.high - entry.accuracy for entry in scores],
                "arrayminus": [entry.accuracy - entry.low for entry in scores],
                "thickness": 1.2,
            },
            customdata=[
                [p.value, f"{e.low:.1%}", f"{e.high:.1%}", e.fixed, e.broken]
                for p, e in zip(own, scores, strict=True)
            ],
            hovertemplate="%{customdata[0]}: %{y:.1%} (%{customdata[1]} – %{customdata[2]})<br>"
            + _("fixed {fixed}, broken {broken}").format(
                fixed="%{customdata[3]}", broken="%{customdata[4]}"
            )
            + "<extra>%{fullData.name}</extra>",
        )
    finish(figure, height=340, x=label, y=_("accuracy"))
    figure.update_yaxes(tickformat=".0%")
    values = [number for number in numbers if number]
    # Values that span a decade or more are read on a logarithmic axis, unless zero is among them.
    if numeric and len(values) == len(numbers) and max(values) >= 10 * min(values):
        figure.update_xaxes(type="log")
    return figure
