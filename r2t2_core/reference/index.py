"""Retrieval: neighbours in the space of the task embedding, by inner product."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from r2t2_core.errors import NeighbourhoodError
from r2t2_core.i18n import N_
from r2t2_core.kernels import kernel_weights
from r2t2_core.parameters import parse
from r2t2_core.reference.search import TextSearch, open_search
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.types import Neighbours

BALL_LIMIT = 50
"""A ball holds no more than this many neighbours, the nearest."""

POOL = 500
"""Nearest questions that are ranked anew where the picture has a share in the similarity."""

MARGIN = 20
"""How many more than wanted are looked at, so that near-duplicates can be dropped."""

RIDGE = 0.02
"""Added to the diagonal of the pictures' correlation matrix before it is inverted."""


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
    image_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description=N_("Share of the picture in the similarity; 0 looks at the question alone."),
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
        return parse(cls, values, "retrieval")


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
    duplicates : ndarray (B, L), int64
        Places, among the samples that the policy admits, of the near-duplicates that were left
        out; -1 elsewhere.
    truncated : ndarray (B,), bool
        A ball held more samples than are used at most.
    image_similarity : ndarray (B, K), float32
        Cosine of the standardised picture features.
    similarity_best : ndarray (B,), float32
        Similarity of the nearest admitted question that is no near-duplicate.
    """

    neighbours: Neighbours
    random_neighbours: Neighbours
    bandwidth: torch.Tensor
    duplicates: np.ndarray
    truncated: np.ndarray
    image_similarity: np.ndarray
    similarity_best: np.ndarray

    @property
    def left_out(self) -> np.ndarray:
        """How many near-duplicates were left out (B,)."""
        count: np.ndarray = (self.duplicates >= 0).sum(1)
        return count


class ReferenceIndex:
    """Finds neighbours in one reference set; search indices are built when first used.

    Parameters
    ----------
    reference : ReferenceSet
    """

    def __init__(self, reference: ReferenceSet) -> None:
        self.reference = reference
        self._text: dict[str, tuple[TextSearch, np.ndarray]] = {}

    def admitted_routing(self, policy: str) -> torch.Tensor:
        """Return the routings (n, E) that a policy offers, of the samples that it admits."""
        rows = self.reference.eligible(policy)
        return torch.from_numpy(self.reference.routing_for(policy)[rows])

    def picture_distance(self, features: np.ndarray) -> np.ndarray:
        """Return how far pictures are from the reference set's: features (B, F) → (B,).

        Mahalanobis distance over the square root of F: about 1 for the set's own pictures.
        """
        centred = self._standardise(features)
        squares = np.einsum("bf,fg,bg->b", centred, self._precision, centred)
        distances: np.ndarray = np.sqrt(np.maximum(squares, 0) / features.shape[1])
        return distances

    def image_similarity(self, image_features: np.ndarray, found: np.ndarray) -> np.ndarray:
        """Return the cosine (B, L) of pictures (B, F) with those of rows (B, L), standardised."""
        if image_features.shape[1] == 0:
            return np.zeros(found.shape, dtype=np.float32)
        query = _unit(self._standardise(image_features))
        other = _unit(self._standardise(self.reference.image_features[found.reshape(-1)]))
        similarity: np.ndarray = np.einsum("bf,bkf->bk", query, other.reshape(*found.shape, -1))
        return similarity

    def retrieve(
        self,
        embeddings: np.ndarray,
        image_features: np.ndarray,
        params: RetrievalParams,
        keys: Sequence[str] | None = None,
    ) -> Retrieved:
        """Find the neighbours of B queries.

        Parameters
        ----------
        embeddings : ndarray (B, d), float32
            Task embeddings, of unit length.
        image_features : ndarray (B, F), float32
            To tell near-duplicates.
        params : RetrievalParams
        keys : sequence of str, length B, optional
            What tells a query from others, for the random draw of the control; the query's place
            in the batch by default. Not the embedding: its last bits differ between machines, and
            queries with the same wording would all draw the same samples.

        Raises
        ------
        NeighbourhoodError
            The policy admits no sample, an embedding is not finite, or a query has no neighbour
            within the radius.
        """
        if not (np.isfinite(embeddings).all() and np.isfinite(image_features).all()):
            raise NeighbourhoodError(
                N_("The embedding of the question or of the picture is not a finite number."),
                N_("Check the embedder and the model: their weights may be damaged."),
            )
        index, rows = self._text_index(params.policy)
        if index.size == 0:
            raise NeighbourhoodError(
                N_("The reference set holds no sample under this policy."),
                N_("Choose another reference policy."),
            )
        wanted = params.n_neighbours if params.mode == "knn" else BALL_LIMIT
        near = self._look(index, rows, embeddings, image_features, params, wanted)
        _require_neighbours(near, params)
        # Stable, so that the usable ones come first and stay in order of similarity.
        order = np.argsort(~near.usable, axis=1, kind="stable")[:, :wanted]
        mask = np.take_along_axis(near.usable, order, 1)
        width = int(mask.sum(1).max())
        order, mask = order[:, :width], mask[:, :width]
        taken = np.where(mask, rows[np.take_along_axis(near.places, order, 1)], -1)
        similarity = np.where(mask, np.take_along_axis(near.similarity, order, 1), 0)
        image_similarity = np.take_along_axis(near.image_similarity, order, 1)
        duplicates = np.where(near.duplicate, near.places, -1)
        neighbours, bandwidth = self._neighbours(taken, similarity.astype(np.float32), params)
        drawn = self._draw(
            rows,
            mask,
            duplicates,
            params.seed,
            keys or [str(place) for place in range(len(embeddings))],
        )
        return Retrieved(
            neighbours,
            self._random_neighbours(drawn, embeddings, params),
            bandwidth,
            duplicates,
            near.usable.sum(1) > wanted if params.mode == "ball" else np.zeros(len(mask), bool),
            np.where(mask, image_similarity, 0).astype(np.float32),
            near.nearest.astype(np.float32),
        )

    def search_of(self, policy: str) -> TextSearch:
        """Return how the samples that a policy admits are searched."""
        return self._text_index(policy)[0]

    def _text_index(self, policy: str) -> tuple[TextSearch, np.ndarray]:
        """Return the search over the admitted samples' embeddings, and their rows (n,)."""
        if policy not in self._text:
            rows = np.flatnonzero(self.reference.eligible(policy))
            self._text[policy] = (open_search(self.reference, policy, rows), rows)
        return self._text[policy]

    @cached_property
    def _precision(self) -> np.ndarray:
        """Inverse of the pictures' correlation matrix (F, F), with a ridge."""
        pictures = np.unique(self._standardise(self.reference.image_features), axis=0)
        correlation = np.cov(pictures.T.astype(np.float64))
        inverse: np.ndarray = np.linalg.inv(correlation + RIDGE * np.eye(len(correlation)))
        return inverse

    def _standardise(self, features: np.ndarray) -> np.ndarray:
        """Standardise picture features (n, F) with the reference set's mean and deviation."""
        mean = np.array(self.reference.manifest.image_mean, dtype=np.float32)
        scale = np.array(self.reference.manifest.image_scale, dtype=np.float32)
        scaled: np.ndarray = ((features - mean) / scale).astype(np.float32)
        return scaled

    def _look(
        self,
        index: TextSearch,
        rows: np.ndarray,
        embeddings: np.ndarray,
        image_features: np.ndarray,
        params: RetrievalParams,
        wanted: int,
    ) -> _Near:
        """Look at the nearest samples, and at more where near-duplicates leave too few."""
        looked = min(index.size, max(wanted + MARGIN, POOL if params.image_share else 0))
        queries = np.ascontiguousarray(embeddings, dtype=np.float32)
        while True:
            similarity, places = index.search(queries, looked)
            image_similarity = self.image_similarity(image_features, rows[places])
            duplicate = (similarity > params.duplicate_threshold) & (
                image_similarity > params.duplicate_threshold
            )
            usable = ~duplicate
            if looked == index.size or (usable.sum(1) > wanted).all():
                break
            looked = min(index.size, 4 * looked)
        nearest = np.where(duplicate, -1, similarity).max(1)
        if params.image_share:
            mixed = _mix(similarity, image_similarity, params.image_share)
            order = np.argsort(-mixed, axis=1, kind="stable")
            similarity, places, image_similarity, duplicate, usable = (
                np.take_along_axis(values, order, 1)
                for values in (mixed, places, image_similarity, duplicate, usable)
            )
        if params.mode == "ball":
            usable &= similarity >= params.radius
        return _Near(places, similarity, image_similarity, duplicate, usable, nearest)

    def _neighbours(
        self, rows: np.ndarray, similarity: np.ndarray, params: RetrievalParams
    ) -> tuple[Neighbours, torch.Tensor]:
        similar = torch.from_numpy(similarity)
        mask = torch.from_numpy(rows >= 0)
        distance = (1 - similar).masked_fill(~mask, 0)
        weight, bandwidth = kernel_weights(distance, mask, params.kernel, params.bandwidth_rule)
        if len(self.reference.layers) > 1:
            scale = np.array([layer.weight for layer in self.reference.layers], dtype=np.float32)
            own = torch.from_numpy(scale[self.reference.layer_of[np.maximum(rows, 0)]])
            weight = weight * own
            weight = weight / weight.sum(1, keepdim=True)
        return self._gather(rows, similar, weight, params.policy), bandwidth

    def _gather(
        self, rows: np.ndarray, similarity: torch.Tensor, weight: torch.Tensor, policy: str
    ) -> Neighbours:
        safe = np.maximum(rows, 0)
        return Neighbours(
            index=torch.from_numpy(rows),
            similarity=similarity,
            weight=weight,
            routing=torch.from_numpy(self.reference.routing_for(policy)[safe]),
            label=torch.from_numpy(self.reference.labels[safe]),
        )

    def _draw(
        self,
        admitted: np.ndarray,
        mask: np.ndarray,
        duplicates: np.ndarray,
        seed: int,
        keys: Sequence[str],
    ) -> np.ndarray:
        """Draw as many samples at random; a query's draw depends on its key and the seed alone."""
        drawn = np.full(mask.shape, -1, dtype=np.int64)
        for number, key in enumerate(keys):
            digest = hashlib.sha256(key.encode()).digest()
            generator = np.random.default_rng([seed, int.from_bytes(digest[:8], "little")])
            left_out = duplicates[number][duplicates[number] >= 0]
            count = int(mask[number].sum())
            # As many more as may have to be left out.
            size = min(count + len(left_out), len(admitted))
            places = generator.choice(len(admitted), size=size, replace=False)
            places = places[~np.isin(places, left_out)][:count]
            drawn[number, : len(places)] = admitted[places]
        return drawn

    def _random_neighbours(
        self, rows: np.ndarray, embeddings: np.ndarray, params: RetrievalParams
    ) -> Neighbours:
        present = rows >= 0
        similarity = np.einsum(
            "bd,bkd->bk", embeddings, self.reference.embeddings[np.maximum(rows, 0)]
        )
        weight = present / np.maximum(present.sum(1, keepdims=True), 1)
        return self._gather(
            rows,
            torch.from_numpy(np.where(present, similarity, 0).astype(np.float32)),
            torch.from_numpy(weight.astype(np.float32)),
            params.policy,
        )


@dataclass(frozen=True)
class _Near:
    """What lies near B queries, nearest first: arrays (B, L).

    `nearest` (B,) is the similarity of the nearest question that is no near-duplicate.
    """

    places: np.ndarray
    similarity: np.ndarray
    image_similarity: np.ndarray
    duplicate: np.ndarray
    usable: np.ndarray
    nearest: np.ndarray


def _mix(similarity: np.ndarray, image_similarity: np.ndarray, share: float) -> np.ndarray:
    """Return the similarity of question and picture together; an unlike picture adds nothing."""
    mixed: np.ndarray = (1 - share) * similarity + share * np.maximum(image_similarity, 0)
    return mixed.astype(np.float32)


def _unit(rows: np.ndarray) -> np.ndarray:
    lengths = np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    unit: np.ndarray = rows / lengths
    return unit


def _require_neighbours(near: _Near, params: RetrievalParams) -> None:
    empty = ~near.usable.any(1)
    if not empty.any():
        return
    others = near.similarity[empty][0][~near.duplicate[empty][0]]
    if params.mode == "ball" and len(others):
        raise NeighbourhoodError(
            N_("No reference sample has a similarity of {radius} or more; the nearest has {best}."),
            N_("Lower the radius, or use a fixed number of neighbours."),
            radius=f"{params.radius:.2f}",
            best=f"{float(others.max()):.2f}",
        )
    raise NeighbourhoodError(
        N_("All near samples are near-duplicates of the question and its picture."),
        N_("Raise the duplicate threshold, or use a larger reference set."),
    )
