"""Build the shipped suites (`sample_data/suites/`) from seeds.

    python -m tools.build_suites

Each suite has seeds, families, styles and priors of its own; none shares a scene with any split
of the training, the reference set or the validation.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import typer

from r2t2_core.evaluation.suites import SuiteManifest, SuiteSample, write_suite
from r2t2_core.scenes.names import DEPTH
from r2t2_core.scenes.questions import FAMILIES
from r2t2_core.scenes.render import render
from r2t2_core.scenes.sampling import style_of
from r2t2_core.scenes.world import TRADES
from r2t2_core.settings import Settings
from tools.scene_data import ask_several, draw_scene
from tools.splits import NARROW, SKEWED, SPLITS, Split

PICTURE = 128

SIZE = 1200
"""Questions in a suite, at least."""

MOST_SCENES = 5000
"""Scenes that are looked at, since not every one has a gauge or a chart."""

BROAD = SPLITS["test"]


@dataclass(frozen=True)
class Recipe:
    """How a suite is drawn.

    Attributes
    ----------
    title, description : str
    split : Split
    """

    title: str
    description: str
    split: Split


def recipe(name: str, number: int, title: str, description: str, families: dict[str, float],
           **changes: Any) -> Recipe:  # fmt: skip
    """Make a suite's recipe: two questions a scene; `changes` are fields of `Split`."""
    split = replace(
        BROAD,
        name=name,
        seed=100_000_000 + number * 1_000_000,
        scenes=MOST_SCENES,
        questions=2,
        weights=tuple(families.get(family, 0.0) for family in FAMILIES),
    )
    return Recipe(title, description, replace(split, **changes))


EVERYTHING = dict(zip(FAMILIES, BROAD.weights, strict=True))

RARE_ANSWERS = (0.5,) * len(FAMILIES)
"""Half of the answers that are not the training's favourites are left out: other priors again."""

RECIPES = (
    recipe("general", 0, "General", "All families, settings and both languages.", EVERYTHING),
    recipe("position", 1, "Position", "Where things are, and how they lie to each other.",
           {"where": 1, "relation": 1}, relations=("left", "right", "above", "below")),
    recipe("depth", 2, "Depth and occlusion", "What is in front, and things that hide others.",
           {"relation": 2, "where": 0.5, "existence": 0.6, "count": 0.6},
           styles=("cluttered",), relations=DEPTH),
    recipe("counting", 3, "Counting", "How many, and whether more of one than of another.",
           {"count": 1, "comparison": 1}),
    recipe("reading", 4, "Reading", "What a sign says.", {"text": 1, "existence": 0.2}),
    recipe("charts", 5, "Charts and gauges", "What a gauge shows, which bar is tallest.",
           {"gauge": 1, "chart": 1}),
    recipe("trades", 6, "Trades", "A shop's shelf, an assembly tray, an instrument panel.",
           EVERYTHING, styles=TRADES),
    recipe("hard", 7, "Hard mix", "Crowded scenes, new wordings, answers unlike the training's.",
           EVERYTHING, styles=("crowded",), phrasings=("held_out", "free"),
           acceptance=RARE_ANSWERS),
)  # fmt: skip
"""The default eight."""

FURTHER = (
    recipe("in-domain", 8, "In domain", "The plain style and wordings of the router's training.",
           dict(zip(FAMILIES, NARROW, strict=True)), phrasings=("narrow",), styles=("plain",),
           acceptance=SKEWED),
    recipe("free-wordings", 9, "Free wordings",
           "Twenty wordings a family and language, by somebody who had not seen the others.",
           dict.fromkeys(FAMILIES, 1.0), phrasings=("free",)),
)  # fmt: skip
"""Run when they are named."""


def build(made: Recipe, root: Path) -> int:
    """Draw a suite's pictures and questions into a folder; return its size."""
    split = made.split
    (root / "images").mkdir(parents=True)
    samples = []
    for number in range(split.scenes):
        if len(samples) >= SIZE:
            break
        scene, rng = draw_scene(split, number)
        questions = ask_several(rng, scene, split)
        if not questions:
            continue
        path = root / "images" / f"{number:04d}.webp"
        render(scene, PICTURE).save(path, quality=74, method=6)
        samples += [
            SuiteSample(f"{number:04d}-{place}", path, question.text, question.answer,
                        question.family, style_of(scene), question.language)
            for place, question in enumerate(questions)
        ]  # fmt: skip
    manifest = SuiteManifest(
        name=split.name,
        title=made.title,
        description=made.description,
        size=len(samples),
        source=f"tools/build_suites.py, seeds from {split.seed}",
        licence="Apache-2.0; sprites: Fluent Emoji 3D, MIT",
        file_hashes={},
        by_default=made not in FURTHER,
    )
    write_suite(root, manifest, samples)
    return len(samples)


def main(out: Path | None = None) -> None:
    """Build all suites."""
    folder = out or Settings().sample_data / "suites"
    shutil.rmtree(folder, ignore_errors=True)
    for made in (*RECIPES, *FURTHER):
        print(made.split.name, build(made, folder / made.split.name), flush=True)


if __name__ == "__main__":
    typer.run(main)
