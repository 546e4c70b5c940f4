"""A split as tensors, read in batches by the training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from r2t2_core.models.scene_moe.processing_scene_moe import SceneMoeProcessor, to_pixel_values
from tools.scene_data import SplitData

Tensor = torch.Tensor


def joined(parts: Sequence[SplitData]) -> SplitData:
    """Return several splits as one."""
    offsets = np.cumsum([0, *(len(part.pixels) for part in parts[:-1])])
    return SplitData(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([p.scene + offset for p, offset in zip(parts, offsets, strict=True)]),
        [text for part in parts for text in part.text],
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("answer", "family", "language", "first", "second")
        ),
    )


class Batches:
    """A split as tensors, read in batches."""

    def __init__(self, data: SplitData, processor: SceneMoeProcessor) -> None:
        self.pixels = torch.from_numpy(data.pixels)
        self.scene = torch.from_numpy(data.scene)
        self.answer = torch.from_numpy(data.answer)
        self.family = torch.from_numpy(data.family)
        self.language = torch.from_numpy(data.language)
        self.first = torch.from_numpy(data.first).long()
        self.second = torch.from_numpy(data.second).long()
        unique, inverse = np.unique(np.array(data.text), return_inverse=True)
        self.ids, self.mask = processor.encode_questions([str(text) for text in unique])
        self.row = torch.from_numpy(inverse).long()

    def __len__(self) -> int:
        return len(self.scene)

    def inputs(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return what `encode_shared` takes of some questions: each picture once."""
        row = self.row[index]
        length = int(self.mask[row].sum(1).max())
        pictures, which = self.scene[index].unique(return_inverse=True)
        pixels = to_pixel_values(self.pixels[pictures]).to(memory_format=torch.channels_last)
        return pixels, which, self.ids[row, :length], self.mask[row, :length]

    def order(self, generator: torch.Generator) -> Tensor:
        """Return all questions, shuffled by picture: those of one picture stay together."""
        place = torch.randperm(int(self.scene.max()) + 1, generator=generator)
        return place[self.scene].argsort(stable=True)
