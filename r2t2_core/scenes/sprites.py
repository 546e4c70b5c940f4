"""The palette of sprites (Fluent Emoji 3D, MIT; see NOTICE), sized and turned for a scene."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from PIL import Image, ImageFilter

from r2t2_core.errors import WorkbenchError
from r2t2_core.i18n import N_

SPRITES = Path(__file__).resolve().parents[2] / "sample_data" / "sprites"


def sprite_name(kind: str, colour: str | None) -> str:
    """Return the file stem of a sprite, for example `cup-red` or `chair`."""
    return f"{kind}-{colour}" if colour else kind


@lru_cache(maxsize=256)
def load_sprite(name: str) -> Image.Image:
    """Load a sprite (RGBA, square)."""
    path = SPRITES / f"{name}.png"
    if not path.is_file():
        raise WorkbenchError(
            N_("There is no sprite called {name}."), N_("Choose one of the palette."), name=name
        )
    with Image.open(path) as image:
        return image.convert("RGBA")


@lru_cache(maxsize=8192)
def placed_sprite(name: str, pixels: int, angle: int) -> tuple[Image.Image, Image.Image]:
    """Return the sprite scaled to `pixels` and turned by `angle` degrees, and its soft shadow.

    Both are RGBA and of one size, so that they paste at the same corner.
    """
    sprite = load_sprite(name)
    margin = max(2, pixels // 6)
    canvas = Image.new("RGBA", (pixels + 2 * margin, pixels + 2 * margin), (0, 0, 0, 0))
    turned = sprite.rotate(angle, Image.Resampling.BICUBIC) if angle else sprite
    canvas.paste(turned.resize((pixels, pixels), Image.Resampling.LANCZOS), (margin, margin))
    alpha = canvas.getchannel("A").point(lambda value: int(value * 0.38))
    shadow = Image.new("RGBA", canvas.size, (30, 30, 45, 0))
    shadow.putalpha(alpha.filter(ImageFilter.GaussianBlur(max(1.0, pixels / 22))))
    return canvas, shadow
