"""Routing weights before and after, expert by expert."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go

from r2t2_core.figures.style import GREY, expert_colour, finish
from r2t2_core.i18n import gettext as _

PALE = 0.38
"""Opacity of the weights before."""


def routing_bars(
    experts: Sequence[str],
    before: Sequence[float],
    after: Sequence[float],
    before_in_use: Sequence[float],
    after_in_use: Sequence[float],
    *,
    height: int = 250,
    names: tuple[str, str] | None = None,
) -> go.Figure:
    """Draw each expert's weight before (pale) and after (full) in the expert's colour.

    An expert that the sparse gate really asks carries a dot and its weight.

    Parameters
    ----------
    experts : sequence of str, length E
        Names, translated.
    before, after : sequence of float, length E
        Dense routing weights.
    before_in_use, after_in_use : sequence of float, length E
        The same, projected to the top-k: zero where an expert is not asked.
    height : int
        In pixels.
    names : pair of str, optional
        What the pale and the full bars are; before and after re-routing by default.
    """
    pale, full = names or (_("before: router's own"), _("after re-routing"))
    colours = [expert_colour(number) for number in range(len(experts))]
    figure = go.Figure()
    for name, weights, in_use, opacity in (
        (pale, before, before_in_use, PALE),
        (full, after, after_in_use, 1.0),
    ):
        figure.add_bar(
            y=list(experts),
            x=list(weights),
            orientation="h",
            name=name,
            marker={"color": colours, "opacity": opacity},
            text=[
                f"● {weight:.0%}" if used > 0 else ""
                for weight, used in zip(weights, in_use, strict=True)
            ],
            textposition="outside",
            textfont={"size": 11},
            constraintext="none",
            cliponaxis=False,
            hovertemplate="%{y}: %{x:.3f}<extra>" + name + "</extra>",
            showlegend=False,
        )
        # A key in grey: the bars themselves have as many colours as there are experts.
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=name,
            marker={"color": GREY, "opacity": opacity, "size": 12, "symbol": "square"},
        )
    figure.update_layout(barmode="group", bargap=0.24, bargroupgap=0.04)
    finish(figure, height=height, x=_("routing weight (share, 0 to 1)"), y="")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    figure.update_xaxes(range=[0, 1.06], tickvals=[0, 0.25, 0.5, 0.75, 1])
    return figure
