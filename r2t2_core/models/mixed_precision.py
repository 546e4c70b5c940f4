"""A frozen model whose large products run in a shorter number format.

Weights stay as they are, and so do the fingerprint and all that re-routing does: only stem,
encoder, experts and router are run under torch's autocast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from r2t2_core.models.base import ModelAdaptation, ModelAdapter, Prepared
from r2t2_core.types import RoutingSpec, Sample, Tensor


class MixedPrecision:
    """An adapter around an adapter.

    Parameters
    ----------
    inner : ModelAdapter
        With one torch module as `model`.
    dtype : torch.dtype
        For example bfloat16.
    """

    def __init__(self, inner: ModelAdapter, dtype: torch.dtype) -> None:
        self._inner = inner
        self._short = dtype

    @property
    def model(self) -> nn.Module | None:
        """The frozen network, where the adapter has one."""
        return getattr(self._inner, "model", None)

    @property
    def name(self) -> str:
        """Name and version, as shown to people."""
        return self._inner.name

    @property
    def routing_spec(self) -> RoutingSpec:
        """Gates, experts, top-k."""
        return self._inner.routing_spec

    @property
    def answers(self) -> tuple[str, ...]:
        """The answer vocabulary."""
        return self._inner.answers

    @property
    def device(self) -> str:
        """Device in words of torch."""
        return self._inner.device

    @property
    def dtype(self) -> str:
        """Number formats of weights and of products."""
        return f"{self._inner.dtype}, products in {str(self._short).removeprefix('torch.')}"

    @property
    def specialists(self) -> Mapping[str, str]:
        """Question family → the expert that was made for it."""
        return self._inner.specialists

    def prepare(self, samples: Sequence[Sample]) -> Prepared:
        """Compute what does not depend on the routing; the result is in single precision."""
        with torch.autocast(torch.device(self.device).type, dtype=self._short):
            prepared = self._inner.prepare(samples)
        routing = prepared.routing.float()
        parts = [routing[:, block] for block in self.routing_spec.blocks]
        # Rounded weights do not sum to one any more.
        exact = torch.cat([part / part.sum(1, keepdim=True) for part in parts], 1)
        return Prepared(prepared.expert_outputs.float(), exact, prepared.image_features.float())

    def answer(self, prepared: Prepared, routing: Tensor | None = None) -> Tensor:
        """Return answer probabilities (B, A), in the weights' own format."""
        return self._inner.answer(prepared, routing)

    def loss(self, expert_outputs: Tensor, labels: Tensor, routing: Tensor) -> Tensor:
        """Cross-entropy under the dense mix, in the weights' own format."""
        return self._inner.loss(expert_outputs, labels, routing)

    def entropy(self, expert_outputs: Tensor, routing: Tensor) -> Tensor:
        """Entropy of the answer under the dense mix, in the weights' own format."""
        return self._inner.entropy(expert_outputs, routing)

    def adaptation(self) -> ModelAdaptation | None:
        """Return the baselines that change weights."""
        return self._inner.adaptation()

    def fingerprint(self) -> str:
        """SHA-256 of the weights, which are the inner model's."""
        return self._inner.fingerprint()
