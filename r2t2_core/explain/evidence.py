"""What a decision was computed from, put together again.

The model's work on the question, and the stored expert outputs of the neighbours: with them every
"what if" is a matter of mixing, and no expert runs again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import ExplanationError
from r2t2_core.i18n import N_
from r2t2_core.intake.image import read_image
from r2t2_core.kernels import kernel_weights
from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.problem import own_entropy, own_loss, surrogate_loss
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams, Retrieved
from r2t2_core.registry import get_strategy, parse_params
from r2t2_core.strategies.base import Params
from r2t2_core.types import Neighbours, RoutingProblem, Sample, Tensor

SAME = 1e-4
"""Routing weights that differ by less were computed by the same model on the same input."""


@dataclass(frozen=True)
class Query:
    """A question with the model's work on it, which does not depend on the routing.

    Attributes
    ----------
    prepared : Prepared
        One sample.
    embedding : ndarray (1, d), float32
    key : str
        What tells it from others in the draw of random neighbours.
    label : int or None
        Place of the right answer in the model's answers.
    """

    prepared: Prepared
    embedding: np.ndarray
    key: str
    label: int | None

    @property
    def features(self) -> np.ndarray:
        """Features of the picture (1, F)."""
        features: np.ndarray = self.prepared.image_features.cpu().numpy()
        return features


@dataclass(frozen=True)
class Evidence:
    """Neighbours of one question with their stored expert outputs.

    Attributes
    ----------
    model : ModelAdapter
    query : Query
    retrieval : RetrievalParams
    found : Retrieved
        For one query.
    ids : tuple of str, length K
        Of the neighbours, nearest first.
    outputs : Tensor (1, K, E, D)
        Stored outputs of all experts on the neighbours.
    random_outputs : Tensor (1, K, E, D)
        The same of the random neighbours.
    admitted : Tensor (N, E)
        Routings of all samples that the policy admits.
    places : ndarray (K,), int64
        Places of the neighbours among the admitted samples.
    """

    model: ModelAdapter
    query: Query
    retrieval: RetrievalParams
    found: Retrieved
    ids: tuple[str, ...]
    outputs: Tensor
    random_outputs: Tensor
    admitted: Tensor
    places: np.ndarray

    @property
    def neighbours(self) -> Neighbours:
        """The neighbours, on the model's device."""
        return self.found.neighbours.to(self.outputs.device)

    def weights_of(self, kept: Tensor) -> Tensor:
        """Return kernel weights (B, K) where only some neighbours are kept.

        Bandwidth and weights follow from those that are left, as if nothing else had been found.

        Parameters
        ----------
        kept : Tensor (B, K), bool
            At least one in each row.
        """
        distance = (1 - self.neighbours.similarity).expand(kept.shape)
        weights, _ = kernel_weights(
            distance.masked_fill(~kept, 0),
            kept,
            self.retrieval.kernel,
            self.retrieval.bandwidth_rule,
        )
        return weights

    def problem(self, weights: Tensor, dropped: Tensor | None = None) -> RoutingProblem:
        """Return the problem that a strategy solves under other weights of the neighbours.

        Parameters
        ----------
        weights : Tensor (B, K)
            One row for each variant of the question.
        dropped : Tensor (B, K), bool, optional
            Neighbours that methods of routing space must not see either.
        """
        count = len(weights)
        near, random = self.neighbours, self.found.random_neighbours.to(self.outputs.device)
        prepared = self.prepared(count)
        label = None if self.query.label is None else torch.tensor([self.query.label])
        chosen = _spread(near, count, weights)
        drawn = _spread(random, count, random.weight.expand(count, -1))
        excluded = torch.from_numpy(self.found.duplicates).expand(count, -1)
        if dropped is not None:
            places = torch.from_numpy(self.places).expand(count, -1)
            excluded = torch.cat([excluded, torch.where(dropped.cpu(), places, -1)], 1)
        return RoutingProblem(
            spec=self.model.routing_spec,
            routing=prepared.routing,
            neighbours=chosen,
            surrogate_loss=surrogate_loss(
                self.model, self.outputs.expand(count, -1, -1, -1), chosen
            ),
            random_neighbours=drawn,
            random_surrogate_loss=surrogate_loss(
                self.model, self.random_outputs.expand(count, -1, -1, -1), drawn
            ),
            reference_routing=self.admitted,
            reference_excluded=excluded.to(self.outputs.device),
            own_entropy=own_entropy(self.model, prepared),
            own_loss=None
            if label is None
            else own_loss(self.model, prepared, label.expand(count).to(self.outputs.device)),
        )

    def prepared(self, count: int) -> Prepared:
        """Return the model's work on the question, as often as there are routings to try."""
        one = self.query.prepared
        return Prepared(
            one.expert_outputs.expand(count, -1, -1),
            one.routing.expand(count, -1),
            one.image_features.expand(count, -1),
        )

    def answers(self, routing: Tensor) -> Tensor:
        """Return answer probabilities (B, A) of the question under routings (B, E)."""
        return self.model.answer(self.prepared(len(routing)), routing)

    def neighbours_right(self, routing: Tensor) -> Tensor:
        """Tell which neighbours (K,), bool, are answered rightly under one routing (E,)."""
        near = self.neighbours
        width = near.label.shape[1]
        own = Prepared(self.outputs[0], near.routing[0], near.routing[0])
        given = self.model.answer(own, routing.expand(width, -1)).argmax(1)
        return given == near.label[0]


def _spread(neighbours: Neighbours, count: int, weights: Tensor) -> Neighbours:
    """Repeat the neighbours of one query, each time with other weights."""
    return Neighbours(
        neighbours.index.expand(count, -1),
        neighbours.similarity.expand(count, -1),
        weights,
        neighbours.routing.expand(count, -1, -1),
        neighbours.label.expand(count, -1),
    )


def retrieval_of(decision: Decision) -> RetrievalParams:
    """Return how a decision's neighbours were found."""
    reference = decision.reference
    given: dict[str, object] = {
        "policy": reference.policy,
        "mode": reference.retrieval,
        "kernel": reference.kernel,
        "bandwidth_rule": reference.bandwidth_rule,
        "duplicate_threshold": reference.duplicate_threshold,
        "seed": decision.system.seed,
    }
    if reference.n_neighbours is not None:
        given["n_neighbours"] = reference.n_neighbours
    if reference.radius is not None:
        given["radius"] = reference.radius
    return RetrievalParams.parse(given)


def parameters_of(decision: Decision, strategy: str) -> Params:
    """Return the parameters of a strategy as the decision records them."""
    return parse_params(get_strategy(strategy), decision.trajectory(strategy).parameters)


def gather(index: ReferenceIndex, model: ModelAdapter, query: Query,
           retrieval: RetrievalParams) -> Evidence:  # fmt: skip
    """Find a question's neighbours, and read their stored expert outputs.

    Raises
    ------
    NeighbourhoodError
        There is none.
    """
    found = index.retrieve(query.embedding, query.features, retrieval, [query.key])
    device = query.prepared.routing.device
    rows = found.neighbours.index[0]
    reference = index.reference
    admitted = np.flatnonzero(reference.eligible(retrieval.policy))
    return Evidence(
        model=model,
        query=query,
        retrieval=retrieval,
        found=found,
        ids=tuple(reference.sample(row).id for row in rows.tolist()),
        outputs=reference.outputs_of(rows[None]).to(device),
        random_outputs=reference.outputs_of(found.random_neighbours.index.clamp(min=0)).to(device),
        admitted=index.admitted_routing(retrieval.policy).to(device),
        places=np.searchsorted(admitted, rows.numpy()),
    )


def reopen(engine: Engine, decision: Decision, image_bytes: bytes) -> Evidence:
    """Put together again what a decision was computed from.

    The caller holds the engine's turn (`Engine.exclusive`).

    Raises
    ------
    ExplanationError
        Model, reference set or picture are not those of the decision.
    """
    check_origin(engine, decision)
    picture = read_image(image_bytes)
    if picture.pixels_sha256 != decision.input.pixels_sha256:
        raise ExplanationError(
            N_("The picture is not the one that the decision was about."),
            N_("Open the decision with its own picture."),
        )
    question = decision.input.question
    prepared = engine.model.prepare([Sample(picture.image, question)])
    own = torch.tensor(decision.base.routing).to(prepared.routing)
    if float((prepared.routing[0] - own).abs().max()) > SAME:
        raise ExplanationError(
            N_("This machine does not compute the routing that the decision records."),
            N_("Answer the question again, and explain the new decision."),
        )
    label = decision.input.label
    query = Query(
        prepared,
        engine.embedder.embed([question]),
        f"{picture.pixels_sha256} {question}",
        None if label is None else engine.model.answers.index(label),
    )
    evidence = gather(engine.index, engine.model, query, retrieval_of(decision))
    if evidence.ids != tuple(entry.id for entry in decision.neighbours):
        raise ExplanationError(
            N_("This machine does not find the neighbours that the decision records."),
            N_("Answer the question again, and explain the new decision."),
        )
    return evidence


def check_origin(engine: Engine, decision: Decision) -> None:
    """Refuse a decision of another model or another reference set.

    Raises
    ------
    ExplanationError
        It is one.
    """
    if engine.model_fingerprint != decision.system.model_fingerprint_after:
        raise ExplanationError(
            N_("The decision was made by another model ({model})."),
            N_("Answer the question again, and explain the new decision."),
            model=decision.system.model,
        )
    if engine.reference.manifest.content_hash != decision.reference.content_hash:
        raise ExplanationError(
            N_("The decision was made with another reference set ({name})."),
            N_("Answer the question again, and explain the new decision."),
            name=decision.reference.name,
        )
