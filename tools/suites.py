"""Evaluation suites from seeds: a split, run through what does not depend on the routing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from r2t2_core.embedding import TaskEmbedder
from r2t2_core.evaluation.prepared import PreparedSuite
from r2t2_core.models.base import Prepared
from r2t2_core.models.scene_moe import SceneMoeAdapter
from r2t2_core.models.scene_moe.processing_scene_moe import to_pixel_values
from r2t2_core.scenes.questions import FAMILIES
from tools.scene_data import load
from tools.splits import Split

BATCH = 256


@torch.no_grad()
def build_suite(
    split: Split, model: SceneMoeAdapter, embedder: TaskEmbedder, work: Path
) -> PreparedSuite:
    """Draw a split (or read it from `work`) and prepare it."""
    data = load(split, work)
    ids, mask = model.processor.encode_questions(data.text)
    parts = []
    for rows in torch.arange(len(data.text)).split(BATCH):
        length = int(mask[rows].sum(1).max())
        pixels = to_pixel_values(data.pixels[data.scene[rows.numpy()]])
        parts.append(model.prepare_tensors(pixels, ids[rows, :length], mask[rows, :length]))
    prepared = Prepared(
        torch.cat([part.expert_outputs for part in parts]),
        torch.cat([part.routing for part in parts]),
        torch.cat([part.image_features for part in parts]),
    )
    return PreparedSuite(
        split.name,
        prepared,
        embedder.embed(data.text),
        torch.from_numpy(data.answer),
        np.array(FAMILIES)[data.family],
    )
