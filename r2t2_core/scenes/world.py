"""What there is in the world: kinds of things, colours, words on signs, settings, scenes."""

from __future__ import annotations

from dataclasses import dataclass, field

PAINTS = ("red", "yellow", "green", "blue", "purple", "black")
"""Colours that a thing can be painted in."""

COLOURS = (*PAINTS, "brown", "grey", "orange")

PAINTED_KINDS = (
    "book", "cup", "shirt", "cap", "umbrella", "car", "balloon", "bucket", "backpack", "light",
)  # fmt: skip
"""Kinds that exist in every paint."""

NATURAL_COLOUR = {
    "chair": "brown", "box": "brown", "bread": "brown", "clock": "red", "apple": "red",
    "key": "yellow", "banana": "yellow", "ball": "blue", "wrench": "grey", "plant": "green",
    "cactus": "green", "teddy": "brown", "bell": "yellow", "television": "grey",
    "camera": "black", "door": "brown", "can": "red", "cheese": "yellow", "carrot": "orange",
    "tomato": "red", "lemon": "yellow", "cookie": "brown", "jar": "brown", "bottle": "green",
    "pear": "green", "bolt": "grey", "battery": "green", "gear": "grey", "magnet": "red",
    "brick": "orange", "toolbox": "red", "lock": "yellow", "plug": "black", "ladder": "brown",
    "switch": "grey", "pencil": "orange",
}  # fmt: skip
"""Kinds with one colour of their own."""

KINDS = (*PAINTED_KINDS, *NATURAL_COLOUR)

SETTINGS: dict[str, tuple[str, ...]] = {
    "room": (
        "book", "cup", "shirt", "cap", "umbrella", "car", "balloon", "backpack", "chair", "box",
        "clock", "key", "ball", "plant", "cactus", "teddy", "bell", "television", "camera", "door",
        "pencil",
    ),
    "shelf": (
        "bread", "apple", "banana", "can", "cheese", "carrot", "tomato", "lemon", "cookie", "jar",
        "bottle", "pear", "cup", "box", "shirt", "cap", "bucket", "battery",
    ),
    "tray": (
        "wrench", "bolt", "battery", "gear", "magnet", "brick", "toolbox", "lock", "plug", "key",
        "ladder", "pencil", "box", "bucket",
    ),
    "panel": ("light", "switch", "bell", "clock", "lock", "plug", "battery", "gear", "key"),
}  # fmt: skip
"""Where a scene plays, and the kinds that belong there; a stray thing of another kind is rare.

`room` is the general one; a shop's `shelf`, an assembly `tray` and an instrument `panel` are the
trades of the playbooks.
"""

TRADES = ("shelf", "tray", "panel")

WORDS = (
    "EXIT", "OPEN", "SALE", "STOP", "HOT", "TEA", "BUS", "ICE", "MILK", "GYM", "OIL", "FUEL",
)  # fmt: skip
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
"""Two colours (RGB): a room's wall and floor, a shelf's back and boards, and so on."""

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

    def overlaps(self, other: Item) -> bool:
        """Tell whether the two boxes overlap by a fifth of their width or more."""
        reach = 0.4 * (self.size + other.size)
        return abs(self.x - other.x) < reach and abs(self.y - other.y) < reach


@dataclass(frozen=True)
class Light:
    """How the picture was taken; the default is plain studio light.

    Attributes
    ----------
    brightness : float
        Gain of all channels.
    warmth : float
        Gain of red, and loss of blue.
    noise : float
        Standard deviation in grey levels (of 255).
    blur : float
        Radius in thousandths of the picture's width.
    hue : float
        Turn of all hues, in degrees.
    seed : int
        Of the noise.
    """

    brightness: float = 1.0
    warmth: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    hue: float = 0.0
    seed: int = 0


@dataclass(frozen=True)
class Scene:
    """Things in a setting; what is lower in the picture is nearer and hides what is behind."""

    items: tuple[Item, ...]
    background: str = "cream"
    horizon: float = 0.62
    light: Light = field(default_factory=Light)
    setting: str = "room"

    @property
    def things(self) -> tuple[Item, ...]:
        """Items that have a kind and a colour."""
        return tuple(item for item in self.items if item.kind in KINDS)
