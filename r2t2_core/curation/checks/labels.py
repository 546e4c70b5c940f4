"""Labels: which are suspicious, since the neighbours and the oracle disagree with them.

After confident learning (Northcutt et al. 2021): each sample is re-routed by the others; where the
model then gives another answer, and is as sure of it as it is on average of samples that bear that
answer as their label, the label is suspicious. The worst come first: those that not even the
oracle, which sees the label, could make the model say.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from r2t2_core.curation.checks.finding import (
    Finding,
    Sentence,
    Thresholds,
    grade,
    not_assessed,
)
from r2t2_core.curation.checks.neighbourhood import Bench, own_suite
from r2t2_core.curation.checks.usefulness import ROUTINGS_ALONE
from r2t2_core.evaluation.prepared import BATCH, find
from r2t2_core.i18n import N_
from r2t2_core.problem import build_problem
from r2t2_core.registry import get_strategy

FEWEST = 5
"""Samples with a label from which on it has a bound of its own."""

LISTED = 1000
"""Samples on the review list at most."""

FIGURE = N_("share of suspicious labels")

FINE = N_("{count} of {cases} labels ({share:.1%}) are suspicious.")
ODD = N_(
    "{count} of {cases} labels ({share:.1%}) are suspicious: the model, led by the other samples, "
    "is sure of another answer."
)
REVIEW = N_("Go through the review list: accept, relabel or drop each, the worst first.")


@dataclass(frozen=True)
class Suspicion:
    """How samples stand to their labels.

    Attributes
    ----------
    rows : ndarray (n,), int64
    answers : ndarray (n,), int64
        What the model says when it is re-routed by the others.
    probability, label_probability : ndarray (n,)
        Of that answer, and of the label.
    oracle : ndarray (n,), bool
        The oracle could make the model say the label.
    suspicious : ndarray (n,), bool
    """

    rows: np.ndarray
    answers: np.ndarray
    probability: np.ndarray
    label_probability: np.ndarray
    oracle: np.ndarray
    suspicious: np.ndarray

    def worst_first(self) -> np.ndarray:
        """Return places of suspicious samples, the worst first."""
        places = np.flatnonzero(self.suspicious)
        score = self.probability - self.label_probability + 0.5 * ~self.oracle
        ordered: np.ndarray = places[np.argsort(-score[places], kind="stable")]
        return ordered


def suspicious_labels(bench: Bench, rows: np.ndarray) -> Suspicion:
    """Find suspicious labels among some rows of the set."""
    reference, engine = bench.reference, bench.engine
    suite = own_suite(reference, rows)
    strategy = engine.default_strategy
    values = engine.default_parameters(strategy)
    parts = []
    for start in range(0, len(rows), BATCH):
        chosen = slice(start, min(start + BATCH, len(rows)))
        found = find(bench.index, suite, chosen, bench.retrieval)
        prepared = suite.rows(chosen)
        problem = build_problem(engine.model, prepared, bench.index, found, bench.retrieval.policy)
        moved = get_strategy(strategy).reroute(problem, values).routing[-1]
        parts.append(engine.model.answer(prepared, moved).cpu())
    probabilities = torch.cat(parts).numpy()
    labels = reference.labels[rows]
    own = probabilities[np.arange(len(rows)), labels]
    answers = probabilities.argmax(1)
    sure = probabilities.max(1)
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    sums = np.bincount(labels, weights=own, minlength=probabilities.shape[1])
    bound = np.where(counts >= FEWEST, sums / np.maximum(counts, 1), own.mean())
    return Suspicion(
        rows,
        answers,
        sure,
        own,
        reference.eligible("refined")[rows],
        (answers != labels) & (sure >= bound[answers]),
    )


def check_labels(bench: Bench, thresholds: Thresholds) -> Finding:
    """Say how many labels are suspicious, and which."""
    reference = bench.reference
    if reference.manifest.routing_only:
        return not_assessed("labels", ROUTINGS_ALONE)
    rows = bench.draw(np.arange(len(reference)))
    found = suspicious_labels(bench, rows)
    share = float(found.suspicious.mean())
    verdict = grade(share, thresholds.labels_weak, thresholds.labels_unusable, more_is_better=False)
    order = found.worst_first()[:LISTED]
    identifiers = reference.column("id")
    answers = reference.manifest.answers
    review = [
        {
            "row": int(found.rows[place]),
            "id": str(identifiers[found.rows[place]]),
            "answer": answers[int(found.answers[place])],
            "probability": float(found.probability[place]),
            "label_probability": float(found.label_probability[place]),
            "oracle_agrees": bool(found.oracle[place]),
        }
        for place in order
    ]
    values = {"count": int(found.suspicious.sum()), "cases": len(rows), "share": share}
    return Finding(
        "labels",
        verdict,
        share,
        thresholds.labels_weak,
        thresholds.labels_unusable,
        Sentence(FINE if verdict == "usable" else ODD, values),
        Sentence("" if verdict == "usable" else REVIEW),
        {"review": review, "cases": len(rows)},
        tuple(str(entry["id"]) for entry in review),
    )
