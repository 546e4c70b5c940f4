"""Build the shipped suites (`sample_data/suites/`) from seeds.

    python -m tools.build_suites

Each suite has seeds, families, styles and priors of its own; none shares a scene with any split
of the training, the reference set or the validation.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from r2t2_core.evaluation.suites import SuiteManifest, SuiteSample, write_suite
from r2t2_core.scenes.questions import FAMILIES
from r2t2_core.scenes.render import render
from r2t2_core.settings import Settings
from tools.scene_data import NARROW, SPLITS, Split, ask_several, draw_scene

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
           phrasings: tuple[str, ...] = ("broad",), styles: tuple[str, ...] = ("varied",),
           acceptance: float = 1.0) -> Recipe:  # fmt: skip
    """Make a suite's recipe: two questions a scene."""
    weights = tuple(families.get(family, 0.0) for family in FAMILIES)
    split = replace(
        BROAD,
        name=name,
        seed=100_000_000 + number * 1_000_000,
        scenes=MOST_SCENES,
        questions=2,
        styles=styles,
        phrasings=phrasings,
        weights=weights,
        acceptance=acceptance,
    )
    return Recipe(title, description, split)


EVERYTHING = dict(zip(FAMILIES, BROAD.weights, strict=True))

RECIPES = (
    recipe("general", 0, "General", "All families in new styles and wordings.", EVERYTHING),
    recipe("position", 1, "Position", "Where things are, and how they lie to each other.",
           {"where": 1, "relation": 1}),
    recipe("counting", 2, "Counting", "How many, and whether more of one than of another.",
           {"count": 1, "comparison": 1}),
    recipe("reading", 3, "Reading", "What a sign says.", {"text": 1, "existence": 0.2}),
    recipe("charts", 4, "Charts and gauges", "What a gauge shows, which bar is tallest.",
           {"gauge": 1, "chart": 1}),
    recipe("things", 5, "Things and colours", "What the router's training was mostly about.",
           {"colour": 1, "kind": 1, "existence": 1}),
    recipe("in-domain", 6, "In domain", "The plain style and wordings of the router's training.",
           dict(zip(FAMILIES, NARROW, strict=True)), ("narrow",), ("plain",),
           SPLITS["in-domain"].acceptance),
    recipe("new-wordings", 7, "New wordings", "Wordings of no training and no reference.",
           EVERYTHING, ("held_out",)),
)  # fmt: skip


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
        render(scene, PICTURE).save(path, quality=82, method=6)
        samples += [
            SuiteSample(f"{number:04d}-{place}", path, question.text, question.answer,
                        question.family, split.styles[0], "en")
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
    )
    write_suite(root, manifest, samples)
    return len(samples)


def main(out: Path | None = None) -> None:
    """Build all suites."""
    folder = out or Settings().sample_data / "suites"
    shutil.rmtree(folder, ignore_errors=True)
    for made in RECIPES:
        print(made.split.name, build(made, folder / made.split.name), flush=True)


if __name__ == "__main__":
    typer.run(main)
