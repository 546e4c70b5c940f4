"""Made-up decisions: whole and valid, but computed by nobody."""

from __future__ import annotations

import hashlib
import uuid

from r2t2_core.decision import (
    AnswerRecord,
    Decision,
    GateRecord,
    GateVerdict,
    InputRecord,
    NeighbourRecord,
    ReferenceRecord,
    StepRecord,
    SystemRecord,
    Timing,
    TrajectoryRecord,
)

PICTURE = b"bytes of a picture"

ANSWERS = ("left", "right")
EXPERTS = ("words", "places", "colours")


def digest(data: str | bytes) -> str:
    return hashlib.sha256(data if isinstance(data, bytes) else data.encode()).hexdigest()


def _answer(answer: str, routing: tuple[float, ...]) -> AnswerRecord:
    probabilities = (0.8, 0.2) if answer == "left" else (0.3, 0.7)
    return AnswerRecord(
        answer=answer,
        probability=max(probabilities),
        probabilities=probabilities,
        routing=routing,
        routing_top_k=routing,
    )


def _step(number: int, found: AnswerRecord) -> StepRecord:
    return StepRecord(
        step=number,
        routing=found.routing,
        routing_top_k=found.routing_top_k,
        surrogate_loss=1.0 / (number + 1),
        step_size=0.1,
        gradient_norm=0.5,
        entropy=1.0,
        distance=float(number),
        answer=found.answer,
        probability=found.probability,
        probabilities=found.probabilities,
    )


def make_decision(
    *,
    picture: bytes = PICTURE,
    question: str = "Where is it?",
    flips: bool = True,
    strategy: str = "ngd",
    started_at: str = "2026-01-02T03:04:05.000006+00:00",
) -> Decision:
    """Return a decision about a picture and a question."""
    before = _answer("left", (0.7, 0.2, 0.1))
    after = _answer("right", (0.1, 0.8, 0.1)) if flips else before
    return Decision(
        schema_version="1",
        id=uuid.uuid4().hex,
        started_at=started_at,
        input=InputRecord(
            image_sha256=digest(picture),
            pixels_sha256=digest(b"pixels" + picture),
            image_width=8,
            image_height=8,
            image_format="PNG",
            notes=(),
            preprocessing="test-1",
            question=question,
            question_sha256=digest(question),
            label=None,
        ),
        system=SystemRecord(
            model="Made up",
            model_fingerprint_before=digest("model"),
            model_fingerprint_after=digest("model"),
            gates=(GateRecord(name="gate", experts=EXPERTS, top_k=2),),
            answers=ANSWERS,
            code_version="0",
            library_versions={"python": "3"},
            device="cpu",
            dtype="float32",
            threads=1,
            seed=0,
        ),
        reference=ReferenceRecord(
            name="Made up",
            content_hash=digest("reference"),
            policy="refined",
            embedder="none",
            embedder_hash=digest("embedder"),
            metric="cosine",
            size=1,
            eligible=1,
            retrieval="knn",
            n_neighbours=1,
            radius=None,
            truncated=False,
            duplicate_threshold=0.95,
            kernel="gaussian",
            bandwidth=0.1,
            bandwidth_rule="median",
            near_duplicates_left_out=0,
        ),
        neighbours=(
            NeighbourRecord(
                id="n1",
                question="<img src=x onerror=alert(1)>",
                label="right",
                model_answer="right",
                is_correct=True,
                family="where",
                similarity=0.9,
                image_similarity=0.5,
                distance=0.1,
                kernel_weight=1.0,
                routing=(0.1, 0.8, 0.1),
                router_routing=(0.2, 0.7, 0.1),
                image="images/n1.jpg",
            ),
        ),
        base=before,
        trajectories=(
            TrajectoryRecord(
                strategy=strategy,
                parameters={"steps": 1},
                steps=(_step(0, before), _step(1, after)),
                stop_reason="max_steps",
                flipped=flips,
                flip_step=1 if flips else None,
            ),
        ),
        strategy=strategy,
        gate=GateVerdict(
            reroute=True,
            reasons=(),
            text_similarity=0.9,
            text_threshold=0.5,
            image_distance=1.0,
            image_threshold=2.0,
            agreement=1.0,
            surrogate_loss_before=1.0,
            surrogate_loss_after=0.5,
            evidence=1.0 if flips else None,
            evidence_threshold=0.1,
            harm_bound=0.01,
            confidence=0.95,
            thresholds_from="made up",
        ),
        final=after,
        timings=(Timing(stage="Re-routing", strategy=strategy, milliseconds=1.5),),
    )
