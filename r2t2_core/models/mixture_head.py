"""What follows the mix of experts, where it is known in closed form: losses with their gradients.

A mixture `Σ r_e f_e(x)` that is read by a perceptron of two layers has a gradient in `r` of a few
small products. The first layer's part is computed once for all routings that are tried:
`W₁ Σ r_e f_e + b₁ = Σ r_e (W₁ f_e) + b₁`. Autograd gives the same numbers (tested), and serves
every model whose head is another.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 (torch's own convention)

from r2t2_core.models.base import ModelAdapter
from r2t2_core.types import SurrogateLoss, Tensor

AGREEMENT = 1e-4
"""How far the closed form may be from the adapter's own loss, relative to it."""


@runtime_checkable
class HoldsNetwork(Protocol):
    """An adapter whose weights lie in one torch module."""

    @property
    def model(self) -> nn.Module:
        """The frozen network."""


@dataclass(frozen=True)
class MixtureHead:
    """A perceptron of two layers over the mix: D → H → A, ReLU between.

    Attributes
    ----------
    first, first_bias : Tensor (H, D) and (H,)
    second, second_bias : Tensor (A, H) and (A,)
    """

    first: Tensor
    first_bias: Tensor
    second: Tensor
    second_bias: Tensor

    def logits(self, mixed: Tensor) -> Tensor:
        """Return logits (..., A) of mixes (..., D)."""
        hidden = F.linear(mixed, self.first, self.first_bias).relu()
        return F.linear(hidden, self.second, self.second_bias)


def mixture_head(model: ModelAdapter) -> MixtureHead | None:
    """Return a model's head where it is of this kind and agrees with the model's own loss."""
    network = model.model if isinstance(model, HoldsNetwork) else None
    layers = getattr(network, "head", None)
    if not isinstance(layers, nn.Sequential) or len(layers) != 3:
        return None
    first, between, second = layers
    if not (
        isinstance(first, nn.Linear)
        and isinstance(between, nn.ReLU)
        and isinstance(second, nn.Linear)
        and first.bias is not None
        and second.bias is not None
    ):
        return None
    head = MixtureHead(
        first.weight.detach(), first.bias.detach(), second.weight.detach(), second.bias.detach()
    )
    return head if _agrees(head, model) else None


@torch.no_grad()
def _agrees(head: MixtureHead, model: ModelAdapter) -> bool:
    """Try the closed form on a few numbers: a model may do more than its head says."""
    generator = torch.Generator().manual_seed(0)
    size, experts = head.first.shape[1], model.routing_spec.size
    outputs = torch.randn(4, experts, size, generator=generator).to(head.first)
    routing = torch.rand(4, experts, generator=generator).to(head.first)
    labels = torch.arange(4, device=outputs.device) % len(model.answers)
    own = model.loss(outputs, labels, routing)
    logits = head.logits((routing[..., None] * outputs).sum(-2))
    closed = F.cross_entropy(logits, labels, reduction="none")
    return bool(((own - closed).abs() <= AGREEMENT * own.abs().clamp(min=1)).all())


class WeightedLoss:
    """The kernel-weighted cross-entropy of K samples for each of B routings, in closed form.

    Parameters
    ----------
    head : MixtureHead
    expert_outputs : Tensor (B, K, E, D)
    labels : Tensor (B, K), int64
    weight : Tensor (B, K)
    plain : callable
        The same loss by way of the model, for autograd.
    """

    def __init__(
        self,
        head: MixtureHead,
        expert_outputs: Tensor,
        labels: Tensor,
        weight: Tensor,
        plain: SurrogateLoss,
    ) -> None:
        self._head = head
        self._outputs = expert_outputs
        self._labels = labels
        self._weight = weight
        self._plain = plain

    def __call__(self, routing: Tensor) -> Tensor:
        """Return the loss (B,) at routings (B, E)."""
        return self._plain(routing) if routing.requires_grad else self.along(routing[None])[0]

    @torch.no_grad()
    def along(self, points: Tensor) -> Tensor:
        """Return the loss (S, B) at points (S, B, E)."""
        logs = self._logits(points).log_softmax(-1)
        steps = points.shape[0]
        labels = self._labels.expand(steps, -1, -1)[..., None]
        return -(logs.gather(-1, labels)[..., 0] * self._weight).sum(-1)

    @torch.no_grad()
    def with_gradient(self, routing: Tensor) -> tuple[Tensor, Tensor]:
        """Return the loss (B,) and its gradient (B, E) with respect to the routing weights."""
        hidden = self._hidden(routing[None])[0]
        logs = F.linear(hidden, self._head.second, self._head.second_bias).log_softmax(-1)
        loss = -(logs * self._target).sum((-1, -2))
        # d loss / d logits = weight · (softmax − one-hot)
        slope = torch.addcmul(-self._target, logs.exp_(), self._weight[..., None])
        return loss, _to_routing(self._head, self._projected, hidden, slope)

    def _logits(self, points: Tensor) -> Tensor:
        return F.linear(self._hidden(points), self._head.second, self._head.second_bias)

    def _hidden(self, points: Tensor) -> Tensor:
        """Return the hidden layer (S, B, K, H) at points (S, B, E)."""
        return _hidden(self._head, self._projected, points)

    @cached_property
    def _projected(self) -> Tensor:
        return _project(self._head, self._outputs)

    @cached_property
    def _target(self) -> Tensor:
        """One-hot labels times their weights (B, K, A)."""
        answers = self._head.second.shape[0]
        target = self._weight.new_zeros((*self._labels.shape, answers))
        return target.scatter_(-1, self._labels[..., None], self._weight[..., None])


class EntropyOfAnswer:
    """The entropy of the answers to B queries, in nats, in closed form.

    Parameters
    ----------
    head : MixtureHead
    expert_outputs : Tensor (B, E, D)
    plain : callable
        The same entropy by way of the model, for autograd.
    """

    def __init__(self, head: MixtureHead, expert_outputs: Tensor, plain: SurrogateLoss) -> None:
        self._head = head
        self._outputs = expert_outputs[:, None]
        self._plain = plain

    def __call__(self, routing: Tensor) -> Tensor:
        """Return the entropy (B,) at routings (B, E)."""
        return self._plain(routing) if routing.requires_grad else self.along(routing[None])[0]

    @torch.no_grad()
    def along(self, points: Tensor) -> Tensor:
        """Return the entropy (S, B) at points (S, B, E)."""
        logs = self._logs(_hidden(self._head, self._projected, points))
        return -(logs.exp() * logs).sum((-1, -2))

    @torch.no_grad()
    def with_gradient(self, routing: Tensor) -> tuple[Tensor, Tensor]:
        """Return the entropy (B,) and its gradient (B, E) with respect to the routing weights."""
        hidden = _hidden(self._head, self._projected, routing[None])[0]
        logs = self._logs(hidden)
        shares = logs.exp()
        entropy = -(shares * logs).sum(-1, keepdim=True)
        # d entropy / d logits = −softmax · (log softmax + entropy)
        slope = -shares * (logs + entropy)
        return entropy.sum((-1, -2)), _to_routing(self._head, self._projected, hidden, slope)

    def _logs(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self._head.second, self._head.second_bias).log_softmax(-1)

    @cached_property
    def _projected(self) -> Tensor:
        return _project(self._head, self._outputs)


def _project(head: MixtureHead, outputs: Tensor) -> Tensor:
    """Return the experts' parts of the first layer, (B, K, E, D) → (B, E, K · H)."""
    queries, samples, experts, _ = outputs.shape
    parts = F.linear(outputs.transpose(1, 2), head.first)
    return parts.reshape(queries, experts, samples * parts.shape[-1])


def _hidden(head: MixtureHead, projected: Tensor, points: Tensor) -> Tensor:
    """Return the hidden layer (S, B, K, H) at points (S, B, E)."""
    steps, queries, _ = points.shape
    mixed = torch.bmm(points.transpose(0, 1), projected).transpose(0, 1)
    width = head.first_bias.shape[0]
    return (mixed.reshape(steps, queries, -1, width) + head.first_bias).relu_()


def _to_routing(head: MixtureHead, projected: Tensor, hidden: Tensor, slope: Tensor) -> Tensor:
    """Pull a gradient in the logits (B, K, A) back to the routing weights (B, E)."""
    inner = (slope @ head.second).mul_(hidden > 0)
    return torch.bmm(projected, inner.flatten(1)[..., None])[..., 0]
