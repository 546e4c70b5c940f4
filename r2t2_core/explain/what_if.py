"""What a person changes by hand: expert weights, neighbours, how they are found.

The experts' outputs are cached, so that an answer is a matter of milliseconds. The result is a
human intervention and is marked as one; it never stands for the model's answer.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

import torch

from r2t2_core.analysis import Analysis, AnswerGiven, Intervention, WhatIf
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import NeighbourhoodError
from r2t2_core.explain.evidence import Evidence, Query, check_origin, gather
from r2t2_core.i18n import N_
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy
from r2t2_core.routing import project_top_k
from r2t2_core.strategies.base import Params
from r2t2_core.types import RoutingSpec, Tensor


@dataclass(frozen=True)
class Change:
    """What a person has set.

    Attributes
    ----------
    strategy : str
    params : Params
    retrieval : RetrievalParams
    dropped : frozenset of str
        Neighbours to leave out; those that are not found anyway change nothing.
    weights : tuple of float, length E, or None
        Weights set by hand, 0 or more; scaled to sum to one in each gate. None lets the strategy
        move the routing.
    """

    strategy: str
    params: Params
    retrieval: RetrievalParams
    dropped: frozenset[str] = frozenset()
    weights: tuple[float, ...] | None = None


def try_change(
    engine: Engine,
    decision: Decision,
    analysis: Analysis,
    query: Query,
    change: Change,
    note: str = "",
) -> WhatIf:
    """Return the answer under a change.

    Parameters
    ----------
    engine : Engine
    decision : Decision
    analysis : Analysis
        Of the decision.
    query : Query
        The model's work on the decision's question (`Evidence.query`).
    change : Change
    note : str
        What the person writes about it.

    Raises
    ------
    ExplanationError
        The decision was made by another model or reference set.
    NeighbourhoodError
        No neighbour is left.
    """
    check_origin(engine, decision)
    with engine.exclusive():
        evidence = gather(engine.index, engine.model, query, change.retrieval)
        kept = torch.tensor([[name not in change.dropped for name in evidence.ids]])
        if not bool(kept.any()):
            raise NeighbourhoodError(
                N_("No neighbour is left."), N_("Keep one neighbour at least.")
            )
        kept = kept.to(evidence.outputs.device)
        routing, loss = _move(evidence, change, kept)
        probabilities = evidence.answers(routing[None])[0]
    place = int(probabilities.argmax())
    answer = engine.model.answers[place]
    spec = engine.model.routing_spec
    return WhatIf(
        schema_version="1",
        kind="human intervention",
        id=uuid.uuid4().hex,
        decision_id=decision.id,
        decision_sha256=analysis.decision_sha256,
        model_fingerprint=engine.model_fingerprint,
        reference_hash=engine.reference.manifest.content_hash,
        made_at=datetime.now(UTC).isoformat(),
        intervention=Intervention(
            strategy=change.strategy,
            parameters=change.params.model_dump(mode="json"),
            retrieval=change.retrieval.model_dump(mode="json"),
            dropped=tuple(name for name in evidence.ids if name in change.dropped),
            weights=None if change.weights is None else tuple(routing.tolist()),
        ),
        neighbours=tuple(name for name in evidence.ids if name not in change.dropped),
        result=AnswerGiven(answer=answer, probability=float(probabilities[place])),
        probabilities=tuple(probabilities.tolist()),
        routing=tuple(routing.tolist()),
        routing_top_k=tuple(project_top_k(routing[None], spec)[0].tolist()),
        surrogate_loss=loss,
        changes_answer=answer != decision.final.answer,
        note=note,
    )


def _move(evidence: Evidence, change: Change, kept: Tensor) -> tuple[Tensor, float]:
    """Return the routing (E,) and its surrogate loss."""
    problem = evidence.problem(evidence.weights_of(kept), ~kept)
    if change.weights is None:
        end = get_strategy(change.strategy).reroute(problem, change.params).routing[-1]
    else:
        by_hand = torch.tensor([change.weights]).to(problem.routing)
        end = onto_simplices(by_hand, problem.spec)
    with torch.no_grad():
        return end[0], float(problem.surrogate_loss(end)[0])


def onto_simplices(weights: Tensor, spec: RoutingSpec) -> Tensor:
    """Scale weights (B, E), 0 or more, to sum to one in each gate; all zero means equal shares."""
    parts = []
    for block in spec.blocks:
        part = weights[:, block].clamp(min=0)
        total = part.sum(1, keepdim=True)
        equal = torch.full_like(part, 1 / (block.stop - block.start))
        parts.append(torch.where(total > 0, part / total.clamp(min=1e-12), equal))
    return torch.cat(parts, 1)
