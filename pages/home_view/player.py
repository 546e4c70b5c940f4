"""One re-routing as an animation that plays once and can be stepped; it draws a `Decision`."""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import streamlit as st

from pages.frame.cases import picture_data
from pages.frame.words import EXPERTS, expert_names
from r2t2_core.decision import Decision, NeighbourRecord
from r2t2_core.explain.paragraph import heaviest
from r2t2_core.figures.style import expert_colour
from r2t2_core.i18n import gettext as _

SHOWN = 4
"""Solved examples in the animation."""

_FOLDER = Path(__file__).parent

_component = st.components.v2.component(
    "rerouting_player",
    html='<div class="player" tabindex="0"></div>',
    css=(_FOLDER / "player.css").read_text(encoding="utf-8"),
    js=(_FOLDER / "player.js").read_text(encoding="utf-8"),
)


@dataclass(frozen=True)
class Shot:
    """One picture of the story.

    Attributes
    ----------
    title, text : str
        What is said, translated.
    step : int
        Which step of the routing is drawn.
    reveal : str
        What is shown: `question`, `before`, `examples`, `move` or `after`; what came before stays.
    """

    title: str
    text: str
    step: int
    reveal: str


def shots(decision: Decision) -> list[Shot]:
    """Return the story of a decision; every sentence follows from the record."""
    record = decision.trajectory(decision.strategy)
    names = {key: _(word) for key, word in EXPERTS.items()}
    before, share = heaviest(decision, decision.base)
    after, new_share = heaviest(decision, record.last)
    label = decision.input.label
    was_wrong = label is not None and decision.base.answer != label
    asked_wrong = was_wrong and before != after and decision.final.answer == label
    title = _("The router asks an expert") if not asked_wrong else _("It asks the wrong expert")
    answered = _("{share} of the weight goes to “{expert}”. The answer: “{answer}”.").format(
        share=f"{share:.0%}", expert=names.get(before, before), answer=decision.base.answer
    )
    if label is not None:
        answered += " " + (_("Wrong.") if was_wrong else _("Right."))
    story = [
        Shot(
            _("A question about a picture"),
            _("A model of {count} experts answers. A router decides whom to ask.").format(
                count=sum(len(gate.experts) for gate in decision.system.gates)
            ),
            0,
            "question",
        ),
        Shot(title, answered, 0, "before"),
        Shot(
            _("Similar solved cases show whom to ask"),
            _("{count} of them are looked up; most weight there: “{expert}”.").format(
                count=len(decision.neighbours), expert=_favourite(decision, names)
            ),
            0,
            "examples",
        ),
    ]
    middle = len(record.steps) // 2
    moves = _("Step by step the weight moves to “{expert}”, now {share}.").format(
        expert=names.get(after, after), share=f"{new_share:.0%}"
    )
    moving = _("The routing moves, and nothing else")
    for step in dict.fromkeys((middle, len(record.steps) - 1)):
        story.append(Shot(moving, moves, step, "move"))
    return [*story, _ending(decision, was_wrong)]


def _favourite(decision: Decision, names: dict[str, str]) -> str:
    """Return the expert that the neighbours' routings give most weight, by kernel weight."""
    experts = [name for gate in decision.system.gates for name in gate.experts]
    total = [
        sum(entry.kernel_weight * entry.routing[place] for entry in decision.neighbours)
        for place in range(len(experts))
    ]
    best = experts[total.index(max(total))]
    return names.get(best, best)


def _ending(decision: Decision, was_wrong: bool) -> Shot:
    label, answer = decision.input.label, decision.final.answer
    system = decision.system
    same = system.model_fingerprint_before == system.model_fingerprint_after
    title = _("The answer after re-routing")
    if was_wrong and answer == label:
        title = _("The answer is repaired")
    elif not decision.gate.reroute:
        title = _("The router's answer stands")
    text = _("“{answer}”, with probability {share}.").format(
        answer=answer, share=f"{decision.final.probability:.0%}"
    )
    if same:
        text += " " + _("Not one weight was changed: the model's fingerprint is the same.")
    return Shot(title, text, len(decision.trajectory(decision.strategy).steps) - 1, "after")


def player_data(decision: Decision, picture: bytes, root: Path) -> dict[str, Any]:
    """Return what the browser draws."""
    record = decision.trajectory(decision.strategy)
    experts = [name for gate in decision.system.gates for name in gate.experts]
    label = decision.input.label
    return {
        "id": decision.id,
        "picture": f"data:image/{decision.input.image_format.lower()};base64,"
        + base64.b64encode(picture).decode(),
        "question": decision.input.question,
        "experts": [
            {"name": name, "colour": expert_colour(place)}
            for place, name in enumerate(expert_names(decision))
        ],
        "steps": [
            {"weights": list(point.routing), "used": [w > 0 for w in point.routing_top_k]}
            for point in record.steps
        ],
        "examples": [_example(entry, root, experts) for entry in decision.neighbours[:SHOWN]],
        "before": _card(decision.base.answer, label),
        "after": _card(decision.final.answer, label),
        "fingerprints": [
            decision.system.model_fingerprint_before[:10],
            decision.system.model_fingerprint_after[:10],
        ],
        "shots": [asdict(shot) for shot in shots(decision)],
        "words": {
            "back": _("Back"),
            "next": _("Next"),
            "again": _("Play again"),
            "pause": _("Pause"),
            "before": _("Before"),
            "after": _("After"),
            "right": _("right"),
            "wrong": _("wrong"),
            "weights": _("Whom the model asks (share of the weight)"),
            "examples": _("Similar solved cases"),
            "fingerprint": _("Fingerprint of the model, before and after"),
            "keys": _("Arrow keys step through it."),
        },
    }


def _example(entry: NeighbourRecord, root: Path, experts: list[str]) -> dict[str, str]:
    place = max(range(len(experts)), key=lambda number: entry.routing[number])
    name = experts[place]
    return {
        "picture": picture_data(root / entry.image),
        "question": entry.question,
        "label": entry.label,
        "expert": _(EXPERTS.get(name, name)),
        "colour": expert_colour(place),
    }


def _card(answer: str, label: str | None) -> dict[str, Any]:
    return {"answer": answer, "right": None if label is None else answer == label}


def show_player(data: dict[str, Any]) -> None:
    """Show the animation."""
    _component(data=data, key="player")
