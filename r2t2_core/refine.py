"""Refined references: the oracle run once on each labelled sample, offline (paper, Eq. 2)."""

from __future__ import annotations

import torch

from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.strategies.descent import DescentParams, descend
from r2t2_core.types import Neighbours, RoutingProblem, Tensor


def refine(
    model: ModelAdapter, prepared: Prepared, labels: Tensor, params: DescentParams | None = None
) -> Tensor:
    """Return the routings (N, E) that answer the samples' own labels (N,) best."""

    def loss(routing: Tensor) -> Tensor:
        return model.loss(prepared.expert_outputs, labels, routing)

    nobody = torch.zeros(len(labels), 0)
    none = Neighbours(nobody.long(), nobody, nobody, nobody[..., None], nobody.long())
    problem = RoutingProblem(
        spec=model.routing_spec,
        routing=prepared.routing,
        neighbours=none,
        surrogate_loss=loss,
        random_neighbours=none,
        random_surrogate_loss=loss,
        reference_routing=prepared.routing,
        reference_excluded=nobody.long(),
        own_entropy=loss,
        own_loss=loss,
    )
    return descend(problem, loss, params or DescentParams()).routing[-1]
