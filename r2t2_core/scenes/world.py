"""What there is in the world: kinds of things, colours, words on signs, backgrounds, scenes."""

from __future__ import annotations

from dataclasses import dataclass, field

PAINTS = ("red", "yellow", "green", "blue", "purple", "black")
"""Colours that a thing can be painted in."""

COLOURS = (*PAINTS, "brown", "grey")

PAINTED_KINDS = ("book", "cup", "shirt", "cap", "umbrella", "car")
"""Kinds that exist in every paint."""

NATURAL_COLOUR = {
    "chair": "brown",
    "box": "brown",
    "bread": "brown",
    "clock": "red",
    "apple": "red",
    "key": "yellow",
    "banana": "yellow",
    "ball": "blue",
    "wrench": "grey",
}
"""Kinds with one colour of their own."""

KINDS = (*PAINTED_KINDS, *NATURAL_COLOUR)

WORDS = ("EXIT", "OPEN", "SALE", "STOP", "HOT", "TEA", "BUS", "ICE", "MILK", "GYM")
"""What a sign can say."""

GAUGE_MAXIMUM = 8

POSITIONS = (
    "top left",
    "top",
    "top right",
    "left",
    "centre",
    "right",
    "bottom left",
    "bottom",
    "bottom right",
)
"""The nine cells of the picture, row by row."""

BARS = ("left", "middle", "right")

BACKGROUNDS: dict[str, tuple[tuple[int, int, int], tuple[int, int, int]]] = {
    "cream": ((240, 236, 228), (206, 200, 190)),
    "sky": ((214, 223, 232), (182, 190, 200)),
    "sand": ((236, 227, 214), (203, 192, 178)),
    "mint": ((224, 232, 214), (194, 199, 182)),
    "rose": ((238, 222, 222), (205, 188, 190)),
    "slate": ((205, 208, 214), (170, 174, 182)),
}
"""Wall and floor (RGB)."""

PLAIN_BACKGROUNDS = ("cream", "sky")
"""The one style that the router's narrow training mix has seen."""


@dataclass(frozen=True)
class Item:
    """A thing in a scene.

    Attributes
    ----------
    kind : str
        One of `KINDS`, or `sign`, `gauge`, `chart`.
    colour : str or None
        Paint, for painted kinds.
    x, y : float
        Centre, as a fraction of the picture's width and height.
    size : float
        Width of its box as a fraction of the picture's width.
    word : str
        What a sign says.
    values : tuple of int
        A gauge's reading (one), or a chart's three bar heights (1 to 9).
    angle : float
        Turn in degrees.
    """

    kind: str
    colour: str | None = None
    x: float = 0.5
    y: float = 0.5
    size: float = 0.26
    word: str = ""
    values: tuple[int, ...] = ()
    angle: float = 0.0

    @property
    def seen_colour(self) -> str | None:
        """The colour that a person would name; `None` for signs, gauges and charts."""
        return self.colour or NATURAL_COLOUR.get(self.kind)

    @property
    def cell(self) -> int:
        """Index of the cell of its centre in `POSITIONS`."""
        return min(2, int(self.y * 3)) * 3 + min(2, int(self.x * 3))


@dataclass(frozen=True)
class Light:
    """How the picture was taken; the default is plain studio light."""

    brightness: float = 1.0
    warmth: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Scene:
    """Things before a background."""

    items: tuple[Item, ...]
    background: str = "cream"
    horizon: float = 0.62
    light: Light = field(default_factory=Light)

    @property
    def things(self) -> tuple[Item, ...]:
        """Items that have a kind and a colour."""
        return tuple(item for item in self.items if item.kind in KINDS)
