"""Baselines that are no routing strategies: without them nobody can tell what re-routing adds.

`knn_vote` copies the neighbours' answer without a model; `random_experts` and `own_expert` are
floor and ceiling of any routing; `router_finetuned`, `tent` and `memo` change weights, on a
disposable copy of the model that is thrown away.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from PIL import Image

from r2t2_core.errors import ModelError
from r2t2_core.i18n import N_
from r2t2_core.models.base import ModelAdaptation, ModelAdapter, Prepared
from r2t2_core.reference.index import ReferenceIndex, Retrieved
from r2t2_core.types import Sample, Tensor


@dataclass(frozen=True)
class Batch:
    """What a baseline may look at.

    Attributes
    ----------
    samples : sequence of Sample, length B
    families, keys : sequence of str, length B
        Families of the questions, empty where they are not known; what tells samples apart.
    prepared : Prepared
        The frozen model's work on them.
    found : Retrieved
        Their neighbours.
    """

    samples: Sequence[Sample]
    families: Sequence[str]
    keys: Sequence[str]
    prepared: Prepared
    found: Retrieved


Answer = Callable[[Batch], Tensor]
"""Batch → answer probabilities (B, A)."""

Fit = Callable[[ModelAdapter, ReferenceIndex], Answer]


def _adaptation(model: ModelAdapter) -> ModelAdaptation:
    adaptation = model.adaptation()
    if adaptation is None:
        raise ModelError(
            N_("{model} offers no disposable copy whose weights could be changed."),
            N_("Leave out router_finetuned, tent and memo."),
            model=model.name,
        )
    return adaptation


def knn_vote(model: ModelAdapter, index: ReferenceIndex) -> Answer:
    """Copy the neighbours' weighted labels; no model is asked."""

    def answer(batch: Batch) -> Tensor:
        found = batch.found.neighbours
        votes = torch.zeros(len(batch.samples), len(model.answers), dtype=found.weight.dtype)
        return votes.scatter_add(1, found.label.clamp(min=0), found.weight)

    return answer


def random_experts(model: ModelAdapter, index: ReferenceIndex) -> Answer:
    """Ask experts at random, as many as the gate uses."""

    def answer(batch: Batch) -> Tensor:
        rows = [
            torch.rand(model.routing_spec.size, generator=torch.Generator().manual_seed(seed))
            for seed in (zlib.crc32(key.encode()) for key in batch.keys)
        ]
        weights = [torch.stack(rows)[:, block] for block in model.routing_spec.blocks]
        routing = torch.cat([part / part.sum(1, keepdim=True) for part in weights], 1)
        return model.answer(batch.prepared, routing.to(batch.prepared.routing))

    return answer


def own_expert(model: ModelAdapter, index: ReferenceIndex) -> Answer:
    """Send each question to its family's own expert: the ceiling of competence.

    Questions of families without one stay with the router.
    """
    places = {name: place for place, name in enumerate(model.routing_spec.experts)}

    def answer(batch: Batch) -> Tensor:
        routing = batch.prepared.routing.clone()
        for row, family in enumerate(batch.families):
            if family in model.specialists:
                routing[row] = 0
                routing[row, places[model.specialists[family]]] = 1
        return model.answer(batch.prepared, routing)

    return answer


def router_finetuned(model: ModelAdapter, index: ReferenceIndex) -> Answer:
    """Fine-tune the router on the whole reference set, on a copy: what labels alone would buy."""
    reference = index.reference
    samples = []
    for row in range(len(reference)):
        with Image.open(reference.image_path(row)) as image:
            samples.append(Sample(image.convert("RGB"), reference.sample(row).question))
    tuned = _adaptation(model).finetune_router(samples, torch.from_numpy(reference.labels))
    return lambda batch: tuned.answer(tuned.prepare(batch.samples))


def _adapted(method: str, model: ModelAdapter, index: ReferenceIndex) -> Answer:
    adaptation = _adaptation(model)
    adapt = adaptation.tent if method == "tent" else adaptation.memo
    return lambda batch: adapt(batch.samples)


BASELINES: dict[str, Fit] = {
    "knn_vote": knn_vote,
    "random_experts": random_experts,
    "own_expert": own_expert,
    "router_finetuned": router_finetuned,
    "tent": partial(_adapted, "tent"),
    "memo": partial(_adapted, "memo"),
}
"""Name → what prepares it once and returns how it answers a batch."""
