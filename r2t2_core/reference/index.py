"""Retrieval: neighbours in the space of the task embedding (FAISS, exact inner product)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from weakref import WeakKeyDictionary

import faiss
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from r2t2_core.errors import NeighbourhoodError, ParameterError
from r2t2_core.i18n import N_
from r2t2_core.kernels import kernel_weights
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.types import Neighbours

BALL_LIMIT = 50
"""A ball holds no more than this many neighbours, the nearest."""

MARGIN = 20
"""How many more than wanted are looked at, so that near-duplicates can be dropped."""

NEAREST_IMAGES = 5


class RetrievalParams(BaseModel):
    """How neighbours are found."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    policy: Literal["correct_only", "all_labelled", "refined"] = Field(
        default="correct_only",
        description=N_("Which reference samples may serve, and with which routing."),
    )
    mode: Literal["knn", "ball"] = Field(
        default="knn",
        description=N_("A fixed number of neighbours, or all within a similarity."),
    )
    n_neighbours: int = Field(
        default=5, ge=1, le=50, description=N_("Number of neighbours k (paper: 5).")
    )
    radius: float = Field(
        default=0.6, ge=0, le=1, description=N_("Least cosine similarity of a ball's neighbours.")
    )
    kernel: Literal["gaussian", "matern", "laplacian", "linear", "polynomial"] = Field(
        default="gaussian", description=N_("How weight falls with distance (paper: Gaussian).")
    )
    bandwidth_rule: Literal["mean_distance", "median", "kth"] = Field(
        default="mean_distance", description=N_("How the kernel's bandwidth follows the distances.")
    )
    duplicate_threshold: float = Field(
        default=0.95,
        ge=0,
        le=1,
        description=N_("Samples more similar than this in text and picture are left out."),
    )
    seed: int = Field(
        default=0, ge=0, le=2**31 - 1, description=N_("Seed of the random-neighbours control.")
    )

    @classmethod
    def parse(cls, values: Mapping[str, object]) -> RetrievalParams:
        """Build from names and values.

        Raises
        ------
        ParameterError
            A parameter is unknown or out of its bounds.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            first = error.errors()[0]
            raise ParameterError(
                N_("The retrieval parameter {name} cannot be {value}: {reason}."),
                N_("Choose a value within its bounds."),
                name=".".join(str(part) for part in first["loc"]) or "?",
                value=repr(first["input"]),
                reason=first["msg"],
            ) from error


@dataclass(frozen=True)
class Retrieved:
    """Neighbours of B queries.

    Attributes
    ----------
    neighbours : Neighbours
    random_neighbours : Neighbours
        As many, drawn at random from the admitted samples, equal weights: the control.
    bandwidth : Tensor (B,)
        In cosine distance.
    left_out : ndarray (B,), int64
        Near-duplicates that were dropped.
    image_similarity : ndarray (B, K), float32
        Cosine of the standardised picture features.
    similarity_best : ndarray (B,), float32
        Similarity of the nearest admitted sample that is no near-duplicate.
    """

    neighbours: Neighbours
    random_neighbours: Neighbours
    bandwidth: torch.Tensor
    left_out: np.ndarray
    image_similarity: np.ndarray
    similarity_best: np.ndarray


@dataclass(frozen=True)
class _Indices:
    """FAISS indices of one reference set, built when first used."""

    text: dict[str, tuple[faiss.IndexFlatIP, np.ndarray]]
    image: list[faiss.IndexFlatL2]


_built: WeakKeyDictionary[ReferenceSet, _Indices] = WeakKeyDictionary()


def _indices(reference: ReferenceSet) -> _Indices:
    return _built.setdefault(reference, _Indices({}, []))


def text_index(reference: ReferenceSet, policy: str) -> tuple[faiss.IndexFlatIP, np.ndarray]:
    """Return the index of the admitted samples' embeddings, and their rows (n,)."""
    cached = _indices(reference).text
    if policy not in cached:
        rows = np.flatnonzero(reference.eligible(policy))
        index = faiss.IndexFlatIP(reference.embeddings.shape[1])
        index.add(np.ascontiguousarray(reference.embeddings[rows]))
        cached[policy] = (index, rows)
    return cached[policy]


def standardise(reference: ReferenceSet, features: np.ndarray) -> np.ndarray:
    """Standardise picture features (n, F) with the reference set's mean and deviation."""
    mean = np.array(reference.manifest.image_mean, dtype=np.float32)
    scale = np.array(reference.manifest.image_scale, dtype=np.float32)
    scaled: np.ndarray = ((features - mean) / scale).astype(np.float32)
    return scaled


def image_distance(reference: ReferenceSet, features: np.ndarray) -> np.ndarray:
    """Return how far pictures are from the reference set's: features (B, F) → (B,).

    Mean Euclidean distance to the five nearest pictures, in standard deviations per feature.
    """
    cached = _indices(reference).image
    if not cached:
        index = faiss.IndexFlatL2(reference.image_features.shape[1])
        index.add(np.unique(standardise(reference, reference.image_features), axis=0))
        cached.append(index)
    count = min(NEAREST_IMAGES, cached[0].ntotal)
    squares, _ = cached[0].search(standardise(reference, features), count)
    distances: np.ndarray = np.sqrt(np.maximum(squares, 0) / features.shape[1]).mean(1)
    return distances


def retrieve(
    reference: ReferenceSet,
    embeddings: np.ndarray,
    image_features: np.ndarray,
    params: RetrievalParams,
    keys: Sequence[str] | None = None,
) -> Retrieved:
    """Find the neighbours of B queries.

    Parameters
    ----------
    reference : ReferenceSet
    embeddings : ndarray (B, d), float32
        Task embeddings, of unit length.
    image_features : ndarray (B, F), float32
        To tell near-duplicates.
    params : RetrievalParams
    keys : sequence of str, length B, optional
        What tells a query from others, for the random draw of the control; the query's place in
        the batch by default. Not the embedding: its last bits differ between machines, and
        queries with the same wording would all draw the same samples.

    Raises
    ------
    NeighbourhoodError
        The policy admits no sample, or a query has no neighbour within the radius.
    """
    index, rows = text_index(reference, params.policy)
    if index.ntotal == 0:
        raise NeighbourhoodError(
            N_("The reference set holds no sample under this policy."),
            N_("Choose another reference policy."),
        )
    wanted = params.n_neighbours if params.mode == "knn" else BALL_LIMIT
    looked = min(index.ntotal, wanted + MARGIN)
    similarity, places = index.search(np.ascontiguousarray(embeddings, dtype=np.float32), looked)
    found = rows[places]
    image_similarity = _image_similarity(reference, image_features, found)
    duplicate = (similarity > params.duplicate_threshold) & (
        image_similarity > params.duplicate_threshold
    )
    usable = ~duplicate
    if params.mode == "ball":
        usable &= similarity >= params.radius
    _require_neighbours(usable, similarity, params)
    best = np.where(duplicate, -1, similarity).max(1)
    # Stable, so that the usable ones come first and stay in order of similarity.
    order = np.argsort(~usable, axis=1, kind="stable")[:, :wanted]
    take = np.take_along_axis
    mask = take(usable, order, 1)
    width = int(mask.sum(1).max())
    order, mask = order[:, :width], mask[:, :width]
    index_rows = np.where(mask, take(found, order, 1), -1)
    kept = np.where(mask, take(similarity, order, 1), 0).astype(np.float32)
    neighbours, bandwidth = _neighbours(reference, index_rows, kept, params)
    return Retrieved(
        neighbours,
        _draw_random(
            reference,
            rows,
            embeddings,
            mask,
            params,
            keys or [str(place) for place in range(len(embeddings))],
        ),
        bandwidth,
        duplicate.sum(1),
        np.where(mask, take(image_similarity, order, 1), 0).astype(np.float32),
        best.astype(np.float32),
    )


def _image_similarity(
    reference: ReferenceSet, image_features: np.ndarray, found: np.ndarray
) -> np.ndarray:
    query = _unit(standardise(reference, image_features))
    other = _unit(standardise(reference, reference.image_features[found.reshape(-1)]))
    similarity: np.ndarray = np.einsum("bf,bkf->bk", query, other.reshape(*found.shape, -1))
    return similarity


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    unit: np.ndarray = rows / lengths
    return unit


def _require_neighbours(
    usable: np.ndarray, similarity: np.ndarray, params: RetrievalParams
) -> None:
    empty = ~usable.any(1)
    if not empty.any():
        return
    if params.mode == "ball":
        raise NeighbourhoodError(
            N_("No reference sample has a similarity of {radius} or more; the nearest has {best}."),
            N_("Lower the radius, or use a fixed number of neighbours."),
            radius=f"{params.radius:.2f}",
            best=f"{float(similarity[empty][0].max()):.2f}",
        )
    raise NeighbourhoodError(
        N_("All near samples are near-duplicates of the question and its picture."),
        N_("Raise the duplicate threshold, or use a larger reference set."),
    )


def _neighbours(
    reference: ReferenceSet, rows: np.ndarray, similarity: np.ndarray, params: RetrievalParams
) -> tuple[Neighbours, torch.Tensor]:
    index = torch.from_numpy(rows)
    similar = torch.from_numpy(similarity)
    mask = index >= 0
    distance = (1 - similar).masked_fill(~mask, 0)
    weight, bandwidth = kernel_weights(distance, mask, params.kernel, params.bandwidth_rule)
    safe = np.maximum(rows, 0)
    return (
        Neighbours(
            index=index,
            similarity=similar,
            weight=weight,
            routing=torch.from_numpy(reference.routing_for(params.policy)[safe]),
            label=torch.from_numpy(reference.labels[safe]),
        ),
        bandwidth,
    )


def _draw_random(
    reference: ReferenceSet,
    admitted: np.ndarray,
    embeddings: np.ndarray,
    mask: np.ndarray,
    params: RetrievalParams,
    keys: Sequence[str],
) -> Neighbours:
    """Draw as many samples at random; a query's draw depends on its key and the seed alone."""
    count = mask.shape[1]
    rows = np.full(mask.shape, -1, dtype=np.int64)
    for number, key in enumerate(keys):
        seed = [params.seed, int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little")]
        drawn = np.random.default_rng(seed).choice(
            admitted, size=min(count, len(admitted)), replace=False
        )
        rows[number, : len(drawn)] = drawn
    rows = np.where(mask, rows, -1)
    present = rows >= 0
    safe = np.maximum(rows, 0)
    similarity = np.einsum("bd,bkd->bk", embeddings, reference.embeddings[safe])
    weight = present / np.maximum(present.sum(1, keepdims=True), 1)
    return Neighbours(
        index=torch.from_numpy(rows),
        similarity=torch.from_numpy(np.where(present, similarity, 0).astype(np.float32)),
        weight=torch.from_numpy(weight.astype(np.float32)),
        routing=torch.from_numpy(reference.routing_for(params.policy)[safe]),
        label=torch.from_numpy(reference.labels[safe]),
    )
