"""Bias: families, answers, styles and sources that weigh more than others; answer priors."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from r2t2_core.curation.checks.finding import (
    Finding,
    Sentence,
    Thresholds,
    grade,
    not_assessed,
)
from r2t2_core.curation.checks.neighbourhood import Bench, own_suite
from r2t2_core.evaluation.prepared import run_suite
from r2t2_core.i18n import N_
from r2t2_core.reference.index import ReferenceIndex
from r2t2_core.reference.store import ReferenceSet

SMALLEST_FAMILY = 20
"""Samples of a family from which on its answers' prior is looked at."""

CAP = 2.0
"""Pruning leaves a family this many times the median family's samples at most."""

QUERIES = 400
"""Samples with which the effect of pruning is measured."""

FIGURE = N_("share of the largest family")

EVEN = N_("The largest family, {family}, holds {share:.0%} of the samples.")
UNEVEN = N_(
    "One family, {family}, holds {share:.0%} of the samples: other questions will find few "
    "neighbours of their kind."
)
PRUNED = N_(
    "Add samples of the other families. Pruned to {size:,} samples, the accuracy by family would "
    "be {after:.1%} instead of {before:.1%}."
)
ADD = N_("Add samples of the other families.")
UNKNOWN = N_("No sample names its family.")


def shares(values: Sequence[str]) -> dict[str, float]:
    """Return the share of each value, the largest first."""
    counts = Counter(values)
    return {name: count / len(values) for name, count in counts.most_common()}


def evenness(values: Sequence[str]) -> float:
    """Return the effective number of values (exponential of the entropy) over their number."""
    weights = np.array(list(shares(values).values()))
    return float(np.exp(-(weights * np.log(weights)).sum()) / len(weights))


def answer_priors(families: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, object]]:
    """Return, for each family that is large enough, its commonest answer and that one's share."""
    found: dict[str, dict[str, object]] = {}
    for family in np.unique(families):
        own = labels[families == family]
        if len(own) >= SMALLEST_FAMILY:
            answer, count = Counter(own.tolist()).most_common(1)[0]
            found[str(family)] = {
                "answer": answer, "share": count / len(own), "answers": len(set(own.tolist())),
            }  # fmt: skip
    return found


def pruned_rows(families: np.ndarray, seed: int) -> np.ndarray:
    """Return rows that are left when no family is larger than `CAP` times the median one."""
    generator = np.random.default_rng(seed)
    names, sizes = np.unique(families, return_counts=True)
    most = max(1, round(CAP * float(np.median(sizes))))
    kept = []
    for name in names:
        rows = np.flatnonzero(families == name)
        kept.append(rows if len(rows) <= most else generator.choice(rows, most, replace=False))
    ordered: np.ndarray = np.sort(np.concatenate(kept))
    return ordered


def check_bias(bench: Bench, thresholds: Thresholds) -> Finding:
    """Say what the set has too much of."""
    reference = bench.reference
    columns = {name: reference.column(name) for name in ("family", "label", "style")}
    columns["source"] = [str(text).split(" ")[0] for text in reference.column("source")]
    known = {name: values for name, values in columns.items() if any(values)}
    numbers = {
        name: {"shares": dict(list(shares(values).items())[:30]), "evenness": evenness(values)}
        for name, values in known.items()
    }
    if "family" not in known:
        finding = not_assessed("bias", UNKNOWN)
        return Finding(**{**finding.__dict__, "numbers": numbers})
    families = reference.families
    priors = answer_priors(families, np.array(columns["label"]))
    family, share = next(iter(shares(columns["family"]).items()))
    verdict = grade(share, thresholds.bias_weak, thresholds.bias_unusable, more_is_better=False)
    advice = Sentence("")
    pruning: dict[str, float] = {}
    if verdict != "usable":
        pruning = _effect_of_pruning(bench, families)
        advice = Sentence(PRUNED, pruning) if pruning else Sentence(ADD)
    return Finding(
        "bias",
        verdict,
        share,
        thresholds.bias_weak,
        thresholds.bias_unusable,
        Sentence(EVEN if verdict == "usable" else UNEVEN, {"family": family, "share": share}),
        advice,
        {"columns": numbers, "answer_priors": priors, "pruning": pruning},
    )


def _effect_of_pruning(bench: Bench, families: np.ndarray) -> dict[str, float]:
    """Measure, leave-one-out, the mean accuracy of families with and without pruning."""
    reference = bench.reference
    rows = pruned_rows(families, bench.seed)
    if reference.manifest.routing_only or len(rows) == len(reference):
        return {}
    # As many of each family, so that the large one does not decide.
    generator = np.random.default_rng(bench.seed)
    names = np.unique(families)
    each = max(1, QUERIES // len(names))
    chosen = []
    for name in names:
        own = np.flatnonzero(families == name)
        chosen.append(generator.choice(own, min(each, len(own)), replace=False))
    queries = np.sort(np.concatenate(chosen))
    made = reference.variant(rows, about="pruned")
    return {
        "size": len(rows),
        "before": _accuracy_by_family(bench, reference, queries, reference, families),
        "after": _accuracy_by_family(bench, made, queries, reference, families),
    }


def _accuracy_by_family(
    bench: Bench,
    used: ReferenceSet,
    queries: np.ndarray,
    reference: ReferenceSet,
    families: np.ndarray,
) -> float:
    strategy = bench.engine.default_strategy
    right = run_suite(
        bench.engine.model,
        ReferenceIndex(used),
        own_suite(reference, queries),
        bench.retrieval,
        {strategy: bench.engine.default_parameters(strategy)},
    )[strategy]
    own = families[queries]
    return float(np.mean([right[own == name].mean() for name in np.unique(own)]))
