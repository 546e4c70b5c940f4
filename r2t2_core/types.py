"""Plain data that passes between the rooms of the package.

Only frozen containers: no mathematics, no I/O.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from PIL import Image

Tensor = torch.Tensor


@dataclass(frozen=True)
class GateSpec:
    """One gate: a block of experts whose routing weights sum to one.

    Attributes
    ----------
    name : str
        Name of the gate, shown to people.
    experts : tuple of str
        Names of its experts, in the order of the routing vector.
    top_k : int or None
        How many experts the gate uses (more only where experts tie for the last place); `None`
        for a dense gate.
    """

    name: str
    experts: tuple[str, ...]
    top_k: int | None = None


@dataclass(frozen=True)
class RoutingSpec:
    """A product of simplices: the blocks of a routing vector, one per gate, concatenated."""

    gates: tuple[GateSpec, ...]

    @property
    def size(self) -> int:
        """Length of a routing vector."""
        return sum(len(gate.experts) for gate in self.gates)

    @property
    def experts(self) -> tuple[str, ...]:
        """All experts' names in the order of the routing vector."""
        return tuple(name for gate in self.gates for name in gate.experts)

    @property
    def blocks(self) -> tuple[slice, ...]:
        """The slice of each gate in a routing vector."""
        slices, start = [], 0
        for gate in self.gates:
            slices.append(slice(start, start + len(gate.experts)))
            start += len(gate.experts)
        return tuple(slices)


@dataclass(frozen=True)
class Sample:
    """A picture (RGB) with a question, as a model takes them."""

    image: Image.Image
    question: str


@dataclass(frozen=True)
class Neighbours:
    """Retrieved reference samples of a batch of B queries, K for each, padded.

    Attributes
    ----------
    index : Tensor (B, K), int64
        Row of the reference set; -1 where padded.
    similarity : Tensor (B, K)
        Cosine similarity of the task embeddings, dimensionless; 0 where padded.
    weight : Tensor (B, K)
        Kernel weight, normalised to sum to one over the K; 0 where padded.
    routing : Tensor (B, K, E)
        Routing of the reference sample under the policy in force (the router's own, or refined).
    label : Tensor (B, K), int64
        Index of the label in the model's answers.
    """

    index: Tensor
    similarity: Tensor
    weight: Tensor
    routing: Tensor
    label: Tensor

    def to(self, device: torch.device) -> Neighbours:
        """Return the same neighbours on a device."""
        return Neighbours(
            self.index.to(device),
            self.similarity.to(device),
            self.weight.to(device),
            self.routing.to(device),
            self.label.to(device),
        )


SurrogateLoss = Callable[[Tensor], Tensor]
"""Routing (B, E) → loss (B,), differentiable in the routing, on the dense mix."""


@runtime_checkable
class AnalyticLoss(Protocol):
    """A surrogate loss that knows its gradient without autograd."""

    def __call__(self, routing: Tensor) -> Tensor:
        """Return the loss (B,) at routings (B, E); differentiable, as every surrogate loss."""

    def along(self, points: Tensor) -> Tensor:
        """Return the loss (S, B) at points (S, B, E), all at once."""

    def with_gradient(self, routing: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss (B,) and its gradient (B, E) with respect to the routing weights."""


@dataclass(frozen=True)
class RoutingProblem:
    """What a strategy may look at: a batch of B routings and what surrounds them.

    Attributes
    ----------
    spec : RoutingSpec
        Blocks of the routing vector (E entries).
    routing : Tensor (B, E)
        The frozen router's own (dense) routing weights.
    neighbours : Neighbours
        In the space of the task embedding.
    surrogate_loss : callable
        Paper, Eq. 3: kernel-weighted loss of the neighbours under a routing.
    random_neighbours : Neighbours
        Drawn at random from the same reference set, same number: the control.
    random_surrogate_loss : callable
        The surrogate loss over the random neighbours.
    reference_routing : Tensor (N, E)
        Routings of all reference samples that the policy admits, for routing-space methods.
    reference_excluded : Tensor (B, L), int64
        Rows of `reference_routing` that are near-duplicates of a query; -1 where padded.
    own_entropy : callable
        Entropy of the query's own answer under a routing, in nats: needs no label, no reference.
    own_loss : callable or None
        Loss of the query under its own label (oracle only); `None` where no label is known.
    cancelled : callable
        Returns True when the work should stop; asked once a step.
    """

    spec: RoutingSpec
    routing: Tensor
    neighbours: Neighbours
    surrogate_loss: SurrogateLoss
    random_neighbours: Neighbours
    random_surrogate_loss: SurrogateLoss
    reference_routing: Tensor
    reference_excluded: Tensor
    own_entropy: SurrogateLoss
    own_loss: SurrogateLoss | None = None
    cancelled: Callable[[], bool] = lambda: False


@dataclass(frozen=True)
class Trajectory:
    """How a batch of B routings moved in S steps (S + 1 points, the first is the router's own).

    Attributes
    ----------
    routing : Tensor (S + 1, B, E)
        On its simplices at every step.
    surrogate_loss : Tensor (S + 1, B)
        The loss that the strategy looks at; for strategies without one, the neighbours' surrogate
        loss, evaluated so that all strategies can be compared.
    step_size : Tensor (S + 1, B)
        Step size (λ, or 1 − α) that led to this point; 0 at step 0.
    gradient_norm : Tensor (S + 1, B)
        Euclidean norm of the gradient with respect to the routing weights at this point, of its
        part along the simplices (the rest moves nothing); NaN where the strategy uses none.
    stop_reason : tuple of str, length B
        `max_steps`, `converged` or `single_step`.
    """

    routing: Tensor
    surrogate_loss: Tensor
    step_size: Tensor
    gradient_norm: Tensor
    stop_reason: tuple[str, ...]
