"""Build the gallery (`sample_data/gallery/`): cases with a spread of outcomes.

    python -m tools.build_gallery

Scenes come from a seed range of their own. Cases are chosen by what the default strategy does
to them, so that repaired, unchanged and broken ones are all there; the gallery is a tour, not
a measurement (that is `tools/results.py`).
"""

from __future__ import annotations

import json
import random
import shutil
from collections import Counter
from io import BytesIO

import torch
import typer

from r2t2_core.engine import Engine
from r2t2_core.gallery import GalleryCase
from r2t2_core.scenes.questions import FAMILIES, Question, ask
from r2t2_core.scenes.render import render
from r2t2_core.scenes.sampling import STYLES, sample_scene
from r2t2_core.settings import Settings

SEED = 90_000_000
PICTURE = 448
WANTED = {"repaired": 12, "unchanged_right": 5, "unchanged_wrong": 2, "broken": 2}
CHAIRS = 2
"""Cases of the kind "where is the chair?" that come first."""

PER_FAMILY = {"repaired": 2, "unchanged_right": 2, "unchanged_wrong": 2, "broken": 3}
MOST_SCENES = 700


def outcome_of(before: str, after: str, label: str) -> str:
    """Name what happened to an answer."""
    if before == label:
        return "unchanged_right" if after == label else "broken"
    return "repaired" if after == label else "unchanged_wrong"


def main() -> None:
    """Draw scenes until every kind of outcome has its cases."""
    torch.set_num_threads(2)
    settings = Settings()
    engine = Engine.load(settings)
    folder = settings.gallery_dir
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found: list[tuple[GalleryCase, bytes]] = []
    families: Counter[tuple[str, str]] = Counter()
    counts: Counter[str] = Counter()
    chairs = 0
    for number in range(MOST_SCENES):
        rng = random.Random(SEED + number)
        scene = sample_scene(rng, rng.choice(STYLES))
        question = _question(rng, scene, chairs < CHAIRS)
        if question is None:
            continue
        buffer = BytesIO()
        render(scene, PICTURE).save(buffer, "JPEG", quality=92)
        decision = engine.answer(
            buffer.getvalue(), question.text, strategies=[engine.default_strategy]
        )
        outcome = outcome_of(decision.base.answer, decision.final.answer, question.answer)
        is_chair = question.family == "where" and "chair" in question.text
        if chairs < CHAIRS and (outcome != "repaired" or not is_chair):
            continue
        full = counts[outcome] >= WANTED[outcome]
        if full or families[outcome, question.family] >= PER_FAMILY[outcome]:
            continue
        counts[outcome] += 1
        families[outcome, question.family] += 1
        chairs += is_chair
        name = f"case-{number:05d}"
        case = GalleryCase(
            id=name,
            image=f"{name}.jpg",
            question=question.text[0].upper() + question.text[1:],
            label=question.answer,
            family=question.family,
            outcome=outcome,
        )
        found.append((case, buffer.getvalue()))
        if counts == Counter(WANTED):
            break
    # A tour: repaired ones first, but with the other outcomes in sight.
    order = sorted(found, key=lambda entry: list(WANTED).index(entry[0].outcome))
    mixed = [*order[:6], *[e for e in order[6:] if e[0].outcome == "broken"][:1], *order[6:]]
    unique = list({entry[0].id: entry for entry in mixed}.values())
    for case, data in unique:
        (folder / case.image).write_bytes(data)
    cases = [case.model_dump(mode="json") for case, _data in unique]
    text = json.dumps(cases, indent=1, ensure_ascii=False) + "\n"
    (folder / "cases.json").write_text(text, encoding="utf-8")
    print(dict(counts), f"after {number + 1} scenes")


def _question(rng: random.Random, scene, chair_first: bool) -> Question | None:
    if chair_first:
        question = ask(rng, scene, "where", "narrow")
        return question if question and "chair" in question.text else None
    family = rng.choice(FAMILIES)
    return ask(rng, scene, family, rng.choice(("narrow", "broad")))


if __name__ == "__main__":
    typer.run(main)
