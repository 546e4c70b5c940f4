"""From what was computed to the parts of a `Decision`: tensors in, frozen records out.

Computes nothing that changes an answer; the engine decides what is run.
"""

from __future__ import annotations

import hashlib
import math
import platform
from collections.abc import Sequence
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
from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.problem import answers_along
from r2t2_core.reference.index import RetrievalParams, Retrieved
from r2t2_core.reference.layers import redacted
from r2t2_core.reference.store import ReferenceSet
from r2t2_core.routing import check_routing, distance, entropy_bits, project_top_k
from r2t2_core.strategies.base import Params
from r2t2_core.types import Tensor, Trajectory

LIBRARIES = ("torch", "transformers", "faiss-cpu", "numpy", "pillow")
"""Libraries whose versions a decision names."""


def library_versions(names: Sequence[str]) -> dict[str, str]:
    """Return the versions of installed libraries, and of Python."""
    versions = {name: metadata.version(name) for name in names}
    return {**versions, "python": platform.python_version()}


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


def record_system(model: ModelAdapter, before: str, after: str, seed: int) -> SystemRecord:
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
    )


def record_reference(
    reference: ReferenceSet, embedder: TaskEmbedder, retrieval: RetrievalParams, found: Retrieved
) -> ReferenceRecord:
    """Record the reference set's version and how neighbours were found in it."""
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
        truncated=bool(found.truncated[0]),
        duplicate_threshold=retrieval.duplicate_threshold,
        kernel=retrieval.kernel,
        bandwidth=float(found.bandwidth[0]),
        bandwidth_rule=retrieval.bandwidth_rule,
        near_duplicates_left_out=int(found.left_out[0]),
    )


def record_neighbours(
    reference: ReferenceSet, found: Retrieved, disclose_local: bool = False
) -> tuple[NeighbourRecord, ...]:
    """Record the neighbours of the first query, nearest first; of local layers, hashes alone."""
    own = reference.router_routing
    stacked = len(reference.layers) > 1
    records = []
    for place, row in enumerate(found.neighbours.index[0].tolist()):
        if row < 0:
            continue
        layer = reference.layers[int(reference.layer_of[row])]
        hidden = layer.local and not disclose_local
        sample = redacted(reference, row) if hidden else reference.sample(row)
        similarity = float(found.neighbours.similarity[0, place])
        records.append(
            NeighbourRecord(
                id=sample.id,
                question=sample.question,
                label=sample.label,
                model_answer=sample.model_answer,
                is_correct=sample.is_correct,
                family=sample.family,
                similarity=similarity,
                image_similarity=float(found.image_similarity[0, place]),
                distance=1 - similarity,
                kernel_weight=float(found.neighbours.weight[0, place]),
                routing=_floats(found.neighbours.routing[0, place]),
                router_routing=_floats(torch.tensor(own[row])),
                image=sample.image,
                layer=layer.name if stacked else "",
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


def record_trajectory(
    model: ModelAdapter, prepared: Prepared, strategy: str, values: Params, trajectory: Trajectory
) -> TrajectoryRecord:
    """Record every step of the first query's trajectory, with the answer at each.

    Raises
    ------
    RoutingError
        The strategy left its simplex.
    """
    spec = model.routing_spec
    routing = trajectory.routing[:, 0]
    check_routing(routing, spec)
    probabilities = answers_along(model, prepared, trajectory.routing)[:, 0]
    projected = project_top_k(routing, spec)
    entropy = entropy_bits(routing, spec)
    moved = distance(routing, routing[:1])
    best = probabilities.argmax(1)
    steps = tuple(
        StepRecord(
            step=step,
            routing=_floats(routing[step]),
            routing_top_k=_floats(projected[step]),
            surrogate_loss=float(trajectory.surrogate_loss[step, 0]),
            step_size=float(trajectory.step_size[step, 0]),
            gradient_norm=_finite(trajectory.gradient_norm[step, 0]),
            entropy=float(entropy[step]),
            distance=float(moved[step]),
            answer=model.answers[int(best[step])],
            probability=float(probabilities[step, best[step]]),
            probabilities=_floats(probabilities[step]),
        )
        for step in range(len(routing))
    )
    flipped = steps[-1].answer != steps[0].answer
    return TrajectoryRecord(
        strategy=strategy,
        parameters=values.model_dump(mode="json"),
        steps=steps,
        stop_reason=trajectory.stop_reason[0],
        flipped=flipped,
        flip_step=_flip_step([step.answer for step in steps]) if flipped else None,
    )


def _floats(tensor: Tensor) -> tuple[float, ...]:
    return tuple(float(value) for value in tensor.tolist())


def _finite(value: Tensor) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _flip_step(answers: Sequence[str]) -> int:
    """Return the first step from which the last answer holds to the end."""
    step = len(answers) - 1
    while answers[step - 1] == answers[-1]:
        step -= 1
    return step
