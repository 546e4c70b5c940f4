"""Where an expert looks, as light on the picture."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from r2t2_core.analysis import Occlusion, OcclusionMap

SIDE = 240
DARKEST = 0.16
"""Light that is left where nothing is looked at."""


def strongest(occlusion: Occlusion, about: str) -> float:
    """Return the greatest effect of all maps of one kind: they share one scale."""
    effects = [np.array(entry.effect).max() for entry in occlusion.maps if entry.about == about]
    return float(max(effects, default=0.0))


def light(occlusion: Occlusion, chosen: OcclusionMap, width: int, height: int) -> np.ndarray:
    """Return the light (height, width) on each pixel, from `DARKEST` to 1.

    A pixel takes the mean effect of the windows that cover it; effects below zero give no light.
    The brightest is the greatest effect of all maps of this kind, so that an expert that hardly
    looks stays dark.
    """
    effect = np.maximum(np.array(chosen.effect), 0)
    tall, wide = (max(1, round(occlusion.window * side)) for side in (height, width))
    tops = np.linspace(0, height - tall, occlusion.grid).round().astype(int)
    lefts = np.linspace(0, width - wide, occlusion.grid).round().astype(int)
    total, count = np.zeros((height, width)), np.zeros((height, width))
    for row, top in enumerate(tops):
        for column, left in enumerate(lefts):
            total[top : top + tall, left : left + wide] += effect[row, column]
            count[top : top + tall, left : left + wide] += 1
    scale = strongest(occlusion, chosen.about)
    share = total / np.maximum(count, 1) / (scale or 1)
    brightness: np.ndarray = DARKEST + (1 - DARKEST) * np.clip(share, 0, 1) ** 0.5
    return brightness


def spotlight(image: Image.Image, occlusion: Occlusion, chosen: OcclusionMap) -> bytes:
    """Return the picture (PNG), lit where hiding it matters.

    Parameters
    ----------
    image : PIL.Image.Image
        RGB, upright.
    occlusion : Occlusion
    chosen : OcclusionMap
        One of its maps.
    """
    small = image.copy()
    small.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    shade = light(occlusion, chosen, small.width, small.height)
    lit = np.asarray(small, dtype=np.float64) * shade[:, :, None]
    buffer = BytesIO()
    Image.fromarray(lit.round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
