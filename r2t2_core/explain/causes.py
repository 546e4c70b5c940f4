"""Which neighbour and which expert an answer hangs on. Pure functions of an `Evidence`."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from r2t2_core.analysis import AnswerGiven, ExpertCause, NeighbourCause
from r2t2_core.explain.evidence import Evidence
from r2t2_core.registry import get_strategy
from r2t2_core.routing import along_simplices
from r2t2_core.strategies.base import Params
from r2t2_core.types import RoutingSpec, Tensor


@dataclass(frozen=True)
class Moved:
    """Where a strategy ended: routings (E,) before and after, and the answers' places."""

    strategy: str
    params: Params
    start: Tensor
    end: Tensor
    answer_before: int
    answer_after: int


def given(evidence: Evidence, routing: Tensor) -> list[AnswerGiven]:
    """Return what the model says under routings (B, E)."""
    probabilities = evidence.answers(routing)
    best = probabilities.argmax(1)
    return [
        AnswerGiven(
            answer=evidence.model.answers[place], probability=float(probabilities[row, place])
        )
        for row, place in enumerate(best.tolist())
    ]


def run_strategy(evidence: Evidence, strategy: str, params: Params) -> tuple[Tensor, float]:
    """Run a strategy with all neighbours in force; return its end (E,) and surrogate loss."""
    problem = evidence.problem(evidence.neighbours.weight)
    end = get_strategy(strategy).reroute(problem, params).routing[-1]
    with torch.no_grad():
        return end[0], float(problem.surrogate_loss(end)[0])


def without_each(evidence: Evidence, moved: Moved) -> tuple[Tensor, Tensor]:
    """Run the strategy without each neighbour in turn, as one batch.

    The others keep their places, and no farther sample moves up; kernel weights and bandwidth
    follow from those that are left. Without its only neighbour the router's routing stands.

    Returns
    -------
    routing : Tensor (K, E)
    loss : Tensor (K,)
        Surrogate loss of the others at that routing.
    """
    count = len(evidence.ids)
    if count == 1:
        return moved.start[None], torch.zeros(1)
    dropped = torch.eye(count, dtype=torch.bool, device=moved.start.device)
    problem = evidence.problem(evidence.weights_of(~dropped), dropped)
    end = get_strategy(moved.strategy).reroute(problem, moved.params).routing[-1]
    with torch.no_grad():
        return end, problem.surrogate_loss(end)


def dropped_until_flip(evidence: Evidence, moved: Moved) -> int | None:
    """Return how many neighbours must go, heaviest first, until the strategy's answer is another.

    One neighbour stays at least; None where the answer holds even then. In another order fewer may
    do.
    """
    count = len(evidence.ids)
    if count == 1:
        return None
    order = evidence.neighbours.weight[0].argsort(descending=True, stable=True)
    rank = torch.empty_like(order)
    rank[order] = torch.arange(count, device=order.device)
    dropped = rank < torch.arange(1, count, device=order.device)[:, None]
    problem = evidence.problem(evidence.weights_of(~dropped), dropped)
    end = get_strategy(moved.strategy).reroute(problem, moved.params).routing[-1]
    flips = (evidence.answers(end).argmax(1) != moved.answer_after).nonzero()
    return int(flips[0]) + 1 if len(flips) else None


def gradient_shares(evidence: Evidence, start: Tensor) -> Tensor | None:
    """Return each neighbour's part (K,) of the surrogate loss's gradient at a routing (E,).

    With G = Σ w_i g_i the gradient along the simplices, the part of neighbour i is
    w_i ⟨g_i, G⟩ / ⟨G, G⟩; the parts sum to one. None where G is zero.
    """
    near = evidence.neighbours
    count = near.label.shape[1]
    with torch.enable_grad():
        spread = start.detach().expand(count, -1).clone().requires_grad_(True)
        losses = evidence.model.loss(evidence.outputs[0], near.label[0], spread)
        (slopes,) = torch.autograd.grad(losses.sum(), spread)
    return _shares(near.weight[0][:, None] * along_simplices(slopes, evidence.model.routing_spec))


def pull_shares(evidence: Evidence, start: Tensor) -> Tensor | None:
    """Return each neighbour's part (K,) of the way from a routing (E,) to their mean.

    The way is Σ w_i (r_i − r); parts as for the gradient.
    """
    near = evidence.neighbours
    return _shares(near.weight[0][:, None] * (near.routing[0] - start))


def _shares(parts: Tensor) -> Tensor | None:
    """Return the parts (K,) of the sum of vectors (K, E), measured along it; None for no sum."""
    total = parts.sum(0)
    square = float(total @ total)
    if square < torch.finfo(parts.dtype).tiny:
        return None
    shares: Tensor = parts @ total / square
    return shares


def neighbour_causes(evidence: Evidence, moved: Moved) -> tuple[NeighbourCause, ...]:
    """Return what each neighbour did, nearest first."""
    routing, loss = without_each(evidence, moved)
    answers = given(evidence, routing)
    after = evidence.model.answers[moved.answer_after]
    gradient = gradient_shares(evidence, moved.start)
    pull = pull_shares(evidence, moved.start)
    right_before = evidence.neighbours_right(moved.start)
    right_after = evidence.neighbours_right(moved.end)
    return tuple(
        NeighbourCause(
            id=name,
            kernel_weight=float(evidence.neighbours.weight[0, place]),
            without=answers[place],
            routing_without=tuple(routing[place].tolist()),
            loss_without=float(loss[place]),
            decides=answers[place].answer != after,
            gradient_share=None if gradient is None else float(gradient[place]),
            pull_share=None if pull is None else float(pull[place]),
            answered_before=bool(right_before[place]),
            answered_after=bool(right_after[place]),
        )
        for place, name in enumerate(evidence.ids)
    )


def remove_expert(routing: Tensor, spec: RoutingSpec, place: int) -> Tensor:
    """Return a routing (E,) without one expert; the rest of its gate is scaled to sum to one.

    Where the gate asked nobody else, the others share equally.
    """
    block = next(block for block in spec.blocks if block.start <= place < block.stop)
    left = routing.clone()
    left[place] = 0
    total = left[block].sum()
    if float(total) > 0:
        left[block] = left[block] / total
    else:
        left[block] = 1 / (block.stop - block.start - 1)
        left[place] = 0
    return left


def only_expert(routing: Tensor, spec: RoutingSpec, place: int) -> Tensor:
    """Return a routing (E,) in which one expert has all the weight of its gate."""
    block = next(block for block in spec.blocks if block.start <= place < block.stop)
    alone = routing.clone()
    alone[block] = 0
    alone[place] = 1
    return alone


def expert_causes(evidence: Evidence, moved: Moved) -> tuple[ExpertCause, ...]:
    """Return what each expert did: the answer without it, and the answer of it alone."""
    spec = evidence.model.routing_spec
    places = [
        (gate, place)
        for gate, block in zip(spec.gates, spec.blocks, strict=True)
        for place in range(block.start, block.stop)
        # A gate of one expert cannot do without it.
        if len(gate.experts) > 1
    ]
    before = [remove_expert(moved.start, spec, place) for _gate, place in places]
    after = [remove_expert(moved.end, spec, place) for _gate, place in places]
    alone = [only_expert(moved.end, spec, place) for _gate, place in places]
    answers = given(evidence, torch.stack([*before, *after, *alone]))
    count = len(places)
    name = evidence.model.answers[moved.answer_after]
    return tuple(
        ExpertCause(
            gate=gate.name,
            expert=spec.experts[place],
            without_before=answers[number],
            without_after=answers[count + number],
            alone=answers[2 * count + number],
            decides=answers[count + number].answer != name,
        )
        for number, (gate, place) in enumerate(places)
    )
