"""From requests that were read to their decisions: the computing part of the one way through.

    embedding → model → neighbours → strategies → gate → record

for one request or for several with the same settings, by the same code.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch

from r2t2_core.decision import (
    AnswerRecord,
    Decision,
    GateVerdict,
    NeighbourRecord,
    SystemRecord,
    Timing,
    TrajectoryRecord,
)
from r2t2_core.defaults import Defaults
from r2t2_core.embedding import TaskEmbedder
from r2t2_core.errors import ModelError
from r2t2_core.gate import Change, Nearness, judge
from r2t2_core.i18n import N_
from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.problem import answers_along, build_problem
from r2t2_core.recording import (
    record_answer,
    record_input,
    record_neighbours,
    record_reference,
    record_system,
    record_trajectories,
)
from r2t2_core.reference.index import (
    BALL_LIMIT,
    MARGIN,
    ReferenceIndex,
    RetrievalParams,
    Retrieved,
)
from r2t2_core.registry import get_strategy
from r2t2_core.request import ReadRequest
from r2t2_core.routing import check_routing
from r2t2_core.stages import Stages
from r2t2_core.strategies.base import Params
from r2t2_core.types import RoutingProblem, Sample, Tensor, Trajectory

STAGE_READ = N_("Reading picture and question")
STAGE_EMBED = N_("Embedding the question")
STAGE_MODEL = N_("Running the frozen model")
STAGE_RETRIEVE = N_("Finding neighbours in the reference set")
STAGE_REROUTE = N_("Re-routing")
STAGE_RECORD = N_("Writing the record")
STAGE_VERIFY = N_("Checking that the model is unchanged")


class Apart(Exception):  # noqa: N818 (it is no error of anybody)
    """These requests must be computed one by one, to give what each gives alone."""


@dataclass(frozen=True)
class _Move:
    """Where one strategy led, with the answer's probabilities (S, B, A) at every step."""

    strategy: str
    values: Params
    trajectory: Trajectory
    probabilities: Tensor


@dataclass(frozen=True)
class _Computed:
    """All numbers of a batch of B requests."""

    prepared: Prepared
    probabilities: Tensor
    found: Retrieved
    distances: np.ndarray
    moves: Sequence[_Move]


@dataclass(frozen=True)
class Answering:
    """Computes decisions; holds what the engine holds, and no lock.

    Attributes
    ----------
    model : ModelAdapter
    embedder : TaskEmbedder
    index : ReferenceIndex
    defaults : Defaults
    preprocessing : str
        Version of the model's processor, for the record.
    model_fingerprint : str
        What the model's fingerprint has to be.
    """

    model: ModelAdapter
    embedder: TaskEmbedder
    index: ReferenceIndex
    defaults: Defaults
    preprocessing: str
    model_fingerprint: str
    # Weights are hashed while the record is written: hashing does not hold Python's lock.
    _hashing: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="fingerprint")
    )

    def answer(self, run: Stages, group: Sequence[ReadRequest]) -> list[Decision]:
        """Answer requests that have settings in common.

        Raises
        ------
        Apart
            As a batch they would not give what each gives alone.
        NeighbourhoodError, RoutingError, ModelError, Cancelled
            As in `Engine.answer`, for one of them or for all.
        """
        computed = self._compute(run, group)
        checked = self._hashing.submit(self.model.fingerprint)
        reference, found = self.index.reference, computed.found
        places = range(len(group))
        with run.stage(STAGE_RECORD, 0.9):
            moved = [
                record_trajectories(
                    self.model, move.strategy, move.values, move.trajectory, move.probabilities
                )
                for move in computed.moves
            ]
            neighbours = [record_neighbours(reference, found, place) for place in places]
            bases = [
                record_answer(
                    self.model, computed.probabilities[place], computed.prepared.routing[place]
                )
                for place in places
            ]
        with run.stage(STAGE_VERIFY, 0.95):
            after = checked.result()
            if after != self.model_fingerprint:
                raise ModelError(
                    N_("The model's weights changed while the program was running."),
                    N_("Do not use this answer. Restart the program."),
                )
        seed = group[0].retrieval.seed
        system = record_system(self.model, self.model_fingerprint, after, seed, len(group))
        return [
            self._decision(
                request,
                system,
                computed,
                place,
                neighbours[place],
                bases[place],
                tuple(records[place] for records in moved),
                run.timings,
            )
            for place, request in enumerate(group)
        ]

    def _compute(self, run: Stages, group: Sequence[ReadRequest]) -> _Computed:
        retrieval = group[0].retrieval
        with run.stage(STAGE_EMBED, 0.1):
            embeddings = self._embed([request.asked.text for request in group])
        with run.stage(STAGE_MODEL, 0.25):
            prepared = self.model.prepare(
                [Sample(request.picture.image, request.asked.text) for request in group]
            )
            check_routing(prepared.routing, self.model.routing_spec)
            probabilities = self.model.answer(prepared)
        with run.stage(STAGE_RETRIEVE, 0.4):
            features = prepared.image_features.cpu().numpy()
            keys = [request.draw_key for request in group]
            found = self.index.retrieve(embeddings, features, retrieval, keys)
            if len(group) > 1 and _looked_further(found, retrieval):
                raise Apart
            distances = self.index.picture_distance(features)
            labels = [request.label for request in group if request.label is not None]
            problem = build_problem(
                self.model,
                prepared,
                self.index,
                found,
                retrieval.policy,
                torch.tensor(labels) if labels else None,
                run.cancelled,
            )
        moves = self._move(run, group[0], prepared, problem)
        return _Computed(prepared, probabilities, found, distances, moves)

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        """Embed questions (B, d), each alone.

        An embedder remembers what it computed: a vector from a batch would later serve a request
        that is computed alone, and differ in its last bits from what that gives.
        """
        return np.concatenate([self.embedder.embed([text]) for text in texts])

    def _move(
        self, run: Stages, request: ReadRequest, prepared: Prepared, problem: RoutingProblem
    ) -> list[_Move]:
        moves = []
        for number, (name, values) in enumerate(request.parameters.items()):
            share = 0.5 + 0.35 * number / len(request.parameters)
            with run.stage(STAGE_REROUTE, share, name):
                trajectory = get_strategy(name).reroute(problem, values)
                check_routing(trajectory.routing, self.model.routing_spec)
                answers = answers_along(self.model, prepared, trajectory.routing)
                moves.append(_Move(name, values, trajectory, answers))
        return moves

    def _decision(
        self,
        request: ReadRequest,
        system: SystemRecord,
        computed: _Computed,
        place: int,
        neighbours: tuple[NeighbourRecord, ...],
        base: AnswerRecord,
        records: tuple[TrajectoryRecord, ...],
        timings: Sequence[Timing],
    ) -> Decision:
        found = computed.found
        near = Nearness(float(found.similarity_best[place]), float(computed.distances[place]))
        final, verdict = self._judge(request.strategy, base, records, near)
        label = None if request.label is None else self.model.answers[request.label]
        return Decision(
            schema_version="1",
            id=uuid.uuid4().hex,
            started_at=request.started.isoformat(),
            input=record_input(request.picture, request.asked, label, self.preprocessing),
            system=system,
            reference=record_reference(
                self.index.reference, self.embedder, request.retrieval, found, place
            ),
            neighbours=neighbours,
            base=base,
            trajectories=records,
            strategy=request.strategy,
            gate=verdict,
            final=final,
            timings=(Timing(stage=STAGE_READ, milliseconds=request.milliseconds), *timings),
        )

    def _judge(
        self,
        strategy: str,
        base: AnswerRecord,
        records: Sequence[TrajectoryRecord],
        near: Nearness,
    ) -> tuple[AnswerRecord, GateVerdict]:
        """Return the answer after, and the gate's verdict on it."""
        last = next(record for record in records if record.strategy == strategy).last
        change = Change(
            last.answer != base.answer, base.probability, last.probability, last.surrogate_loss
        )
        verdict = judge(near, change, strategy, self.defaults.thresholds)
        moved = AnswerRecord(
            answer=last.answer,
            probability=last.probability,
            probabilities=last.probabilities,
            routing=last.routing,
            routing_top_k=last.routing_top_k,
        )
        return (moved if verdict.reroute else base), verdict


def _looked_further(found: Retrieved, retrieval: RetrievalParams) -> bool:
    """Tell whether one query made the index look at more samples than each looks at at first.

    Near-duplicates among them would count for the others too, which alone they would not.
    """
    wanted = retrieval.n_neighbours if retrieval.mode == "knn" else BALL_LIMIT
    return bool(found.duplicates.shape[1] > wanted + MARGIN)
