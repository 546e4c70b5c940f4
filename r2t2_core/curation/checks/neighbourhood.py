"""What the checks share: a set's samples among each other, and questions of a suite."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from r2t2_core.engine import Engine
from r2t2_core.errors import ImageError, QuestionError, SuiteError
from r2t2_core.evaluation.prepared import PreparedSuite
from r2t2_core.evaluation.runner import choose_samples
from r2t2_core.evaluation.suites import LAYOUT, Suite
from r2t2_core.i18n import N_
from r2t2_core.intake.image import read_image
from r2t2_core.intake.question import read_question
from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.types import Sample

BATCH = 64

LOOKED = 32
"""Neighbours that are looked at, so that near-duplicates can be left out."""

MOST_LOOKED = 2048
"""Samples with the same question that are compared with a picture at most."""


@dataclass(frozen=True)
class Bench:
    """What a check works with.

    Attributes
    ----------
    engine : Engine
        Its model, embedder and defaults; the set that is checked need not be its own.
    reference : ReferenceSet
    index : ReferenceIndex
    retrieval : RetrievalParams
    seed : int
    limit : int
        At most so many samples are drawn for what is costly.
    """

    engine: Engine
    reference: ReferenceSet
    index: ReferenceIndex
    retrieval: RetrievalParams
    seed: int = 0
    limit: int = 1000

    def draw(self, rows: np.ndarray) -> np.ndarray:
        """Return all rows, or so many of them as are looked at, in order."""
        if len(rows) <= self.limit:
            return rows
        drawn = np.random.default_rng(self.seed).choice(rows, self.limit, replace=False)
        ordered: np.ndarray = np.sort(drawn)
        return ordered


def stored(reference: ReferenceSet, rows: np.ndarray) -> Prepared:
    """Return what was stored of some samples, as a model prepares queries."""
    chosen = np.asarray(rows, dtype=np.int64)
    return Prepared(
        reference.outputs_of(torch.from_numpy(chosen)),
        torch.from_numpy(reference.router_routing[chosen]),
        torch.from_numpy(reference.image_features[chosen]),
    )


def own_suite(reference: ReferenceSet, rows: np.ndarray) -> PreparedSuite:
    """Return samples of a set as a suite: each is re-routed by the others.

    The retrieval leaves near-duplicates out, and so the sample itself.
    """
    return PreparedSuite(
        "leave-one-out",
        stored(reference, rows),
        reference.embeddings[rows],
        torch.from_numpy(reference.labels[rows]),
        reference.families[rows],
    )


def nearest_others(
    index: ReferenceIndex, policy: str, rows: np.ndarray, count: int, threshold: float
) -> np.ndarray:
    """Return rows (n, count) of the nearest admitted samples that are other ones; -1 is padding."""
    reference = index.reference
    admitted = np.flatnonzero(reference.eligible(policy))
    search = index.search_of(policy)
    looked = min(search.size, count + LOOKED)
    queries = np.ascontiguousarray(reference.embeddings[rows])
    similarity, places = search.search(queries, looked)
    found = admitted[places]
    alike = index.image_similarity(reference.image_features[rows], found)
    usable = (found != rows[:, None]) & ~((similarity > threshold) & (alike > threshold))
    order = np.argsort(~usable, axis=1, kind="stable")[:, :count]
    present = np.take_along_axis(usable, order, 1)
    taken: np.ndarray = np.where(present, np.take_along_axis(found, order, 1), -1)
    return taken


def near_duplicates(
    index: ReferenceIndex, embeddings: np.ndarray, features: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return rows (n, L) of near samples, and which of them are alike in text and picture (n, L).

    Parameters
    ----------
    embeddings : ndarray (n, d)
        Of questions.
    features : ndarray (n, F)
        Of their pictures.
    threshold : float
        Of both similarities.
    """
    search = index.search_of("all_labelled")
    queries = np.ascontiguousarray(embeddings)
    looked = min(LOOKED, search.size)
    while True:
        similarity, rows = search.search(queries, looked)
        # Many samples may ask the same of different pictures.
        if looked == min(search.size, MOST_LOOKED) or (similarity[:, -1] <= threshold).all():
            break
        looked = min(4 * looked, search.size, MOST_LOOKED)
    alike = index.image_similarity(features, rows) > threshold
    return rows, (similarity > threshold) & alike


def prepare_suite(engine: Engine, suite: Suite, limit: int | None, seed: int) -> PreparedSuite:
    """Run the routing-independent part over a suite's questions; unusable ones are left out.

    Raises
    ------
    SuiteError
        No question can be used.
    """
    places = {answer.lower(): number for number, answer in enumerate(engine.model.answers)}
    samples, labels, families = [], [], []
    for entry in choose_samples(suite, limit, seed):
        try:
            picture = read_image(entry.image.read_bytes()).image
            question = read_question(entry.question).text
        except (ImageError, QuestionError, OSError):
            continue
        label = places.get(entry.answer.strip().lower())
        if label is not None:
            samples.append(Sample(picture, question))
            labels.append(label)
            families.append(entry.family)
    if not samples:
        raise SuiteError(N_("No question of {name} can be used."), LAYOUT, name=suite.name)
    return PreparedSuite(
        suite.name,
        prepare_in_batches(engine.model, samples),
        engine.embedder.embed([sample.question for sample in samples]),
        torch.tensor(labels),
        np.array(families),
    )


def prepare_in_batches(model: ModelAdapter, samples: list[Sample]) -> Prepared:
    """Run the routing-independent part over many samples."""
    parts = [
        model.prepare(samples[start : start + BATCH]) for start in range(0, len(samples), BATCH)
    ]
    return Prepared(
        torch.cat([part.expert_outputs for part in parts]),
        torch.cat([part.routing for part in parts]),
        torch.cat([part.image_features for part in parts]),
    )
