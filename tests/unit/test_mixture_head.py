"""The closed form against autograd, on random heads in double precision."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

from r2t2_core.models.mixture_head import (
    EntropyOfAnswer,
    MixtureHead,
    WeightedLoss,
    mixture_head,
)
from r2t2_core.registry import get_strategy, parse_params
from r2t2_core.types import AnalyticLoss, GateSpec, RoutingSpec
from tests.problems import make_problem, random_routing

SPEC = RoutingSpec((GateSpec("experts", tuple("abcde"), 2),))
BATCH, NEIGHBOURS, SIZE, HIDDEN, ANSWERS = 3, 4, 6, 9, 5


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


HEAD = MixtureHead(
    draw(HIDDEN, SIZE, seed=1), draw(HIDDEN, seed=2), draw(ANSWERS, HIDDEN, seed=3),
    draw(ANSWERS, seed=4),
)  # fmt: skip


def weighted() -> WeightedLoss:
    outputs = draw(BATCH, NEIGHBOURS, SPEC.size, SIZE, seed=5)
    labels = torch.arange(BATCH * NEIGHBOURS).reshape(BATCH, NEIGHBOURS) % ANSWERS
    weight = draw(BATCH, NEIGHBOURS, seed=6).softmax(1)

    def plain(routing):
        logits = HEAD.logits(torch.einsum("be,bked->bkd", routing, outputs))
        losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        return (losses.reshape(labels.shape) * weight).sum(1)

    return WeightedLoss(HEAD, outputs, labels, weight, plain)


def entropy() -> EntropyOfAnswer:
    outputs = draw(BATCH, SPEC.size, SIZE, seed=7)

    def plain(routing):
        logs = HEAD.logits(torch.einsum("be,bed->bd", routing, outputs)).log_softmax(-1)
        return -(logs.exp() * logs).sum(-1)

    return EntropyOfAnswer(HEAD, outputs, plain)


def routings(seed: int = 8) -> torch.Tensor:
    return random_routing(SPEC, BATCH, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("build", [weighted, entropy])
def test_value_and_gradient_agree_with_autograd(build):
    loss = build()
    assert isinstance(loss, AnalyticLoss)
    variable = routings().requires_grad_(True)
    expected = loss(variable)
    (slope,) = torch.autograd.grad(expected.sum(), variable)
    value, gradient = loss.with_gradient(variable.detach())
    assert torch.allclose(value, expected, atol=1e-12)
    assert torch.allclose(gradient, slope, atol=1e-12)
    assert torch.allclose(loss(variable.detach()), expected, atol=1e-12)


@pytest.mark.parametrize("build", [weighted, entropy])
def test_many_points_at_once_are_each_of_them(build):
    loss = build()
    points = torch.stack([routings(seed) for seed in range(4)])
    expected = torch.stack([loss(point) for point in points])
    assert torch.allclose(loss.along(points), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["ngd", "kernel_regression", "mode_finding", "uniform"])
def test_a_strategy_moves_as_it_does_under_autograd(name):
    loss = weighted()
    problem = dataclasses.replace(make_problem(SPEC, batch=BATCH), surrogate_loss=loss)
    oracle = dataclasses.replace(problem, surrogate_loss=loss._plain)
    values = {"alpha_mode": "search"} if name == "kernel_regression" else {}
    strategy = get_strategy(name)
    fast = strategy.reroute(problem, parse_params(strategy, values))
    slow = strategy.reroute(oracle, parse_params(strategy, values))
    for field in ("routing", "surrogate_loss", "step_size", "gradient_norm"):
        assert torch.allclose(
            getattr(fast, field), getattr(slow, field), atol=1e-10, equal_nan=True
        ), field
    assert fast.stop_reason == slow.stop_reason


class LinearMix:
    """An adapter whose network has a perceptron for a head; its loss may do more than that."""

    routing_spec = SPEC
    answers = tuple("vwxyz")

    def __init__(self, layers: nn.Module, squeeze: bool = False) -> None:
        self.model = nn.Module()
        self.model.head = layers
        self._squeeze = squeeze

    def loss(self, outputs, labels, routing):
        mixed = (routing[..., None] * outputs).sum(-2)
        mixed = mixed.tanh() if self._squeeze else mixed
        return F.cross_entropy(self.model.head(mixed), labels, reduction="none")


def perceptron() -> nn.Sequential:
    return nn.Sequential(nn.Linear(SIZE, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, ANSWERS))


def test_a_head_is_taken_only_where_it_is_what_the_model_computes():
    assert isinstance(mixture_head(LinearMix(perceptron())), MixtureHead)
    assert mixture_head(LinearMix(perceptron(), squeeze=True)) is None
    assert mixture_head(LinearMix(nn.Sequential(nn.Linear(SIZE, ANSWERS)))) is None
    assert mixture_head(object()) is None


def test_the_shipped_models_head_is_known(engine):
    assert mixture_head(engine.model) is not None
