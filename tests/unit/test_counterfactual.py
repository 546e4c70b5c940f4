"""The smallest change that flips an answer: exact where it says so, checked by brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from r2t2_core.explain.counterfactual import MARGIN, nearest_flip, nearest_in_cells
from r2t2_core.routing import check_routing, project_top_k
from r2t2_core.types import GateSpec, RoutingSpec
from tests.evidence import make_evidence
from tests.problems import ONE_SPARSE_GATE, SPECS, TWO_GATES, random_routing

ONE_SIX = RoutingSpec((GateSpec("experts", tuple("abcdef"), 2),))


def start_of(evidence):
    routing = evidence.query.prepared.routing[0]
    return routing, int(evidence.answers(routing[None]).argmax())


@pytest.mark.parametrize("spec", SPECS)
def test_what_is_found_lies_on_the_simplex_and_flips(spec):
    found = 0
    for seed in range(6):
        evidence = make_evidence(spec, seed=seed)
        routing, kept = start_of(evidence)
        flip = nearest_flip(evidence.answers, spec, routing, kept)
        if flip is None:
            continue
        found += 1
        check_routing(flip.routing, spec)
        assert int(evidence.answers(flip.routing[None]).argmax()) != kept
        assert flip.distance == pytest.approx(float((flip.routing - routing).norm()))
    assert found >= 4


def test_nothing_nearer_flips_behind_a_gate_of_two():
    """Random routings in the ball around the start, none of which may flip."""
    for seed in range(5):
        evidence = make_evidence(ONE_SPARSE_GATE, seed=seed)
        routing, kept = start_of(evidence)
        flip = nearest_flip(evidence.answers, ONE_SPARSE_GATE, routing, kept)
        assert flip is not None
        assert flip.method == "cells"
        generator = torch.Generator().manual_seed(seed)
        others = random_routing(ONE_SPARSE_GATE, 4000, generator)
        direction = others - routing
        shares = torch.rand(4000, 1, generator=generator, dtype=torch.float64)
        # A little less than the distance: mixes lie on a grid.
        reach = shares * 0.97 * flip.distance / direction.norm(dim=1, keepdim=True)
        near = routing + reach.clamp(max=1) * direction
        assert bool((evidence.answers(near).argmax(1) == kept).all())


def test_a_wanted_answer_is_the_one_that_is_found():
    seen = 0
    for seed in range(8):
        evidence = make_evidence(ONE_SPARSE_GATE, seed=seed)
        routing, kept = start_of(evidence)
        anything = nearest_flip(evidence.answers, ONE_SPARSE_GATE, routing, kept)
        for wanted in range(5):
            if wanted == kept:
                continue
            flip = nearest_flip(evidence.answers, ONE_SPARSE_GATE, routing, kept, wanted)
            if flip is not None:
                seen += 1
                assert int(evidence.answers(flip.routing[None]).argmax()) == wanted
                assert flip.distance >= anything.distance - 1e-3
    assert seen > 8


def test_an_answer_that_nothing_changes_has_no_counterfactual():
    evidence = make_evidence(TWO_GATES)
    routing, _kept = start_of(evidence)

    def same(routings: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[1.0, 0.0]]).expand(len(routings), -1)

    assert nearest_flip(same, TWO_GATES, routing, 0) is None
    one = make_evidence(ONE_SPARSE_GATE).query.prepared.routing[0]
    assert nearest_flip(same, ONE_SPARSE_GATE, one, 0) is None


def test_the_nearest_point_of_a_cell_is_that_of_a_general_solver():
    generator = np.random.default_rng(0)
    for _ in range(12):
        routing = generator.dirichlet(np.ones(6))
        first, second = generator.choice(6, 2, replace=False)
        share = generator.uniform(0.5, 0.95)
        points, distance = nearest_in_cells(
            routing, np.array([first]), np.array([second]), np.array([share])
        )
        others = [place for place in range(6) if place not in (first, second)]
        ceiling = (1 - share) * (1 - MARGIN)

        def unpack(values, first=first, second=second, share=share, others=others):
            point = np.zeros(6)
            point[first], point[second] = values[0] * share, values[0] * (1 - share)
            point[others] = values[1:]
            return point

        solved = minimize(
            lambda values, unpack=unpack, routing=routing: ((unpack(values) - routing) ** 2).sum(),
            np.array([0.9, *([0.1 / 4] * 4)]),
            bounds=[(0, 1)] * 5,
            constraints=[
                {"type": "eq", "fun": lambda values: values.sum() - 1},
                {"type": "ineq", "fun": lambda values, c=ceiling: c * values[0] - values[1:]},
            ],
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        assert points[0].sum() == pytest.approx(1)
        assert distance[0] == pytest.approx(np.sqrt(solved.fun), abs=2e-5)
        used = project_top_k(torch.from_numpy(points), ONE_SIX)[0]
        assert float(used[first]) == pytest.approx(share)
