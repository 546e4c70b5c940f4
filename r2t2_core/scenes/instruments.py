"""Signs, gauges and bar charts, drawn by code."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw, ImageFont

from r2t2_core.scenes.world import GAUGE_MAXIMUM, Item

SIGN_ASPECT = 0.46
"""Height of a sign over its width."""

_INK = (38, 40, 52)
_PANEL = (252, 252, 250)
_BAR = (46, 110, 190)


def _panel(item: Item, size: int, aspect: float) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    width = round(item.size * size) * 2
    panel = Image.new("RGBA", (width, round(width * aspect)), (0, 0, 0, 0))
    return panel, ImageDraw.Draw(panel)


def _paste_panel(picture: Image.Image, panel: Image.Image, item: Item, size: int) -> None:
    # Panels are drawn at twice their size and reduced, so that their edges are smooth.
    reduced = panel.reduce(2)
    left = round(item.x * size) - reduced.width // 2
    top = round(item.y * size) - reduced.height // 2
    shadow = Image.new("RGBA", reduced.size, (30, 30, 45, 0))
    shadow.putalpha(reduced.getchannel("A").point(lambda value: int(value * 0.3)))
    offset = max(1, size // 120)
    picture.paste(shadow, (left + offset, top + offset), shadow)
    picture.paste(reduced, (left, top), reduced)


def draw_sign(picture: Image.Image, item: Item, size: int) -> None:
    panel, draw = _panel(item, size, SIGN_ASPECT)
    width, height = panel.size
    border = max(2, width // 40)
    draw.rounded_rectangle(
        (0, 0, width - 1, height - 1), height // 6, fill=_PANEL, outline=_INK, width=border
    )
    font = ImageFont.load_default(size=round(height * 0.62))
    draw.text(
        (width / 2, height / 2),
        item.word,
        fill=_INK,
        font=font,
        anchor="mm",
        stroke_width=max(1, height // 40),
        stroke_fill=_INK,
    )
    _paste_panel(picture, panel, item, size)


def draw_gauge(picture: Image.Image, item: Item, size: int) -> None:
    panel, draw = _panel(item, size, 1.0)
    width = panel.width
    centre = width / 2
    border = max(2, width // 22)
    draw.ellipse((0, 0, width - 1, width - 1), fill=_PANEL, outline=_INK, width=border)
    for tick in range(GAUGE_MAXIMUM + 1):
        x, y = _gauge_direction(tick)
        inner, outer = centre * 0.70, centre * 0.84
        draw.line(
            (centre + x * inner, centre + y * inner, centre + x * outer, centre + y * outer),
            fill=(120, 124, 135),
            width=max(1, width // 50),
        )
    x, y = _gauge_direction(item.values[0])
    draw.line(
        (
            centre - x * centre * 0.12,
            centre - y * centre * 0.12,
            centre + x * centre * 0.74,
            centre + y * centre * 0.74,
        ),
        fill=(214, 40, 40),
        width=max(2, width // 13),
    )
    hub = width * 0.07
    draw.ellipse((centre - hub, centre - hub, centre + hub, centre + hub), fill=_INK)
    _paste_panel(picture, panel, item, size)


def _gauge_direction(value: int) -> tuple[float, float]:
    """Return the unit vector of a reading: 0 at the lower left, clockwise over 240 degrees."""
    angle = math.radians(150 + 240 * value / GAUGE_MAXIMUM)
    return math.cos(angle), math.sin(angle)


def draw_chart(picture: Image.Image, item: Item, size: int) -> None:
    panel, draw = _panel(item, size, 1.0)
    width = panel.width
    draw.rectangle(
        (0, 0, width - 1, width - 1), fill=_PANEL, outline=_INK, width=max(2, width // 40)
    )
    base, top = width * 0.88, width * 0.10
    for number, value in enumerate(item.values):
        left = width * (0.13 + 0.27 * number)
        draw.rectangle(
            (left, base - (base - top) * value / 9, left + width * 0.19, base), fill=_BAR
        )
    draw.line((width * 0.08, base, width * 0.92, base), fill=_INK, width=max(2, width // 40))
    _paste_panel(picture, panel, item, size)
