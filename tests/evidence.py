"""A small evidence with a random linear model, to test causes against arithmetic."""

from __future__ import annotations

import numpy as np
import torch

from r2t2_core.explain.evidence import Evidence, Query
from r2t2_core.kernels import kernel_weights
from r2t2_core.models.base import Prepared
from r2t2_core.reference.index import RetrievalParams, Retrieved
from r2t2_core.routing import project_top_k
from r2t2_core.types import Neighbours, RoutingSpec, Tensor
from tests.problems import random_routing

ANSWERS = ("one", "two", "three", "four", "five")


class LinearModel:
    """Answers with the softmax of a mix of expert outputs (..., E, A)."""

    answers = ANSWERS

    def __init__(self, spec: RoutingSpec) -> None:
        self.routing_spec = spec

    def answer(self, prepared: Prepared, routing: Tensor | None = None) -> Tensor:
        dense = prepared.routing if routing is None else routing
        used = project_top_k(dense, self.routing_spec)
        return torch.einsum("be,bea->ba", used, prepared.expert_outputs).softmax(-1)

    def loss(self, outputs: Tensor, labels: Tensor, routing: Tensor) -> Tensor:
        logs = torch.einsum("...e,...ea->...a", routing, outputs).log_softmax(-1)
        return -logs.gather(-1, labels[..., None])[..., 0]

    def entropy(self, outputs: Tensor, routing: Tensor) -> Tensor:
        logs = torch.einsum("...e,...ea->...a", routing, outputs).log_softmax(-1)
        return -(logs.exp() * logs).sum(-1)


def make_evidence(spec: RoutingSpec, neighbours: int = 4, seed: int = 0) -> Evidence:
    """Make the evidence of one question; every sample is admitted."""
    generator = torch.Generator().manual_seed(seed)
    size, width = spec.size, len(ANSWERS)

    def draw(*shape: int) -> Tensor:
        return 2 * torch.randn(*shape, generator=generator, dtype=torch.float64)

    similarity = torch.linspace(0.95, 0.6, neighbours, dtype=torch.float64)[None]
    weight, bandwidth = kernel_weights(1 - similarity, torch.ones(1, neighbours, dtype=torch.bool))
    admitted = random_routing(spec, 30, generator)
    rows = torch.arange(neighbours)[None]
    labels = torch.randint(0, width, (1, neighbours), generator=generator)
    near = Neighbours(rows, similarity, weight, admitted[rows], labels)
    flat = torch.full_like(weight, 1 / neighbours)
    random = Neighbours(rows + neighbours, similarity, flat, admitted[rows + neighbours], labels)
    found = Retrieved(
        near,
        random,
        bandwidth,
        np.full((1, 1), -1),
        np.zeros(1, dtype=bool),
        np.zeros((1, neighbours), dtype=np.float32),
        np.array([0.95], dtype=np.float32),
    )
    own = random_routing(spec, 1, generator)
    query = Query(Prepared(draw(1, size, width), own, own), np.zeros((1, 3)), "key", None)
    return Evidence(
        model=LinearModel(spec),
        query=query,
        retrieval=RetrievalParams(),
        found=found,
        ids=tuple(f"sample-{row}" for row in range(neighbours)),
        outputs=draw(1, neighbours, size, width),
        random_outputs=draw(1, neighbours, size, width),
        admitted=admitted,
        places=np.arange(neighbours),
    )
