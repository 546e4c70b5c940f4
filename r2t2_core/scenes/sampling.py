"""Random scenes, reproducible from a seed."""

from __future__ import annotations

import random

from r2t2_core.scenes.world import (
    BACKGROUNDS,
    BARS,
    GAUGE_MAXIMUM,
    KINDS,
    PAINTED_KINDS,
    PAINTS,
    PLAIN_BACKGROUNDS,
    SETTINGS,
    WORDS,
    Item,
    Light,
    Scene,
)

STYLES = ("plain", "varied", "cluttered", "shelf", "tray", "panel", "crowded")
"""`plain`: a room, two backgrounds, studio light. `varied`: a room, all backgrounds; light, noise,
blur and hue vary. `cluttered`: as varied, and things hide parts of others. A trade's name: that
setting in varied light. `crowded`: any setting, cluttered."""

STRAY = 0.12
"""Chance that a thing is of any kind, wherever the scene plays."""

INNER = 0.115
"""How far from its cell's centre a hidden or hiding thing may lie, as a fraction of the width."""


def sample_scene(rng: random.Random, style: str) -> Scene:
    """Draw a scene with three to nine things and, often, a sign, a gauge or a chart.

    Parameters
    ----------
    rng : random.Random
    style : str
        One of `STYLES`.
    """
    setting = rng.choice(tuple(SETTINGS)) if style == "crowded" else style
    if setting not in SETTINGS:
        setting = "room"
    cluttered = style in ("cluttered", "crowded") or (
        style in ("shelf", "tray") and rng.random() < 0.3
    )
    free = list(range(9))
    rng.shuffle(free)
    items: list[Item] = []
    # An instrument panel is full of instruments.
    often = 2.0 if setting == "panel" else 1.0
    if rng.random() < 0.3 * often:
        items.append(_sample_sign(rng, free))
    if rng.random() < 0.25 * often:
        items.append(_sample_panel(rng, free.pop(), "gauge", (rng.randint(0, GAUGE_MAXIMUM),)))
    if rng.random() < 0.25 * often:
        items.append(_sample_panel(rng, free.pop(), "chart", _bar_heights(rng)))
    items.extend(_sample_things(rng, free, setting))
    if cluttered:
        items = _clutter(rng, items, setting)
    if style == "plain":
        return Scene(tuple(items), rng.choice(PLAIN_BACKGROUNDS))
    light = Light(
        brightness=rng.uniform(0.72, 1.14),
        warmth=rng.uniform(-0.07, 0.09),
        noise=rng.uniform(0, 11),
        blur=rng.choice((0.0, 0.0, rng.uniform(0, 6))),
        hue=rng.choice((0.0, rng.uniform(-8, 8))),
        seed=rng.randrange(1 << 30),
    )
    background = rng.choice(tuple(BACKGROUNDS))
    return Scene(tuple(items), background, rng.uniform(0.5, 0.72), light, setting)


def style_of(scene: Scene) -> str:
    """Name a scene's style: its trade, or for a room `plain`, `varied` or `cluttered`."""
    if scene.setting != "room":
        return scene.setting
    if scene.light == Light():
        return "plain"
    hidden = any(
        one is not other and one.overlaps(other) for one in scene.things for other in scene.things
    )
    return "cluttered" if hidden else "varied"


def _sample_kind(rng: random.Random, setting: str) -> str:
    return rng.choice(KINDS if rng.random() < STRAY else SETTINGS[setting])


def _sample_things(rng: random.Random, free: list[int], setting: str) -> list[Item]:
    count = min(len(free), rng.randint(3, 7))
    focus_kind, focus_paint = _sample_kind(rng, setting), rng.choice(PAINTS)
    share = rng.choice((0.0, 0.35, 0.65))
    things = []
    for _ in range(count):
        kind = focus_kind if rng.random() < share else _sample_kind(rng, setting)
        colour = None
        if kind in PAINTED_KINDS:
            colour = focus_paint if rng.random() < share * 0.7 else rng.choice(PAINTS)
        x, y = _place(rng, free.pop())
        things.append(
            Item(kind, colour, x, y, rng.uniform(0.23, 0.30), angle=float(rng.randint(-2, 2) * 6))
        )
    return things


def _clutter(rng: random.Random, items: list[Item], setting: str) -> list[Item]:
    """Put one or two further things beside others, so that the nearer hides part of the other."""
    hosts = [item for item in items if item.kind in KINDS]
    rng.shuffle(hosts)
    added = []
    for host in hosts[: rng.randint(1, 2)]:
        kind = _sample_kind(rng, setting)
        colour = rng.choice(PAINTS) if kind in PAINTED_KINDS else None
        column, row = host.cell % 3, host.cell // 3
        side = rng.choice((-1, 1))
        nearer = rng.choice((-1, 1))
        first = (column + 0.5) / 3 - side * rng.uniform(0.07, INNER)
        second = (column + 0.5) / 3 + side * rng.uniform(0.07, INNER)
        middle, shift = (row + 0.5) / 3, rng.uniform(0.035, 0.06)
        moved = Item(host.kind, host.colour, _inside(first), middle - nearer * shift,
                     host.size * 0.9, angle=host.angle)  # fmt: skip
        items = [moved if item is host else item for item in items]
        added.append(
            Item(kind, colour, _inside(second), middle + nearer * shift, rng.uniform(0.2, 0.26),
                 angle=float(rng.randint(-2, 2) * 6))
        )  # fmt: skip
    return items + added


def _inside(x: float) -> float:
    """Keep a thing's centre so far from the picture's side that most of it is in the picture."""
    return min(max(x, 0.1), 0.9)


def _place(rng: random.Random, cell: int) -> tuple[float, float]:
    return (
        (cell % 3 + 0.5) / 3 + rng.uniform(-0.025, 0.025),
        (cell // 3 + 0.5) / 3 + rng.uniform(-0.025, 0.025),
    )


def _sample_panel(rng: random.Random, cell: int, kind: str, values: tuple[int, ...]) -> Item:
    x, y = _place(rng, cell)
    return Item(kind, None, x, y, rng.uniform(0.28, 0.31), values=values)


def _sample_sign(rng: random.Random, free: list[int]) -> Item:
    """A sign takes two neighbouring cells of a row."""
    left = rng.choice([0, 1, 3, 4, 6, 7])
    free.remove(left)
    free.remove(left + 1)
    x, y = _place(rng, left)
    return Item("sign", None, x + 1 / 6, y, rng.uniform(0.42, 0.5), word=rng.choice(WORDS))


def _bar_heights(rng: random.Random) -> tuple[int, ...]:
    """Three heights whose tallest and shortest differ from the middle one by two or more."""
    heights = [rng.randint(1, 3), rng.randint(4, 6), rng.randint(7, 9)]
    if heights[1] - heights[0] < 2:
        heights[0] = heights[1] - 2
    if heights[2] - heights[1] < 2:
        heights[2] = heights[1] + 2
    rng.shuffle(heights)
    assert len(heights) == len(BARS)
    return tuple(heights)
