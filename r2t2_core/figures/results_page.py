"""A run as one HTML page with figures, to be opened in a browser or printed."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

import plotly.graph_objects as go

from r2t2_core.evaluation.metrics import accuracy_by_step, flows, score
from r2t2_core.evaluation.report import best_of, costs_of, report_text, together
from r2t2_core.evaluation.runner import Run
from r2t2_core.figures.evaluation import (
    accuracy_over_steps,
    cost_against_accuracy,
    expert_flows,
    forest,
    help_and_harm,
)
from r2t2_core.i18n import gettext as _

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;"
    "color:#1b2233;background:#fff}pre{white-space:pre-wrap;font-size:13px;background:#f4f6fa;"
    "padding:1rem;border-radius:8px;overflow-x:auto}"
)


def results_page(run: Run) -> str:
    """Return a run's page; plotly's script is part of it, so that it opens without the internet."""
    results, scores = run.results, score(run.results)
    overall, costs, experts = together(scores), costs_of(run), run.about["experts"]
    best = best_of(scores)
    parts: list[tuple[str, Callable[[], go.Figure]]] = [
        (_("Accuracy, with its 95 % interval"), lambda: forest(overall, {})),
        (_("What was fixed, what was broken"), lambda: help_and_harm(overall, {})),
        (_("Accuracy by step"), lambda: accuracy_over_steps(accuracy_by_step(results), {})),
        (
            _("Which expert gains and loses under {method}").format(method=best.method),
            lambda: expert_flows(flows(results, best.method, experts), experts),
        ),
    ]
    if costs:
        figure = (_("Cost against accuracy"), lambda: cost_against_accuracy(overall, costs, {}))
        parts.insert(2, figure)
    body = []
    for number, (title, draw) in enumerate(parts):
        script = "inline" if number == 0 else False
        body.append(f"<h2>{escape(title)}</h2>")
        body.append(draw().to_html(full_html=False, include_plotlyjs=script))
    text = report_text(run)
    return (
        "<!doctype html><html><head><meta charset='utf-8'><title>R2-T2: "
        f"{escape(_('results'))}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(_('Results'))}</h1>{''.join(body)}"
        f"<h2>{escape(_('The numbers'))}</h2><pre>{escape(text)}</pre></body></html>\n"
    )
