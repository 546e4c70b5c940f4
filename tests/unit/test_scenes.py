"""The world of scenes: what is asked is what is drawn."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from r2t2_core.scenes import Item, Light, Scene, render
from r2t2_core.scenes.phrasings import PHRASINGS
from r2t2_core.scenes.questions import ANSWERS, FAMILIES, ask
from r2t2_core.scenes.sampling import sample_scene
from r2t2_core.scenes.world import KINDS, PAINTED_KINDS, POSITIONS
from tools.scene_data import draw_scene
from tools.splits import SPLITS

GROUPS = ("narrow", "broad", "held_out")


def test_the_same_seed_draws_the_same_picture():
    first, second = (render(sample_scene(random.Random(7), "varied"), 96) for _ in range(2))
    assert np.array_equal(np.asarray(first), np.asarray(second))
    other = render(sample_scene(random.Random(8), "varied"), 96)
    assert not np.array_equal(np.asarray(first), np.asarray(other))


def test_no_scene_is_in_two_splits():
    spans = sorted((split.seed, split.seed + split.scenes) for split in SPLITS.values())
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    scene, _ = draw_scene(SPLITS["test"], 5)
    again, _ = draw_scene(SPLITS["test"], 5)
    assert scene == again


def test_held_out_wordings_are_in_no_other_group():
    for family, groups in PHRASINGS.items():
        assert set(groups) == set(GROUPS), family
        seen = [set(groups[name]) for name in GROUPS]
        assert not seen[2] & (seen[0] | seen[1]), family
        assert not seen[0] & seen[1], family


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_asked_and_its_answers_are_in_the_vocabulary(family):
    asked = 0
    for seed in range(60):
        rng = random.Random(seed)
        scene = sample_scene(rng, "varied")
        question = ask(rng, scene, family, "broad")
        if question is None:
            continue
        asked += 1
        assert question.answer in ANSWERS
        assert "{" not in question.text
        assert all(0 <= index < len(scene.items) for index in question.first + question.second)
    assert asked >= 10


def answers(scene: Scene, family: str) -> set[tuple[str, str]]:
    """All questions of a family that can be asked about a scene, with their answers."""
    found = set()
    for seed in range(400):
        question = ask(random.Random(seed), scene, family, "narrow")
        if question is not None:
            found.add((question.text, question.answer))
    return found


def test_answers_by_hand():
    scene = Scene(
        (
            Item("chair", None, 1 / 6, 1 / 6),
            Item("cup", "blue", 5 / 6, 1 / 6),
            Item("cup", "red", 5 / 6, 5 / 6),
            Item("sign", None, 1 / 3, 1 / 2, word="TEA"),
            Item("gauge", None, 1 / 2, 5 / 6, values=(6,)),
            Item("chart", None, 1 / 6, 5 / 6, values=(2, 5, 9)),
        )
    )
    where = {answer for text, answer in answers(scene, "where") if "chair" in text}
    assert where == {"top left"}
    assert {a for t, a in answers(scene, "where") if "red cup" in t} == {"bottom right"}
    # Two cups of different colours: "the cup" alone singles out neither.
    assert not [t for t, _ in answers(scene, "where") if "the cup" in t]
    assert {a for t, a in answers(scene, "count") if "cups" in t and "blue" not in t} >= {"2"}
    assert {a for _, a in answers(scene, "text")} == {"TEA"}
    assert {a for _, a in answers(scene, "gauge")} == {"6"}
    charts = answers(scene, "chart")
    assert {a for t, a in charts if "tallest" in t or "highest" in t} == {"right"}
    assert {a for t, a in charts if "shortest" in t or "lowest" in t} == {"left"}
    for text, answer in answers(scene, "existence"):
        if "banana" in text:
            assert answer == "no"
        if "chair" in text:
            assert answer == "yes"


@pytest.mark.parametrize("cell", range(9))
def test_a_thing_is_drawn_where_the_scene_says(cell):
    x, y = (cell % 3 + 0.5) / 3, (cell // 3 + 0.5) / 3
    thing = Item("clock", None, x, y)
    assert POSITIONS[thing.cell] == POSITIONS[cell]
    empty = np.asarray(render(Scene(()), 96), dtype=np.int16)
    drawn = np.asarray(render(Scene((thing,)), 96), dtype=np.int16)
    rows, columns = np.nonzero(np.abs(drawn - empty).sum(2) > 60)
    assert abs(columns.mean() / 96 - x) < 0.04
    assert abs(rows.mean() / 96 - y) < 0.04


def test_every_kind_looks_different():
    things = [Item(kind, None) for kind in KINDS if kind not in PAINTED_KINDS]
    things += [Item(kind, paint) for kind in PAINTED_KINDS for paint in ("red", "blue")]
    pictures = {item: render(Scene((item,)), 64).tobytes() for item in things}
    assert len(set(pictures.values())) == len(things)


def test_light_changes_the_picture_and_not_the_answers():
    items = (Item("apple", None, 0.5, 0.5),)
    studio = np.asarray(render(Scene(items), 64), dtype=np.int16)
    dim = Scene(items, light=Light(brightness=0.75, noise=8, blur=3, seed=4))
    assert np.asarray(render(dim, 64), dtype=np.int16).mean() < studio.mean() - 20
    assert answers(dim, "where") == answers(Scene(items), "where")
