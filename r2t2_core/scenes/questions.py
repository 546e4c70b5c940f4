"""Questions about a scene, with their answers and what in the picture they are about."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from r2t2_core.scenes.names import DEPTH, EXTREMES, RELATIONS, Noun
from r2t2_core.scenes.phrasings import phrasings
from r2t2_core.scenes.world import (
    BARS,
    COLOURS,
    GAUGE_MAXIMUM,
    KINDS,
    PAINTED_KINDS,
    PAINTS,
    POSITIONS,
    SETTINGS,
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

APART = 0.15
"""Least distance along an axis for a relation to be asked, as a fraction of the width."""

APART_IN_DEPTH = 0.06
"""The same for the depth of two things of which one hides part of the other."""


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
    language : str
        `en` or `ja`.
    relation : str
        A key of `RELATIONS`, for the family `relation`.
    """

    family: str
    text: str
    answer: str
    first: tuple[int, ...] = ()
    second: tuple[int, ...] = ()
    language: str = "en"
    relation: str = ""


@dataclass(frozen=True)
class Asked:
    """What a question asks, before it is worded.

    Attributes
    ----------
    answer : str
    nouns : tuple of Noun
    first, second : tuple of int
        As in `Question`.
    relation : str
        A key of `RELATIONS`.
    maximum : bool
        Of a chart: is it about the tallest bar?
    """

    answer: str
    nouns: tuple[Noun, ...] = ()
    first: tuple[int, ...] = ()
    second: tuple[int, ...] = ()
    relation: str = ""
    maximum: bool = True


def ask(
    rng: random.Random,
    scene: Scene,
    family: str,
    group: str,
    language: str = "en",
    relations: tuple[str, ...] = tuple(RELATIONS),
) -> Question | None:
    """Ask a question of a family in a phrasing group; None where the scene allows none.

    `relations` are those that may be asked for; depth only in a room.
    """
    asked = draft(rng, scene, family, relations)
    if asked is None:
        return None
    text = word(rng, asked, family, group, language)
    return Question(family, text, asked.answer, asked.first, asked.second, language, asked.relation)


def draft(
    rng: random.Random, scene: Scene, family: str, relations: tuple[str, ...] = tuple(RELATIONS)
) -> Asked | None:
    """Decide what a question of a family asks; None where the scene allows none."""
    if family == "relation":
        return _relation(rng, scene, relations)
    return _MAKERS[family](rng, scene)


def word(rng: random.Random, asked: Asked, family: str, group: str, language: str) -> str:
    """Word what is asked, in a phrasing group and a language."""
    template = rng.choice(phrasings(language, family, group))
    return template.format(**_words(rng, asked, family, language))


def _words(rng: random.Random, asked: Asked, family: str, language: str) -> dict[str, str]:
    """Return what fills the places of a template."""
    plural = family in ("count", "comparison")
    said = [noun.say(language, plural) for noun in asked.nouns]
    words = dict(zip("pq" if plural else "ab", said, strict=False))
    if family == "existence":
        words["an"] = asked.nouns[0].say_one(language)
    if family == "kind":
        # "the red one": the colour alone, without the noun of any thing.
        words["c"] = (
            Noun(None, asked.nouns[0].colour)
            .say(language)
            .removesuffix("もの" if language == "ja" else " thing")
        )
    if asked.relation:
        words["r"] = rng.choice(RELATIONS[asked.relation][2][language])
    if family == "chart":
        words["m"] = rng.choice(EXTREMES[language][asked.maximum])
    return words


def _noun(item: Item, full: bool) -> Noun:
    return Noun(item.kind, item.colour if full else None)


def _unique(rng: random.Random, scene: Scene) -> list[tuple[int, Noun]]:
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
        found.append((index, _noun(item, full)))
    return found


def _colour(rng: random.Random, scene: Scene) -> Asked | None:
    single = [
        (index, item)
        for index, item in enumerate(scene.items)
        if item.kind in KINDS and sum(other.kind == item.kind for other in scene.things) == 1
    ]
    if not single:
        return None
    # A thing with one colour of its own tells its colour without the picture: asked less often.
    painted = [entry for entry in single if entry[1].colour]
    index, item = rng.choice(painted if painted and rng.random() < 0.6 else single)
    return Asked(item.seen_colour or "", (Noun(item.kind),), (index,))


def _kind(rng: random.Random, scene: Scene) -> Asked | None:
    seen = [item.seen_colour for item in scene.things]
    single = [
        (index, item)
        for index, item in enumerate(scene.items)
        if item.kind in KINDS and seen.count(item.seen_colour) == 1
    ]
    if not single:
        return None
    index, item = rng.choice(single)
    return Asked(item.kind, (Noun(None, item.seen_colour),), (index,))


def _existence(rng: random.Random, scene: Scene) -> Asked | None:
    if rng.random() < 0.5:
        noun = _noun(rng.choice(scene.things), rng.random() < 0.5)
    else:
        # What is not there is mostly something that could be.
        kind = rng.choice(KINDS if rng.random() < 0.5 else SETTINGS[scene.setting])
        noun = Noun(kind)
        if kind in PAINTED_KINDS and rng.random() < 0.5:
            near = [item for item in scene.things if item.kind in PAINTED_KINDS]
            kind = rng.choice(near).kind if near and rng.random() < 0.6 else kind
            noun = Noun(kind, rng.choice(PAINTS))
    matches = _matching(scene, noun)
    return Asked("yes" if matches else "no", (noun,), matches)


def _matching(scene: Scene, noun: Noun) -> tuple[int, ...]:
    """Return the things that a noun means; a named colour is a paint, or of things of any kind."""
    return tuple(
        index
        for index, item in enumerate(scene.items)
        if item.kind in KINDS
        and noun.kind in (None, item.kind)
        and noun.colour in (None, item.colour if noun.kind else item.seen_colour)
    )


def _where(rng: random.Random, scene: Scene) -> Asked | None:
    unique = _unique(rng, scene)
    if not unique:
        return None
    index, noun = rng.choice(unique)
    return Asked(POSITIONS[scene.items[index].cell], (noun,), (index,))


def _relation(rng: random.Random, scene: Scene, relations: tuple[str, ...]) -> Asked | None:
    unique = _unique(rng, scene)
    # Depth is read from the ground, which only a room has.
    allowed = [name for name in relations if name not in DEPTH or scene.setting == "room"]
    if not allowed:
        return None
    relation = rng.choice(allowed)
    axis, sign, _words_of_it = RELATIONS[relation]
    pairs = []
    for first, first_noun in unique:
        for second, second_noun in unique:
            one, other = scene.items[first], scene.items[second]
            least = APART_IN_DEPTH if relation in DEPTH and one.overlaps(other) else APART
            if abs(getattr(one, axis) - getattr(other, axis)) > least:
                pairs.append((first, first_noun, second, second_noun))
    if not pairs:
        return None
    hidden = [p for p in pairs if scene.items[p[0]].overlaps(scene.items[p[2]])]
    first, first_noun, second, second_noun = rng.choice(
        hidden if relation in DEPTH and hidden and rng.random() < 0.5 else pairs
    )
    difference = getattr(scene.items[first], axis) - getattr(scene.items[second], axis)
    answer = "yes" if difference * sign > 0 else "no"
    return Asked(answer, (first_noun, second_noun), (first,), (second,), relation)


def _countable(rng: random.Random, scene: Scene) -> Noun:
    """Return a noun that is likely in the scene."""
    item = rng.choice(scene.things)
    present = rng.random() < 0.85
    if rng.random() < 0.3:
        return Noun(None, item.seen_colour if present else rng.choice(COLOURS))
    kind = item.kind if present else rng.choice(SETTINGS[scene.setting])
    if kind in PAINTED_KINDS and rng.random() < 0.25:
        return Noun(kind, item.colour if present and item.colour else rng.choice(PAINTS))
    return Noun(kind)


def _count(rng: random.Random, scene: Scene) -> Asked | None:
    noun = _countable(rng, scene)
    matches = _matching(scene, noun)
    if len(matches) > GAUGE_MAXIMUM:
        return None
    return Asked(str(len(matches)), (noun,), matches)


def _comparison(rng: random.Random, scene: Scene) -> Asked | None:
    for _ in range(8):
        nouns = _countable(rng, scene), _countable(rng, scene)
        first, second = (_matching(scene, noun) for noun in nouns)
        more = len(first) > len(second)
        # Without this, ties and fewer would make "no" the better guess.
        if nouns[0] != nouns[1] and (more or rng.random() < 0.6):
            return Asked("yes" if more else "no", nouns, first, second)
    return None


def _panel(scene: Scene, kind: str) -> tuple[int, Item] | None:
    for index, item in enumerate(scene.items):
        if item.kind == kind:
            return index, item
    return None


def _text(rng: random.Random, scene: Scene) -> Asked | None:
    found = _panel(scene, "sign")
    return found and Asked(found[1].word, first=(found[0],))


def _gauge(rng: random.Random, scene: Scene) -> Asked | None:
    found = _panel(scene, "gauge")
    return found and Asked(str(found[1].values[0]), first=(found[0],))


def _chart(rng: random.Random, scene: Scene) -> Asked | None:
    found = _panel(scene, "chart")
    if found is None:
        return None
    index, item = found
    maximum = rng.random() < 0.5
    bar = BARS[item.values.index((max if maximum else min)(item.values))]
    return Asked(bar, first=(index,), maximum=maximum)


_MAKERS: dict[str, Callable[[random.Random, Scene], Asked | None]] = {
    "colour": _colour,
    "kind": _kind,
    "existence": _existence,
    "where": _where,
    "count": _count,
    "comparison": _comparison,
    "text": _text,
    "gauge": _gauge,
    "chart": _chart,
}
