"""Where an expert looks: hide a window of the picture, and see how much its answer moves.

Occlusion (Zeiler and Fergus 2014). An expert that never sees the picture, as `language`, scores
exactly zero everywhere.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from PIL import Image

from r2t2_core.analysis import Occlusion, OcclusionMap
from r2t2_core.explain.causes import Moved, only_expert
from r2t2_core.models.base import ModelAdapter, Prepared
from r2t2_core.types import Sample, Tensor

GRID = 8
WINDOW = 0.22
SIDE = 192
"""Pictures are made no larger than this before windows are hidden: more is no news to the model,
and takes longer."""
BATCH = 64

ROUNDING = 1e-5
"""Outputs that move by less (relative) do so because batches are summed in another order."""

SMALLEST = 1e-6
"""Probabilities are kept this far from 0 and 1 before their log-odds are taken."""


def occluded(image: Image.Image) -> list[Image.Image]:
    """Return the picture with each window in turn hidden under its mean colour, row by row."""
    pixels = np.asarray(image)
    height, width = pixels.shape[:2]
    colour = pixels.reshape(-1, 3).mean(0).round().astype(np.uint8)
    tall, wide = max(1, round(WINDOW * height)), max(1, round(WINDOW * width))
    pictures = []
    for top in np.linspace(0, height - tall, GRID).round().astype(int):
        for left in np.linspace(0, width - wide, GRID).round().astype(int):
            hidden = pixels.copy()
            hidden[top : top + tall, left : left + wide] = colour
            pictures.append(Image.fromarray(hidden))
    return pictures


def occlude(model: ModelAdapter, image: Image.Image, question: str, moved: Moved) -> Occlusion:
    """Return maps of every expert asked alone, and of the model before and after re-routing.

    The routing stays as it was for the whole picture: maps show what the experts see, and not what
    the router would do about it.

    Parameters
    ----------
    model : ModelAdapter
    image : PIL.Image.Image
        RGB.
    question : str
    moved : Moved
    """
    small = image.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.BOX)
    samples = [Sample(picture, question) for picture in (small, *occluded(small))]
    outputs = torch.cat(
        [
            model.prepare(samples[start : start + BATCH]).expert_outputs
            for start in range(0, len(samples), BATCH)
        ]
    )
    spec = model.routing_spec
    maps = []
    subjects: tuple[tuple[Literal["before", "after"], Tensor], ...] = (
        ("before", moved.start),
        ("after", moved.end),
    )
    for about, routing in subjects:
        probabilities = _answers(model, outputs, routing)
        place = int(probabilities[0].argmax())
        odds = torch.logit(probabilities[:, place], SMALLEST)
        maps.append(_map(about, None, None, model.answers[place], odds[0] - odds[1:]))
    lengths = outputs[0].norm(dim=1).clamp(min=SMALLEST)
    moves = (outputs[1:] - outputs[0]).norm(dim=2) / lengths
    moves = torch.where(moves < ROUNDING, 0.0, moves)
    for gate, block in zip(spec.gates, spec.blocks, strict=True):
        for number in range(block.start, block.stop):
            alone = only_expert(moved.end, spec, number)
            place = int(_answers(model, outputs[:1], alone)[0].argmax())
            expert, answer = spec.experts[number], model.answers[place]
            maps.append(_map("expert", expert, gate.name, answer, moves[:, number]))
    return Occlusion(grid=GRID, window=WINDOW, fill="mean colour", maps=tuple(maps))


def _answers(model: ModelAdapter, outputs: Tensor, routing: Tensor) -> Tensor:
    """Return answer probabilities (B, A) of expert outputs (B, E, D) under one routing (E,)."""
    spread = routing.expand(len(outputs), -1)
    return model.answer(Prepared(outputs, spread, outputs[:, 0]), spread)


def _map(
    about: Literal["expert", "before", "after"],
    expert: str | None,
    gate: str | None,
    answer: str,
    effect: Tensor,
) -> OcclusionMap:
    rows = effect.reshape(GRID, GRID)
    return OcclusionMap(
        about=about,
        expert=expert,
        gate=gate,
        answer=answer,
        effect=tuple(tuple(row) for row in rows.tolist()),
        total=float(rows.abs().mean()),
    )
