"""The one page for the meeting: HTML without scripts, to be printed or saved as PDF."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from html import escape

from r2t2_core.decision import AnswerRecord, Decision
from r2t2_core.evaluation.headline import Headline
from r2t2_core.evaluation.upkeep import Upkeep
from r2t2_core.figures.style import expert_colour
from r2t2_core.i18n import gettext as _

STYLE = (
    "@page{size:A4;margin:14mm}*{box-sizing:border-box;-webkit-print-color-adjust:exact;"
    "print-color-adjust:exact}body{font:14px/1.45 system-ui,sans-serif;max-width:820px;"
    "margin:1.5rem auto;padding:0 1rem;color:#1b2233;background:#fff}h1{font-size:1.5rem;"
    "margin:0 0 .4rem}h2{font-size:1.05rem;margin:1.1rem 0 .4rem}.case{display:grid;"
    "grid-template-columns:170px 1fr;gap:16px}.case img{width:100%;border-radius:8px}"
    ".pair{display:grid;grid-template-columns:1fr 1fr;gap:10px}.card{border:2px solid #c9ced8;"
    "border-radius:8px;padding:6px 12px}.card b{font-size:1.15rem;display:block}"
    ".good{border-color:#12a37f}.bad{border-color:#d83c28}small{color:#566}"
    ".bar{display:grid;grid-template-columns:8.5em 1fr 3em;gap:8px;align-items:center;"
    "font-size:12px}.bar div{background:#eef1f6;border-radius:5px;height:9px}.bar i{display:block;"
    "height:9px;border-radius:5px}.tiles{display:grid;grid-template-columns:repeat(3,1fr);"
    "gap:10px}table{border-collapse:collapse;width:100%;font-size:12.5px}td,th{text-align:left;"
    "border-bottom:1px solid #dde2ea;padding:3px 6px}footer{margin-top:1rem;font-size:11px;"
    "color:#566}code{font-size:11px}@media(max-width:600px){.case,.tiles,.pair"
    "{grid-template-columns:1fr}}"
)


def one_page(
    decision: Decision,
    picture: bytes,
    rerouted: Headline,
    finetuned: Headline | None,
    upkeep: Upkeep | None,
    words: Mapping[str, str],
) -> str:
    """Return the page in the active language.

    Parameters
    ----------
    decision : Decision
        The live case.
    picture : bytes
        A picture file that browsers show.
    rerouted, finetuned : Headline
        What re-routing, and what fine-tuning the router, repaired and broke.
    upkeep : Upkeep or None
        Measured times.
    words : mapping
        Experts and strategies in people's words.
    """
    title = _("A model can ask the wrong expert. This is how it is put right.")
    made = datetime.fromisoformat(decision.started_at).strftime("%Y-%m-%d %H:%M UTC")
    system = decision.system
    same = system.model_fingerprint_before == system.model_fingerprint_after
    unchanged = (
        _("Not one weight was changed: the model's fingerprint is the same.") if same else ""
    )
    parts = [
        f"<h1>{escape(title)}</h1>",
        _case(decision, picture, words),
        f"<p>{escape(unchanged)}</p>",
        _heading(_("How often, over all questions")),
        _numbers(rerouted, decision),
        _heading(_("What it costs, against changing the model")),
        _costs(rerouted, finetuned, upkeep),
        "<footer>",
        escape(
            _("{model}, reference set {reference}, computed {made} on {device}.").format(
                model=system.model,
                reference=decision.reference.name,
                made=made,
                device=system.device,
            )
        ),
        f" <code>{escape(system.model_fingerprint_after[:16])}</code>"
        f" <code>{escape(decision.id)}</code></footer>",
    ]
    return (
        "<!doctype html><html><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width,initial-scale=1'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"{''.join(parts)}</body></html>\n"
    )


def _heading(text: str) -> str:
    return f"<h2>{escape(text)}</h2>"


def _case(decision: Decision, picture: bytes, words: Mapping[str, str]) -> str:
    data = base64.b64encode(picture).decode()
    kind = decision.input.image_format.lower()
    label = decision.input.label
    right = "" if label is None else _("Right answer: {label}").format(label=label)
    before = _card(_("Before: router as trained"), decision.base, label)
    after = _card(_("After re-routing"), decision.final, label)
    bars = escape(_("Whom the model asks: before (pale) and after"))
    learnt = escape(
        _("Learnt from {count} similar solved cases.").format(count=len(decision.neighbours))
    )
    return (
        f'<div class="case"><div><img alt="" src="data:image/{kind};base64,{data}">'
        f"<p><b>{escape(decision.input.question)}</b><br><small>{escape(right)}</small></p></div>"
        f'<div><div class="pair">'
        f"{before}{after}</div><p><small>{bars}</small></p>"
        f"{_bars(decision, words)}"
        f"<p><small>{learnt}</small></p></div></div>"
    )


def _card(title: str, given: AnswerRecord, label: str | None) -> str:
    kind, mark, probability = "", "", escape(_("probability"))
    if label is not None:
        is_right = given.answer == label
        kind = "good" if is_right else "bad"
        mark = " ✓ " + _("right") if is_right else " ✗ " + _("wrong")
    return (
        f'<div class="card {kind}"><small>{escape(title)}</small><b>{escape(given.answer)}'
        f"{escape(mark)}</b><small>{probability} {given.probability:.0%}</small></div>"
    )


def _bars(decision: Decision, words: Mapping[str, str]) -> str:
    rows = []
    experts = [name for gate in decision.system.gates for name in gate.experts]
    for place, name in enumerate(experts):
        before, after = decision.base.routing[place], decision.final.routing[place]
        colour = expert_colour(place)
        rows.append(
            f'<div class="bar"><span>{escape(words.get(name, name))}</span><div>'
            f'<i style="width:{before:.1%};background:{colour};opacity:.38"></i></div>'
            f"<span>{before:.0%}</span></div>"
            f'<div class="bar"><span></span><div>'
            f'<i style="width:{after:.1%};background:{colour}"></i></div>'
            f"<span>{after:.0%}</span></div>"
        )
    return "".join(rows)


def _numbers(rerouted: Headline, decision: Decision) -> str:
    gate = decision.gate
    bound = (
        ""
        if gate.harm_bound is None
        else _("The gate is set so that at most {bound} should.").format(
            bound=f"{gate.harm_bound:.1%}"
        )
    )
    entries = (
        (
            "good",
            _("How often it helps"),
            f"{rerouted.help_share:.1%}",
            _("{fixed} of {wrong} wrong answers became right.").format(
                fixed=f"{rerouted.fixed:,}", wrong=f"{rerouted.wrong_before:,}"
            ),
        ),
        (
            "bad",
            _("How often it harms"),
            f"{rerouted.harm_share:.1%}",
            _("{broken} of {right} right answers became wrong.").format(
                broken=f"{rerouted.broken:,}", right=f"{rerouted.right_before:,}"
            )
            + f" {bound}",
        ),
        (
            "",
            _("Right answers in all"),
            f"{rerouted.right_before / rerouted.questions:.1%} → "
            f"{rerouted.right_after / rerouted.questions:.1%}",
            _("{count} questions that no training has seen.").format(
                count=f"{rerouted.questions:,}"
            ),
        ),
    )
    cards = "".join(
        f'<div class="card {kind}"><small>{escape(title)}</small><b>{escape(figure)}</b>'
        f"<small>{escape(text)}</small></div>"
        for kind, title, figure, text in entries
    )
    return f'<div class="tiles">{cards}</div>'


def _costs(rerouted: Headline, finetuned: Headline | None, upkeep: Upkeep | None) -> str:
    if upkeep is None:
        missing = escape(_("Times of this model were not measured yet."))
        return f"<p>{missing}</p>"
    unknown = _("not measured")

    def harm(outcome: Headline | None) -> str:
        return unknown if outcome is None else f"{outcome.fixed:,} / {outcome.broken:,}"

    trained = unknown if upkeep.training_seconds is None else f"{upkeep.training_seconds:,.0f}"
    rows = (
        (
            _("Re-routing"),
            _("none"),
            f"{upkeep.reference_seconds:,.1f}",
            f"{1000 * upkeep.rerouting_seconds:,.1f}",
            harm(rerouted),
        ),
        (
            _("Fine-tuning the router"),
            _("the router's"),
            f"{upkeep.finetuning_seconds:,.1f}",
            "0",
            harm(finetuned),
        ),
        (_("Training again"), _("all"), trained, "0", unknown),
    )
    head = (
        _("way"),
        _("weights changed"),
        _("once (s)"),
        _("every 1,000 questions (s)"),
        _("repairs / breaks"),
    )
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table>"
