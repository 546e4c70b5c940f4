"""Routing weights before and after, expert by expert."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from r2t2_core.figures.style import GREY, expert_colour, finish
from r2t2_core.i18n import gettext as _


def routing_bars(
    experts: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    in_use: Sequence[float],
    *,
    height: int = 250,
) -> go.Figure:
    """Draw the router's own weights in grey and the weights after in the experts' colours.

    Parameters
    ----------
    experts : sequence of str, length E
        Names, translated.
    before, after : sequence of float, length E
        Dense routing weights.
    in_use : sequence of float, length E
        The weights after, projected to the top-k: zero where an expert is not used.
    height : int
        In pixels.
    """
    names = [
        f"<b>{name} ●</b>" if used > 0 else name for name, used in zip(experts, in_use, strict=True)
    ]
    figure = go.Figure()
    figure.add_bar(
        y=names,
        x=list(after),
        orientation="h",
        name=_("after re-routing"),
        marker={"color": [expert_colour(number) for number in range(len(names))]},
        hovertemplate="%{y}: %{x:.3f}<extra>" + _("after re-routing") + "</extra>",
    )
    figure.add_bar(
        y=names,
        x=list(before),
        orientation="h",
        name=_("router's own"),
        marker={"color": GREY, "opacity": 0.55},
        hovertemplate="%{y}: %{x:.3f}<extra>" + _("router's own") + "</extra>",
    )
    figure.update_layout(barmode="group", bargap=0.28, bargroupgap=0.06)
    finish(figure, height=height, x=_("routing weight (share, 0 to 1)"), y="")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(range=[0, 1])
    figure.update_layout(legend={"traceorder": "reversed"})
    return figure
