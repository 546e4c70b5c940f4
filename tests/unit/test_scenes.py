"""The world of scenes: what is asked is what is drawn."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest

from r2t2_core.scenes import Item, Light, Scene, render
from r2t2_core.scenes.names import DEPTH, KIND_JA, RELATIONS, Noun, answer_in
from r2t2_core.scenes.phrasings import LANGUAGES, phrasings
from r2t2_core.scenes.questions import ANSWERS, FAMILIES, ask
from r2t2_core.scenes.sampling import STYLES, sample_scene, style_of
from r2t2_core.scenes.world import KINDS, PAINTED_KINDS, POSITIONS, SETTINGS, TRADES
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


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("family", FAMILIES)
def test_held_out_wordings_are_in_no_other_group(family, language):
    seen = [set(phrasings(language, family, name)) for name in GROUPS]
    assert not seen[2] & (seen[0] | seen[1])
    assert not seen[0] & seen[1]
    assert min(len(group) for group in seen) >= 2
    assert len(set(phrasings(language, family, "free"))) == 20


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_asked_and_its_answers_are_in_the_vocabulary(family, language):
    asked = 0
    for seed in range(60):
        rng = random.Random(seed)
        scene = sample_scene(rng, rng.choice(STYLES))
        question = ask(rng, scene, family, rng.choice((*GROUPS, "free")), language)
        if question is None:
            continue
        asked += 1
        assert question.language == language
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


def test_depth_is_asked_in_rooms_alone_and_follows_the_ground():
    near, far = Item("chair", None, 0.5, 0.8), Item("box", None, 0.45, 0.6)
    room = Scene((far, near))
    found = set()
    for seed in range(200):
        question = ask(random.Random(seed), room, "relation", "narrow", relations=DEPTH)
        assert question is not None
        chair_first = question.text.index("chair") < question.text.index("box")
        in_front = "in front of" in question.text
        assert question.answer == ("yes" if chair_first == in_front else "no")
        found.add((chair_first, in_front))
    assert len(found) == 4
    for setting in TRADES:
        other = Scene((far, near), setting=setting)
        asked = [ask(random.Random(n), other, "relation", "narrow") for n in range(50)]
        assert not {q.relation for q in asked if q} & set(DEPTH)
    assert ask(random.Random(0), Scene((far, near), setting="tray"), "relation", "narrow",
               relations=DEPTH) is None  # fmt: skip


def test_the_nearer_thing_hides_the_other():
    box, chair = Item("box", None, 0.5, 0.55), Item("chair", None, 0.5, 0.45)
    both = np.asarray(render(Scene((chair, box)), 96), dtype=np.int16)
    reverse = np.asarray(render(Scene((box, chair)), 96), dtype=np.int16)
    assert np.array_equal(both, reverse)
    alone = np.asarray(render(Scene((box,)), 96), dtype=np.int16)
    # At the box's centre the box is seen, as if it were alone.
    assert np.abs(both[50:56, 46:50] - alone[50:56, 46:50]).max() < 12


@pytest.mark.parametrize("style", STYLES)
def test_a_style_shows_what_it_says(style):
    told = {style_of(sample_scene(random.Random(seed), style)) for seed in range(60)}
    allowed = {
        "plain": {"plain"},
        "varied": {"varied"},
        "cluttered": {"cluttered", "varied"},
        "crowded": {"cluttered", "varied", *TRADES},
    }.get(style, {style})
    assert told <= allowed
    assert style == "crowded" or style in told


def test_most_things_belong_to_their_setting():
    things = [
        item.kind
        for seed in range(200)
        for item in sample_scene(random.Random(seed), "tray").things
    ]
    share = sum(kind in SETTINGS["tray"] for kind in things) / len(things)
    assert 0.85 < share < 0.99
    assert {kind for kinds in SETTINGS.values() for kind in kinds} == set(KINDS)


def test_every_kind_and_answer_has_a_japanese_name():
    assert set(KIND_JA) == set(KINDS)
    assert Noun("cup", "red").say("ja") == "赤いカップ"
    assert Noun(None, "grey").say("ja") == "灰色のもの"
    assert Noun("apple").say_one("en") == "an apple"
    words = [answer for answer in ANSWERS if answer.islower() and not answer.isdigit()]
    assert [word for word in words if answer_in("ja", word) == word] == []
    assert answer_in("ja", "EXIT") == "EXIT"
    assert answer_in("en", "top left") == "top left"


def test_every_relation_reads_its_axis():
    for name, (axis, sign, words) in RELATIONS.items():
        first, second = Item("chair", None, 0.2, 0.2), Item("box", None, 0.8, 0.8)
        question = ask(random.Random(1), Scene((first, second)), "relation", "narrow",
                       relations=(name,))  # fmt: skip
        assert question is not None
        chair_first = question.text.index("chair") < question.text.index("box")
        assert axis in ("x", "y")
        assert question.answer == ("yes" if (sign < 0) == chair_first else "no")
        assert any(word in question.text for word in words["en"])


def test_a_turn_of_the_hue_leaves_greys_and_moves_colours():
    scene = Scene((Item("cup", "red", 0.2), Item("sign", None, 0.6, 0.5, 0.46, word="TEA")))
    plain = np.asarray(render(scene, 96), dtype=np.int16)
    turned = np.asarray(render(Scene(scene.items, light=Light(hue=40)), 96), dtype=np.int16)
    assert np.abs(turned - plain).max() > 40
    grey = np.ptp(plain, axis=2) < 3
    assert np.abs(turned - plain)[grey].max() <= 4
