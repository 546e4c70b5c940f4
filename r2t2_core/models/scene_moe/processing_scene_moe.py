"""Pictures and questions to what SceneMoE takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from transformers import BatchFeature, PreTrainedTokenizerFast, ProcessorMixin

PREPROCESSING_VERSION = "scene-moe-2"

IMAGE_SIZE = 64

MAX_TOKENS = 64


def to_pixels(image: Image.Image) -> np.ndarray:
    """Fit a picture into a square of 64 pixels (64, 64, 3), uint8.

    A picture that is not square is centred on its own mean colour, so that nothing is cut off.
    """
    if image.width != image.height:
        side = max(image.size)
        mean = np.asarray(image.resize((1, 1), Image.Resampling.BOX)).reshape(-1)
        square = Image.new("RGB", (side, side), tuple(int(value) for value in mean[:3]))
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    filtered = Image.Resampling.BOX if image.width >= IMAGE_SIZE else Image.Resampling.BILINEAR
    return np.asarray(image.resize((IMAGE_SIZE, IMAGE_SIZE), filtered), dtype=np.uint8)


def to_pixel_values(pixels: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Scale (B, S, S, 3) uint8 to (B, 3, S, S) float32 in −1 … 1."""
    tensor = torch.as_tensor(pixels).permute(0, 3, 1, 2)
    return tensor.to(torch.float32) / 127.5 - 1


class SceneMoeProcessor(ProcessorMixin):
    """Word pieces and pixels in one call.

    Parameters
    ----------
    tokenizer : PreTrainedTokenizerFast
        Everything else is fixed: pictures are fitted by `to_pixels`.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        super().__init__(tokenizer)

    def encode_questions(self, questions: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return input ids and attention mask (B, L), padded to the longest question."""
        encoded = self.tokenizer(
            list(questions),
            padding=True,
            truncation=True,
            max_length=MAX_TOKENS,
            return_tensors="pt",
        )
        return encoded["input_ids"], encoded["attention_mask"]

    def __call__(self, images: Sequence[Image.Image], text: Sequence[str]) -> BatchFeature:
        """Process B pictures (RGB) and B questions."""
        input_ids, attention_mask = self.encode_questions(text)
        pixels = np.stack([to_pixels(image) for image in images])
        return BatchFeature(
            {
                "pixel_values": to_pixel_values(pixels),
                "input_ids": input_ids,
                "attention_mask": attention_mask,
            }
        )
