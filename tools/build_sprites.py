"""Make `sample_data/sprites/` from the npm package `@lobehub/fluent-emoji-3d` (MIT).

npm pack @lobehub/fluent-emoji-3d && tar xzf lobehub-fluent-emoji-3d-*.tgz
python -m tools.build_sprites package/assets
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
from PIL import Image, ImageDraw

from r2t2_core.scenes.sprites import SPRITES, sprite_name
from r2t2_core.scenes.world import PAINTED_KINDS, PAINTS

CODE_POINTS = {
    "book": "1f4d5", "cup": "2615", "shirt": "1f455", "cap": "1f9e2", "umbrella": "2602-fe0f",
    "car": "1f697", "balloon": "1f388", "bucket": "1faa3", "backpack": "1f392", "chair": "1fa91",
    "box": "1f4e6", "bread": "1f35e", "clock": "23f0", "apple": "1f34e", "key": "1f511",
    "banana": "1f34c", "ball": "26bd", "wrench": "1f527", "plant": "1fab4", "cactus": "1f335",
    "teddy": "1f9f8", "bell": "1f514", "television": "1f4fa", "camera": "1f4f7", "door": "1f6aa",
    "can": "1f96b", "cheese": "1f9c0", "carrot": "1f955", "tomato": "1f345", "lemon": "1f34b",
    "cookie": "1f36a", "jar": "1f36f", "bottle": "1f37e", "pear": "1f350", "bolt": "1f529",
    "battery": "1f50b", "gear": "2699-fe0f", "magnet": "1f9f2", "brick": "1f9f1",
    "toolbox": "1f9f0", "lock": "1f512", "plug": "1f50c", "ladder": "1fa9c",
    "switch": "1f39a-fe0f", "pencil": "270f-fe0f",
}  # fmt: skip

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


def draw_light(colour: str) -> Image.Image:
    """Draw an indicator light: a metal ring with a glowing lens."""
    size = 4 * SIZE
    light = Image.new("RGBA", (size, size), (0, 0, 0, 0))
    draw = ImageDraw.Draw(light)
    for inset, rgb in ((0.06, (96, 102, 114)), (0.10, (188, 194, 204)), (0.17, (70, 74, 84))):
        low, high = inset * size, (1 - inset) * size
        draw.ellipse((low, low, high, high), fill=(*rgb, 255))
    red, green, blue = PAINT_RGB[colour]
    for step in range(24):
        share = step / 23
        low = (0.20 + 0.16 * share) * size
        high = (0.80 - 0.30 * share) * size
        lift = 0.45 * share**2
        rgb = tuple(round(value + (255 - value) * lift) for value in (red, green, blue))
        draw.ellipse((low, low, high, high), fill=(*rgb, 255))
    return light.resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def main(assets: Path) -> None:
    """Write one PNG for each kind, and each paint where the kind is painted."""
    SPRITES.mkdir(parents=True, exist_ok=True)
    for colour in PAINTS:
        draw_light(colour).save(SPRITES / f"{sprite_name('light', colour)}.png", optimize=True)
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
