"""Maps of a reference set: its samples on a plane, near where they are alike (UMAP).

A map is fitted once for each version of a reference set (`projection_store` keeps it).
A new point is placed by one rule, always the same: the average of its nearest samples' places,
weighted by how near they are. UMAP begins its own `transform` so, and then moves the point by
random steps; without them a point has the same place on every day and in every process.

Knows nothing of files, figures and pages.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from r2t2_core.errors import Cancelled, ReferenceSetError
from r2t2_core.i18n import N_
from r2t2_core.reference.store import ReferenceSet

SPACES = ("questions", "routing")
"""Task embeddings of the questions; routing weights that the router chose."""

N_NEIGHBOURS = 15
MIN_DISTANCE = 0.1
SEED = 0
FEWEST = N_NEIGHBOURS + 2
"""Distinct samples that a map needs at least."""

LARGEST = 50_000
"""Distinct samples that a map is fitted to; of a larger set these are drawn, and the others placed
like new points."""

BLOCK = 512
"""Samples whose similarities to all others are computed at once."""

CHECKED = 1000
"""Samples for which it is counted how many of their neighbours the map keeps."""

SPREAD = 0.0025
"""Distance of samples that share a place, as a share of the map's width."""

GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))

STAGE_NEIGHBOURS = N_("Finding who is near whom")
STAGE_LAYOUT = N_("Drawing the map")

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Projection:
    """A map of one version of a reference set.

    Attributes
    ----------
    space : str
        What is near on it: `questions` or `routing`.
    content_hash : str
        Of the reference set.
    coordinates : ndarray (N, 2), float32
        No unit: only who is near whom means something.
    nearness : ndarray (N,), float32
        Mean similarity to the 15 nearest other samples of the set (those with the same vector
        count once): how dense the set is there. Cosine similarity.
    preserved : float
        Share of the 15 nearest samples in the space that are among the 15 nearest on the map.
    """

    space: str
    content_hash: str
    coordinates: np.ndarray
    nearness: np.ndarray
    preserved: float


def space_vectors(reference: ReferenceSet, space: str) -> np.ndarray:
    """Return unit vectors (N, d), float32, whose cosine says how alike samples are in a space.

    Routing weights are taken by their square roots: their cosine is the Bhattacharyya coefficient
    of two routings, divided by the number of gates.
    """
    if space == "questions":
        return _unit(reference.embeddings)
    return routing_vectors(reference.router_routing)


def routing_vectors(routing: np.ndarray) -> np.ndarray:
    """Return routing weights (n, E) as unit vectors (n, E)."""
    return _unit(np.sqrt(np.maximum(routing, 0)))


def fit_projection(
    vectors: np.ndarray,
    space: str,
    content_hash: str,
    *,
    progress: Progress = lambda stage, share: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Projection:
    """Fit a map.

    Samples with the same vector (the same words) share a place; they are spread around it in a
    small spiral, so that each of them can be seen and chosen.

    Parameters
    ----------
    vectors : ndarray (N, d), float32
        Of unit length.
    space, content_hash : str
        For the record.
    progress : callable
        Called with a stage (message identifier) and the share done.
    cancelled : callable
        Asked at every step of the layout.

    Raises
    ------
    ReferenceSetError
        There are too few distinct samples for a map.
    Cancelled
        `cancelled()` said so.

    Notes
    -----
    McInnes, Healy, Melville: UMAP (2018). Fixed seed, begun from the principal components.
    """
    progress(STAGE_NEIGHBOURS, 0.0)
    distinct, place = np.unique(vectors, axis=0, return_inverse=True)
    if len(distinct) < FEWEST:
        raise ReferenceSetError(
            N_("A map needs at least {least} different samples; this reference set has {count}."),
            N_("Add samples to the reference set."),
            least=FEWEST,
            count=len(distinct),
        )
    watch = _Watch(progress, cancelled)
    drawn = np.sort(np.random.default_rng(SEED).permutation(len(distinct))[:LARGEST])
    indices, distances = _neighbours(distinct[drawn], watch)
    # Imported here: it compiles for seconds, and only a new version of a set needs it.
    from umap import UMAP

    with warnings.catch_warnings():
        # That one thread is used with a seed, and that `transform` is not available: both meant.
        warnings.simplefilter("ignore", UserWarning)
        mapper = UMAP(
            n_neighbors=N_NEIGHBOURS,
            min_dist=MIN_DISTANCE,
            metric="euclidean",
            init="pca",
            random_state=SEED,
            precomputed_knn=(indices, distances),
            tqdm_kwds={"file": watch, "disable": False, "bar_format": "{percentage:.1f};",
                       "mininterval": 0.1},
        )  # fmt: skip
        found = mapper.fit_transform(distinct[drawn]).astype(np.float32)
    # Unit vectors: a squared distance is twice one minus the cosine.
    nearness = (1 - distances[:, 1:] ** 2 / 2).mean(1)
    kept = neighbours_kept(distinct[drawn], found)
    if len(drawn) < len(distinct):
        found, nearness = _with_the_rest(distinct, drawn, found, nearness, watch)
    of = place.reshape(-1)
    return Projection(space, content_hash, spread(found, of), nearness[of].astype(np.float32), kept)


def spread(places: np.ndarray, of: np.ndarray) -> np.ndarray:
    """Return coordinates (N, 2): places (U, 2) of samples, which share them, side by side.

    Parameters
    ----------
    places : ndarray (U, 2)
    of : ndarray (N,), int
        Which place each sample has.
    """
    step = SPREAD * float(np.ptp(places, axis=0).max())
    order = np.argsort(of, kind="stable")
    starts = np.searchsorted(of[order], np.arange(len(places)))
    rank = np.empty(len(of), dtype=np.int64)
    rank[order] = np.arange(len(of)) - starts[of[order]]
    radius, angle = step * np.sqrt(rank), rank * GOLDEN_ANGLE
    offset = np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)
    coordinates: np.ndarray = (places[of] + offset).astype(np.float32)
    return coordinates


def neighbours_kept(vectors: np.ndarray, coordinates: np.ndarray) -> float:
    """Return the share of nearest neighbours (15) of vectors that are so on the map too."""
    generator = np.random.default_rng(SEED)
    rows = generator.permutation(len(vectors))[:CHECKED]
    near = _nearest(-(vectors[rows] @ vectors.T), rows)
    squares = (coordinates**2).sum(1)
    seen = _nearest(squares[None, :] - 2 * coordinates[rows] @ coordinates.T, rows)
    kept = [len(np.intersect1d(a, b)) for a, b in zip(near, seen, strict=True)]
    return float(np.mean(kept) / N_NEIGHBOURS)


def place_points(
    points: np.ndarray, vectors: np.ndarray, coordinates: np.ndarray, n_neighbours: int = 5
) -> np.ndarray:
    """Place new points (B, d) on a map: coordinates (B, 2).

    The average of the nearest samples' places. The nearest weighs most; weight falls
    exponentially with what distance the others have beyond the nearest's, in units of the mean of
    that excess. A point that equals a sample lies on it.

    Parameters
    ----------
    points : ndarray (B, d)
        Of unit length.
    vectors : ndarray (N, d)
        The samples', of unit length.
    coordinates : ndarray (N, 2)
    n_neighbours : int
        Few, since an average over far places of the map lies in none of them.
    """
    count = min(n_neighbours, len(vectors))
    similarity = points @ vectors.T
    chosen = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
    distance = np.maximum(1 - np.take_along_axis(similarity, chosen, 1), 0)
    distance = np.where(distance < 1e-6, 0, distance)
    excess = distance - distance.min(1, keepdims=True)
    scale = np.maximum(excess.mean(1, keepdims=True), 1e-9)
    weight = np.exp(-excess / scale)
    # Equal to a sample: only samples that are equal too have a say.
    equal = distance == 0
    weight = np.where(equal.any(1, keepdims=True), equal, weight)
    placed: np.ndarray = (weight[:, :, None] * coordinates[chosen]).sum(1) / weight.sum(
        1, keepdims=True
    )
    return placed.astype(np.float32)


def _neighbours(vectors: np.ndarray, watch: _Watch) -> tuple[np.ndarray, np.ndarray]:
    """Return each sample's nearest (N, 16), itself first, and their Euclidean distances (N, 16).

    Exact, in blocks. UMAP's own search is faster for many samples, but compiles for a minute.
    """
    width = N_NEIGHBOURS + 1
    indices = np.empty((len(vectors), width), dtype=np.int32)
    distances = np.empty((len(vectors), width), dtype=np.float32)
    for start in range(0, len(vectors), BLOCK):
        watch.look(STAGE_NEIGHBOURS, 0.4 * start / len(vectors))
        similarity = vectors[start : start + BLOCK] @ vectors.T
        own = np.arange(len(similarity))
        similarity[own, start + own] = np.inf
        near = np.argpartition(-similarity, width - 1, axis=1)[:, :width]
        cosine = np.take_along_axis(similarity, near, 1)
        order = np.argsort(-cosine, axis=1, kind="stable")
        indices[start : start + BLOCK] = np.take_along_axis(near, order, 1)
        squares = np.maximum(2 - 2 * np.take_along_axis(cosine, order, 1), 0)
        squares[:, 0] = 0
        distances[start : start + BLOCK] = np.sqrt(squares)
    return indices, distances


def _with_the_rest(
    vectors: np.ndarray, drawn: np.ndarray, places: np.ndarray, nearness: np.ndarray, watch: _Watch
) -> tuple[np.ndarray, np.ndarray]:
    """Place the samples that were not drawn: places (U, 2) and nearness (U,) of all of them."""
    rest = np.setdiff1d(np.arange(len(vectors)), drawn)
    all_places = np.empty((len(vectors), 2), dtype=np.float32)
    all_nearness = np.empty(len(vectors), dtype=np.float32)
    all_places[drawn], all_nearness[drawn] = places, nearness
    for start in range(0, len(rest), BLOCK):
        watch.look(STAGE_LAYOUT, start / len(rest))
        rows = rest[start : start + BLOCK]
        all_places[rows] = place_points(vectors[rows], vectors[drawn], places)
        similarity = vectors[rows] @ vectors[drawn].T
        near = np.partition(-similarity, N_NEIGHBOURS - 1, axis=1)[:, :N_NEIGHBOURS]
        all_nearness[rows] = -near.mean(1)
    return all_places, all_nearness


class _Watch:
    """A file that UMAP's progress bar writes to: it passes the share on, and hears a cancel."""

    def __init__(self, progress: Progress, cancelled: Callable[[], bool]) -> None:
        self._progress = progress
        self._cancelled = cancelled

    def look(self, stage: str, share: float) -> None:
        """Pass a share on; raise Cancelled where the person has cancelled."""
        if self._cancelled():
            raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))
        self._progress(stage, share)

    def write(self, text: str) -> None:
        """Read the share that the bar writes."""
        if (found := re.search(r"([\d.]+);", text)) is not None:
            # Finding neighbours and compiling took the first part.
            self.look(STAGE_LAYOUT, 0.5 + 0.5 * min(float(found[1]) / 100, 1.0))

    def flush(self) -> None:
        """Nothing is held back."""


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    unit: np.ndarray = (rows / lengths).astype(np.float32)
    return unit


def _nearest(distance: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return each row's nearest others (n, 15): distance (n, N) of the samples `rows` (n,)."""
    distance[np.arange(len(rows)), rows] = np.inf
    return np.argpartition(distance, N_NEIGHBOURS - 1, axis=1)[:, :N_NEIGHBOURS]
