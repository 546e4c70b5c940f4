"""Figures of the health check of a reference set, of condensing it, and of its refresh."""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from typing import Any

import plotly.graph_objects as go

from r2t2_core.curation.checks.finding import Finding
from r2t2_core.curation.checks.report import FIGURES, TITLES, VERDICTS, CheckReport
from r2t2_core.curation.condense import Condensed
from r2t2_core.figures.style import GREY, GRID, finish, strategy_colour
from r2t2_core.i18n import gettext as _

VERDICT_COLOURS = {
    "usable": "#12a37f",
    "weak": "#e69f00",
    "unusable": "#d8621c",
    "not_assessed": GREY,
}

SHOWN = 20
"""Bars of a distribution at most."""


def verdict_scale(finding: Finding) -> go.Figure:
    """Draw a check's figure on its scale, with the thresholds."""
    figure = go.Figure()
    value = finding.figure or 0.0
    figure.add_bar(
        x=[value],
        y=[_(TITLES[finding.check])],
        orientation="h",
        marker={"color": VERDICT_COLOURS[finding.verdict]},
        hovertemplate="%{x:.3f}<extra></extra>",
    )
    marks = (
        (finding.weak, _(VERDICTS["weak"]), "dot"),
        (finding.unusable, _(VERDICTS["unusable"]), "dash"),
    )
    seen = set()
    for place, name, dash in marks:
        if place is not None and place not in seen:
            seen.add(place)
            figure.add_vline(x=place, line={"color": GREY, "dash": dash}, annotation_text=name)
    finish(figure, height=150, x=_(FIGURES[finding.check]), y="", legend=False)
    reach = max(1e-3, *(abs(number or 0.0) for number in (value, finding.weak, finding.unusable)))
    return figure.update_xaxes(range=[min(0.0, 1.2 * value), 1.25 * reach], tickformat=".1%")


def signal_histogram(finding: Finding) -> go.Figure:
    """Draw the distance between neighbours' routings against what chance gives."""
    numbers = finding.numbers
    figure = go.Figure(
        go.Histogram(
            x=numbers["permuted"],
            nbinsx=40,
            marker={"color": GREY},
            name=_("routings dealt out at random"),
        )
    )
    figure.add_vline(
        x=numbers["observed"],
        line={"color": VERDICT_COLOURS[finding.verdict], "width": 3},
        annotation_text=_("this set"),
    )
    return finish(
        figure,
        height=280,
        x=_("mean distance between the routings of neighbours (0 to 1)"),
        y=_("permutations"),
    )


def strategy_bars(finding: Finding) -> go.Figure:
    """Draw what each strategy fixed and broke, leave-one-out."""
    strategies: dict[str, Any] = finding.numbers["strategies"]
    names = list(strategies)
    figure = go.Figure()
    for key, sign, title, opacity in (
        ("fixed", 1, _("fixed: wrong made right"), 1.0),
        ("broken", -1, _("broken: right made wrong"), 0.45),
    ):
        figure.add_bar(
            x=[sign * strategies[name][key] for name in names],
            y=names,
            orientation="h",
            name=title,
            marker={"color": [strategy_colour(name) for name in names], "opacity": opacity},
            text=[str(strategies[name][key]) for name in names],
        )
    figure.update_layout(barmode="relative")
    return finish(figure, height=240, x=_("answers changed"), y="")


def share_bars(shares: dict[str, float], what: str) -> go.Figure:
    """Draw shares of families, answers, styles or sources."""
    names = list(shares)[:SHOWN][::-1]
    figure = go.Figure(
        go.Bar(
            x=[shares[name] for name in names],
            y=[name or "–" for name in names],
            orientation="h",
            marker={"color": "#3f8fd2"},
            hovertemplate="%{y}: %{x:.1%}<extra></extra>",
        )
    )
    finish(figure, height=80 + 24 * len(names), x=_("share of the samples"), y=what, legend=False)
    return figure.update_xaxes(tickformat=".0%")


def coverage_histogram(finding: Finding) -> go.Figure:
    """Draw how near each suite's questions are to the set."""
    figure = go.Figure()
    for name, numbers in finding.numbers["suites"].items():
        figure.add_histogram(
            x=numbers["similarities"], name=name, opacity=0.6, xbins={"size": 0.02}
        )
    figure.update_layout(barmode="overlay")
    return finish(
        figure, height=300, x=_("similarity of the nearest sample's question"), y=_("questions")
    )


def condense_curve(found: Condensed) -> go.Figure:
    """Draw size against accuracy: condensed, drawn at random, the whole set, the router."""
    sizes = [point.size for point in found.points]
    figure = go.Figure()
    figure.add_scatter(
        x=sizes,
        y=[point.accuracy for point in found.points],
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [point.high - point.accuracy for point in found.points],
            "arrayminus": [point.accuracy - point.low for point in found.points],
        },
        name=_("condensed"),
        mode="lines+markers",
        line={"color": "#12a37f"},
    )
    figure.add_scatter(
        x=sizes,
        y=[point.random_accuracy for point in found.points],
        name=_("drawn at random"),
        mode="lines+markers",
        line={"color": "#d8621c", "dash": "dash"},
    )
    for value, name, dash in (
        (found.whole_accuracy, _("the whole set"), "solid"),
        (found.router_accuracy, _("the router"), "dot"),
    ):
        figure.add_hline(y=value, line={"color": GREY, "dash": dash}, annotation_text=name)
    finish(figure, height=360, x=_("samples in the set (log)"), y=_("accuracy"))
    figure.update_xaxes(type="log", gridcolor=GRID)
    return figure.update_yaxes(tickformat=".0%")


DETAILS: dict[str, Callable[[Finding], go.Figure]] = {
    "signal": signal_histogram,
    "usefulness": strategy_bars,
    "coverage": coverage_histogram,
    "bias": lambda finding: share_bars(finding.numbers["columns"]["family"]["shares"], _("family")),
}
"""Checks that have a figure of their own beside the scale."""


def figures_of(finding: Finding) -> list[go.Figure]:
    """Return the figures of a finding; none where it was not assessed."""
    if finding.figure is None:
        return []
    figures = [verdict_scale(finding)]
    if finding.check in DETAILS:
        figures.append(DETAILS[finding.check](finding))
    return figures


def checks_page(report: CheckReport) -> str:
    """Return the report as one HTML page that needs nothing from elsewhere."""
    parts = [
        "<!doctype html><meta charset='utf-8'>",
        f"<title>{escape(report.name)}</title>",
        "<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "</style>",
        f"<h1>{escape(report.name)}: {escape(_(VERDICTS[report.verdict]))}</h1>",
        f"<p><code>{escape(report.content_hash)}</code></p>",
    ]
    script: bool | str = True
    for finding in report.findings:
        title = f"{_(TITLES[finding.check])}: {_(VERDICTS[finding.verdict])}"
        parts.append(f"<h2>{escape(title)}</h2>")
        parts.append(f"<p>{escape(finding.words.text())} {escape(finding.advice.text())}</p>")
        for figure in figures_of(finding):
            parts.append(figure.to_html(full_html=False, include_plotlyjs=script))
            script = False
    return "\n".join(parts) + "\n"
