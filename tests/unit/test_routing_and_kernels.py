"""Routing vectors and kernels: properties and cases by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from r2t2_core.errors import NeighbourhoodError, ParameterError, RoutingError
from r2t2_core.kernels import BANDWIDTH_RULES, KERNELS, kernel_weights
from r2t2_core.routing import (
    block_softmax,
    check_routing,
    distance,
    entropy_bits,
    project_top_k,
    to_logits,
    uniform_routing,
)
from tests.problems import ONE_SPARSE_GATE, SPECS, TWO_GATES


@given(st.lists(st.floats(-20, 20), min_size=8, max_size=8))
def test_softmax_and_top_k_stay_on_the_simplices(values):
    for spec in SPECS:
        logits = torch.tensor(values[: spec.size], dtype=torch.float64)
        routing = block_softmax(logits, spec)
        check_routing(routing, spec, atol=1e-9)
        projected = project_top_k(routing, spec)
        check_routing(projected, spec, atol=1e-9)
        for gate, block in zip(spec.gates, spec.blocks, strict=True):
            order = routing[block].sort(descending=True).values
            least = order[(gate.top_k or len(gate.experts)) - 1]
            assert torch.equal(
                projected[block] > 0, (routing[block] >= least) & (routing[block] > 0)
            )


def test_top_k_keeps_the_largest_and_all_that_tie_for_the_last_place():
    weights = torch.tensor([0.1, 0.3, 0.1, 0.3, 0.1, 0.05, 0.03, 0.02])
    assert project_top_k(weights, ONE_SPARSE_GATE)[[1, 3]].tolist() == [0.5, 0.5]
    equal = torch.full((8,), 0.125)
    assert torch.equal(project_top_k(equal, ONE_SPARSE_GATE), equal)
    one = torch.tensor([0.0, 0, 1, 0, 0, 0, 0, 0])
    assert torch.equal(project_top_k(one, ONE_SPARSE_GATE), one)


def test_entropy_and_distance():
    even = uniform_routing(torch.zeros(6, dtype=torch.float64), TWO_GATES)
    assert entropy_bits(even, TWO_GATES).item() == pytest.approx(2 * math.log2(3))
    certain = torch.tensor([1.0, 0, 0, 0, 1.0, 0], dtype=torch.float64)
    assert entropy_bits(certain, TWO_GATES).item() == 0
    assert distance(certain, certain).item() == 0


def test_logits_of_an_unused_expert_are_finite():
    routing = torch.tensor([1.0, 0.0, 0.0])
    assert torch.isfinite(to_logits(routing)).all()


@pytest.mark.parametrize(
    ("routing", "words"),
    [
        ([0.5, 0.5, 0.0, 1.0, 0.0], "has 5 weights"),
        ([0.5, math.nan, 0.5, 1.0, 0.0, 0.0], "not a finite number"),
        ([1.5, -0.5, 0.0, 1.0, 0.0, 0.0], "negative"),
        ([0.5, 0.0, 0.0, 1.0, 0.0, 0.0], "gate image do not sum to one"),
    ],
)
def test_bad_routings_are_refused_with_a_remedy(routing, words):
    with pytest.raises(RoutingError, match=words) as caught:
        check_routing(torch.tensor(routing), TWO_GATES)
    assert caught.value.remedy


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("rule", BANDWIDTH_RULES)
def test_kernel_weights_fall_with_distance_and_ignore_padding(kernel, rule):
    distances = torch.tensor([[0.1, 0.2, 0.4, 0.0], [0.0, 0.0, 0.0, 0.0]])
    mask = torch.tensor([[True, True, True, False], [True, True, False, False]])
    weights, bandwidth = kernel_weights(distances, mask, kernel, rule)
    assert weights.sum(1).tolist() == pytest.approx([1.0, 1.0])
    assert weights[0, 0] >= weights[0, 1] >= weights[0, 2]
    assert weights[0, 3] == 0
    assert weights[1, :2].tolist() == [0.5, 0.5]
    assert (bandwidth > 0).all()


def test_gaussian_weights_by_hand():
    distances = torch.tensor([[0.1, 0.3]], dtype=torch.float64)
    weights, bandwidth = kernel_weights(distances, torch.ones(1, 2, dtype=torch.bool))
    assert bandwidth.item() == pytest.approx(0.2)
    raw = [math.exp(-0.125), math.exp(-1.125)]
    assert weights[0].tolist() == pytest.approx([value / sum(raw) for value in raw])


def test_empty_and_broken_neighbourhoods():
    with pytest.raises(NeighbourhoodError, match="empty"):
        kernel_weights(torch.zeros(1, 2), torch.zeros(1, 2, dtype=torch.bool))
    with pytest.raises(NeighbourhoodError, match="finite"):
        kernel_weights(torch.tensor([[math.nan]]), torch.ones(1, 1, dtype=torch.bool))
    with pytest.raises(ParameterError, match="no kernel called box"):
        kernel_weights(torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), "box")
    with pytest.raises(ParameterError, match="no bandwidth rule"):
        kernel_weights(torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), "gaussian", "guess")
