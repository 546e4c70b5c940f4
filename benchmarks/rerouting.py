"""What re-routing costs, as multiples of the frozen model's own answer.

`build` gives pieces of work by name; `python -m benchmarks` measures them in one run.
"""

from __future__ import annotations

import dataclasses
import itertools

import torch
from PIL import Image

from benchmarks.measuring import Work
from r2t2_core.engine import Engine
from r2t2_core.gallery import load_gallery
from r2t2_core.intake.image import read_image
from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.problem import answers_along, build_problem, surrogate_loss
from r2t2_core.recording import record_trajectories
from r2t2_core.reference.index import RetrievalParams, Retrieved
from r2t2_core.refine import refine
from r2t2_core.registry import get_strategy, strategies
from r2t2_core.settings import Settings
from r2t2_core.types import Neighbours, RoutingProblem, Sample, SurrogateLoss, Tensor

BATCH = 64

PAPER = RetrievalParams()
"""The paper's setting: five neighbours that the router answers correctly."""

UNIT = "frozen model: one answer"
BATCHED = f"frozen model: a batch of {BATCH} answers"
NGD = "answer after NGD (paper's setting)"
NGD_AUTOGRAD = "answer after NGD, autograd instead of the closed form"
NGD_NAIVE = "answer after NGD, the whole model at every step"
NGD_DEFAULT = "answer after NGD (shipped neighbours)"
KR = "answer after Kernel Regression, α = 0"
MF = "answer after Mode Finding"
EVERYTHING = "all strategies, controls, leave-one-out, expert ablation"
NGD_BATCH = f"NGD over a batch of {BATCH} questions"
FORWARD = f"reference build: forward pass alone, {BATCH} samples"
REFERENCE = f"reference build: forward, embedding, refinement, {BATCH} samples"
READ = "reading the picture and the question"
EMBED = "task embedding of a new question"
RETRIEVE = "retrieval"
FINGERPRINT = "fingerprint of the model"
RECORD = "record of all strategies"
DECISION = "whole decision, default strategy"
DECISION_ALL = "whole decision, all strategies and controls"


class Bench:
    """One case of the gallery, and the pieces of work on it."""

    def __init__(self, engine: Engine) -> None:
        folder = Settings().gallery_dir
        self.engine = engine
        self.case = load_gallery(folder)[0]
        self.data = (folder / self.case.image).read_bytes()
        self.sample = Sample(read_image(self.data).image, self.case.question)
        self.prepared = engine.model.prepare([self.sample])
        self.features = self.prepared.image_features.cpu().numpy()
        self.embedding = engine.embedder.embed([self.case.question])
        self.label = torch.tensor([engine.model.answers.index(self.case.label)])

    def find(self, retrieval: RetrievalParams) -> Retrieved:
        """Find the case's neighbours."""
        return self.engine.index.retrieve(self.embedding, self.features, retrieval)

    def pose(self, prepared: Prepared, found: Retrieved, policy: str) -> RoutingProblem:
        """Put the problem together; the label serves the oracle alone."""
        size = prepared.routing.shape[0]
        return build_problem(
            self.engine.model, prepared, self.engine.index, found, policy, self.label.expand(size)
        )

    def answer_after(self, name: str, retrieval: RetrievalParams, loss: str = "") -> Work:
        """Return the whole of the model's work for one answer after a strategy."""
        found, model = self.find(retrieval), self.engine.model
        strategy, values = get_strategy(name), self.engine.default_parameters(name)
        naive = naive_loss(self.engine, found.neighbours) if loss == "naive" else None

        def work() -> Tensor:
            prepared = model.prepare([self.sample])
            model.answer(prepared)
            problem = self.pose(prepared, found, retrieval.policy)
            if naive is not None:
                problem = dataclasses.replace(problem, surrogate_loss=naive)
            elif loss == "autograd":
                problem = dataclasses.replace(problem, surrogate_loss=_plain(problem))
            trajectory = strategy.reroute(problem, values)
            return model.answer(prepared, trajectory.routing[-1])

        return work


def naive_loss(engine: Engine, neighbours: Neighbours) -> SurrogateLoss:
    """Build the surrogate loss as the first code had it: the whole model on each neighbour, at
    every step, one after the other, with autograd."""
    samples = []
    for row in neighbours.index[0].tolist():
        with Image.open(engine.reference.image_path(row)) as image:
            samples.append(Sample(image.convert("RGB"), engine.reference.sample(row).question))

    def loss(routing: Tensor) -> Tensor:
        outputs = torch.cat([engine.model.prepare([sample]).expert_outputs for sample in samples])
        spread = routing[:, None, :].expand(-1, len(samples), -1)
        losses = engine.model.loss(outputs[None], neighbours.label, spread)
        return (losses * neighbours.weight).sum(1)

    return loss


def _plain(problem: RoutingProblem) -> SurrogateLoss:
    """Return the surrogate loss by way of the model, for autograd."""
    loss = problem.surrogate_loss
    return lambda routing: loss(routing)


def leave_one_out(problem: RoutingProblem, model: ModelAdapter, outputs: Tensor) -> RoutingProblem:
    """Return K problems in one batch: each without one of the K neighbours."""
    near = problem.neighbours
    count = near.weight.shape[1]
    weight = near.weight.expand(count, -1) * (1 - torch.eye(count, device=near.weight.device))
    weight = weight / weight.sum(1, keepdim=True)
    spread = Neighbours(
        near.index.expand(count, -1),
        near.similarity.expand(count, -1),
        weight,
        near.routing.expand(count, -1, -1),
        near.label.expand(count, -1),
    )
    return dataclasses.replace(
        problem,
        routing=problem.routing.expand(count, -1).contiguous(),
        neighbours=spread,
        surrogate_loss=surrogate_loss(model, outputs.expand(count, -1, -1, -1), spread),
        reference_excluded=problem.reference_excluded.expand(count, -1),
    )


def without_each_expert(routing: Tensor) -> Tensor:
    """Return E routings (E, E): each without one expert, the others' weights raised."""
    size = routing.shape[1]
    left = routing.expand(size, -1) * (1 - torch.eye(size, device=routing.device))
    return left / left.sum(1, keepdim=True).clamp(min=1e-9)


def _everything(bench: Bench) -> Work:
    """All that a page shows: every strategy, and the causes of the default one."""
    engine = bench.engine
    model, retrieval = engine.model, engine.default_retrieval
    found = bench.find(retrieval)
    default = get_strategy(engine.default_strategy)
    values = engine.default_parameters(engine.default_strategy)

    def work() -> None:
        prepared = model.prepare([bench.sample])
        model.answer(prepared)
        problem = bench.pose(prepared, found, retrieval.policy)
        last = prepared.routing
        for name, entry in strategies().items():
            trajectory = entry.reroute(problem, engine.default_parameters(name))
            answers_along(model, prepared, trajectory.routing)
            last = trajectory.routing[-1] if name == default.name else last
        outputs = engine.reference.outputs_of(found.neighbours.index)
        parted = leave_one_out(problem, model, outputs)
        ends = default.reroute(parted, values).routing[-1]
        routings = torch.cat([ends, without_each_expert(last)])
        model.answer(_repeated(prepared, len(routings)), routings)

    return work


def _repeated(prepared: Prepared, times: int) -> Prepared:
    return Prepared(
        prepared.expert_outputs.expand(times, -1, -1),
        prepared.routing.expand(times, -1),
        prepared.image_features.expand(times, -1),
    )


def _batched_ngd(bench: Bench) -> Work:
    """Evaluate a batch: forward, neighbours' outputs, NGD, answers."""
    engine, model = bench.engine, bench.engine.model
    keys = [str(number) for number in range(BATCH)]
    embeddings = bench.embedding.repeat(BATCH, 0)
    found = engine.index.retrieve(embeddings, bench.features.repeat(BATCH, 0), PAPER, keys)
    strategy, values = get_strategy("ngd"), engine.default_parameters("ngd")

    def work() -> Tensor:
        prepared = model.prepare([bench.sample] * BATCH)
        problem = bench.pose(prepared, found, PAPER.policy)
        return model.answer(prepared, strategy.reroute(problem, values).routing[-1])

    return work


def _reference_build(bench: Bench) -> Work:
    model, embedder, number = bench.engine.model, bench.engine.embedder, itertools.count()
    labels = bench.label.expand(BATCH)

    def work() -> Tensor:
        prepared = model.prepare([bench.sample] * BATCH)
        model.answer(prepared)
        # Real reference sets repeat their wordings: eight samples to a question.
        fresh = next(number)
        embedder.embed([f"{bench.case.question} {fresh} {n}" for n in range(BATCH // 8)])
        return refine(model, prepared, labels)

    return work


def _record(bench: Bench) -> Work:
    engine, prepared = bench.engine, bench.prepared
    problem = bench.pose(prepared, bench.find(engine.default_retrieval),
                         engine.default_retrieval.policy)  # fmt: skip
    moves = []
    for name, entry in strategies().items():
        values = engine.default_parameters(name)
        trajectory = entry.reroute(problem, values)
        moves.append((name, values, trajectory, answers_along(engine.model, prepared,
                                                              trajectory.routing)))  # fmt: skip
    return lambda: [record_trajectories(engine.model, *move) for move in moves]


def build(engine: Engine, naive: bool = True) -> dict[str, Work]:
    """Return the pieces of work: name → what is timed."""
    bench = Bench(engine)
    number = itertools.count()
    shipped = engine.default_retrieval
    works: dict[str, Work] = {
        UNIT: lambda: engine.model.answer(engine.model.prepare([bench.sample])),
        BATCHED: lambda: engine.model.answer(engine.model.prepare([bench.sample] * BATCH)),
        NGD: bench.answer_after("ngd", PAPER),
        NGD_AUTOGRAD: bench.answer_after("ngd", PAPER, "autograd"),
        NGD_DEFAULT: bench.answer_after("ngd", shipped),
        KR: bench.answer_after("kernel_regression", shipped),
        MF: bench.answer_after("mode_finding", shipped),
        EVERYTHING: _everything(bench),
        NGD_BATCH: _batched_ngd(bench),
        FORWARD: lambda: engine.model.answer(engine.model.prepare([bench.sample] * BATCH)),
        REFERENCE: _reference_build(bench),
        READ: lambda: read_image(bench.data),
        # Another question each time, since the embedder remembers the last ones.
        EMBED: lambda: engine.embedder.embed([f"{bench.case.question} {next(number)}"]),
        RETRIEVE: lambda: bench.find(shipped),
        FINGERPRINT: engine.model.fingerprint,
        RECORD: _record(bench),
        DECISION: lambda: engine.answer(
            bench.data, bench.case.question, strategies=[engine.default_strategy]
        ),
        DECISION_ALL: lambda: engine.answer(
            bench.data, bench.case.question, label=bench.case.label
        ),
    }
    problem = bench.pose(bench.prepared, bench.find(shipped), shipped.policy)
    for name, entry in strategies().items():
        works[f"strategy alone: {name}"] = _alone(entry.reroute, problem,
                                                  engine.default_parameters(name))  # fmt: skip
    if naive:
        works[NGD_NAIVE] = bench.answer_after("ngd", PAPER, "naive")
    return works


def _alone(reroute, problem: RoutingProblem, values) -> Work:  # type: ignore[no-untyped-def]
    return lambda: reroute(problem, values)
