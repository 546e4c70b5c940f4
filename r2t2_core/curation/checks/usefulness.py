"""Usefulness: each sample re-routed by the others; what is fixed, and what is broken."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from r2t2_core.curation.checks.finding import (
    Finding,
    Sentence,
    Thresholds,
    Verdict,
    not_assessed,
)
from r2t2_core.curation.checks.neighbourhood import Bench, own_suite
from r2t2_core.evaluation.prepared import run_suite
from r2t2_core.evaluation.statistics import compare
from r2t2_core.i18n import N_

STRATEGIES = ("kernel_regression", "ngd", "mode_finding")

FIGURE = N_("answers fixed less answers broken, as a share of the samples")

HELPS = N_(
    "Re-routed by the others, {fixed} of {cases} samples are fixed and {broken} broken (p = "
    "{p:.2g})."
)
UNDECIDED = N_(
    "Re-routed by the others, {fixed} of {cases} samples are fixed and {broken} broken (p = "
    "{p:.2g}): no help is shown."
)
HARMS = N_(
    "Re-routed by the others, {fixed} of {cases} samples are fixed and {broken} broken (p = "
    "{p:.2g}): the set harms."
)
MEND_UNDECIDED = N_("Add samples that the router answers wrongly, and build it as “refined”.")
MEND_HARMS = N_("Do not use this set. Look at its labels first.")
ROUTINGS_ALONE = N_("The set holds routings alone: no answer can be computed on it.")


def check_usefulness(bench: Bench, thresholds: Thresholds) -> Finding:
    """Say whether the set's samples repair one another."""
    reference = bench.reference
    if reference.manifest.routing_only:
        return not_assessed("usefulness", ROUTINGS_ALONE)
    engine, strategy = bench.engine, bench.engine.default_strategy
    rows = bench.draw(np.arange(len(reference)))
    names = tuple(dict.fromkeys((strategy, *STRATEGIES)))
    right = run_suite(
        engine.model,
        bench.index,
        own_suite(reference, rows),
        bench.retrieval,
        {name: engine.default_parameters(name) for name in names},
    )
    outcomes = {name: compare(right["base"], right[name]) for name in names}
    outcome = outcomes[strategy]
    gain = (outcome.fixed - outcome.broken) / outcome.cases
    verdict: Verdict = "usable"
    words, advice = HELPS, ""
    if outcome.p_value > thresholds.usefulness_p or gain == 0:
        verdict, words, advice = "weak", UNDECIDED, MEND_UNDECIDED
    elif gain < 0:
        verdict, words, advice = "unusable", HARMS, MEND_HARMS
    values = {"fixed": outcome.fixed, "broken": outcome.broken, "cases": outcome.cases,
              "p": outcome.p_value}  # fmt: skip
    return Finding(
        "usefulness",
        verdict,
        gain,
        0.0,
        0.0,
        Sentence(words, values),
        Sentence(advice),
        {
            "strategy": strategy,
            "router_accuracy": float(right["base"].mean()),
            "strategies": {
                name: asdict(entry) | {"accuracy": entry.accuracy}
                for name, entry in outcomes.items()
            },
        },
    )
