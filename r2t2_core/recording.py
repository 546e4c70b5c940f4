"""From what was computed to the parts of a `Decision`: tensors in, frozen records out.

Computes nothing that changes an answer; the engine decides what is run.
"""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Sequence
from functools import lru_cache
from importlib import metadata

import numpy as np
import torch

from r2t2_core import __version__
from r2t2_core.decision import (
    AnswerRecord,
    GateRecord,
    InputRecord,
    NeighbourRecord,
    ReferenceRecord,
    StepRecord,
    SystemRecord,
    TrajectoryRecord,
)
from r2t2_core.embedding import TaskEmbedder
from r2t2_core.intake.image import INTAKE_VERSION, IntakeImage
from r2t2_core.intake.question import IntakeQuestion
from r2t2_core.models.base import ModelAdapter
from r2t2_core.reference.index import RetrievalParams, Retrieved
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.routing import distance, entropy_bits, project_top_k
from r2t2_core.strategies.base import Params
from r2t2_core.types import Tensor, Trajectory

LIBRARIES = ("torch", "transformers", "faiss-cpu", "numpy", "pillow")
"""Libraries whose versions a decision names."""


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of installed libraries, and of Python."""
    versions = {name: _version(name) for name in names}
    return {**versions, "python": platform.python_version()}


@lru_cache(maxsize=64)
def _version(name: str) -> str:
    # Reads a file each time; it does not change while the program runs.
    return metadata.version(name)


def record_input(
    picture: IntakeImage, asked: IntakeQuestion, label: str | None, preprocessing: str
) -> InputRecord:
    """Record what was asked, by hashes, and how it was read; `label` is an answer of the model."""
    return InputRecord(
        image_sha256=picture.raw_sha256,
        pixels_sha256=picture.pixels_sha256,
        image_width=picture.width,
        image_height=picture.height,
        image_format=picture.format,
        notes=(*picture.notes, *asked.notes),
        preprocessing=f"{INTAKE_VERSION}+{preprocessing}",
        question=asked.text,
        question_sha256=hashlib.sha256(asked.text.encode()).hexdigest(),
        label=label,
    )


def record_system(
    model: ModelAdapter, before: str, after: str, seed: int, batch: int = 1
) -> SystemRecord:
    """Record what computed: the model with its fingerprints before and after, code, device."""
    return SystemRecord(
        model=model.name,
        model_fingerprint_before=before,
        model_fingerprint_after=after,
        gates=tuple(
            GateRecord(name=gate.name, experts=gate.experts, top_k=gate.top_k)
            for gate in model.routing_spec.gates
        ),
        answers=model.answers,
        code_version=__version__,
        library_versions=library_versions(LIBRARIES),
        device=model.device,
        dtype=model.dtype,
        threads=torch.get_num_threads(),
        seed=seed,
        batch=batch,
    )


def record_reference(
    reference: ReferenceSet,
    embedder: TaskEmbedder,
    retrieval: RetrievalParams,
    found: Retrieved,
    place: int = 0,
) -> ReferenceRecord:
    """Record the reference set's version and how the neighbours of one query were found in it."""
    manifest = reference.manifest
    return ReferenceRecord(
        name=manifest.name,
        content_hash=manifest.content_hash,
        policy=retrieval.policy,
        embedder=embedder.name,
        embedder_hash=embedder.fingerprint(),
        metric="cosine",
        size=manifest.size,
        eligible=int(np.count_nonzero(reference.eligible(retrieval.policy))),
        retrieval=retrieval.mode,
        n_neighbours=retrieval.n_neighbours if retrieval.mode == "knn" else None,
        radius=retrieval.radius if retrieval.mode == "ball" else None,
        truncated=bool(found.truncated[place]),
        duplicate_threshold=retrieval.duplicate_threshold,
        kernel=retrieval.kernel,
        bandwidth=float(found.bandwidth[place]),
        bandwidth_rule=retrieval.bandwidth_rule,
        near_duplicates_left_out=int(found.left_out[place]),
    )


def record_neighbours(
    reference: ReferenceSet, found: Retrieved, query: int = 0
) -> tuple[NeighbourRecord, ...]:
    """Record the neighbours of one query, nearest first."""
    own = reference.router_routing
    records = []
    for place, row in enumerate(found.neighbours.index[query].tolist()):
        if row < 0:
            continue
        sample = reference.sample(row)
        similarity = float(found.neighbours.similarity[query, place])
        records.append(
            NeighbourRecord(
                id=sample.id,
                question=sample.question,
                label=sample.label,
                model_answer=sample.model_answer,
                is_correct=sample.is_correct,
                family=sample.family,
                similarity=similarity,
                image_similarity=float(found.image_similarity[query, place]),
                distance=1 - similarity,
                kernel_weight=float(found.neighbours.weight[query, place]),
                routing=_floats(found.neighbours.routing[query, place]),
                router_routing=tuple(own[row].tolist()),
                image=sample.image,
            )
        )
    return tuple(records)


def record_answer(model: ModelAdapter, probabilities: Tensor, routing: Tensor) -> AnswerRecord:
    """Record an answer: probabilities (A,) under a dense routing (E,)."""
    best = int(probabilities.argmax())
    return AnswerRecord(
        answer=model.answers[best],
        probability=float(probabilities[best]),
        probabilities=_floats(probabilities),
        routing=_floats(routing),
        routing_top_k=_floats(project_top_k(routing[None], model.routing_spec)[0]),
    )


def record_trajectories(
    model: ModelAdapter,
    strategy: str,
    values: Params,
    trajectory: Trajectory,
    probabilities: Tensor,
) -> tuple[TrajectoryRecord, ...]:
    """Record every step of every query's trajectory, with the answer at each.

    Parameters
    ----------
    model : ModelAdapter
    strategy : str
        Its name.
    values : Params
    trajectory : Trajectory
        Of B queries.
    probabilities : Tensor (S + 1, B, A)
        Of all answers, at every step.
    """
    spec = model.routing_spec
    routing = trajectory.routing
    best = probabilities.argmax(2)
    # To Python's numbers once: element by element this is most of what a decision costs.
    columns = (
        routing.tolist(),
        project_top_k(routing, spec).tolist(),
        trajectory.surrogate_loss.tolist(),
        trajectory.step_size.tolist(),
        trajectory.gradient_norm.tolist(),
        entropy_bits(routing, spec).tolist(),
        distance(routing, routing[:1]).tolist(),
        probabilities.tolist(),
        best.tolist(),
    )
    parameters = values.model_dump(mode="json")
    records = []
    for place in range(routing.shape[1]):
        steps = tuple(
            StepRecord(
                step=step,
                routing=tuple(dense[place]),
                routing_top_k=tuple(projected[place]),
                surrogate_loss=loss[place],
                step_size=size[place],
                gradient_norm=_finite(norm[place]),
                entropy=entropy[place],
                distance=moved[place],
                answer=model.answers[chosen[place]],
                probability=all_answers[place][chosen[place]],
                probabilities=tuple(all_answers[place]),
            )
            for step, (
                dense, projected, loss, size, norm, entropy, moved, all_answers, chosen,
            ) in enumerate(zip(*columns, strict=True))
        )  # fmt: skip
        flipped = steps[-1].answer != steps[0].answer
        records.append(
            TrajectoryRecord(
                strategy=strategy,
                parameters=parameters,
                steps=steps,
                stop_reason=trajectory.stop_reason[place],
                flipped=flipped,
                flip_step=_flip_step([step.answer for step in steps]) if flipped else None,
            )
        )
    return tuple(records)


def _floats(tensor: Tensor) -> tuple[float, ...]:
    return tuple(tensor.tolist())


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _flip_step(answers: Sequence[str]) -> int:
    """Return the first step from which the last answer holds to the end."""
    step = len(answers) - 1
    while answers[step - 1] == answers[-1]:
        step -= 1
    return step
