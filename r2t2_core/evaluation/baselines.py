"""Baselines that are no routing strategies: without them nobody can tell what re-routing adds.

`knn_vote` copies the neighbours' answer without a model; `router_finetuned`, `tent` and `memo`
change weights, on a disposable copy of the model that is thrown away.
"""

from __future__ import annotations

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
    prepared : Prepared
        The frozen model's work on them.
    found : Retrieved
        Their neighbours.
    """

    samples: Sequence[Sample]
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
    "router_finetuned": router_finetuned,
    "tent": partial(_adapted, "tent"),
    "memo": partial(_adapted, "memo"),
}
"""Name → what prepares it once and returns how it answers a batch."""
