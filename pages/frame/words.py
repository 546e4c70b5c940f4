"""Words for names that the record holds as identifiers."""

from __future__ import annotations

from collections.abc import Iterable

from r2t2_core.decision import Decision
from r2t2_core.i18n import N_
from r2t2_core.i18n import gettext as _
from r2t2_core.registry import strategies

EXPERTS = {
    "colour": N_("colour"),
    "kind": N_("kind of thing"),
    "position": N_("position"),
    "count": N_("counting"),
    "text": N_("reading"),
    "chart": N_("charts and gauges"),
    "language": N_("language only"),
}

OUTCOMES = {
    "repaired": N_("wrong before, right after"),
    "unchanged_right": N_("right before and after"),
    "unchanged_wrong": N_("wrong before and after"),
    "broken": N_("right before, wrong after"),
}

MARKS = {"repaired": "✗→✓", "unchanged_right": "✓→✓", "unchanged_wrong": "✗→✗", "broken": "✓→✗"}
"""Outcomes at a glance."""

STOP_REASONS = {
    "max_steps": N_("all steps done"),
    "converged": N_("stood still"),
    "single_step": N_("end point known"),
}

YES_NO = {True: N_("yes"), False: N_("no")}

CHOICES = {
    "correct_only": N_("answered correctly by the router (paper)"),
    "all_labelled": N_("all that are labelled"),
    "refined": N_("all, with refined routing"),
    "knn": N_("the k nearest"),
    "ball": N_("all within a similarity"),
    "mean_distance": N_("mean distance"),
    "median": N_("median distance"),
    "kth": N_("distance of the k-th"),
    "gaussian": N_("Gaussian"),
    "matern": N_("Matérn"),
    "laplacian": N_("Laplacian"),
    "linear": N_("linear"),
    "polynomial": N_("polynomial"),
    "fixed": N_("fixed"),
    "search": N_("search"),
    "adam": N_("Adam"),
    "gradient": N_("plain gradient"),
}
"""Values of parameters that are a choice."""


def choice(value: str) -> str:
    """Return a choice in the active language; a third party's stands as it is."""
    return _(CHOICES.get(value, value))


def expert_names(decision: Decision) -> list[str]:
    """Return all experts' names in the active language."""
    return [_(EXPERTS.get(name, name)) for gate in decision.system.gates for name in gate.experts]


METHODS = {
    "base": N_("Router"),
    "ngd": N_("NGD"),
    "kernel_regression": N_("Kernel Regression"),
    "mode_finding": N_("Mode Finding"),
    "oracle": N_("Oracle"),
    "uniform": N_("Equal weights"),
    "random_neighbours": N_("Random neighbours"),
    "entropy": N_("Entropy minimisation"),
    "knn_vote": N_("Neighbours' vote"),
    "random_experts": N_("Random experts"),
    "own_expert": N_("Own expert"),
    "router_finetuned": N_("Router fine-tuned"),
    "tent": N_("Tent"),
    "memo": N_("MEMO"),
}
"""Short names, for axes and legends."""

SETTINGS = {
    "correct_only": N_("correct-only"),
    "all_labelled": N_("all labelled"),
    "refined": N_("refined"),
    "alpha_mode=search": N_("α search"),
    "n_neighbours": "k",
}
"""Short names of policies and parameters."""


def method_titles(specs: Iterable[str]) -> dict[str, str]:
    """Return short titles of methods, with the policy and the parameters that they name."""
    titles = {}
    for spec in specs:
        head, *settings = spec.split(":")
        name, _at, policy = head.partition("@")
        extra = [_(SETTINGS.get(policy, policy))] if policy else []
        for setting in settings:
            field, _equals, value = setting.partition("=")
            short = f"{SETTINGS.get(field, field)} = {value}"
            extra.append(_(SETTINGS[setting]) if setting in SETTINGS else short)
        titles[spec] = ", ".join((_(METHODS.get(name, name)), *extra))
    return titles


def strategy_titles() -> dict[str, str]:
    """Return all strategies' titles in the active language."""
    return {name: _(entry.title) for name, entry in strategies().items()}
