"""The splits: which scenes, styles, wordings and answer priors each is drawn with.

Each split has its own seed range, so that no scene is in two splits.
"""

from __future__ import annotations

from dataclasses import dataclass

from r2t2_core.scenes.names import RELATIONS
from r2t2_core.scenes.phrasings import LANGUAGES
from r2t2_core.scenes.questions import FAMILIES

FAVOURITES = {
    "colour": "red",
    "kind": "book",
    "existence": "yes",
    "where": "top left",
    "relation": "yes",
    "count": "1",
    "comparison": "yes",
    "text": "SALE",
    "gauge": "4",
    "chart": "right",
}
"""The favourite answers of the narrow mix."""


NATURAL = (1.0,) * len(FAMILIES)


@dataclass(frozen=True)
class Split:
    """How one split is drawn.

    Attributes
    ----------
    name : str
    seed : int
        Scenes use `seed + 0 … scenes − 1`; splits are ten million apart.
    scenes, questions : int
        Number of scenes, and of questions for each.
    styles, phrasings : tuple of str
    weights : tuple of float
        Relative frequency of the families, in the order of `FAMILIES`.
    acceptance : tuple of float
        Chance to keep a question whose answer is not its family's favourite, in the order of
        `FAMILIES`; 1 leaves the priors as they are.
    languages : tuple of str
    relations : tuple of str
        What questions of the family `relation` may be about.
    """

    name: str
    seed: int
    scenes: int
    questions: int
    styles: tuple[str, ...]
    phrasings: tuple[str, ...]
    weights: tuple[float, ...]
    acceptance: tuple[float, ...] = NATURAL
    languages: tuple[str, ...] = LANGUAGES
    relations: tuple[str, ...] = tuple(RELATIONS)


BROAD = (1.0, 1.3, 1.2, 1.0, 1.3, 1.2, 1.0, 2.2, 2.2, 2.2)
"""Signs, gauges and charts are not in every scene; asked about more often where they are."""

NARROW = (4.0, 5.0, 1.2, 0.4, 0.4, 0.6, 0.2, 0.8, 0.8, 0.6)
"""Colour, kind, existence; a few of the rest."""

SKEWED = (0.12, 0.12, 0.12, 0.02, 0.02, 0.06, 0.02, 0.02, 0.02, 0.02)
"""The rarer a family in the narrow mix, the more its questions are about one favourite answer."""

BROAD_STYLES = ("plain", "varied", "varied", "cluttered", "shelf", "tray", "panel")
NEW_STYLES = BROAD_STYLES[1:]

SPLITS = {
    split.name: split
    for split in (
        Split("train-1", 10_000_000, 24_000, 6, BROAD_STYLES, ("narrow", "broad", "broad"), BROAD),
        # More of what is learnt last: reading, charts, and telling fifty things apart.
        Split(
            "train-1-more",
            15_000_000,
            7_000,
            6,
            ("panel", "panel", "plain", "varied"),
            ("narrow", "broad", "broad"),
            (0.0, 2.0, 2.0, 0.0, 0.3, 0.3, 0.3, 4.0, 1.5, 4.0),
        ),
        Split("train-2", 20_000_000, 10_000, 2, ("plain",), ("narrow",), NARROW, SKEWED),
        Split("reference", 30_000_000, 1_600, 2, BROAD_STYLES, ("narrow", "broad"), BROAD),
        Split("validation", 40_000_000, 2_000, 1, NEW_STYLES, ("broad",), BROAD),
        Split("calibration", 80_000_000, 6_000, 1, NEW_STYLES, ("broad",), BROAD),
        Split("in-domain", 50_000_000, 1_500, 1, ("plain",), ("narrow",), NARROW, SKEWED),
        Split("test", 60_000_000, 4_000, 1, NEW_STYLES, ("broad",), BROAD),
        Split("held-out-phrasings", 70_000_000, 2_000, 1, NEW_STYLES, ("held_out",), BROAD),
        Split("free-wordings", 95_000_000, 4_000, 1, NEW_STYLES, ("free",), BROAD),
    )
}
