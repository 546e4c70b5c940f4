"""The first screen of a decision: answers before and after, routing, neighbours, device."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Literal

import streamlit as st

from pages.frame.cases import picture_data
from pages.frame.style import CHART, heading
from pages.frame.words import expert_names, strategy_titles
from r2t2_core.decision import AnswerRecord, Decision
from r2t2_core.figures.routing_bars import routing_bars
from r2t2_core.gate import FAR_IMAGE, FAR_QUESTION
from r2t2_core.i18n import gettext as _

SHOWN = 6
"""Neighbours in the strip; all of them stand below the fold."""

Kind = Literal["good", "bad", "flat", "warn"]


def verdict(decision: Decision) -> tuple[Kind, str]:
    """Return a kind and a sentence that say what re-routing did to the answer."""
    label = decision.input.label
    if out_of_reach(decision):
        return "warn", _("Kept the router's answer: nothing similar in the reference set")
    if not decision.gate.reroute:
        return "warn", _("Kept the router's answer: too little speaks for another one")
    if label is None:
        if decision.flipped:
            return "flat", _(
                "Re-routing changed the answer; without a known answer nobody can say whether "
                "for the better"
            )
        return "flat", _("Re-routing kept the answer")
    was_right, is_right = decision.base.answer == label, decision.final.answer == label
    if is_right and not was_right:
        return "good", _("Repaired: wrong before, right after")
    if was_right and not is_right:
        return "bad", _("Broken: re-routing made a right answer wrong")
    if is_right:
        return "flat", _("Right before and after")
    return "bad", _("Wrong before and after")


def out_of_reach(decision: Decision) -> bool:
    """Tell whether the question or the picture is unlike everything in the reference set."""
    return any(reason in (FAR_QUESTION, FAR_IMAGE) for reason in decision.gate.reasons)


def show_story(decision: Decision, reference_root: Path) -> None:
    """Show the first screen of a decision."""
    with st.container(key="story", gap="xsmall"):
        _cards(decision)
        heading(_("Whom the model asks"))
        st.plotly_chart(
            routing_bars(
                expert_names(decision),
                decision.base.routing,
                decision.final.routing,
                decision.base.routing_top_k,
                decision.final.routing_top_k,
                height=296,
            ),
            key="story.routing",
            config=CHART,
            alt=_("Routing weights of the experts, before and after"),
        )
        _strip(decision, reference_root)
        _origin(decision)


def _cards(decision: Decision) -> None:
    kind, sentence = verdict(decision)
    label = decision.input.label
    known = (
        '<span class="r2-meta">'
        + escape(_("Right answer: {label}").format(label=label))
        + "</span>"
        if label
        else ""
    )
    after = _("After: {strategy}").format(strategy=strategy_titles()[decision.strategy])
    if not decision.gate.reroute:
        after = _("After: router's answer kept")
    reasons = " ".join(_(reason) for reason in decision.gate.reasons)
    st.html(
        '<div class="r2"><div class="r2-cards">'
        + _card(_("Before: router as trained"), decision.base, label)
        + '<div class="r2-arrow">→</div>'
        + _card(after, decision.final, label)
        + f'</div><div class="r2-verdict"><span class="r2-badge {kind}">{escape(sentence)}</span>'
        + known
        + f'<span class="r2-meta">{escape(reasons)}</span></div></div>'
    )


def _card(title: str, record: AnswerRecord, label: str | None) -> str:
    share, probability = f"{record.probability:.0%}", escape(_("probability"))
    kind, mark = "", ""
    if label is not None:
        right = record.answer == label
        kind = "good" if right else "bad"
        word = "✓ " + _("right") if right else "✗ " + _("wrong")
        mark = f" <span>{escape(word)}</span>"
    return (
        f'<div class="r2-card {kind}"><small>{escape(title)}</small>'
        f"<b>{escape(record.answer)}{mark}</b>"
        f"<small>{probability} {share}</small>"
        f'<div class="r2-bar"><i style="width:{share}"></i></div></div>'
    )


def _strip(decision: Decision, root: Path) -> None:
    figures, similarity = [], escape(_("similarity"))
    for neighbour in decision.neighbours[:SHOWN]:
        figures.append(
            f'<figure><img src="{picture_data(root / neighbour.image)}" alt="">'
            f"<figcaption><q>{escape(neighbour.question)}</q><b>{escape(neighbour.label)}</b>"
            f"{similarity} {neighbour.similarity:.2f}</figcaption></figure>"
        )
    title = _("What it learns from: the most similar solved examples")
    if out_of_reach(decision):
        title = _("The nearest solved examples, too far away to learn from")
    more = len(decision.neighbours) - SHOWN
    rest = escape(_("and {count} more below").format(count=more)) if more > 0 else ""
    st.html(
        f'<div class="r2"><h4>{escape(title)} <span class="r2-meta">{rest}</span></h4>'
        f'<div class="r2-strip">{"".join(figures)}</div></div>'
    )


def _origin(decision: Decision) -> None:
    """Say what computed the decision, and what intake did to the input."""
    total = sum(timing.milliseconds for timing in decision.timings)
    system = decision.system
    words = [
        _("● asked by the top-{k} gate. Computed by {model} on {device} in {time} ms.").format(
            k=system.gates[0].top_k, model=system.model, device=system.device, time=f"{total:.0f}"
        )
    ]
    words += [_(note) for note in decision.input.notes]
    st.html(f'<div class="r2 r2-meta">{escape(" ".join(words))}</div>')
