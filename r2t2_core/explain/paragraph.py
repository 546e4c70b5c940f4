"""One paragraph about a decision in plain words, by rules: every claim is a number of the record.

No language model writes here. A claim holds the values that it was made of, so that a test (or an
auditor) can look each of them up in `Decision` and `Analysis`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from r2t2_core.analysis import Analysis, Counterfactual, StrategyVote
from r2t2_core.decision import AnswerRecord, Decision, StepRecord
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _

Value = str | int | float


@dataclass(frozen=True)
class Claim:
    """One sentence.

    Attributes
    ----------
    message : str
        Message identifier with placeholders.
    values : mapping
        What stands for the placeholders, raw: numbers and names of the record.
    formats : mapping
        Placeholder → format of its number.
    names : tuple of str
        Placeholders that are names of experts or strategies, to be said in people's words.
    """

    message: str
    values: Mapping[str, Value]
    formats: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    def text(self, words: Mapping[str, str]) -> str:
        """Return the sentence in the active language; `words` has people's words for names."""
        shown = {
            name: format(value, self.formats.get(name, ""))
            if not isinstance(value, str)
            else (words.get(value, value) if name in self.names else value)
            for name, value in self.values.items()
        }
        return _(self.message).format(**shown)


def paragraph(decision: Decision, analysis: Analysis, words: Mapping[str, str]) -> str:
    """Return the paragraph in the active language."""
    return " ".join(claim.text(words) for claim in claims(decision, analysis))


def claims(decision: Decision, analysis: Analysis) -> tuple[Claim, ...]:
    """Return all claims about a decision, in the order in which they are read."""
    return (
        _before(decision),
        *_move(decision, analysis),
        *_label(decision, analysis),
        _examples(analysis),
        *_neighbours(analysis),
        *_experts(analysis),
        *_smallest_changes(decision, analysis),
        *_votes(analysis),
        _gate(decision, analysis),
    )


def heaviest(decision: Decision, point: AnswerRecord | StepRecord) -> tuple[str, float]:
    """Return the expert with the most weight, and its weight."""
    experts = [name for gate in decision.system.gates for name in gate.experts]
    place = max(range(len(experts)), key=lambda number: point.routing[number])
    return experts[place], point.routing[place]


def _before(decision: Decision) -> Claim:
    expert, weight = heaviest(decision, decision.base)
    return Claim(
        N_(
            "The router gave {weight} of the weight to the expert “{expert}”, and the model "
            "answered “{answer}” (probability {probability})."
        ),
        {
            "weight": weight,
            "expert": expert,
            "answer": decision.base.answer,
            "probability": decision.base.probability,
        },
        {"weight": ".0%", "probability": ".0%"},
        ("expert",),
    )


def _move(decision: Decision, analysis: Analysis) -> list[Claim]:
    record = decision.trajectory(decision.strategy)
    expert, weight = heaviest(decision, record.last)
    values: dict[str, Value] = {
        "strategy": decision.strategy,
        "weight": weight,
        "expert": expert,
        "answer": record.last.answer,
        "probability": record.last.probability,
    }
    formats = {"weight": ".0%", "probability": ".0%"}
    names = ("expert", "strategy")
    if record.flip_step is None:
        kept = N_(
            "{strategy} gave {weight} to “{expert}”; the answer stays “{answer}” "
            "(probability {probability})."
        )
        return [Claim(kept, values, formats, names)]
    flipped = N_(
        "{strategy} gave {weight} to “{expert}”; from step {step} of {steps} on the answer is "
        "“{answer}” (in the end with probability {probability})."
    )
    values |= {"step": record.flip_step, "steps": record.last.step}
    return [Claim(flipped, values, formats, names)]


def _label(decision: Decision, analysis: Analysis) -> list[Claim]:
    label = decision.input.label
    if label is None:
        return []
    was, became = decision.base.answer == label, analysis.moved.answer == label
    message = {
        (False, True): N_("The right answer is “{label}”: wrong before, right after."),
        (True, False): N_("The right answer is “{label}”: right before, wrong after."),
        (True, True): N_("The right answer is “{label}”: right before and after."),
        (False, False): N_("The right answer is “{label}”: wrong before and after."),
    }[was, became]
    return [Claim(message, {"label": label})]


def _examples(analysis: Analysis) -> Claim:
    agreement = analysis.agreement
    return Claim(
        N_(
            "It rests on {count} similar solved examples: asked with the router's routing the "
            "model answers {before} of them rightly, with the new routing {after} (by weight)."
        ),
        {
            "count": len(analysis.neighbours),
            "before": agreement.neighbours_answered_before,
            "after": agreement.neighbours_answered_after,
        },
        {"before": ".0%", "after": ".0%"},
    )


def _neighbours(analysis: Analysis) -> list[Claim]:
    deciding = [cause for cause in analysis.neighbours if cause.decides]
    if len(deciding) == 1:
        only = deciding[0]
        first = Claim(
            N_("Without the example {id} the answer would be “{answer}”."),
            {"id": only.id, "answer": only.without.answer},
        )
    elif deciding:
        first = Claim(
            N_("Each of {count} examples alone would change the answer if it were missing."),
            {"count": len(deciding)},
        )
    else:
        first = Claim(N_("No single example decides: without any one of them it stays."), {})
    found = [first]
    if analysis.dropped_until_flip is not None and analysis.dropped_until_flip > 1:
        found.append(
            Claim(
                N_("It changes when the {count} heaviest examples are missing together."),
                {"count": analysis.dropped_until_flip},
            )
        )
    return found


def _experts(analysis: Analysis) -> list[Claim]:
    return [
        Claim(
            N_("Without the expert “{expert}” the answer would be “{answer}”."),
            {"expert": cause.expert, "answer": cause.without_after.answer},
            names=("expert",),
        )
        for cause in analysis.experts
        if cause.decides
    ]


def _smallest_changes(decision: Decision, analysis: Analysis) -> list[Claim]:
    found = []
    moved = decision.trajectory(decision.strategy).last.distance
    for flip in analysis.counterfactuals:
        if flip.origin == "before" and flip.wanted == "the strategy's answer":
            found.append(
                _change(
                    flip,
                    N_(
                        "A change of the router's routing by {distance} would have been enough "
                        "for this answer; the strategy changed it by {moved}."
                    ),
                    moved,
                )
            )
        elif flip.origin == "after":
            found.append(
                _change(
                    flip,
                    N_(
                        "From the new routing the nearest other answer, “{answer}”, is "
                        "{distance} away."
                    ),
                )
            )
    return found


def _change(flip: Counterfactual, message: str, moved: float | None = None) -> Claim:
    values: dict[str, Value] = {"distance": flip.distance}
    if moved is None:
        values["answer"] = flip.result.answer
    else:
        values["moved"] = moved
    return Claim(message, values, {"distance": ".2f", "moved": ".2f"})


def _votes(analysis: Analysis) -> list[Claim]:
    others = [
        vote
        for vote in analysis.agreement.strategies
        if not vote.is_control and vote.strategy != analysis.strategy
    ]
    controls = [
        vote
        for vote in analysis.agreement.strategies
        if vote.is_control and vote.strategy in ("random_neighbours", "uniform")
    ]
    found = []
    if others:
        found.append(
            Claim(
                N_("Of {all} other strategies {agree} give the same answer."),
                {"all": len(others), "agree": _agreeing(others)},
            )
        )
    if controls:
        found.append(
            Claim(
                N_(
                    "Of {all} controls without similar examples (random ones, equal weights) "
                    "{agree} do."
                ),
                {"all": len(controls), "agree": _agreeing(controls)},
            )
        )
    return found


def _agreeing(votes: Sequence[StrategyVote]) -> int:
    return sum(vote.agrees for vote in votes)


def _gate(decision: Decision, analysis: Analysis) -> Claim:
    gate = decision.gate
    if not gate.reroute:
        return Claim(
            N_("The gate kept the router's answer “{answer}”."), {"answer": decision.base.answer}
        )
    if gate.evidence is not None and gate.evidence_threshold is not None:
        return Claim(
            N_(
                "The gate let the new answer stand: evidence {evidence}, at least {threshold} is "
                "asked."
            ),
            {"evidence": gate.evidence, "threshold": gate.evidence_threshold},
            {"evidence": ".1f", "threshold": ".1f"},
        )
    return Claim(
        N_("The gate had no objection: the nearest question is {similarity} similar."),
        {"similarity": gate.text_similarity},
        {"similarity": ".2f"},
    )
