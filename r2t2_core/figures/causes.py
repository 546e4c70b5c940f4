"""What an answer hangs on: neighbours' shares, the loss between two routings, experts left out."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import plotly.graph_objects as go

from r2t2_core.analysis import Analysis, LandscapePoint
from r2t2_core.figures.style import FLIP, GREY, answer_colour, finish
from r2t2_core.i18n import gettext as _

GRADIENT = "#3f8fd2"
PULL = "#12a37f"


def neighbour_shares(analysis: Analysis, *, height: int | None = None) -> go.Figure:
    """Draw each neighbour's part of the gradient and of the way to their mean, nearest first.

    A neighbour without which the answer is another one carries a diamond.
    """
    causes = analysis.neighbours
    names = [cause.id for cause in causes]
    figure = go.Figure()
    for name, shares, colour in (
        (_("part of the gradient"), [cause.gradient_share for cause in causes], GRADIENT),
        (_("part of the way to their mean"), [cause.pull_share for cause in causes], PULL),
    ):
        figure.add_bar(
            y=names,
            x=shares,
            orientation="h",
            name=name,
            marker={"color": colour},
            hovertemplate="%{y}: %{x:.1%}<extra>" + name + "</extra>",
        )
    figure.add_scatter(
        y=names,
        x=[cause.kernel_weight for cause in causes],
        mode="markers",
        name=_("kernel weight"),
        marker={"color": GREY, "symbol": "line-ns-open", "size": 13, "line": {"width": 2.5}},
        hovertemplate="%{y}: %{x:.1%}<extra>" + _("kernel weight") + "</extra>",
    )
    deciding = [cause.id for cause in causes if cause.decides]
    if deciding:
        figure.add_scatter(
            y=deciding,
            x=[0] * len(deciding),
            mode="markers",
            name=_("the answer hangs on it"),
            marker={"color": FLIP, "symbol": "diamond", "size": 12},
            hovertemplate="%{y}<extra>" + _("the answer hangs on it") + "</extra>",
        )
    finish(
        figure,
        height=height or 120 + 26 * len(causes),
        x=_("share (all neighbours together: 100 %)"),
        y="",
    )
    figure.update_layout(barmode="group", bargap=0.3)
    figure.update_xaxes(tickformat=".0%")
    return figure.update_yaxes(autorange="reversed", type="category", showgrid=False)


def loss_between(points: Sequence[LandscapePoint], *, height: int = 290) -> go.Figure:
    """Draw the neighbours' surrogate loss from the router's routing to the neighbours' mean."""
    figure = go.Figure()
    figure.add_scatter(
        x=[point.share for point in points],
        y=[point.surrogate_loss for point in points],
        mode="lines",
        line={"color": GRADIENT, "width": 3},
        name=_("loss of the neighbours"),
        hovertemplate="%{x:.0%}: %{y:.3f}<extra></extra>",
    )
    least = min(points, key=lambda point: point.surrogate_loss)
    figure.add_scatter(
        x=[least.share],
        y=[least.surrogate_loss],
        mode="markers",
        marker={"color": FLIP, "symbol": "diamond", "size": 12},
        name=_("least loss"),
        hovertemplate="%{x:.0%}: %{y:.3f}<extra></extra>",
    )
    finish(figure, height=height, x=_way(), y=_("surrogate loss (nats)"))
    figure.update_yaxes(rangemode="tozero")
    return figure.update_xaxes(tickformat=".0%")


def answers_between(
    points: Sequence[LandscapePoint], before: str, after: str, *, height: int = 290
) -> go.Figure:
    """Draw the probability of both answers on the same way, behind the gate's top k.

    Vertical lines stand where the answer becomes another one.
    """
    figure = go.Figure()
    lines = [(before, [point.before for point in points])]
    if after != before:
        lines.append((after, [point.after for point in points]))
    for number, (answer, values) in enumerate(lines):
        colour, dash = answer_colour(number)
        figure.add_scatter(
            x=[point.share for point in points],
            y=values,
            mode="lines",
            line={"color": colour, "width": 3, "dash": dash},
            name=f"“{answer}”",
            hovertemplate=f"{answer}: %{{y:.1%}}<extra></extra>",
        )
    for previous, point in pairwise(points):
        if previous.answer != point.answer:
            figure.add_vline(x=(previous.share + point.share) / 2, line={"color": FLIP, "width": 2})
    finish(figure, height=height, x=_way(), y=_("probability of the answer"))
    figure.update_yaxes(range=[0, 1.02], tickformat=".0%")
    return figure.update_xaxes(tickformat=".0%")


def _way() -> str:
    return _("way from the router's routing (0 %) to the neighbours' mean (100 %)")
