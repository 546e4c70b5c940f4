"""Questions about a scene, with their answers and what in the picture they are about."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from r2t2_core.scenes.phrasings import PHRASINGS, PLURALS, RELATIONS, with_article
from r2t2_core.scenes.world import (
    BARS,
    COLOURS,
    GAUGE_MAXIMUM,
    KINDS,
    PAINTED_KINDS,
    PAINTS,
    POSITIONS,
    WORDS,
    Item,
    Scene,
)

FAMILIES = (
    "colour", "kind", "existence", "where", "relation",
    "count", "comparison", "text", "gauge", "chart",
)  # fmt: skip

ANSWERS = (
    *COLOURS,
    *KINDS,
    *POSITIONS,
    "yes",
    "no",
    *(str(number) for number in range(GAUGE_MAXIMUM + 1)),
    *WORDS,
    "middle",
)
"""The answer vocabulary; the names of bars `left` and `right` are those of positions."""


@dataclass(frozen=True)
class Question:
    """A question about a scene.

    Attributes
    ----------
    family : str
        One of `FAMILIES`.
    text : str
    answer : str
        One of `ANSWERS`.
    first, second : tuple of int
        Indices of the scene's items that the first and the second noun mean. They
        supervise where the position and count experts look.
    """

    family: str
    text: str
    answer: str
    first: tuple[int, ...] = ()
    second: tuple[int, ...] = ()


Fields = tuple[dict[str, str], str, tuple[int, ...], tuple[int, ...]]


def ask(rng: random.Random, scene: Scene, family: str, group: str) -> Question | None:
    """Ask a question of a family in a phrasing group; None where the scene allows none."""
    made = _MAKERS[family](rng, scene)
    if made is None:
        return None
    fields, answer, first, second = made
    template = rng.choice(PHRASINGS[family][group])
    return Question(family, template.format(**fields), answer, first, second)


def _name(item: Item, full: bool) -> str:
    return f"{item.colour} {item.kind}" if full and item.colour else item.kind


def _unique(rng: random.Random, scene: Scene) -> list[tuple[int, str]]:
    """Things that a name singles out: their index and the shortest or a longer such name."""
    found = []
    for index, item in enumerate(scene.items):
        if item.kind not in KINDS:
            continue
        alike = [other for other in scene.things if other.kind == item.kind]
        same = [other for other in alike if other.colour == item.colour]
        if len(same) > 1:
            continue
        full = len(alike) > 1 or rng.random() < 0.25
        found.append((index, _name(item, full)))
    return found


def _colour(rng: random.Random, scene: Scene) -> Fields | None:
    single = [
        (index, item)
        for index, item in enumerate(scene.items)
        if item.kind in KINDS and sum(other.kind == item.kind for other in scene.things) == 1
    ]
    if not single:
        return None
    index, item = rng.choice(single)
    return {"a": item.kind}, item.seen_colour or "", (index,), ()


def _kind(rng: random.Random, scene: Scene) -> Fields | None:
    seen = [item.seen_colour for item in scene.things]
    single = [
        (index, item)
        for index, item in enumerate(scene.items)
        if item.kind in KINDS and seen.count(item.seen_colour) == 1
    ]
    if not single:
        return None
    index, item = rng.choice(single)
    return {"c": item.seen_colour or ""}, item.kind, (index,), ()


def _existence(rng: random.Random, scene: Scene) -> Fields | None:
    if rng.random() < 0.5:
        item = rng.choice(scene.things)
        name = _name(item, rng.random() < 0.5)
    else:
        kind = rng.choice(KINDS)
        if kind in PAINTED_KINDS and rng.random() < 0.5:
            near = [item for item in scene.things if item.kind in PAINTED_KINDS]
            kind = rng.choice(near).kind if near and rng.random() < 0.6 else kind
            name = f"{rng.choice(PAINTS)} {kind}"
        else:
            name = kind
    matches = _matching(scene, name)
    return {"an": with_article(name)}, "yes" if matches else "no", matches, ()


def _matching(scene: Scene, name: str) -> tuple[int, ...]:
    return tuple(
        index
        for index, item in enumerate(scene.items)
        if item.kind in KINDS and name in (item.kind, _name(item, True))
    )


def _where(rng: random.Random, scene: Scene) -> Fields | None:
    unique = _unique(rng, scene)
    if not unique:
        return None
    index, name = rng.choice(unique)
    return {"a": name}, POSITIONS[scene.items[index].cell], (index,), ()


def _relation(rng: random.Random, scene: Scene) -> Fields | None:
    unique = _unique(rng, scene)
    wording = rng.choice(tuple(RELATIONS))
    axis, sign = RELATIONS[wording]
    pairs = [
        (first, second)
        for first in unique
        for second in unique
        if abs(getattr(scene.items[first[0]], axis) - getattr(scene.items[second[0]], axis)) > 0.15
    ]
    if not pairs:
        return None
    (first, first_name), (second, second_name) = rng.choice(pairs)
    difference = getattr(scene.items[first], axis) - getattr(scene.items[second], axis)
    fields = {"a": first_name, "b": second_name, "r": wording}
    return fields, "yes" if difference * sign > 0 else "no", (first,), (second,)


def _countable(rng: random.Random, scene: Scene) -> tuple[str, tuple[int, ...]]:
    """A plural noun, likely one that is in the scene, and the items that it means."""
    item = rng.choice(scene.things)
    present = rng.random() < 0.85
    if rng.random() < 0.3:
        colour = item.seen_colour if present else rng.choice(COLOURS)
        matches = tuple(
            index for index, other in enumerate(scene.items) if other.seen_colour == colour
        )
        return f"{colour} things", matches
    kind = item.kind if present else rng.choice(KINDS)
    if kind in PAINTED_KINDS and rng.random() < 0.25:
        colour = item.colour if present and item.colour else rng.choice(PAINTS)
        return f"{colour} {PLURALS[kind]}", _matching(scene, f"{colour} {kind}")
    return PLURALS[kind], _matching(scene, kind)


def _count(rng: random.Random, scene: Scene) -> Fields | None:
    noun, matches = _countable(rng, scene)
    if len(matches) > GAUGE_MAXIMUM:
        return None
    return {"p": noun}, str(len(matches)), matches, ()


def _comparison(rng: random.Random, scene: Scene) -> Fields | None:
    for _ in range(8):
        first, second = _countable(rng, scene), _countable(rng, scene)
        more = len(first[1]) > len(second[1])
        # Without this, ties and fewer would make "no" the better guess.
        if first[0] != second[0] and (more or rng.random() < 0.6):
            fields = {"p": first[0], "q": second[0]}
            return fields, "yes" if more else "no", first[1], second[1]
    return None


def _panel(scene: Scene, kind: str) -> tuple[int, Item] | None:
    for index, item in enumerate(scene.items):
        if item.kind == kind:
            return index, item
    return None


def _text(rng: random.Random, scene: Scene) -> Fields | None:
    found = _panel(scene, "sign")
    return found and ({}, found[1].word, (found[0],), ())


def _gauge(rng: random.Random, scene: Scene) -> Fields | None:
    found = _panel(scene, "gauge")
    return found and ({}, str(found[1].values[0]), (found[0],), ())


def _chart(rng: random.Random, scene: Scene) -> Fields | None:
    found = _panel(scene, "chart")
    if found is None:
        return None
    index, item = found
    word, pick = rng.choice(
        (("tallest", max), ("highest", max), ("shortest", min), ("lowest", min))
    )
    return {"m": word}, BARS[item.values.index(pick(item.values))], (index,), ()


_MAKERS: dict[str, Callable[[random.Random, Scene], Fields | None]] = {
    "colour": _colour,
    "kind": _kind,
    "existence": _existence,
    "where": _where,
    "relation": _relation,
    "count": _count,
    "comparison": _comparison,
    "text": _text,
    "gauge": _gauge,
    "chart": _chart,
}
