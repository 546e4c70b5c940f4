"""How the cost of re-routing grows: with neighbours, steps, reference samples, experts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from benchmarks.measuring import Work, measure
from benchmarks.rerouting import PAPER, UNIT, Bench
from r2t2_core.models.mixture_head import MixtureHead, WeightedLoss
from r2t2_core.reference.index import ReferenceIndex
from r2t2_core.registry import get_strategy
from r2t2_core.strategies.descent import DescentParams, descend
from r2t2_core.types import GateSpec, Neighbours, RoutingProblem, RoutingSpec, Tensor

NEIGHBOURS = (1, 5, 10, 20, 50)
STEPS = (1, 5, 10, 20, 50)
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
EXPERTS = (3, 7, 16, 32, 64)

JITTER = 0.02
"""Standard deviation of what tells a repeated embedding from its original."""


@dataclass(frozen=True)
class Curve:
    """One thing is changed, all else stays.

    Attributes
    ----------
    name, unit : str
        What is changed, and what the seconds are of.
    points : dict
        Value → median seconds.
    """

    name: str
    unit: str
    points: dict[int, float]


def growth(bench: Bench, repeats: int, largest: int = 100_000) -> tuple[list[Curve], float]:
    """Measure all curves, and one answer of the frozen model in the same run."""
    model, engine = bench.engine.model, bench.engine
    ngd = get_strategy("ngd")
    works: dict[str, Work] = {UNIT: lambda: model.answer(model.prepare([bench.sample]))}
    for count in NEIGHBOURS:
        retrieval = PAPER.model_copy(update={"n_neighbours": count, "policy": "all_labelled"})
        found = bench.find(retrieval)

        def over(found=found, retrieval=retrieval) -> Tensor:  # type: ignore[no-untyped-def]
            problem = bench.pose(bench.prepared, found, retrieval.policy)
            return ngd.reroute(problem, engine.default_parameters("ngd")).routing

        works[f"k {count}"] = over
    found = bench.find(PAPER)
    problem = bench.pose(bench.prepared, found, PAPER.policy)
    for steps in STEPS:
        params = DescentParams(steps=steps)
        works[f"steps {steps}"] = lambda params=params: ngd.reroute(problem, params)
    sizes = [size for size in SIZES if size <= largest]
    for size in sizes:
        index = _repeated(engine.index, size)
        works[f"size {size}"] = lambda index=index: index.retrieve(
            bench.embedding, bench.features, PAPER.model_copy(update={"policy": "all_labelled"})
        )
    for experts in EXPERTS:
        made = _made_up(experts)
        works[f"experts {experts}"] = lambda made=made: descend(
            made, made.surrogate_loss, DescentParams()
        )
    seconds = measure(works, repeats)

    def curve(name: str, unit: str, key: str, values: tuple[int, ...] | list[int]) -> Curve:
        return Curve(name, unit, {value: seconds[f"{key} {value}"] for value in values})

    curves = [
        curve("neighbours k", "NGD with its neighbours' outputs", "k", NEIGHBOURS),
        curve("steps", "NGD", "steps", STEPS),
        curve("reference samples", "exact retrieval", "size", sizes),
        curve("experts", "NGD on a made-up mixture, k = 20", "experts", EXPERTS),
    ]
    return curves, seconds[UNIT]


def _repeated(index: ReferenceIndex, size: int) -> ReferenceIndex:
    """Return an index over so many samples: the shipped ones, repeated and moved a little."""
    own = len(index.reference)
    rows = np.arange(size) % own
    larger = index.reference.variant(rows, about=f"repeated to {size}")
    generator = np.random.default_rng(0)
    moved = larger.embeddings + JITTER * generator.standard_normal(
        larger.embeddings.shape, dtype=np.float32
    )
    larger.embeddings = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return ReferenceIndex(larger)


def _made_up(experts: int, neighbours: int = 20) -> RoutingProblem:
    """Return a problem on a random mixture of the shipped model's sizes, with so many experts."""
    generator = torch.Generator().manual_seed(experts)
    size, hidden, answers = 96, 192, 54

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    head = MixtureHead(
        draw(hidden, size) / size**0.5, draw(hidden), draw(answers, hidden) / hidden**0.5,
        draw(answers),
    )  # fmt: skip
    outputs = draw(1, neighbours, experts, size)
    labels = torch.randint(0, answers, (1, neighbours), generator=generator)
    weight = torch.full((1, neighbours), 1 / neighbours)
    loss = WeightedLoss(head, outputs, labels, weight, lambda routing: routing.sum(1))
    routing = draw(1, experts).softmax(1)
    near = Neighbours(labels, weight, weight, routing[:, None].expand(-1, neighbours, -1), labels)
    return RoutingProblem(
        RoutingSpec((GateSpec("made up", tuple(map(str, range(experts))), 2),)),
        routing, near, loss, near, loss, routing, torch.full((1, 1), -1), loss,
    )  # fmt: skip
