"""What a scene plays before: a room, a shop's shelf, an assembly tray, an instrument panel."""

from __future__ import annotations

from collections.abc import Callable

from PIL import Image, ImageDraw

from r2t2_core.scenes.world import BACKGROUNDS, Scene

Rgb = tuple[int, int, int]

_STEEL = (150, 158, 170)


def draw_backdrop(scene: Scene, size: int) -> Image.Image:
    """Draw a scene without its items (RGB, `size` × `size`)."""
    wall, floor = BACKGROUNDS[scene.background]
    picture = Image.new("RGB", (size, size), wall)
    _BACKDROPS[scene.setting](ImageDraw.Draw(picture), size, wall, floor, scene.horizon)
    return picture


def _shade(colour: Rgb, towards: Rgb, share: float) -> Rgb:
    red, green, blue = (
        round(own + (other - own) * share) for own, other in zip(colour, towards, strict=True)
    )
    return red, green, blue


def _room(draw: ImageDraw.ImageDraw, size: int, wall: Rgb, floor: Rgb, horizon: float) -> None:
    draw.rectangle((0, round(horizon * size), size, size), fill=floor)


def _shelf(draw: ImageDraw.ImageDraw, size: int, wall: Rgb, floor: Rgb, horizon: float) -> None:
    wood = _shade(floor, (150, 106, 66), 0.55)
    edge = _shade(wood, (60, 40, 25), 0.4)
    for row in range(3):
        bottom = (row + 1) / 3
        draw.rectangle((0, (bottom - 0.05) * size, size, bottom * size), fill=wood)
        draw.rectangle((0, (bottom - 0.014) * size, size, bottom * size), fill=edge)
    for left in (0.0, 0.975):
        draw.rectangle((left * size, 0, (left + 0.025) * size, size), fill=edge)


def _tray(draw: ImageDraw.ImageDraw, size: int, wall: Rgb, floor: Rgb, horizon: float) -> None:
    draw.rectangle((0, 0, size, size), fill=_shade(floor, (90, 92, 98), 0.35))
    foam = _shade(wall, (228, 230, 234), 0.4)
    rim = _shade(foam, (70, 74, 84), 0.55)
    line = max(1, size // 90)
    box = (0.02 * size, 0.02 * size, 0.98 * size, 0.98 * size)
    draw.rounded_rectangle(box, size // 20, fill=foam, outline=rim, width=2 * line)
    for cut in (1 / 3, 2 / 3):
        draw.line((cut * size, 0.03 * size, cut * size, 0.97 * size), fill=rim, width=line)
        draw.line((0.03 * size, cut * size, 0.97 * size, cut * size), fill=rim, width=line)


def _plate(draw: ImageDraw.ImageDraw, size: int, wall: Rgb, floor: Rgb, horizon: float) -> None:
    steel = _shade(wall, _STEEL, 0.75)
    dark = _shade(steel, (40, 44, 52), 0.5)
    draw.rectangle((0, 0, size, size), fill=steel)
    # Brushed metal: fine lines, a little lighter.
    for row in range(0, size, max(2, size // 48)):
        draw.line((0, row, size, row), fill=_shade(steel, (255, 255, 255), 0.07))
    width = max(1, size // 100)
    draw.rectangle((0, 0, size - 1, size - 1), outline=dark, width=2 * width)
    radius = 0.014 * size
    for x in (0.035, 0.965):
        for y in (0.035, 0.965):
            box = (x * size - radius, y * size - radius, x * size + radius, y * size + radius)
            draw.ellipse(box, fill=dark)


_BACKDROPS: dict[str, Callable[[ImageDraw.ImageDraw, int, Rgb, Rgb, float], None]] = {
    "room": _room,
    "shelf": _shelf,
    "tray": _tray,
    "panel": _plate,
}
