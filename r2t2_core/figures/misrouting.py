"""Misrouted cases: from which expert to which, who repairs them, where it goes wrong more often."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import plotly.graph_objects as go

from r2t2_core.evaluation.misrouting import Repair
from r2t2_core.evaluation.slices import Slice
from r2t2_core.figures.evaluation import BAD, GOOD, ROW
from r2t2_core.figures.style import GREY, GRID, expert_colour, finish
from r2t2_core.i18n import gettext as _


def misrouting_sankey(counts: np.ndarray, names: Sequence[str], *, height: int = 420) -> go.Figure:
    """Draw flows of misrouted cases from the router's expert (left) to the right one (right).

    Parameters
    ----------
    counts : ndarray (E, E)
        Rows: the router's heaviest expert; columns: the right routing's.
    names : sequence of str, length E
    height : int
        In pixels.
    """
    sources, targets = np.nonzero(counts)
    lefts, rights = np.unique(sources), np.unique(targets)
    left_place = {expert: place for place, expert in enumerate(lefts)}
    right_place = {expert: len(lefts) + place for place, expert in enumerate(rights)}
    nodes = [*lefts, *rights]
    sums = [*counts.sum(1)[lefts], *counts.sum(0)[rights]]
    figure = go.Figure(
        go.Sankey(
            arrangement="snap",
            node={
                "label": [f"{names[e]} · {n:,}" for e, n in zip(nodes, sums, strict=True)],
                "color": [expert_colour(int(expert)) for expert in nodes],
                "pad": 14,
                "thickness": 18,
                "line": {"width": 0},
                "hovertemplate": "%{label}<extra></extra>",
            },
            link={
                "source": [left_place[expert] for expert in sources],
                "target": [right_place[expert] for expert in targets],
                "value": counts[sources, targets],
                "color": [pale(expert_colour(int(expert))) for expert in targets],
                "hovertemplate": "%{source.label} → %{target.label}: %{value}<extra></extra>",
            },
        )
    )
    finish(figure, height=height, x="", y="", legend=False)
    # A grey that reads on light and on dark; Plotly's own halo is white on both.
    figure.update_traces(textfont={"size": 13, "color": GREY, "shadow": "none"})
    for x, anchor, text in (
        (0, "left", _("heaviest expert of the router")),
        (1, "right", _("heaviest expert of the right routing")),
    ):
        figure.add_annotation(
            x=x, y=1.0, xref="paper", yref="paper", xanchor=anchor, yanchor="bottom", text=text,
            showarrow=False, font={"size": 12, "color": GREY},
        )  # fmt: skip
    return figure


def pale(colour: str, opacity: float = 0.45) -> str:
    """Return a colour (#rrggbb) with an opacity."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


def misrouting_matrix(counts: np.ndarray, names: Sequence[str], *, height: int = 420) -> go.Figure:
    """Draw the same flows as a matrix: rows the router's expert, columns the right one."""
    figure = go.Figure(
        go.Heatmap(
            z=counts,
            x=list(names),
            y=list(names),
            # White on blue reads on light and on dark; a flow of nothing stays empty.
            text=[[f"{value:,}" if value else "" for value in row] for row in counts],
            texttemplate="%{text}",
            textfont={"color": "#ffffff"},
            colorscale=[[0, "rgba(0,0,0,0)"], [1e-6, "#5b9bd5"], [1, "#174f8f"]],
            showscale=False,
            hovertemplate="%{y} → %{x}: %{z}<extra></extra>",
        )
    )
    finish(
        figure,
        height=height,
        x=_("heaviest expert of the right routing (cases)"),
        y=_("heaviest expert of the router"),
        legend=False,
    )
    figure.update_xaxes(gridcolor=GRID, side="bottom")
    return figure.update_yaxes(autorange="reversed")


def repair_bars(entries: Sequence[Repair], titles: Mapping[str, str]) -> go.Figure:
    """Draw the share of misrouted cases that each method repairs, with its 95 % interval."""
    ordered = list(reversed(entries))
    figure = go.Figure(
        go.Bar(
            y=[titles.get(entry.method, entry.method) for entry in ordered],
            x=[entry.share for entry in ordered],
            orientation="h",
            marker={"color": GOOD},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [entry.high - entry.share for entry in ordered],
                "arrayminus": [entry.share - entry.low for entry in ordered],
                "color": GREY,
                "thickness": 1.5,
            },
            customdata=[[entry.repaired, entry.misrouted, entry.broken] for entry in ordered],
            hovertemplate="%{y}: %{x:.1%} (%{customdata[0]} / %{customdata[1]})<extra></extra>",
        )
    )
    finish(
        figure,
        height=90 + ROW * len(ordered),
        x=_("share of the misrouted cases that is repaired"),
        y="",
        legend=False,
    )
    return figure.update_xaxes(tickformat=".0%", range=[0, 1.02])


def slice_forest(slices: Sequence[Slice], names: Sequence[str], overall: float) -> go.Figure:
    """Draw each slice's share with its 95 % interval; dotted: the share over all cases.

    Parameters
    ----------
    slices : sequence of Slice
    names : sequence of str
        What each of them is called.
    overall : float
    """
    ordered = list(reversed(list(zip(slices, names, strict=True))))
    figure = go.Figure(
        go.Scatter(
            x=[entry.share for entry, _name in ordered],
            y=list(range(len(ordered))),
            mode="markers",
            marker={
                "size": 10,
                "color": [BAD if entry.p_adjusted < 0.05 else GREY for entry, _name in ordered],
            },
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [entry.high - entry.share for entry, _name in ordered],
                "arrayminus": [entry.share - entry.low for entry, _name in ordered],
                "color": GREY,
                "thickness": 1.5,
            },
            text=[name for _entry, name in ordered],
            customdata=[[entry.events, entry.cases] for entry, _name in ordered],
            hovertemplate="%{text}<br>%{x:.1%} (%{customdata[0]} / %{customdata[1]})"
            "<extra></extra>",
        )
    )
    figure.add_vline(x=overall, line={"color": GREY, "dash": "dot"})
    finish(
        figure,
        height=90 + ROW * len(ordered),
        x=_("share of the cases at risk; dotted: all of them"),
        y="",
        legend=False,
    )
    figure.update_yaxes(
        tickvals=list(range(len(ordered))),
        ticktext=[shorten(name) for _entry, name in ordered],
        range=[-0.7, len(ordered) - 0.3],
    )
    return figure.update_xaxes(tickformat=".0%", rangemode="tozero")


def shorten(text: str, length: int = 44) -> str:
    """Return a name that fits beside an axis; its hover text holds it whole."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def change_bars(names: Sequence[str], fixed: Sequence[int], broken: Sequence[int]) -> go.Figure:
    """Draw how many cases of each family were fixed (right) and broken (left)."""
    figure = go.Figure()
    for title, sign, colour, values in (
        (_("fixed: wrong made right"), 1, GOOD, fixed),
        (_("broken: right made wrong"), -1, BAD, broken),
    ):
        figure.add_bar(
            y=list(names),
            x=[sign * value for value in values],
            orientation="h",
            name=title,
            marker={"color": colour},
            text=[f"{value:,}" for value in values],
            textposition="outside",
            cliponaxis=False,
            hovertemplate="%{y}: %{text}<extra></extra>",
        )
    figure.update_layout(barmode="relative")
    finish(figure, height=110 + ROW * len(names), x=_("answers changed"), y="")
    reach = 1.3 * max([1, *fixed, *broken])
    figure.update_yaxes(autorange="reversed", type="category")
    return figure.update_xaxes(range=[-reach, reach])


def case_routing(
    experts: Sequence[str], routings: Sequence[tuple[str, Sequence[float]]], *, height: int = 300
) -> go.Figure:
    """Draw one case's routing weights under several methods, expert by expert.

    The first method is the palest, the last one full.

    Parameters
    ----------
    experts : sequence of str, length E
        Names, translated.
    routings : sequence of (name, weights of length E)
    height : int
        In pixels.
    """
    colours = [expert_colour(place) for place in range(len(experts))]
    opacities = np.linspace(0.35, 1.0, len(routings)) if len(routings) > 1 else [1.0]
    figure = go.Figure()
    for (name, weights), opacity in zip(routings, opacities, strict=True):
        figure.add_bar(
            y=list(experts),
            x=list(weights),
            orientation="h",
            name=name,
            marker={"color": colours, "opacity": float(opacity)},
            hovertemplate="%{y}: %{x:.3f}<extra>" + name + "</extra>",
            showlegend=False,
        )
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=name,
            marker={"color": GREY, "opacity": float(opacity), "size": 12, "symbol": "square"},
        )
    figure.update_layout(barmode="group", bargap=0.22, bargroupgap=0.03)
    finish(figure, height=height, x=_("routing weight (share, 0 to 1)"), y="")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return figure.update_xaxes(range=[0, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1])
