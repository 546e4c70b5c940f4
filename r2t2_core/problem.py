"""From prepared queries and retrieved neighbours to the problem that a strategy solves.

The only place where the model, the reference set's stored expert outputs and the
strategies meet; used by the engine (one query) and by the evaluation (batches).
"""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

import torch

from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.models.mixture_head import (
    EntropyOfAnswer,
    MixtureHead,
    WeightedLoss,
    mixture_head,
)
from r2t2_core.reference.index import ReferenceIndex, Retrieved
from r2t2_core.types import Neighbours, RoutingProblem, SurrogateLoss, Tensor


def surrogate_loss(
    model: ModelAdapter, expert_outputs: Tensor, neighbours: Neighbours
) -> SurrogateLoss:
    """Build the kernel-weighted loss of the neighbours under a routing (paper, Eq. 3).

    Parameters
    ----------
    model : ModelAdapter
    expert_outputs : Tensor (B, K, E, D)
        Stored outputs of all experts on the neighbours.
    neighbours : Neighbours
        B queries, K neighbours each; padded ones have weight 0.

    Returns
    -------
    callable
        Routing (B, E) → loss (B,), differentiable; the neighbours run as one batch.
    """

    def plain(routing: Tensor) -> Tensor:
        spread = routing[:, None, :].expand(-1, neighbours.weight.shape[1], -1)
        losses = model.loss(expert_outputs, neighbours.label, spread)
        return (losses * neighbours.weight).sum(1)

    head = _head_of(model)
    if head is None:
        return plain
    return WeightedLoss(head, expert_outputs, neighbours.label, neighbours.weight, plain)


def own_loss(model: ModelAdapter, prepared: Prepared, labels: Tensor) -> SurrogateLoss:
    """Build the loss of the queries under their own labels (paper, Eq. 2): the oracle's."""

    def plain(routing: Tensor) -> Tensor:
        return model.loss(prepared.expert_outputs, labels, routing)

    head = _head_of(model)
    if head is None:
        return plain
    whole = torch.ones_like(prepared.routing[:, :1])
    return WeightedLoss(head, prepared.expert_outputs[:, None], labels[:, None], whole, plain)


def own_entropy(model: ModelAdapter, prepared: Prepared) -> SurrogateLoss:
    """Build the entropy of the queries' own answers (nats): what a reference-free method lowers."""

    def plain(routing: Tensor) -> Tensor:
        return model.entropy(prepared.expert_outputs, routing)

    head = _head_of(model)
    return plain if head is None else EntropyOfAnswer(head, prepared.expert_outputs, plain)


_heads: WeakKeyDictionary[ModelAdapter, MixtureHead | None] = WeakKeyDictionary()
"""Views of the models' own weights; each is found and tried once."""


def _head_of(model: ModelAdapter) -> MixtureHead | None:
    if model not in _heads:
        _heads[model] = mixture_head(model)
    return _heads[model]


def build_problem(
    model: ModelAdapter,
    prepared: Prepared,
    index: ReferenceIndex,
    found: Retrieved,
    policy: str,
    labels: Tensor | None = None,
    cancelled: Callable[[], bool] = lambda: False,
) -> RoutingProblem:
    """Put together what a strategy may look at.

    Parameters
    ----------
    model : ModelAdapter
    prepared : Prepared
        B queries.
    index : ReferenceIndex
    found : Retrieved
        What the index found for the queries under the policy.
    policy : str
        Reference policy.
    labels : Tensor (B,), int64, or None
        For the oracle alone.
    cancelled : callable
    """
    device = prepared.routing.device
    neighbours = found.neighbours.to(device)
    random_neighbours = found.random_neighbours.to(device)

    def outputs(chosen: Neighbours) -> Tensor:
        return index.reference.outputs_of(chosen.index.clamp(min=0).cpu()).to(device)

    return RoutingProblem(
        spec=model.routing_spec,
        routing=prepared.routing,
        neighbours=neighbours,
        surrogate_loss=surrogate_loss(model, outputs(neighbours), neighbours),
        random_neighbours=random_neighbours,
        random_surrogate_loss=surrogate_loss(model, outputs(random_neighbours), random_neighbours),
        reference_routing=index.admitted_routing(policy).to(device),
        reference_excluded=torch.from_numpy(found.duplicates).to(device),
        own_entropy=own_entropy(model, prepared),
        own_loss=None if labels is None else own_loss(model, prepared, labels.to(device)),
        cancelled=cancelled,
    )


def answers_along(model: ModelAdapter, prepared: Prepared, routing: Tensor) -> Tensor:
    """Return answer probabilities (S, B, A) under the routings (S, B, E) of a trajectory."""
    steps, size = routing.shape[:2]
    everywhere = Prepared(
        prepared.expert_outputs.expand(steps, -1, -1, -1).flatten(0, 1),
        prepared.routing.expand(steps, -1, -1).flatten(0, 1),
        prepared.image_features.expand(steps, -1, -1).flatten(0, 1),
    )
    probabilities = model.answer(everywhere, routing.flatten(0, 1))
    return probabilities.reshape(steps, size, -1)
