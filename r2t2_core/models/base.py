"""The contract of a model adapter: what re-routing needs of a frozen multimodal MoE.

A model adapter never changes a parameter. `routing=None` is bit-identical to
the untouched model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from r2t2_core.types import RoutingSpec, Sample, Tensor


@dataclass(frozen=True)
class Prepared:
    """The part of the model's work on B samples that does not depend on the routing.

    Attributes
    ----------
    expert_outputs : Tensor (B, E, D)
        Output of every expert.
    routing : Tensor (B, E)
        The router's own dense routing weights.
    image_features : Tensor (B, F)
        Pooled features of the image stem (for nearness of pictures), not normalised.
    """

    expert_outputs: Tensor
    routing: Tensor
    image_features: Tensor


class ModelAdaptation(Protocol):
    """Baselines that change weights, each on a disposable copy of the model."""

    def finetune_router(self, samples: Sequence[Sample], labels: Tensor) -> ModelAdapter:
        """Return a copy whose router was trained on labelled samples; all else is as it was."""

    def tent(self, samples: Sequence[Sample]) -> Tensor:
        """Return answer probabilities (B, A) after Tent on this batch (Wang et al. 2021)."""

    def memo(self, samples: Sequence[Sample]) -> Tensor:
        """Return answer probabilities (B, A) after MEMO on each sample (Zhang et al. 2022)."""


class ModelAdapter(Protocol):
    """A frozen mixture-of-experts model."""

    @property
    def name(self) -> str:
        """Name and version, as shown to people."""

    @property
    def routing_spec(self) -> RoutingSpec:
        """Gates, experts, top-k."""

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer vocabulary; labels are indices into it."""

    @property
    def device(self) -> str:
        """Device in words of torch, for example `cpu` or `cuda:0`."""

    @property
    def dtype(self) -> str:
        """Number format of the weights, for example `float32`."""

    @property
    def specialists(self) -> Mapping[str, str]:
        """Question family → the expert that was made for it; empty where nobody knows."""

    def prepare(self, samples: Sequence[Sample]) -> Prepared:
        """Compute what does not depend on the routing, for B samples."""

    def answer(self, prepared: Prepared, routing: Tensor | None = None) -> Tensor:
        """Return answer probabilities (B, A) under the top-k projection of a routing (B, E).

        `None` uses the router's own routing and gives the untouched model's numbers bit for bit.
        """

    def loss(self, expert_outputs: Tensor, labels: Tensor, routing: Tensor) -> Tensor:
        """Cross-entropy under the dense mix, differentiable in the routing.

        Shapes: expert_outputs (..., E, D), labels (...), routing (..., E) → (...).
        """

    def entropy(self, expert_outputs: Tensor, routing: Tensor) -> Tensor:
        """Entropy of the answer in nats under the dense mix, differentiable in the routing.

        Shapes: expert_outputs (..., E, D), routing (..., E) → (...).
        """

    def adaptation(self) -> ModelAdaptation | None:
        """Return the baselines that change weights; None where the model offers none."""

    def fingerprint(self) -> str:
        """SHA-256 over every parameter and buffer, and over all else that decides the answers."""
