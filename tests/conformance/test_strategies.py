"""Everything that is registered keeps the contract of a strategy."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch

from r2t2_core.errors import Cancelled, NeighbourhoodError, ParameterError
from r2t2_core.parameters import bounds, choices
from r2t2_core.registry import get_strategy, parse_params, strategies
from r2t2_core.routing import check_routing
from tests.problems import ONE_SPARSE_GATE, SPECS, TWO_GATES, make_problem

NAMES = tuple(strategies())


def run(name, problem, **values):
    entry = get_strategy(name)
    return entry.reroute(problem, parse_params(entry, values))


def test_the_names_that_the_command_line_promises_are_registered():
    assert NAMES == (
        "base",
        "ngd",
        "kernel_regression",
        "mode_finding",
        "oracle",
        "uniform",
        "random_neighbours",
        "entropy",
    )


@pytest.mark.parametrize(("name", "spec"), itertools.product(NAMES, SPECS))
def test_every_step_lies_on_its_simplices_and_the_first_is_the_routers_own(name, spec):
    problem = make_problem(spec)
    trajectory = run(name, problem)
    check_routing(trajectory.routing, spec, atol=1e-9)
    assert torch.equal(trajectory.routing[0], problem.routing)
    steps = trajectory.routing.shape[0]
    for field in ("surrogate_loss", "step_size", "gradient_norm"):
        assert getattr(trajectory, field).shape == (steps, 3)
    assert torch.isfinite(trajectory.surrogate_loss).all()
    assert (trajectory.step_size[0] == 0).all()
    assert len(trajectory.stop_reason) == 3


def extremes():
    """Every parameter of every strategy at its least, its greatest, and each of its choices."""
    for name, entry in strategies().items():
        for field, info in entry.params.model_fields.items():
            if (options := choices(info)) is not None:
                values = list(options)
            else:
                limits = bounds(info)
                tiny = 1 if info.annotation is int else 1e-9
                values = [
                    info.annotation(limits.low + tiny * limits.low_open),
                    info.annotation(limits.high - tiny * limits.high_open),
                ]
            for value in values:
                yield pytest.param(name, field, value, id=f"{name}.{field}={value}")


@pytest.mark.parametrize(("name", "field", "value"), extremes())
def test_parameters_at_their_bounds_keep_the_contract(name, field, value):
    problem = make_problem(TWO_GATES)
    trajectory = run(name, problem, **{field: value})
    check_routing(trajectory.routing, TWO_GATES, atol=1e-9)
    assert torch.isfinite(trajectory.surrogate_loss).all()
    assert torch.equal(trajectory.routing[0], problem.routing)


@pytest.mark.parametrize("name", NAMES)
def test_same_problem_same_bits_and_inputs_are_left_alone(name):
    problem = make_problem(ONE_SPARSE_GATE)
    before = [
        problem.routing.clone(),
        problem.neighbours.routing.clone(),
        problem.reference_routing.clone(),
    ]
    first, second = run(name, problem), run(name, problem)
    assert torch.equal(first.routing, second.routing)
    assert torch.equal(first.surrogate_loss, second.surrogate_loss)
    after = [problem.routing, problem.neighbours.routing, problem.reference_routing]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_query_alone_moves_as_in_a_batch(name):
    problem = make_problem(ONE_SPARSE_GATE)
    whole = run(name, problem)

    def rows(chosen):
        return dataclasses.replace(
            chosen,
            **{f.name: getattr(chosen, f.name)[1:2] for f in dataclasses.fields(chosen)},
        )

    def single(loss):
        return lambda routing: loss(routing.expand(3, -1))[1:2]

    alone = run(
        name,
        dataclasses.replace(
            problem,
            routing=problem.routing[1:2],
            neighbours=rows(problem.neighbours),
            random_neighbours=rows(problem.random_neighbours),
            surrogate_loss=single(problem.surrogate_loss),
            random_surrogate_loss=single(problem.random_surrogate_loss),
            own_loss=single(problem.own_loss),
            own_entropy=single(problem.own_entropy),
            reference_excluded=problem.reference_excluded[1:2],
        ),
    )
    assert torch.allclose(alone.routing[:, 0], whole.routing[:, 1], atol=1e-9)


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("base", "uniform")])
def test_cancelling_stops_it(name):
    problem = dataclasses.replace(make_problem(ONE_SPARSE_GATE), cancelled=lambda: True)
    with pytest.raises(Cancelled):
        run(name, problem)


@pytest.mark.parametrize(
    "name", [n for n in NAMES if n not in ("oracle", "random_neighbours", "entropy")]
)
def test_a_loss_that_is_not_a_number_is_an_error(name):
    broken = dataclasses.replace(
        make_problem(ONE_SPARSE_GATE), surrogate_loss=lambda routing: routing.sum(1) * torch.nan
    )
    with pytest.raises(NeighbourhoodError, match="not a finite number"):
        run(name, broken)


@pytest.mark.parametrize("name", NAMES)
def test_parameters_are_bounded_and_described(name):
    entry = get_strategy(name)
    assert all(field.description for field in entry.params.model_fields.values())
    with pytest.raises(ParameterError, match="no_such_thing"):
        parse_params(entry, {"no_such_thing": 1})


def test_the_oracle_refuses_to_run_without_a_label():
    with pytest.raises(ParameterError, match="right answer"):
        run("oracle", make_problem(ONE_SPARSE_GATE, label=False))


def test_an_unknown_strategy_is_named_with_the_known_ones():
    with pytest.raises(ParameterError, match="Choose one of: base, ngd"):
        get_strategy("magic")
