"""The first screen of a result: answer before and after, routing, neighbours, device."""

from __future__ import annotations

import base64
from html import escape
from pathlib import Path

import streamlit as st

from pages.reroute_view.words import expert_names, strategy_titles
from r2t2_core.decision import AnswerRecord, Decision
from r2t2_core.figures.routing_bars import routing_bars
from r2t2_core.i18n import gettext as _

STYLE = """
<style>
.block-container {padding-top: 2.6rem !important; padding-bottom: 2rem !important;}
h1 {padding: 0 0 .2rem 0 !important; font-size: 1.5rem !important;}
h3 {font-size: 1.05rem !important; padding-bottom: .2rem !important;}
.r2 {--edge: rgba(139,147,163,.32); --soft: rgba(139,147,163,.10);}
.r2-cards {display: grid; grid-template-columns: 1fr auto 1fr; gap: 12px; align-items: stretch;}
.r2-card {border: 1px solid var(--edge); border-radius: 12px; padding: 10px 16px; background: var(--soft);}
.r2-card.after {border-width: 2px;}
.r2-card small {opacity: .75; display: block; font-size: .82rem;}
.r2-card b {font-size: 1.55rem; line-height: 1.25; display: block; overflow-wrap: anywhere;}
.r2-arrow {align-self: center; font-size: 1.5rem; opacity: .7;}
.r2-bar {height: 6px; border-radius: 3px; background: var(--edge); margin-top: 6px;}
.r2-bar i {display: block; height: 100%; border-radius: 3px; background: #3f8fd2;}
.r2-badge {display: inline-block; border-radius: 999px; padding: 2px 12px; font-weight: 600; margin: 8px 0 2px 0; font-size: .92rem;}
.good {background: rgba(18,163,127,.20); border: 1px solid #12a37f;}
.bad {background: rgba(216,60,40,.18); border: 1px solid #d83c28;}
.flat {background: rgba(139,147,163,.18); border: 1px solid #8b93a3;}
.warn {background: rgba(230,159,0,.20); border: 1px solid #e69f00;}
.r2-strip {display: grid; grid-auto-flow: column; grid-auto-columns: minmax(104px, 1fr); gap: 10px; overflow-x: auto; padding-bottom: 4px;}
.r2-strip figure {margin: 0; border: 1px solid var(--edge); border-radius: 10px; overflow: hidden; background: var(--soft);}
.r2-strip img {width: 100%; aspect-ratio: 1.32; object-fit: cover; display: block;}
.r2-strip figcaption {padding: 5px 8px 7px; font-size: .78rem; line-height: 1.3;}
.r2-strip figcaption b {display: block;}
.r2-meta {opacity: .75; font-size: .82rem; margin-top: 4px;}
.r2-stale {opacity: .45;}
@media (max-width: 640px) {.r2-card b {font-size: 1.2rem;} .r2-card {padding: 8px 10px;} .r2-cards {gap: 6px;}}
</style>
"""


def verdict(decision: Decision) -> tuple[str, str]:
    """Return a CSS class and a sentence that say what re-routing did to the answer."""
    label = decision.input.label
    before, after = decision.base.answer, decision.final.answer
    if not decision.gate.reroute:
        return "warn", _("The router's answer was kept: this is out of the reference set's reach")
    if label is None:
        if decision.flipped:
            return "flat", _("Re-routing changed the answer; without a known answer nobody can say whether for the better")
        return "flat", _("Re-routing kept the answer")
    was_right, is_right = _same(before, label), _same(after, label)
    if is_right and not was_right:
        return "good", _("Repaired: wrong before, right after")
    if was_right and not is_right:
        return "bad", _("Broken: re-routing made a right answer wrong")
    if is_right:
        return "flat", _("Right before and after")
    return "bad", _("Wrong before and after")


def _same(answer: str, label: str) -> bool:
    return answer.strip().lower() == label.strip().lower()


def heading(text: str) -> None:
    """Show a small heading."""
    st.html(f"<h3>{escape(text)}</h3>")


def show_story(decision: Decision, reference_root: Path) -> None:
    """Show the first screen of a decision."""
    _cards(decision)
    heading(_("Who is asked: routing weights of the experts"))
    st.plotly_chart(
        routing_bars(
            expert_names(decision),
            decision.base.routing,
            decision.final.routing,
            decision.final.routing_top_k,
            height=252,
        ),
        key="story.routing",
        config={"displayModeBar": False},
        alt=_("Routing weights of the experts, before and after"),
    )
    _strip(decision, reference_root)
    total = sum(timing.milliseconds for timing in decision.timings)
    system = decision.system
    st.html(
        '<div class="r2 r2-meta">'
        + escape(
            _("● in use by the top-{k} gate. Computed by {model} on {device} in {time} ms.").format(
                k=system.gates[0].top_k, model=system.model, device=system.device, time=f"{total:.0f}"
            )
        )
        + "</div>"
    )


def _cards(decision: Decision) -> None:
    kind, sentence = verdict(decision)
    titles = strategy_titles()
    label = decision.input.label
    known = (
        ' <span class="r2-meta">'
        + escape(_("Right answer: {label}").format(label=label))
        + "</span>"
        if label
        else ""
    )
    after = _("After: {strategy}").format(strategy=titles[decision.strategy])
    if not decision.gate.reroute:
        after = _("After: router's answer kept")
    st.html(
        '<div class="r2"><div class="r2-cards">'
        + _card(_("Before: router as trained"), decision.base, "")
        + '<div class="r2-arrow">→</div>'
        + _card(after, decision.final, "after")
        + f'</div><span class="r2-badge {kind}">{escape(sentence)}</span>{known}</div>'
    )
    for reason in decision.gate.reasons:
        st.caption("⚠ " + _(reason))


def _card(title: str, record: AnswerRecord, extra: str) -> str:
    share = f"{record.probability:.0%}"
    probability = _("probability")
    return (
        f'<div class="r2-card {extra}"><small>{escape(title)}</small>'
        f"<b>{escape(record.answer)}</b>"
        f"<small>{escape(probability)} {share}</small>"
        f'<div class="r2-bar"><i style="width:{share}"></i></div></div>'
    )


def picture_data(path: Path) -> str:
    """Return a picture as a data address."""
    return "data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode()


def _strip(decision: Decision, root: Path) -> None:
    title = _("What it learns from: the most similar solved examples")
    answer, router = escape(_("answer")), escape(_("router"))
    similarity, weight = escape(_("similarity")), escape(_("weight"))
    figures = []
    for neighbour in decision.neighbours[:6]:
        right = "✓" if neighbour.is_correct else "✗"
        figures.append(
            f'<figure><img src="{picture_data(root / neighbour.image)}" alt="">'
            f"<figcaption><b>{escape(neighbour.question)}</b>"
            f"{answer} <b style='display:inline'>{escape(neighbour.label)}</b> · "
            f"{router} {right}<br>{similarity} {neighbour.similarity:.2f} · "
            f"{weight} {neighbour.kernel_weight:.2f}</figcaption></figure>"
        )
    heading(title)
    st.html(f'<div class="r2 r2-strip">{"".join(figures)}</div>')
