"""The harness that made the model card's numbers, against the engine and against the card."""

from __future__ import annotations

import dataclasses
import json
from io import BytesIO

import pytest
import torch

from r2t2_core.evaluation.prepared import (
    PreparedSuite,
    neighbour_vote_right,
    own_expert_right,
    run_suite,
)
from r2t2_core.models.scene_moe import OWNERS
from r2t2_core.scenes.render import render
from r2t2_core.settings import SAMPLE_DATA
from tools.evaluate import measure
from tools.scene_data import RENDER_SIZE, SPLITS, Split, ask_several, draw_scene
from tools.suites import build_suite

SCENES = 40


@pytest.fixture(scope="module")
def small() -> Split:
    return dataclasses.replace(SPLITS["validation"], scenes=SCENES)


@pytest.fixture(scope="module")
def suite(engine, small, tmp_path_factory) -> PreparedSuite:
    return build_suite(small, engine.model, engine.embedder, tmp_path_factory.mktemp("splits"))


def test_a_batch_answers_as_the_engine_does_one_by_one(engine, suite, small):
    names = ("ngd", "kernel_regression", "mode_finding", "oracle")
    parameters = {name: engine.default_parameters(name) for name in names}
    right = run_suite(engine.model, engine.index, suite, engine.default_retrieval, parameters)
    row = 0
    for number in range(SCENES):
        scene, rng = draw_scene(small, number)
        asked = ask_several(rng, scene, small)
        if not asked:
            continue
        (question,) = asked
        file = BytesIO()
        render(scene, RENDER_SIZE).save(file, "PNG")
        decision = engine.answer(file.getvalue(), question.text, label=question.answer)
        assert (decision.base.answer == question.answer) == right["base"][row]
        for name in names:
            answer = decision.trajectory(name).last.answer
            assert (answer == question.answer) == right[name][row], (name, question.text)
        row += 1
    assert row == len(suite)


def test_the_ceiling_sends_each_question_to_its_own_expert(engine, suite):
    right = own_expert_right(engine.model, suite, OWNERS)
    experts = engine.model.routing_spec.experts
    for row in (0, 7, 21):
        routing = torch.zeros(1, len(experts))
        routing[0, experts.index(OWNERS[str(suite.families[row])])] = 1
        one = suite.rows(slice(row, row + 1))
        answer = engine.model.answer(one, routing).argmax()
        assert (answer == suite.labels[row]) == right[row]
    assert right.mean() > 0.85


def test_the_vote_copies_the_heaviest_label(engine, suite):
    right = neighbour_vote_right(engine.index, suite, engine.default_retrieval)
    assert right.shape == (len(suite),)
    # Copying an answer cannot know a picture's content as the model does.
    assert right.mean() < own_expert_right(engine.model, suite, OWNERS).mean()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["in-domain", "test", "held-out-phrasings"])
def test_the_published_numbers_are_measured_again(engine, tmp_path, name):
    published = json.loads((SAMPLE_DATA / "evaluation.json").read_text(encoding="utf-8"))
    assert published["model_fingerprint"] == engine.model_fingerprint
    assert published["reference_set"] == engine.reference.manifest.content_hash
    suite = build_suite(SPLITS[name], engine.model, engine.embedder, tmp_path)
    rows = measure(engine.model, engine.index, suite, engine.defaults)
    told = published["suites"][name]["rows"]
    assert set(rows) == set(told)
    assert {row: len(right) for row, right in rows.items()} == {
        row: outcome["cases"] for row, outcome in told.items()
    }
    # Sums of floats differ between machines; a few answers stand on the edge.
    away = {row: int(right.sum()) - told[row]["right"] for row, right in rows.items()}
    assert {row: n for row, n in away.items() if abs(n) > 0.004 * told[row]["cases"]} == {}
