"""Coverage: how near the set is to the questions that will be asked, and what to label next.

Two orders of what to label next. *Farthest first* (Gonzalez 1985; Sener and Savarese 2018): each
next question is the one farthest from the set and from those already chosen. *Expected repair*:
each next question is the one that brings most of the questions which the router probably answers
wrongly nearer to a sample (greedy facility location, Nemhauser et al. 1978).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from r2t2_core.curation.checks.finding import (
    Finding,
    Sentence,
    Thresholds,
    grade,
    not_assessed,
)
from r2t2_core.curation.checks.neighbourhood import Bench
from r2t2_core.evaluation.prepared import PreparedSuite
from r2t2_core.i18n import N_

NEXT = 50
"""How many samples are named to be labelled next."""

FIGURE = N_("share of questions out of reach of the set")

COVERED = N_("{count} of {cases} questions ({share:.1%}) are out of reach.")
HOLES = N_(
    "{count} of {cases} questions ({share:.1%}) are out of reach: they keep the router's answer."
)
LABEL = N_("Label the {next} questions that are named here, and refresh the set with them.")
NO_STREAM = N_("No suite or stream of questions was given.")


@dataclass(frozen=True)
class Coverage:
    """How near questions are to a set: arrays (n,).

    Attributes
    ----------
    similarity : ndarray
        Cosine similarity of the nearest sample's question.
    image_distance : ndarray
        Distance of the picture; about 1 for the set's own.
    within : ndarray, bool
        In reach of both.
    doubt : ndarray
        1 − probability of the router's answer: how probable it is that the router errs.
    """

    similarity: np.ndarray
    image_distance: np.ndarray
    within: np.ndarray
    doubt: np.ndarray


def measure_coverage(bench: Bench, suite: PreparedSuite) -> Coverage:
    """Measure how near a suite's questions are to the set."""
    thresholds = bench.engine.defaults.thresholds
    search = bench.index.search_of(bench.retrieval.policy)
    similarity, _places = search.search(np.ascontiguousarray(suite.embeddings), 1)
    distance = bench.index.picture_distance(suite.prepared.image_features.cpu().numpy())
    router = bench.engine.model.answer(suite.prepared).cpu().numpy().max(1)
    nearest = similarity[:, 0]
    within = (nearest >= thresholds.text_similarity) & (distance <= thresholds.image_distance)
    return Coverage(nearest, distance, within, 1 - router)


def farthest_first(embeddings: np.ndarray, similarity: np.ndarray, count: int) -> np.ndarray:
    """Return places (count,) of the farthest, each taken into account for the next.

    Parameters
    ----------
    embeddings : ndarray (n, d)
        Of unit length.
    similarity : ndarray (n,)
        To the nearest sample of the set.
    """
    best = similarity.copy()
    chosen = []
    for _number in range(min(count, len(best))):
        place = int(best.argmin())
        chosen.append(place)
        best = np.maximum(best, embeddings @ embeddings[place])
        best[chosen] = np.inf
    return np.array(chosen, dtype=np.int64)


def expected_repair(
    embeddings: np.ndarray, similarity: np.ndarray, doubt: np.ndarray, count: int
) -> np.ndarray:
    """Return places (count,) that bring most doubtful questions nearer, greedily.

    Parameters
    ----------
    embeddings : ndarray (n, d)
    similarity : ndarray (n,)
        To the nearest sample of the set.
    doubt : ndarray (n,)
        Weight of a question: how probable it is that the router errs.
    """
    best = similarity.copy()
    chosen: list[int] = []
    for _number in range(min(count, len(best))):
        gains = np.zeros(len(best))
        for start in range(0, len(best), 1000):
            near = embeddings[start : start + 1000] @ embeddings.T
            gains[start : start + 1000] = (np.maximum(near - best, 0) * doubt).sum(1)
        gains[chosen] = -1
        place = int(gains.argmax())
        if gains[place] <= 0:
            break
        chosen.append(place)
        best = np.maximum(best, embeddings @ embeddings[place])
    return np.array(chosen, dtype=np.int64)


def check_coverage(
    bench: Bench, thresholds: Thresholds, suites: Sequence[PreparedSuite]
) -> Finding:
    """Say how many questions are out of reach, where the holes are, and what to label next."""
    if not suites or bench.reference.manifest.routing_only:
        return not_assessed("coverage", NO_STREAM)
    numbers: dict[str, object] = {}
    missed = cases = 0
    proposals: list[dict[str, object]] = []
    for suite in suites:
        found = measure_coverage(bench, suite)
        outside = ~found.within
        holes = {
            str(name or "–"): float(outside[suite.families == name].mean())
            for name in np.unique(suite.families)
        }
        numbers[suite.name] = {
            "questions": len(suite),
            "out_of_reach": float(outside.mean()),
            "similarity": np.quantile(found.similarity, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist(),
            "similarities": found.similarity.round(4).tolist(),
            "holes": holes,
        }
        missed, cases = missed + int(outside.sum()), cases + len(suite)
        each = -(-NEXT // len(suites))
        orders = {
            "farthest_first": farthest_first(suite.embeddings, found.similarity, each),
            "expected_repair": expected_repair(
                suite.embeddings, found.similarity, found.doubt, each
            ),
        }
        proposals += [
            {"suite": suite.name, "order": order, "place": int(place),
             "similarity": float(found.similarity[place]), "doubt": float(found.doubt[place])}
            for order, places in orders.items() for place in places.tolist()
        ]  # fmt: skip
    share = missed / cases
    verdict = grade(
        share, thresholds.coverage_weak, thresholds.coverage_unusable, more_is_better=False
    )
    values = {"count": missed, "cases": cases, "share": share}
    return Finding(
        "coverage",
        verdict,
        share,
        thresholds.coverage_weak,
        thresholds.coverage_unusable,
        Sentence(COVERED if verdict == "usable" else HOLES, values),
        Sentence("") if verdict == "usable" else Sentence(LABEL, {"next": NEXT}),
        {"suites": numbers, "label_next": proposals},
    )
