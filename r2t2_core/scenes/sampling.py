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
    WORDS,
    Item,
    Light,
    Scene,
)

STYLES = ("plain", "varied")
"""`plain`: two backgrounds, studio light. `varied`: all backgrounds; light, noise and blur vary."""


def sample_scene(rng: random.Random, style: str) -> Scene:
    """Draw a scene with three to seven things and, often, a sign, a gauge or a chart.

    Parameters
    ----------
    rng : random.Random
    style : str
        One of `STYLES`.
    """
    free = list(range(9))
    rng.shuffle(free)
    items: list[Item] = []
    if rng.random() < 0.3:
        items.append(_sample_sign(rng, free))
    if rng.random() < 0.25:
        items.append(_sample_panel(rng, free.pop(), "gauge", (rng.randint(0, GAUGE_MAXIMUM),)))
    if rng.random() < 0.25:
        items.append(_sample_panel(rng, free.pop(), "chart", _bar_heights(rng)))
    items.extend(_sample_things(rng, free))
    if style == "plain":
        return Scene(tuple(items), rng.choice(PLAIN_BACKGROUNDS))
    light = Light(
        brightness=rng.uniform(0.72, 1.14),
        warmth=rng.uniform(-0.07, 0.09),
        noise=rng.uniform(0, 11),
        blur=rng.choice((0.0, 0.0, rng.uniform(0, 6))),
        seed=rng.randrange(1 << 30),
    )
    return Scene(tuple(items), rng.choice(tuple(BACKGROUNDS)), rng.uniform(0.5, 0.72), light)


def _sample_things(rng: random.Random, free: list[int]) -> list[Item]:
    count = min(len(free), rng.randint(3, 7))
    focus_kind, focus_paint = rng.choice(KINDS), rng.choice(PAINTS)
    share = rng.choice((0.0, 0.35, 0.65))
    things = []
    for _ in range(count):
        kind = focus_kind if rng.random() < share else rng.choice(KINDS)
        colour = None
        if kind in PAINTED_KINDS:
            colour = focus_paint if rng.random() < share * 0.7 else rng.choice(PAINTS)
        x, y = _place(rng, free.pop())
        things.append(
            Item(kind, colour, x, y, rng.uniform(0.23, 0.30), angle=float(rng.randint(-2, 2) * 6))
        )
    return things


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
