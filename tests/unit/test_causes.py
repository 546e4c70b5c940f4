"""Causes against arithmetic on a small linear model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from r2t2_core.explain.causes import (
    Moved,
    dropped_until_flip,
    expert_causes,
    gradient_shares,
    neighbour_causes,
    only_expert,
    pull_shares,
    remove_expert,
    run_strategy,
    without_each,
)
from r2t2_core.explain.evidence import Evidence
from r2t2_core.explain.landscape import landscape, neighbours_mean, place_in, planes
from r2t2_core.kernels import kernel_weights
from r2t2_core.registry import get_strategy
from r2t2_core.routing import along_simplices, project_top_k
from tests.evidence import make_evidence
from tests.problems import ONE_SPARSE_GATE, SPECS, TWO_GATES, random_routing

STRATEGIES = ("kernel_regression", "ngd", "mode_finding")


def moved_by(evidence: Evidence, strategy: str) -> Moved:
    params = get_strategy(strategy).params()
    start = evidence.query.prepared.routing[0]
    end, _loss = run_strategy(evidence, strategy, params)
    before, after = evidence.answers(torch.stack([start, end])).argmax(1).tolist()
    return Moved(strategy, params, start, end, before, after)


def only(evidence: Evidence, kept: list[int]) -> Evidence:
    """The same evidence as if only some neighbours had ever been found."""
    near = evidence.neighbours
    similarity = near.similarity[:, kept]
    weight, _ = kernel_weights(1 - similarity, torch.ones(1, len(kept), dtype=torch.bool))
    fewer = replace(
        near,
        index=near.index[:, kept],
        similarity=similarity,
        weight=weight,
        routing=near.routing[:, kept],
        label=near.label[:, kept],
    )
    rows = [
        row for row in range(len(evidence.admitted)) if row in kept or row >= len(near.label[0])
    ]
    return replace(
        evidence,
        found=replace(evidence.found, neighbours=fewer),
        ids=tuple(evidence.ids[place] for place in kept),
        outputs=evidence.outputs[:, kept],
        admitted=evidence.admitted[rows],
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("spec", SPECS)
def test_leaving_one_out_is_the_strategy_without_it(spec, strategy):
    evidence = make_evidence(spec)
    moved = moved_by(evidence, strategy)
    routing, loss = without_each(evidence, moved)
    for place in range(4):
        rest = only(evidence, [other for other in range(4) if other != place])
        end, expected = run_strategy(rest, strategy, moved.params)
        torch.testing.assert_close(routing[place], end)
        assert float(loss[place]) == pytest.approx(expected)


def test_without_the_only_neighbour_the_router_stands():
    evidence = only(make_evidence(ONE_SPARSE_GATE), [1])
    moved = moved_by(evidence, "ngd")
    (cause,) = neighbour_causes(evidence, moved)
    assert cause.routing_without == tuple(moved.start.tolist())
    assert dropped_until_flip(evidence, moved) is None


@pytest.mark.parametrize("spec", SPECS)
def test_shares_are_parts_of_the_gradient_and_of_the_way(spec):
    evidence = make_evidence(spec)
    start = evidence.query.prepared.routing[0]
    gradient = gradient_shares(evidence, start)
    problem = evidence.problem(evidence.neighbours.weight)
    variable = start[None].clone().requires_grad_(True)
    (slope,) = torch.autograd.grad(problem.surrogate_loss(variable).sum(), variable)
    whole = along_simplices(slope, spec)[0]
    assert float(gradient.sum()) == pytest.approx(1)
    # The share of one neighbour, from its own loss alone.
    single = evidence.problem(torch.eye(4, dtype=torch.float64)[:1])
    variable = start[None].clone().requires_grad_(True)
    (own,) = torch.autograd.grad(single.surrogate_loss(variable).sum(), variable)
    part = evidence.neighbours.weight[0, 0] * along_simplices(own, spec)[0]
    assert float(gradient[0]) == pytest.approx(float(part @ whole / (whole @ whole)))
    pull = pull_shares(evidence, start)
    assert float(pull.sum()) == pytest.approx(1)


def test_no_way_has_no_shares():
    evidence = make_evidence(ONE_SPARSE_GATE)
    start = evidence.query.prepared.routing[0]
    near = evidence.neighbours
    still = replace(near, routing=start.expand_as(near.routing))
    assert (
        pull_shares(replace(evidence, found=replace(evidence.found, neighbours=still)), start)
        is None
    )


@pytest.mark.parametrize("spec", SPECS)
def test_an_expert_is_taken_out_of_its_gate_alone(spec):
    routing = random_routing(spec, 1, torch.Generator().manual_seed(3))[0]
    for place in range(spec.size):
        left, alone = remove_expert(routing, spec, place), only_expert(routing, spec, place)
        assert left[place] == 0
        assert alone[place] == 1
        for block in spec.blocks:
            assert float(left[block].sum()) == pytest.approx(1)
            assert float(alone[block].sum()) == pytest.approx(1)
            if not block.start <= place < block.stop:
                torch.testing.assert_close(left[block], routing[block])
    corner = only_expert(routing, spec, 0)
    assert float(remove_expert(corner, spec, 0)[spec.blocks[0]].sum()) == pytest.approx(1)


def test_causes_say_what_the_model_says():
    evidence = make_evidence(TWO_GATES, seed=2)
    moved = moved_by(evidence, "ngd")
    causes = expert_causes(evidence, moved)
    assert [(cause.gate, cause.expert) for cause in causes] == [
        (gate.name, expert) for gate in TWO_GATES.gates for expert in gate.experts
    ]
    for place, cause in enumerate(causes):
        routing = remove_expert(moved.end, TWO_GATES, place)
        said = evidence.answers(routing[None])[0]
        assert cause.without_after.answer == evidence.model.answers[int(said.argmax())]
        assert cause.without_after.probability == pytest.approx(float(said.max()))
        assert cause.decides == (int(said.argmax()) != moved.answer_after)
    for place, cause in enumerate(neighbour_causes(evidence, moved)):
        used = project_top_k(moved.end[None], TWO_GATES)
        logits = torch.einsum("be,bea->ba", used, evidence.outputs[0, place][None])
        right = int(logits.argmax()) == int(evidence.neighbours.label[0, place])
        assert cause.answered_after == right


def test_how_many_must_go_is_the_first_count_that_flips():
    counts = []
    for seed in range(12):
        evidence = make_evidence(ONE_SPARSE_GATE, seed=seed)
        moved = moved_by(evidence, "kernel_regression")
        expected = None
        for count in range(1, 4):
            rest = only(evidence, list(range(count, 4)))
            end, _ = run_strategy(rest, "kernel_regression", moved.params)
            if int(evidence.answers(end[None]).argmax()) != moved.answer_after:
                expected = count
                break
        assert dropped_until_flip(evidence, moved) == expected
        counts.append(expected)
    assert len(set(counts)) > 1


def test_the_landscape_goes_from_the_router_to_the_mean():
    evidence = make_evidence(ONE_SPARSE_GATE)
    moved = moved_by(evidence, "ngd")
    line = landscape(evidence, moved)
    problem = evidence.problem(evidence.neighbours.weight)
    for point in (line[0], line[7], line[-1]):
        routing = torch.tensor([point.routing], dtype=torch.float64)
        assert point.surrogate_loss == pytest.approx(float(problem.surrogate_loss(routing)[0]))
        said = evidence.answers(routing)[0]
        assert point.after == pytest.approx(float(said[moved.answer_after]))
        assert point.answer == evidence.model.answers[int(said.argmax())]
    assert line[0].routing == pytest.approx(moved.start.tolist())
    assert line[-1].routing == pytest.approx(neighbours_mean(evidence).tolist())


def test_flat_views_hold_every_reference_sample():
    reference = random_routing(TWO_GATES, 200, torch.Generator().manual_seed(1)).numpy()
    views = planes(reference, TWO_GATES)
    assert [view.kind for view in views] == ["ternary", "ternary"]
    for view, block in zip(views, TWO_GATES.blocks, strict=True):
        assert sum(map(sum, view.density)) == 200
        assert np.array(view.quantiles)[2] == pytest.approx(np.median(reference[:, block], 0))
        # Three experts alone stand at the corners of an equilateral triangle, all alike in the
        # middle.
        corners = np.array([place_in(view, tuple(row)) for row in np.eye(3)])
        assert corners == pytest.approx(np.array(view.corners))
        sides = np.linalg.norm(corners - np.roll(corners, 1, 0), axis=1)
        assert sides == pytest.approx(np.ones(3))
        assert place_in(view, (1 / 3, 1 / 3, 1 / 3)) == pytest.approx((0, 0))


def test_a_view_of_many_experts_shows_the_most_variance():
    reference = random_routing(ONE_SPARSE_GATE, 300, torch.Generator().manual_seed(1)).numpy()
    (view,) = planes(reference, ONE_SPARSE_GATE)
    assert view.kind == "pca"
    assert sum(map(sum, view.density)) == 300
    values = np.linalg.eigvalsh(np.cov(reference.T))
    assert view.explained == pytest.approx(values[-2:].sum() / values.sum())
    places = np.array([place_in(view, tuple(row)) for row in reference])
    assert places.var(0, ddof=1) == pytest.approx(values[::-1][:2])
