"""A reference set as a map: its samples, a selection, a query among its neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from r2t2_core.figures.evaluation import PALETTE
from r2t2_core.figures.style import GREY, expert_colour, finish
from r2t2_core.i18n import gettext as _

SYMBOLS = ("circle", "square", "diamond", "cross")

QUERY = "#d83c28"
"""The query and what belongs to it."""

HEIGHT = 560

FADED = 0.12
"""Opacity of what is not selected."""


@dataclass(frozen=True)
class Group:
    """Samples that share a colour.

    Attributes
    ----------
    name : str
        As the legend says it.
    rows : ndarray (n,), int
        Rows of the reference set.
    colour, symbol : str
    """

    name: str
    rows: np.ndarray
    colour: str
    symbol: str = "circle"


@dataclass(frozen=True)
class Marked:
    """Points that are drawn over the map: a query, its neighbours, and its way.

    Attributes
    ----------
    name : str
        What the query is, for its hover text.
    path : ndarray (s, 2)
        Where the query lies; several points are its way from the router's routing on.
    neighbours : ndarray (k, 2)
    neighbour_names : sequence of str, length k
    """

    name: str
    path: np.ndarray
    neighbours: np.ndarray
    neighbour_names: Sequence[str]


def groups_of(values: Sequence[str], names: dict[str, str] | None = None) -> list[Group]:
    """Return one group for each value, the most frequent first; colours, then symbols, differ.

    Parameters
    ----------
    values : sequence of str, length N
    names : dict, optional
        Value → what the legend says.
    """
    found, counts = np.unique(np.asarray(values, dtype=str), return_counts=True)
    groups = []
    for place, number in enumerate(np.argsort(-counts, kind="stable")):
        value = str(found[number])
        groups.append(
            Group(
                (names or {}).get(value, value),
                np.flatnonzero(np.asarray(values, dtype=str) == value),
                PALETTE[place % len(PALETTE)],
                SYMBOLS[place // len(PALETTE) % len(SYMBOLS)],
            )
        )
    return groups


def groups_of_experts(heaviest: np.ndarray, experts: Sequence[str]) -> list[Group]:
    """Return one group for each expert that is someone's heaviest, in the expert's own colour."""
    return [
        Group(name, np.flatnonzero(heaviest == place), expert_colour(place))
        for place, name in enumerate(experts)
        if (heaviest == place).any()
    ]


def reference_map(
    coordinates: np.ndarray,
    groups: Sequence[Group],
    texts: Sequence[str],
    *,
    selected: np.ndarray | None = None,
    shade: np.ndarray | None = None,
    shade_title: str = "",
    marked: Marked | None = None,
    height: int = HEIGHT,
    revision: str = "",
) -> go.Figure:
    """Draw a map by WebGL; each point carries its row as `customdata`.

    Parameters
    ----------
    coordinates : ndarray (N, 2)
    groups : sequence of Group
        Together they hold every row once.
    texts : sequence of str, length N
        What a point says when it is pointed at.
    selected : ndarray (n,), int, optional
        Rows that stand out; the others fade.
    shade : ndarray (N,), optional
        A number that colours the points instead of their group.
    shade_title : str
        What it is, with its unit.
    marked : Marked, optional
    height : int
        In pixels.
    revision : str
        As long as it stays the same, so does the part of the map that is seen.
    """
    words = np.asarray(texts, dtype=object)
    size = float(np.clip(260 / np.sqrt(max(len(coordinates), 1)), 2.5, 7))
    figure = go.Figure()
    for group in groups:
        rows = group.rows
        marker: dict[str, object] = {"size": size, "symbol": group.symbol, "opacity": 0.8}
        if shade is None:
            marker["color"] = group.colour
        else:
            marker |= {
                "color": shade[rows].astype(np.float32),
                "colorscale": "Cividis",
                "cmin": float(shade.min()),
                "cmax": float(shade.max()),
                "showscale": True,
                "colorbar": {"title": {"text": shade_title, "side": "right"}, "thickness": 12},
            }
        figure.add_scattergl(
            x=coordinates[rows, 0].astype(np.float32),
            y=coordinates[rows, 1].astype(np.float32),
            mode="markers",
            name=group.name,
            marker=marker,
            customdata=rows.astype(np.int32),
            text=words[rows],
            hovertemplate="%{text}<extra>%{fullData.name}</extra>",
            selectedpoints=None if selected is None else np.flatnonzero(np.isin(rows, selected)),
            selected={"marker": {"opacity": 0.95}},
            unselected={"marker": {"opacity": FADED}},
        )
    if marked is not None:
        _mark(figure, marked)
    finish(figure, height=height, x=_("map, across (no unit)"), y=_("map, upwards (no unit)"))
    figure.update_layout(
        dragmode="lasso",
        uirevision=revision,
        selectionrevision=revision,
        # Hiding a group here would not hide it from a selection on the server.
        legend={"itemclick": False, "itemdoubleclick": False, "itemsizing": "constant"},
        showlegend=shade is None or marked is not None,
    )
    if shade is not None:
        figure.update_traces(showlegend=False, selector={"type": "scattergl"})
    figure.update_xaxes(showticklabels=False)
    return figure.update_yaxes(showticklabels=False, scaleanchor="x")


def _mark(figure: go.Figure, marked: Marked) -> None:
    last = marked.path[-1]
    lines = np.full((3 * len(marked.neighbours), 2), np.nan)
    lines[0::3], lines[1::3] = last, marked.neighbours
    figure.add_scatter(
        x=lines[:, 0], y=lines[:, 1], mode="lines", hoverinfo="skip", showlegend=False,
        line={"color": QUERY, "width": 1},
    )  # fmt: skip
    figure.add_scatter(
        x=marked.neighbours[:, 0], y=marked.neighbours[:, 1], mode="markers",
        name=_("its neighbours"), text=list(marked.neighbour_names),
        hovertemplate="%{text}<extra></extra>",
        marker={"size": 12, "symbol": "circle-open", "color": QUERY, "line": {"width": 2}},
    )  # fmt: skip
    if len(marked.path) > 1:
        figure.add_scatter(
            x=marked.path[:, 0], y=marked.path[:, 1], mode="lines+markers", name=_("its way"),
            line={"color": QUERY, "width": 3}, marker={"size": 6, "color": QUERY},
            hovertemplate=_("step") + " %{pointNumber}<extra></extra>",
        )  # fmt: skip
    figure.add_scatter(
        x=[last[0]], y=[last[1]], mode="markers", name=_("the question"), text=[marked.name],
        hovertemplate="%{text}<extra></extra>",
        marker={"size": 17, "symbol": "star", "color": QUERY,
                "line": {"color": "#ffffff", "width": 1.5}},
    )  # fmt: skip


def routing_profile(
    experts: Sequence[str], selection: np.ndarray, rest: np.ndarray, *, height: int = 300
) -> go.Figure:
    """Draw the mean routing of a selection (full) against the rest (pale), expert by expert.

    Lines are 95 % intervals of the means (normal).

    Parameters
    ----------
    experts : sequence of str, length E
        Names, translated.
    selection, rest : ndarray (n, E), (m, E)
        Routing weights.
    height : int
        In pixels.
    """
    colours = [expert_colour(place) for place in range(len(experts))]
    figure = go.Figure()
    for name, weights, opacity in ((_("the rest"), rest, 0.38), (_("selection"), selection, 1.0)):
        if not len(weights):
            continue
        figure.add_bar(
            y=list(experts),
            x=weights.mean(0),
            orientation="h",
            name=name,
            marker={"color": colours, "opacity": opacity},
            error_x={
                "array": 1.96 * weights.std(0) / np.sqrt(len(weights)),
                "color": GREY,
                "thickness": 1.5,
            },
            hovertemplate="%{y}: %{x:.3f}<extra>" + name + "</extra>",
            showlegend=False,
        )
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="markers",
            name=name,
            marker={"color": GREY, "opacity": opacity, "size": 12, "symbol": "square"},
        )
    figure.update_layout(barmode="group", bargap=0.24, bargroupgap=0.04)
    finish(figure, height=height, x=_("mean routing weight (share, 0 to 1)"), y="")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return figure.update_xaxes(rangemode="tozero")


def composition(
    names: Sequence[str], selection: Sequence[float], rest: Sequence[float], *, height: int = 300
) -> go.Figure:
    """Draw of what a selection consists, against the rest: shares (0 to 1) of each name."""
    figure = go.Figure()
    for name, shares, colour, opacity in (
        (_("the rest"), rest, GREY, 0.45),
        (_("selection"), selection, PALETTE[0], 1.0),
    ):
        figure.add_bar(
            y=list(names),
            x=list(shares),
            orientation="h",
            name=name,
            marker={"color": colour, "opacity": opacity},
            hovertemplate="%{y}: %{x:.1%}<extra>" + name + "</extra>",
        )
    figure.update_layout(barmode="group", bargap=0.24, bargroupgap=0.04)
    finish(figure, height=height, x=_("share of the samples"), y="")
    figure.update_yaxes(autorange="reversed", showgrid=False, type="category")
    return figure.update_xaxes(tickformat=".0%", rangemode="tozero")
