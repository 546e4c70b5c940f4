"""Signal: do like questions have like routings, or are the routings noise?

A permutation test: the mean distance between the routings of neighbours in task space, against the
same after the routings were dealt out anew among the samples. And a multivariate analysis of
variance by permutation (PERMANOVA, Anderson 2001): do routings tell families and answers apart?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from r2t2_core.curation.checks.finding import Finding, Sentence, Thresholds, Verdict, grade
from r2t2_core.curation.checks.neighbourhood import Bench, nearest_others
from r2t2_core.i18n import N_

NEIGHBOURS = 5
PERMUTATIONS = 499

FIGURE = N_("how much closer neighbours' routings are than those of random pairs (0 is noise)")

NOISE = N_(
    "The routings are noise: those of like questions are no closer than those of random pairs "
    "(p = {p:.3f}, effect {effect:.1%})."
)
FAINT = N_(
    "Like questions have somewhat closer routings than random pairs (p = {p:.3f}, effect "
    "{effect:.1%}): what neighbours can teach is little."
)
CLEAR = N_(
    "Like questions have closer routings than random pairs (p = {p:.3f}, effect {effect:.1%})."
)
MEND_NOISE = N_(
    "Do not use this set. Check how its routings were recorded, or build it again from the samples."
)
MEND_FAINT = N_("Build it with the policy “refined”, or with an embedding that knows the tasks.")


@dataclass(frozen=True)
class SignalTest:
    """Outcome of the permutation test.

    Attributes
    ----------
    observed : float
        Mean distance between neighbours' routings (total variation, mean over gates).
    permuted : ndarray (P,)
        The same with routings dealt out anew.
    p_value : float
    effect : float
        1 − observed / mean of permuted.
    """

    observed: float
    permuted: np.ndarray
    p_value: float
    effect: float


def signal_test(
    routing: np.ndarray, pairs: np.ndarray, gates: int, seed: int, count: int = PERMUTATIONS
) -> SignalTest:
    """Test whether pairs have closer routings than chance.

    Parameters
    ----------
    routing : ndarray (n, E)
        Of all samples that could be dealt out.
    pairs : ndarray (P, 2), int64
        Rows of `routing`.
    gates : int
        Blocks of a routing.
    seed : int
    count : int
        Permutations.
    """
    generator = np.random.default_rng(seed)

    def mean_distance(rows: np.ndarray) -> float:
        chosen = routing[rows]
        moved = np.abs(chosen[pairs[:, 0]] - chosen[pairs[:, 1]]).sum(1)
        return float(moved.mean() / (2 * gates))

    observed = mean_distance(np.arange(len(routing)))
    permuted = np.array(
        [mean_distance(generator.permutation(len(routing))) for _number in range(count)]
    )
    p_value = (1 + int((permuted <= observed + 1e-12).sum())) / (count + 1)
    chance = float(permuted.mean())
    return SignalTest(observed, permuted, p_value, 1 - observed / chance if chance > 0 else 0.0)


def separation(
    routing: np.ndarray, groups: np.ndarray, seed: int, count: int = 199
) -> tuple[float, float]:
    """Return the share of the routings' variance between groups, beyond chance, and its p-value.

    Parameters
    ----------
    routing : ndarray (n, E)
    groups : ndarray (n,)
        Family or answer of each sample.
    """
    _names, codes = np.unique(groups, return_inverse=True)
    centred = routing - routing.mean(0)
    total = float((centred**2).sum())
    sizes = np.bincount(codes)
    if len(sizes) < 2 or total <= 0:
        return 0.0, 1.0
    generator = np.random.default_rng(seed)

    def between(order: np.ndarray) -> float:
        sums = np.zeros((len(sizes), routing.shape[1]))
        np.add.at(sums, codes[order], centred)
        return float((sums**2 / sizes[:, None]).sum()) / total

    observed = between(np.arange(len(codes)))
    permuted = np.array([between(generator.permutation(len(codes))) for _number in range(count)])
    p_value = (1 + int((permuted >= observed - 1e-12).sum())) / (count + 1)
    chance = float(permuted.mean())
    return max(0.0, (observed - chance) / max(1 - chance, 1e-12)), p_value


def check_signal(bench: Bench, thresholds: Thresholds) -> Finding:
    """Say whether the set's routings carry a signal."""
    reference, policy = bench.reference, bench.retrieval.policy
    admitted = np.flatnonzero(reference.eligible(policy))
    rows = bench.draw(admitted)
    routing = reference.routing_for(policy)[admitted]
    spec = reference.manifest.routing_spec
    if len(admitted) > NEIGHBOURS:
        found = nearest_others(
            bench.index, policy, rows, NEIGHBOURS, thresholds.duplicate_similarity
        )
        first = np.repeat(rows, found.shape[1])
        second = found.reshape(-1)
        pairs = np.stack([first, second], 1)[second >= 0]
        places = np.searchsorted(admitted, pairs)
    else:
        places = np.zeros((0, 2), dtype=np.int64)
    if len(places) == 0:
        words = N_("There are too few samples to tell signal from noise.")
        return Finding("signal", "unusable", None, None, None, Sentence(words),
                       Sentence(N_("Add labelled samples.")))  # fmt: skip
    test = signal_test(routing, places, len(spec.gates), bench.seed)
    families = reference.families[admitted]
    labels = reference.labels[admitted]
    by_family = separation(routing, families, bench.seed)
    by_answer = separation(routing, labels, bench.seed)
    verdict: Verdict = grade(
        test.effect, thresholds.signal_weak, thresholds.signal_unusable, more_is_better=True
    )
    if test.p_value > thresholds.signal_p:
        verdict = "unusable"
    words = {"unusable": NOISE, "weak": FAINT}.get(verdict, CLEAR)
    advice = {"unusable": MEND_NOISE, "weak": MEND_FAINT}.get(verdict, "")
    return Finding(
        "signal",
        verdict,
        test.effect,
        thresholds.signal_weak,
        thresholds.signal_unusable,
        Sentence(words, {"p": test.p_value, "effect": test.effect}),
        Sentence(advice),
        {
            "observed": test.observed,
            "chance": float(test.permuted.mean()),
            "permuted": test.permuted.tolist(),
            "p_value": test.p_value,
            "pairs": len(places),
            "family_separation": by_family[0],
            "family_p": by_family[1],
            "answer_separation": by_answer[0],
            "answer_p": by_answer[1],
        },
    )
