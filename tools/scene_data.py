"""A split's scenes and questions, drawn and kept as arrays on disk."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from r2t2_core import scenes
from r2t2_core.models.scene_moe import processing_scene_moe
from r2t2_core.models.scene_moe.processing_scene_moe import to_pixels
from r2t2_core.scenes.phrasings import LANGUAGES
from r2t2_core.scenes.questions import ANSWERS, FAMILIES, Question, ask
from r2t2_core.scenes.render import render
from r2t2_core.scenes.sampling import sample_scene
from r2t2_core.scenes.world import Scene
from tools.splits import FAVOURITES, Split

RENDER_SIZE = 128
"""Training pictures are drawn at twice the model's input; shipped ones larger."""

MAP_SIZE = 16
"""Side of the experts' feature map, for the supervision of where they look."""


@dataclass(frozen=True)
class SplitData:
    """A split in memory.

    Attributes
    ----------
    pixels : ndarray (S, 64, 64, 3), uint8
    scene : ndarray (Q,), int64
        Row of the question's picture.
    text : list of str, length Q
    answer, family, language : ndarray (Q,), int64
        Places in `ANSWERS`, `FAMILIES`, `LANGUAGES`.
    first, second : ndarray (Q, 9), int16
        Cells of the feature map at the centres of the items that the question is about, −1 padded.
    """

    pixels: np.ndarray
    scene: np.ndarray
    text: list[str]
    answer: np.ndarray
    family: np.ndarray
    language: np.ndarray
    first: np.ndarray
    second: np.ndarray


def draw_scene(split: Split, number: int) -> tuple[Scene, random.Random]:
    """Return scene `number` of a split, and the generator with which its questions are asked."""
    rng = random.Random(split.seed + number)
    return sample_scene(rng, rng.choice(split.styles)), rng


def load(split: Split, cache: Path, workers: int = 2) -> SplitData:
    """Draw a split, or read it from the cache where the same recipe was drawn before."""
    path = cache / f"{split.name}-{_recipe(split)[:12]}.npz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        chunks = [
            (split, start, min(start + 250, split.scenes)) for start in range(0, split.scenes, 250)
        ]
        with ProcessPoolExecutor(workers) as pool:
            parts = list(pool.map(_draw_chunk, chunks))
        np.savez(path, **_join(parts))
    with np.load(path) as arrays:
        return SplitData(
            arrays["pixels"],
            arrays["scene"],
            [str(text) for text in arrays["text"]],
            arrays["answer"],
            arrays["family"],
            arrays["language"],
            arrays["first"],
            arrays["second"],
        )


def _recipe(split: Split) -> str:
    """Hash everything that decides what a split holds: the split and the code that draws it."""
    digest = hashlib.sha256(repr(split).encode())
    for path in sorted(Path(scenes.__file__).parent.glob("*.*")):
        digest.update(path.read_bytes())
    for path in (Path(__file__), Path(processing_scene_moe.__file__)):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _join(parts: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    offset, shifted = 0, []
    for part in parts:
        shifted.append(part["scene"] + offset)
        offset += len(part["pixels"])
    joined = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
    joined["scene"] = np.concatenate(shifted)
    return joined


def _draw_chunk(job: tuple[Split, int, int]) -> dict[str, np.ndarray]:
    split, start, stop = job
    rows: list[tuple[int, str, int, int, int, list[int], list[int]]] = []
    pixels = []
    for number in range(start, stop):
        scene, rng = draw_scene(split, number)
        asked = ask_several(rng, scene, split)
        if not asked:
            continue
        for question in asked:
            rows.append(
                (
                    len(pixels),
                    question.text,
                    ANSWERS.index(question.answer),
                    FAMILIES.index(question.family),
                    LANGUAGES.index(question.language),
                    _map_cells(scene, question.first),
                    _map_cells(scene, question.second),
                )
            )
        pixels.append(to_pixels(render(scene, RENDER_SIZE)))
    scene_row, text, answer, family, language, first, second = zip(*rows, strict=True)
    return {
        "pixels": np.stack(pixels),
        "scene": np.array(scene_row, dtype=np.int64),
        "text": np.array(text),
        "answer": np.array(answer, dtype=np.int64),
        "family": np.array(family, dtype=np.int64),
        "language": np.array(language, dtype=np.int64),
        "first": np.array(first, dtype=np.int16),
        "second": np.array(second, dtype=np.int16),
    }


def ask_several(rng: random.Random, scene: Scene, split: Split) -> list[Question]:
    """Ask up to `split.questions` different questions about a scene, by the split's recipe."""
    asked: list[Question] = []
    for _ in range(12 * split.questions):
        family = rng.choices(FAMILIES, split.weights)[0]
        language = rng.choice(split.languages)
        question = ask(rng, scene, family, rng.choice(split.phrasings), language, split.relations)
        if question is None or question in asked:
            continue
        chance = split.acceptance[FAMILIES.index(family)]
        if question.answer != FAVOURITES[family] and rng.random() > chance:
            continue
        asked.append(question)
        if len(asked) == split.questions:
            break
    return asked


def _map_cells(scene: Scene, items: tuple[int, ...]) -> list[int]:
    cells = [
        min(MAP_SIZE - 1, int(scene.items[index].y * MAP_SIZE)) * MAP_SIZE
        + min(MAP_SIZE - 1, int(scene.items[index].x * MAP_SIZE))
        for index in items[:9]
    ]
    return cells + [-1] * (9 - len(cells))
