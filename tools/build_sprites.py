"""Make `sample_data/sprites/` from the npm package `@lobehub/fluent-emoji-3d` (MIT).

npm pack @lobehub/fluent-emoji-3d && tar xzf lobehub-fluent-emoji-3d-*.tgz
python -m tools.build_sprites package/assets
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from PIL import Image

from r2t2_core.scenes.sprites import SPRITES, sprite_name
from r2t2_core.scenes.world import PAINTED_KINDS, PAINTS

CODE_POINTS = {
    "book": "1f4d5",
    "cup": "2615",
    "shirt": "1f455",
    "cap": "1f9e2",
    "umbrella": "2602-fe0f",
    "car": "1f697",
    "chair": "1fa91",
    "box": "1f4e6",
    "bread": "1f35e",
    "clock": "23f0",
    "apple": "1f34e",
    "key": "1f511",
    "banana": "1f34c",
    "ball": "26bd",
    "wrench": "1f527",
}

PAINT_RGB = {
    "red": (225, 40, 50),
    "yellow": (250, 205, 40),
    "green": (50, 165, 75),
    "blue": (40, 105, 225),
    "purple": (145, 70, 200),
    "black": (52, 52, 60),
}

SIZE = 160


def paint(sprite: Image.Image, kind: str, colour: str) -> Image.Image:
    """Paint a sprite: keep its shading, replace its colour where the thing is painted."""
    pixels = np.asarray(sprite, dtype=np.float32)
    rgb, alpha = pixels[..., :3] / 255, pixels[..., 3:]
    high, low = rgb.max(-1, keepdims=True), rgb.min(-1, keepdims=True)
    saturation = (high - low) / np.maximum(high, 1e-6)
    # A cup is painted where it is pale (its porcelain); other things where they are coloured.
    if kind == "cup":
        mask = np.clip((0.42 - saturation) / 0.12, 0, 1) * (high > 0.45)
    elif kind == "car":
        warm = (rgb[..., :1] - rgb[..., 2:3]) > 0.1
        mask = np.clip((saturation - 0.45) / 0.2, 0, 1) * warm * (rgb[..., 1:2] < 0.5)
    else:
        mask = np.clip((saturation - 0.2) / 0.2, 0, 1)
    weight = mask * (alpha > 0)
    mean = (high * weight).sum() / max(float(weight.sum()), 1.0)
    shade = np.clip(high / mean, 0.55, 1.35)
    target = np.array(PAINT_RGB[colour], dtype=np.float32) / 255
    painted = np.clip(target * shade, 0, 1)
    highlight = np.clip((shade - 1.12) * 1.2, 0, 0.5)
    painted = painted + (1 - painted) * highlight
    mixed = rgb * (1 - mask) + painted * mask
    result = np.concatenate([mixed * 255, alpha], -1)
    return Image.fromarray(np.clip(np.rint(result), 0, 255).astype(np.uint8), "RGBA")


def main(assets: Path) -> None:
    """Write one PNG for each kind, and each paint where the kind is painted."""
    SPRITES.mkdir(parents=True, exist_ok=True)
    for kind, code in CODE_POINTS.items():
        with Image.open(assets / f"{code}.webp") as source:
            sprite = source.convert("RGBA").resize((SIZE, SIZE), Image.Resampling.LANCZOS)
        if kind in PAINTED_KINDS:
            for colour in PAINTS:
                paint(sprite, kind, colour).save(
                    SPRITES / f"{sprite_name(kind, colour)}.png", optimize=True
                )
        else:
            sprite.save(SPRITES / f"{sprite_name(kind, None)}.png", optimize=True)


if __name__ == "__main__":
    typer.run(main)
