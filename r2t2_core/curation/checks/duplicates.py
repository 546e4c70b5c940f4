"""Duplicates in the set, and leakage: samples that a suite asks again, in text and picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from r2t2_core.curation.checks.finding import (
    Finding,
    Sentence,
    Thresholds,
    grade,
    not_assessed,
)
from r2t2_core.curation.checks.neighbourhood import Bench, near_duplicates
from r2t2_core.evaluation.prepared import PreparedSuite
from r2t2_core.i18n import N_

BATCH = 100

DUPLICATES_FIGURE = N_("share of samples that stand in the set twice or more")
LEAKAGE_FIGURE = N_("share of the suite's questions that the set knows already")

FEW = N_("{count} of {cases} samples ({share:.1%}) are near-duplicates of an earlier one.")
MANY = N_(
    "{count} of {cases} samples ({share:.1%}) are near-duplicates of an earlier one: a "
    "neighbourhood of k holds fewer than k opinions."
)
DROP = N_("Drop them: `r2t2 reference edit --drop-duplicates` keeps the first of each.")
CLEAN = N_("{count} of {cases} questions of the suites ({share:.1%}) are known to the set.")
LEAKS = N_(
    "{count} of {cases} questions of the suites ({share:.1%}) are known to the set: what is "
    "measured on them is too good."
)
PART = N_("Take these samples out of the set, or these questions out of the suites.")
NO_PICTURES = N_("The set holds no pictures, so that near-duplicates cannot be told.")
NO_SUITE = N_("No suite was given.")


def duplicates_of_earlier(bench: Bench, threshold: float) -> np.ndarray:
    """Return rows that are alike, in text and picture, to an earlier row."""
    reference = bench.reference
    found = []
    for start in range(0, len(reference), BATCH):
        rows = np.arange(start, min(start + BATCH, len(reference)))
        others, alike = near_duplicates(
            bench.index, reference.embeddings[rows], reference.image_features[rows], threshold
        )
        found.append(rows[(alike & (others < rows[:, None])).any(1)])
    return np.concatenate(found)


def check_duplicates(bench: Bench, thresholds: Thresholds) -> Finding:
    """Say how many samples stand in the set more than once."""
    reference = bench.reference
    if reference.image_features.shape[1] == 0:
        return not_assessed("duplicates", NO_PICTURES)
    rows = duplicates_of_earlier(bench, thresholds.duplicate_similarity)
    share = len(rows) / len(reference)
    verdict = grade(
        share, thresholds.duplicates_weak, thresholds.duplicates_unusable, more_is_better=False
    )
    identifiers = reference.column("id")
    values = {"count": len(rows), "cases": len(reference), "share": share}
    return Finding(
        "duplicates",
        verdict,
        share,
        thresholds.duplicates_weak,
        thresholds.duplicates_unusable,
        Sentence(FEW if verdict == "usable" else MANY, values),
        Sentence("" if verdict == "usable" else DROP),
        {"rows": rows.tolist()},
        tuple(str(identifiers[row]) for row in rows.tolist()),
    )


def check_leakage(bench: Bench, thresholds: Thresholds, suites: Sequence[PreparedSuite]) -> Finding:
    """Say how many questions of the suites the set knows already."""
    reference = bench.reference
    if reference.image_features.shape[1] == 0:
        return not_assessed("leakage", NO_PICTURES)
    if not suites:
        return not_assessed("leakage", NO_SUITE)
    identifiers = reference.column("id")
    known: set[str] = set()
    counts: dict[str, dict[str, int]] = {}
    for suite in suites:
        features = suite.prepared.image_features.cpu().numpy()
        parts = [
            near_duplicates(
                bench.index,
                suite.embeddings[start : start + BATCH],
                features[start : start + BATCH],
                thresholds.duplicate_similarity,
            )
            for start in range(0, len(suite), BATCH)
        ]
        count = sum(int(same.any(1).sum()) for _others, same in parts)
        counts[suite.name] = {"known": count, "questions": len(suite)}
        known |= {str(identifiers[row]) for others, same in parts for row in others[same].tolist()}
    count = sum(entry["known"] for entry in counts.values())
    cases = sum(entry["questions"] for entry in counts.values())
    verdict = grade(count / cases, thresholds.leakage_weak, None, more_is_better=False)
    values = {"count": count, "cases": cases, "share": count / cases}
    return Finding(
        "leakage",
        verdict,
        count / cases,
        thresholds.leakage_weak,
        None,
        Sentence(CLEAN if verdict == "usable" else LEAKS, values),
        Sentence("" if verdict == "usable" else PART),
        {"suites": counts},
        tuple(sorted(known)),
    )
