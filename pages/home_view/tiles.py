"""Three tiles: how often it helps, how often it harms, what it costs."""

from __future__ import annotations

from html import escape

import streamlit as st

from r2t2_core.decision import Decision
from r2t2_core.evaluation.headline import Headline
from r2t2_core.evaluation.upkeep import Upkeep
from r2t2_core.i18n import gettext as _


def percent(share: float) -> str:
    """Return a share for people: one decimal below ten percent."""
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def tiles(headline: Headline, upkeep: Upkeep | None, decision: Decision) -> list[tuple[str, ...]]:
    """Return kind, title, figure and sentence of each tile."""
    gate = decision.gate
    harm = _(
        "{broken} of {right} right answers became wrong ({low} to {high} with 95 % confidence)."
    ).format(
        broken=f"{headline.broken:,}",
        right=f"{headline.right_before:,}",
        low=f"{headline.harm_low:.2%}",
        high=f"{headline.harm_high:.2%}",
    )
    if gate.harm_bound is not None:
        harm += " " + _("The gate is set so that at most {bound} should.").format(
            bound=percent(gate.harm_bound)
        )
    return [
        (
            "good",
            _("How often it helps"),
            percent(headline.help_share),
            _(
                "{fixed} of {wrong} wrong answers became right; right answers went from {before} "
                "to {after} in all."
            ).format(
                fixed=f"{headline.fixed:,}",
                wrong=f"{headline.wrong_before:,}",
                before=percent(headline.right_before / headline.questions),
                after=percent(headline.right_after / headline.questions),
            ),
        ),
        ("bad", _("How often it harms"), percent(headline.harm_share), harm),
        ("flat", _("What it costs"), *_cost(upkeep, decision)),
    ]


def _cost(upkeep: Upkeep | None, decision: Decision) -> tuple[str, str]:
    """Return figure and sentence of the cost: measured, or of this one question alone."""
    if upkeep is not None:
        return f"+{1000 * upkeep.rerouting_seconds:.1f} ms", _(
            "for each question; the model's own answer takes {own} ms. No training."
        ).format(own=f"{1000 * upkeep.answer_seconds:.1f}")
    spent = sum(timing.milliseconds for timing in decision.timings)
    return f"{spent:.0f} ms", _(
        "for the question beside, with all strategies and controls, just now. No training."
    )


def show_tiles(headline: Headline, upkeep: Upkeep | None, decision: Decision) -> None:
    """Show the tiles."""
    cards = "".join(
        f'<div class="r2-tile {kind}"><small>{escape(title)}</small><b>{escape(figure)}</b>'
        f"<span>{escape(sentence)}</span></div>"
        for kind, title, figure, sentence in tiles(headline, upkeep, decision)
    )
    st.html(f'<div class="r2 r2-tiles">{cards}</div>')
    st.caption(
        _(
            "Measured on {count} questions in {suites} suites that no training and no choice of a "
            "setting has seen."
        ).format(count=f"{headline.questions:,}", suites=headline.suites)
    )
