"""From a decision to its `Analysis`: all causes, computed through cached expert outputs."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch

from r2t2_core.analysis import (
    Agreement,
    Analysis,
    AnswerGiven,
    Counterfactual,
    Reach,
    StrategyVote,
    decision_hash,
)
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.explain.causes import (
    Moved,
    dropped_until_flip,
    expert_causes,
    given,
    neighbour_causes,
)
from r2t2_core.explain.counterfactual import nearest_flip
from r2t2_core.explain.evidence import Evidence, parameters_of, reopen
from r2t2_core.explain.landscape import landscape, planes
from r2t2_core.explain.occlusion import occlude
from r2t2_core.intake.image import read_image
from r2t2_core.reference.index import ReferenceIndex, RetrievalParams
from r2t2_core.registry import strategies
from r2t2_core.routing import project_top_k

COMPARED = 400
"""Reference samples that are drawn to see how near they are to each other."""

Nearness = tuple[np.ndarray, np.ndarray]

_typical: WeakKeyDictionary[ReferenceIndex, dict[str, Nearness]] = WeakKeyDictionary()
"""Reference sets do not change, so that this is computed once for each and policy."""


def moved_of(evidence: Evidence, decision: Decision) -> Moved:
    """Return where the strategy that counts began and ended, as the decision records it."""
    record = decision.trajectory(decision.strategy)
    like = evidence.query.prepared.routing
    answers = decision.system.answers
    return Moved(
        decision.strategy,
        parameters_of(decision, decision.strategy),
        torch.tensor(decision.base.routing).to(like),
        torch.tensor(record.last.routing).to(like),
        answers.index(decision.base.answer),
        answers.index(record.last.answer),
    )


def analyse(engine: Engine, decision: Decision, image_bytes: bytes) -> Analysis:
    """Return the causes of a decision, without occlusion maps (`with_occlusion` adds them).

    Raises
    ------
    ExplanationError
        Model, reference set or picture are not those of the decision.
    """
    began = time.perf_counter()
    with engine.exclusive():
        evidence = reopen(engine, decision, image_bytes)
        moved = moved_of(evidence, decision)
        last = decision.trajectory(decision.strategy).last
        analysis = Analysis(
            schema_version="1",
            decision_id=decision.id,
            decision_sha256=decision_hash(decision),
            computed_at=datetime.now(UTC).isoformat(),
            strategy=decision.strategy,
            moved=AnswerGiven(answer=last.answer, probability=last.probability),
            neighbours=neighbour_causes(evidence, moved),
            dropped_until_flip=dropped_until_flip(evidence, moved),
            experts=expert_causes(evidence, moved),
            counterfactuals=_counterfactuals(evidence, moved),
            landscape=landscape(evidence, moved),
            agreement=_agreement(evidence, moved, decision),
            reach=_reach(engine.index, evidence, decision),
            planes=planes(evidence.admitted.cpu().numpy(), engine.model.routing_spec),
            occlusion=None,
            milliseconds=0.0,
        )
    return analysis.model_copy(update={"milliseconds": (time.perf_counter() - began) * 1000})


def with_occlusion(
    engine: Engine, decision: Decision, image_bytes: bytes, analysis: Analysis
) -> Analysis:
    """Return the analysis with maps of where each expert looks.

    Raises
    ------
    ExplanationError
        Model, reference set or picture are not those of the decision.
    """
    with engine.exclusive():
        moved = moved_of(reopen(engine, decision, image_bytes), decision)
        maps = occlude(engine.model, read_image(image_bytes).image, decision.input.question, moved)
    return analysis.model_copy(update={"occlusion": maps})


def _counterfactuals(evidence: Evidence, moved: Moved) -> tuple[Counterfactual, ...]:
    """Return the smallest changes: of the router's routing to any other answer and to the
    strategy's, and of the strategy's routing to any other answer."""
    asked: list[tuple[Literal["before", "after"], torch.Tensor, int, int | None]] = [
        ("before", moved.start, moved.answer_before, None),
        ("after", moved.end, moved.answer_after, None),
    ]
    if moved.answer_after != moved.answer_before:
        asked.insert(1, ("before", moved.start, moved.answer_before, moved.answer_after))
    spec = evidence.model.routing_spec
    records = []
    for origin, start, kept, wanted in asked:
        found = nearest_flip(evidence.answers, spec, start, kept, wanted)
        if found is None:
            continue
        records.append(
            Counterfactual(
                origin=origin,
                wanted="any other answer" if wanted is None else "the strategy's answer",
                routing=tuple(found.routing.tolist()),
                routing_top_k=tuple(project_top_k(found.routing[None], spec)[0].tolist()),
                distance=found.distance,
                result=given(evidence, found.routing[None])[0],
                method=found.method,
                resolution=found.resolution,
                tried=found.tried,
            )
        )
    return tuple(records)


def _agreement(evidence: Evidence, moved: Moved, decision: Decision) -> Agreement:
    near = evidence.neighbours
    weight = near.weight[0]
    spec = evidence.model.routing_spec
    same_expert = torch.ones_like(weight, dtype=torch.bool)
    for block in spec.blocks:
        own = near.routing[0][:, block].argmax(1)
        same_expert &= own == moved.end[block].argmax()
    known = strategies()
    answer = evidence.model.answers[moved.answer_after]

    def share(mask: torch.Tensor) -> float:
        return min(1.0, float(weight[mask].sum()))

    return Agreement(
        strategies=tuple(
            StrategyVote(
                strategy=record.strategy,
                answer=record.last.answer,
                probability=record.last.probability,
                agrees=record.last.answer == answer,
                is_control=known[record.strategy].is_control,
            )
            for record in decision.trajectories
        ),
        neighbours_same_expert=share(same_expert),
        neighbours_same_answer=share(near.label[0] == moved.answer_after),
        neighbours_answered_before=share(evidence.neighbours_right(moved.start)),
        neighbours_answered_after=share(evidence.neighbours_right(moved.end)),
    )


def _reach(index: ReferenceIndex, evidence: Evidence, decision: Decision) -> Reach:
    text, image = typical_nearness(index, evidence.retrieval.policy)
    return Reach(
        text_percentile=float((text <= decision.gate.text_similarity + 1e-6).mean()),
        image_percentile=float((image <= decision.gate.image_distance + 1e-6).mean()),
        compared_with=len(text),
    )


def typical_nearness(index: ReferenceIndex, policy: str) -> Nearness:
    """Return how near reference samples are to the rest of their own set.

    Similarity (n,) of the nearest other sample that is no near-duplicate, and distance (n,) of the
    picture from the set's, of samples that are drawn with a fixed seed.
    """
    known = _typical.setdefault(index, {})
    if policy in known:
        return known[policy]
    reference = index.reference
    admitted = np.flatnonzero(reference.eligible(policy))
    count = min(COMPARED, len(admitted))
    rows = np.sort(np.random.default_rng(0).choice(admitted, count, replace=False))
    params = RetrievalParams.parse({"policy": policy, "n_neighbours": 1})
    features = reference.image_features[rows]
    found = index.retrieve(reference.embeddings[rows], features, params)
    known[policy] = (found.similarity_best, index.picture_distance(features))
    return known[policy]
