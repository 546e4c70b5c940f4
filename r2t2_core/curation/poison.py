"""Sets that were spoilt on purpose, to measure how often the checks notice.

Each function takes a sound set and a seed, and returns a spoilt one in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from r2t2_core.curation.checks.bias import check_bias
from r2t2_core.curation.checks.duplicates import check_duplicates
from r2t2_core.curation.checks.finding import Finding, Thresholds
from r2t2_core.curation.checks.labels import check_labels
from r2t2_core.curation.checks.neighbourhood import Bench
from r2t2_core.curation.checks.signal import check_signal
from r2t2_core.engine import Engine
from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.reference.edit import floats
from r2t2_core.reference.index import ReferenceIndex
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.refine import refine

Check = Callable[[Bench, Thresholds], Finding]


@dataclass(frozen=True)
class Poisoned:
    """A spoilt set.

    Attributes
    ----------
    reference : ReferenceSet
    rows : ndarray (m,), int64
        Rows that were spoilt; empty where it is the set as a whole.
    """

    reference: ReferenceSet
    rows: np.ndarray


NOBODY = np.zeros(0, dtype=np.int64)

SALT = 20250225
"""Keeps the draws of what is spoilt apart from those of what the checks look at."""


def _generator(seed: int) -> np.random.Generator:
    return np.random.default_rng([SALT, seed])


def sound(reference: ReferenceSet, model: ModelAdapter, seed: int) -> Poisoned:
    """Return a random four fifths of the set, unspoilt: the control for false alarms."""
    count = max(1, round(0.8 * len(reference)))
    rows = np.sort(_generator(seed).choice(len(reference), count, replace=False))
    return Poisoned(reference.variant(rows, about=f"sound {seed}"), NOBODY)


def labels_flipped(share: float) -> Callable[[ReferenceSet, ModelAdapter, int], Poisoned]:
    """Replace a share of the labels by other answers of the same family; refine towards them."""

    def spoil(reference: ReferenceSet, model: ModelAdapter, seed: int) -> Poisoned:
        generator = _generator(seed)
        count = max(1, round(share * len(reference)))
        rows = generator.choice(len(reference), count, replace=False)
        labels, families = reference.labels.copy(), reference.families
        flipped = []
        for row in rows:
            own = np.unique(reference.labels[families == families[row]])
            others = own[own != labels[row]]
            if len(others):
                labels[row] = generator.choice(others)
                flipped.append(row)
        changed = np.array(flipped, dtype=np.int64)
        routing = np.array(reference.routing_for("refined"))
        correct = np.array(reference.eligible("refined"))
        prepared = Prepared(
            reference.outputs_of(torch.from_numpy(changed)),
            torch.from_numpy(reference.router_routing[changed]),
            torch.zeros(len(changed), 0),
        )
        wanted = torch.from_numpy(labels[changed])
        moved = refine(model, prepared, wanted)
        routing[changed] = moved.numpy()
        correct[changed] = (model.answer(prepared, moved).argmax(1) == wanted).numpy()
        everything = np.arange(len(reference))
        about = f"{share:.0%} of the labels flipped {seed}"
        return Poisoned(
            reference.variant(everything, labels, (routing, correct), about=about), changed
        )

    return spoil


def routings_shuffled(reference: ReferenceSet, model: ModelAdapter, seed: int) -> Poisoned:
    """Deal the routings out anew among the samples."""
    order = _generator(seed).permutation(len(reference))
    columns = {
        "routing": floats(reference.router_routing[order]),
        "refined_routing": floats(reference.routing_for("refined")[order]),
    }
    rows = np.arange(len(reference))
    about = f"routings shuffled {seed}"
    return Poisoned(reference.variant(rows, about=about, columns=columns), NOBODY)


def near_duplicates(share: float) -> Callable[[ReferenceSet, ModelAdapter, int], Poisoned]:
    """Let a share of the set be slightly changed copies of its other samples."""

    def spoil(reference: ReferenceSet, model: ModelAdapter, seed: int) -> Poisoned:
        generator = _generator(seed)
        size = len(reference)
        originals = generator.permutation(size)[: round((1 - share) * size)]
        copied = generator.choice(originals, size - len(originals))
        rows = np.concatenate([originals, copied])
        own = len(originals)
        embeddings, features = reference.embeddings[rows], reference.image_features[rows]
        for matrix, spread in ((embeddings, 0.1), (features, 0.05)):
            scale = spread * np.linalg.norm(matrix, axis=1, keepdims=True)
            noise = generator.standard_normal(matrix.shape, dtype=np.float32)
            noise /= np.linalg.norm(noise, axis=1, keepdims=True)
            matrix[own:] += (scale * noise)[own:]
        embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
        identifiers = [f"{reference.sample(int(row)).id}-{n}" for n, row in enumerate(rows)]
        columns = {
            "id": pa.array(identifiers),
            "embedding": floats(embeddings),
            "image_features": floats(features),
        }
        about = f"{share:.0%} near-duplicates {seed}"
        made = reference.variant(rows, about=about, columns=columns)
        return Poisoned(made, np.arange(own, size))

    return spoil


def giant_family(share: float) -> Callable[[ReferenceSet, ModelAdapter, int], Poisoned]:
    """Thin all families but one until that one holds a share of the set."""

    def spoil(reference: ReferenceSet, model: ModelAdapter, seed: int) -> Poisoned:
        generator = _generator(seed)
        families = reference.families
        giant = generator.choice(np.unique(families))
        own = np.flatnonzero(families == giant)
        others = np.flatnonzero(families != giant)
        kept = round(len(own) * (1 - share) / share)
        rows = np.concatenate([own, generator.choice(others, min(kept, len(others)), False)])
        about = f"one family holds {share:.0%} {seed}"
        return Poisoned(reference.variant(np.sort(rows), about=about), NOBODY)

    return spoil


POISONS: Mapping[str, tuple[str, Callable[[ReferenceSet, ModelAdapter, int], Poisoned]]] = {
    "routings shuffled": ("signal", routings_shuffled),
    "5 % of the labels flipped": ("labels", labels_flipped(0.05)),
    "10 % of the labels flipped": ("labels", labels_flipped(0.10)),
    "20 % of the labels flipped": ("labels", labels_flipped(0.20)),
    "40 % of the labels flipped": ("labels", labels_flipped(0.40)),
    "20 % near-duplicates": ("duplicates", near_duplicates(0.2)),
    "50 % near-duplicates": ("duplicates", near_duplicates(0.5)),
    "one family holds 60 %": ("bias", giant_family(0.6)),
    "one family holds 90 %": ("bias", giant_family(0.9)),
}
"""Name → the check that should notice, and how the set is spoilt."""

CHECKS: Mapping[str, Check] = {
    "signal": check_signal,
    "labels": check_labels,
    "duplicates": check_duplicates,
    "bias": check_bias,
}


@dataclass(frozen=True)
class CatchRate:
    """How often a check noticed.

    Attributes
    ----------
    poison, check : str
        `poison` is `sound` for the control, where noticing is a false alarm.
    trials, caught : int
        Caught means any verdict but `usable`.
    unusable : int
        Trials with that verdict.
    figure : float
        Mean of the check's figure.
    precision, recall : float or None
        Of the samples that the check names, where single samples were spoilt.
    """

    poison: str
    check: str
    trials: int
    caught: int
    unusable: int
    figure: float
    precision: float | None = None
    recall: float | None = None


def measure_catch_rates(
    engine: Engine,
    reference: ReferenceSet,
    seeds: range,
    limit: int,
    progress: Callable[[str], None] = lambda name: None,
) -> list[CatchRate]:
    """Measure how often each check notices what it should, and how often it cries wolf."""
    trials: list[tuple[str, str, Callable[[ReferenceSet, ModelAdapter, int], Poisoned]]] = [
        *(("sound", check, sound) for check in CHECKS),
        *((name, check, spoil) for name, (check, spoil) in POISONS.items()),
    ]
    rates = []
    for name, check, spoil in trials:
        progress(f"{name}: {check}")
        findings, hits, named, spoilt = [], 0, 0, 0
        for seed in seeds:
            made = spoil(reference, engine.model, seed)
            bench = Bench(
                engine, made.reference, ReferenceIndex(made.reference),
                engine.default_retrieval, seed, limit,
            )  # fmt: skip
            finding = CHECKS[check](bench, Thresholds())
            findings.append(finding)
            if len(made.rows):
                # Of what was looked at: labels are judged on a draw, duplicates on all.
                looked = (
                    bench.draw(np.arange(len(made.reference)))
                    if check == "labels"
                    else np.arange(len(made.reference))
                )
                guilty = set(np.intersect1d(made.rows, looked).tolist())
                accused = accused_rows(finding)
                hits += len(guilty & accused)
                named += len(accused)
                spoilt += len(guilty)
        rates.append(
            CatchRate(
                name,
                check,
                len(findings),
                sum(finding.verdict in ("weak", "unusable") for finding in findings),
                sum(finding.verdict == "unusable" for finding in findings),
                float(np.mean([finding.figure or 0.0 for finding in findings])),
                hits / named if spoilt and named else None,
                hits / spoilt if spoilt else None,
            )
        )
    return rates


def accused_rows(finding: Finding) -> set[int]:
    """Return the rows that a finding names."""
    if "review" in finding.numbers:
        return {int(entry["row"]) for entry in finding.numbers["review"]}
    return {int(row) for row in finding.numbers.get("rows", [])}
