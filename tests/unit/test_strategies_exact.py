"""Strategies against cases worked by hand, and gradients against finite differences."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from r2t2_core.errors import NeighbourhoodError
from r2t2_core.registry import get_strategy, parse_params
from r2t2_core.routing import along_simplices, block_softmax, to_logits
from r2t2_core.strategies.descent import (
    DescentParams,
    cosine_step_sizes,
    descend,
    through_softmax,
)
from r2t2_core.strategies.kernel_regression import search_alpha
from r2t2_core.strategies.mode_finding import shift, usable
from r2t2_core.types import GateSpec, RoutingSpec
from tests.problems import SPECS, make_problem

NOBODY = None

THREE = RoutingSpec((GateSpec("g", ("a", "b", "c")),))


def run(name, problem, **values):
    entry = get_strategy(name)
    return entry.reroute(problem, parse_params(entry, values))


@pytest.mark.parametrize("spec", SPECS)
def test_the_recorded_gradient_agrees_with_finite_differences(spec):
    problem = make_problem(spec)
    trajectory = run("ngd", problem)
    width = 1e-6
    for step in (0, 3):
        here = trajectory.routing[step]
        numeric = torch.zeros_like(here)
        for expert in range(spec.size):
            nudge = torch.zeros_like(here)
            nudge[:, expert] = width
            numeric[:, expert] = (
                problem.surrogate_loss(here + nudge) - problem.surrogate_loss(here - nudge)
            ) / (2 * width)
        along = along_simplices(numeric, spec).norm(dim=1)
        assert torch.allclose(along, trajectory.gradient_norm[step], rtol=1e-6)


def test_one_plain_gradient_step_by_hand():
    # L(r) = c · r, so the gradient in the logits is r (c − c · r).
    cost = torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64)
    start = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64)
    problem = dataclasses.replace(make_problem(THREE, batch=1), routing=start)
    params = DescentParams(steps=1, step_size=0.8, optimiser="gradient")
    trajectory = descend(problem, lambda routing: routing @ cost, params)
    slope = start * (cost - 2.0)
    expected = (start.log() - 0.8 * slope).softmax(1)
    assert torch.allclose(trajectory.routing[1], expected, atol=1e-12)
    assert trajectory.surrogate_loss[0].item() == pytest.approx(2.0)
    assert trajectory.gradient_norm[0].item() == pytest.approx(float((cost - cost.mean()).norm()))


@pytest.mark.parametrize("spec", SPECS)
def test_adam_moves_as_torchs_own(spec):
    problem = make_problem(spec)
    params = DescentParams(steps=6)
    trajectory = descend(problem, problem.surrogate_loss, params)
    logits = problem.routing.log().clone().requires_grad_(True)
    optimiser = torch.optim.Adam([logits], lr=1.0)
    for size in cosine_step_sizes(params):
        optimiser.param_groups[0]["lr"] = size
        optimiser.zero_grad()
        problem.surrogate_loss(block_softmax(logits, spec)).sum().backward()
        optimiser.step()
    assert torch.allclose(trajectory.routing[-1], block_softmax(logits, spec), atol=1e-10)


def test_the_schedule_is_a_half_cosine():
    sizes = cosine_step_sizes(DescentParams(steps=5, step_size=1.0, final_step_size=0.0))
    assert sizes == pytest.approx([1.0, 0.853553, 0.5, 0.146447, 0.0], abs=1e-6)


def test_descent_lowers_the_loss_and_reaches_an_expert_that_was_never_used():
    start = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    problem = dataclasses.replace(make_problem(THREE, batch=1), routing=start)
    cost = torch.tensor([2.0, 2.0, 0.0], dtype=torch.float64)
    params = DescentParams(steps=50, step_size=2.0)
    trajectory = descend(problem, lambda routing: routing @ cost, params)
    assert torch.equal(trajectory.routing[0], start)
    assert trajectory.routing[-1, 0, 2] > 0.9
    assert trajectory.surrogate_loss[-1] < trajectory.surrogate_loss[0]


def test_a_converged_query_stands_still_while_others_go_on():
    steep = make_problem(SPECS[0])
    problem = dataclasses.replace(steep, surrogate_loss=lambda r: 0.01 * steep.surrogate_loss(r))
    norms = run("ngd", problem).gradient_norm[0]
    between = float(norms.sort().values[:2].mean())
    trajectory = run("ngd", problem, tolerance=between)
    still = int(norms.argmin())
    assert trajectory.stop_reason[still] == "converged"
    assert torch.equal(trajectory.routing[-1, still], problem.routing[still])
    moving = int(norms.argmax())
    assert not torch.equal(trajectory.routing[1, moving], problem.routing[moving])


def test_kernel_regression_by_hand():
    problem = make_problem(THREE, batch=1, neighbours=2)
    near = dataclasses.replace(
        problem.neighbours,
        weight=torch.tensor([[0.75, 0.25]], dtype=torch.float64),
        routing=torch.tensor([[[0.8, 0.1, 0.1], [0.0, 0.5, 0.5]]], dtype=torch.float64),
    )
    start = torch.tensor([[0.2, 0.2, 0.6]], dtype=torch.float64)
    problem = dataclasses.replace(problem, neighbours=near, routing=start)
    plain = run("kernel_regression", problem, alpha=0.0, path_steps=4)
    assert plain.routing[-1, 0].tolist() == pytest.approx([0.6, 0.2, 0.2])
    assert plain.routing[2, 0].tolist() == pytest.approx([0.4, 0.2, 0.4])
    half = run("kernel_regression", problem, alpha=0.5)
    assert half.routing[-1, 0].tolist() == pytest.approx([0.4, 0.2, 0.4])


@pytest.mark.parametrize("best", [0.0, 0.37, 1.0])
def test_the_search_finds_the_least_loss_in_alpha(best):
    problem = make_problem(THREE, batch=1)
    start = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    mean = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)
    problem = dataclasses.replace(
        problem, routing=start, surrogate_loss=lambda routing: (routing[:, 0] - best) ** 2
    )
    assert search_alpha(problem, mean, 11, 20).item() == pytest.approx(best, abs=1e-4)


def test_the_search_is_not_fooled_by_a_second_minimum():
    problem = make_problem(THREE, batch=1)
    start = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.float64)
    mean = torch.tensor([[0.0, 1.0, 0.0]], dtype=torch.float64)

    def two_wells(routing):
        alpha = routing[:, 0]
        return torch.minimum((alpha - 0.9) ** 2 + 0.1, (alpha - 0.2) ** 2)

    problem = dataclasses.replace(problem, routing=start, surrogate_loss=two_wells)
    assert search_alpha(problem, mean, 11, 20).item() == pytest.approx(0.2, abs=1e-3)


def test_mean_shift_by_hand():
    reference = torch.tensor(
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64
    )
    here = torch.tensor([[0.5, 0.5, 0.0]], dtype=torch.float64)
    # The two nearest are equally far, so their weights are equal.
    assert shift(here, reference, NOBODY, 2)[0].tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert shift(here, reference, NOBODY, 1)[0].max() == 1.0


def test_mode_finding_ends_in_the_denser_cluster():
    generator = torch.Generator().manual_seed(1)
    dense = torch.tensor([0.8, 0.1, 0.1]) + 0.01 * torch.randn(30, 3, generator=generator)
    sparse = torch.tensor([0.1, 0.1, 0.8]) + 0.01 * torch.randn(5, 3, generator=generator)
    reference = torch.cat([dense, sparse]).double().clamp(min=0.001)
    reference = reference / reference.sum(1, keepdim=True)
    start = torch.tensor([[0.5, 0.2, 0.3]], dtype=torch.float64)
    problem = dataclasses.replace(
        make_problem(THREE, batch=1), routing=start, reference_routing=reference
    )
    trajectory = run("mode_finding", problem, alpha=0.0, steps=30)
    assert trajectory.routing[-1, 0].tolist() == pytest.approx([0.8, 0.1, 0.1], abs=0.02)
    assert trajectory.stop_reason == ("converged",)


@pytest.mark.parametrize("spec", SPECS)
def test_the_gradient_in_the_logits_agrees_with_finite_differences(spec):
    problem = make_problem(spec)
    logits = to_logits(problem.routing)
    variable = problem.routing.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(problem.surrogate_loss(variable).sum(), variable)
    width, numeric = 1e-6, torch.zeros_like(logits)
    for place in range(spec.size):
        nudge = torch.zeros_like(logits)
        nudge[:, place] = width
        above, below = (
            problem.surrogate_loss(block_softmax(logits + sign * nudge, spec)) for sign in (1, -1)
        )
        numeric[:, place] = (above - below) / (2 * width)
    weights = block_softmax(logits, spec)
    assert torch.allclose(through_softmax(weights, gradient, spec), numeric, atol=1e-7)


def test_a_gradient_that_is_no_number_is_an_error():
    problem = make_problem(THREE, batch=1)
    # A loss of zero whose slope is 0 / 0.
    with pytest.raises(NeighbourhoodError, match="not a finite number"):
        descend(problem, lambda routing: (routing * 0).sum(1).sqrt(), DescentParams())


def test_a_slope_that_leaves_the_simplex_moves_nothing_and_counts_as_standing_still():
    problem = make_problem(SPECS[1])
    params = DescentParams(tolerance=1e-6)
    trajectory = descend(problem, lambda routing: 5 * routing.sum(1), params)
    assert torch.allclose(trajectory.gradient_norm, torch.zeros(1, dtype=torch.float64), atol=1e-9)
    assert set(trajectory.stop_reason) == {"converged"}


def test_mode_finding_leaves_near_duplicates_out():
    here = torch.tensor([[0.8, 0.1, 0.1]], dtype=torch.float64)
    reference = torch.cat([here, torch.tensor([[0.1, 0.8, 0.1], [0.1, 0.1, 0.8]])]).double()
    assert torch.allclose(shift(here, reference, NOBODY, 1), here)
    without = shift(here, reference, usable(reference, torch.tensor([[0]])), 3)
    assert torch.allclose(without, reference[1:].mean(0, keepdim=True))
