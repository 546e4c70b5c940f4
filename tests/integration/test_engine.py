"""The whole way from picture and question to the record, on the shipped model."""

from __future__ import annotations

import dataclasses
import json
import time
from io import BytesIO
from threading import Timer

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from sklearn.datasets import load_sample_images

from r2t2_core.decision import Decision
from r2t2_core.errors import Cancelled, ModelError, ParameterError, QuestionError
from r2t2_core.gate import FAR_IMAGE, FAR_QUESTION
from r2t2_core.intake.image import read_image
from r2t2_core.problem import build_problem, surrogate_loss
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy, strategies
from r2t2_core.strategies.base import Params
from r2t2_core.strategies.descent import DescentParams
from r2t2_core.types import Sample


def png(image: Image.Image) -> bytes:
    buffer = BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def chair(cases, gallery_dir):
    case = next(c for c in cases if "chair" in c.question.lower() and c.family == "where")
    return case, (gallery_dir / case.image).read_bytes()


@pytest.fixture(scope="module")
def decision(engine, chair):
    case, data = chair
    return engine.answer(data, case.question, label=case.label)


def without_what_differs(decision: Decision) -> dict:
    return decision.model_dump(exclude={"id", "started_at", "timings"})


def test_where_is_the_chair_is_repaired(decision, chair):
    assert decision.base.answer != chair[0].label
    assert decision.final.answer == chair[0].label
    assert decision.gate.reroute
    experts = decision.system.gates[0].experts
    assert experts[int(np.argmax(decision.base.routing))] == "language"
    assert experts[int(np.argmax(decision.final.routing))] == "position"


def test_the_record_holds_every_strategy_whole(decision):
    assert [record.strategy for record in decision.trajectories] == list(strategies())
    for record in decision.trajectories:
        assert record.steps[0].routing == decision.base.routing
        assert record.steps[0].answer == decision.base.answer
        assert record.steps[0].probabilities == pytest.approx(decision.base.probabilities, abs=1e-6)
        for step in record.steps:
            assert sum(step.routing) == pytest.approx(1, abs=1e-5)
            used = sum(weight > 0 for weight in step.routing_top_k)
            # Equal weights tie: all experts stay.
            assert used <= 2 or (record.strategy, step.step) == ("uniform", 1)
            assert sum(step.probabilities) == pytest.approx(1, abs=1e-5)
            assert step.answer == decision.system.answers[int(np.argmax(step.probabilities))]
        if record.flipped:
            assert record.flip_step is not None
            after = [step.answer for step in record.steps[record.flip_step :]]
            assert set(after) == {record.last.answer}
            assert record.steps[record.flip_step - 1].answer != record.last.answer


def test_the_record_survives_canonical_json(decision):
    text = decision.canonical_json()
    assert Decision.from_json(text) == decision
    assert Decision.from_json(text).canonical_json() == text
    assert b"NaN" not in text


def test_the_record_cannot_be_written_to(decision):
    with pytest.raises(ValidationError, match="frozen"):
        decision.strategy = "ngd"
    with pytest.raises(TypeError):
        decision.system.library_versions["torch"] = "another"
    with pytest.raises(TypeError):
        decision.trajectories[1].parameters["steps"] = 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("base", "probability"), "0.5"),
        (("base", "probability"), True),
        (("base", "probability"), 1.5),
        (("base", "routing"), [1.0]),
        (("final", "answer"), "moon"),
        (("trajectories", 0, "steps"), []),
        (("schema_version",), "2"),
        (("surprise",), 1),
    ],
)
def test_a_record_that_does_not_hold_together_is_refused(decision, path, value):
    record = json.loads(decision.canonical_json())
    place = record
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(ValidationError):
        Decision.from_json(json.dumps(record))


def test_same_question_same_bits(engine, chair, decision):
    again = engine.answer(chair[1], chair[0].question, label=chair[0].label)
    assert without_what_differs(again) == without_what_differs(decision)


def test_no_routing_is_bit_identical_to_the_untouched_model(engine, chair):
    case, data = chair
    image = read_image(data).image
    model = engine.model
    batch = model.processor([image], [case.question])
    with torch.no_grad():
        untouched = model.model(**batch).logits.softmax(-1)
    prepared = model.prepare([Sample(image, case.question)])
    assert torch.equal(model.answer(prepared), untouched)
    assert torch.equal(model.answer(prepared, prepared.routing), untouched)


def test_the_model_is_the_same_after_a_session_of_calls(engine, cases, gallery_dir):
    before = engine.model.fingerprint()
    for case in cases[:6]:
        engine.answer((gallery_dir / case.image).read_bytes(), case.question, label=case.label)
    assert engine.model.fingerprint() == before == engine.model_fingerprint


def test_the_gallerys_outcomes_are_what_it_says(engine, cases, gallery_dir):
    for case in cases:
        data = (gallery_dir / case.image).read_bytes()
        decision = engine.answer(data, case.question, strategies=[engine.default_strategy])
        before, after = decision.base.answer == case.label, decision.final.answer == case.label
        assert (
            case.outcome
            == {
                (False, True): "repaired",
                (True, True): "unchanged_right",
                (False, False): "unchanged_wrong",
                (True, False): "broken",
            }[before, after]
        ), case.id
    outcomes = {case.outcome for case in cases}
    assert {"repaired", "unchanged_right", "broken"} <= outcomes
    assert sum("chair" in case.question and case.family == "where" for case in cases) >= 2


def test_stored_expert_outputs_are_what_the_model_gives(engine):
    rows = [0, 7, 1234, 2999]
    samples = []
    for row in rows:
        with Image.open(engine.reference.image_path(row)) as image:
            samples.append(Sample(image.convert("RGB"), engine.reference.sample(row).question))
    prepared = engine.model.prepare(samples)
    stored = engine.reference.outputs_of(torch.tensor(rows))
    assert torch.allclose(prepared.expert_outputs, stored, atol=1e-4)
    routing = torch.tensor(engine.reference.router_routing[rows])
    assert torch.allclose(prepared.routing, routing, atol=1e-5)


def test_descent_on_stored_outputs_agrees_with_running_the_whole_model(engine, chair):
    """The naive way: every neighbour's picture and question through the model at every step."""
    case, data = chair
    prepared = engine.model.prepare([Sample(read_image(data).image, case.question)])
    embedding = engine.embedder.embed([case.question])
    params = RetrievalParams(policy="all_labelled")
    found = engine.index.retrieve(embedding, prepared.image_features.numpy(), params)
    problem = build_problem(engine.model, prepared, engine.index, found, params.policy)
    samples = []
    for row in found.neighbours.index[0].tolist():
        with Image.open(engine.reference.image_path(row)) as image:
            samples.append(Sample(image.convert("RGB"), engine.reference.sample(row).question))

    def naive(candidate: torch.Tensor) -> torch.Tensor:
        fresh = engine.model.prepare(samples).expert_outputs[None]
        return surrogate_loss(engine.model, fresh, found.neighbours)(candidate)

    ngd, values = get_strategy("ngd"), engine.default_parameters("ngd")
    fast = ngd.reroute(problem, values)
    slow = ngd.reroute(dataclasses.replace(problem, surrogate_loss=naive), values)
    assert torch.allclose(fast.routing, slow.routing, atol=1e-4)
    assert torch.allclose(fast.surrogate_loss, slow.surrogate_loss, atol=1e-4)


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "Please write me a poem about love",
        "qwertz uiop asdf",
        "Why is the sky blue?",
        "How tall is Mount Everest?",
        "Is there a person?",
        "Where is the dog?",
    ],
)
def test_a_question_out_of_reach_keeps_the_routers_answer(engine, chair, question):
    decision = engine.answer(chair[1], question)
    assert not decision.gate.reroute
    assert FAR_QUESTION in decision.gate.reasons
    assert decision.final == decision.base
    assert not decision.flipped


@pytest.mark.parametrize("kind", ["noise", "black", "stripes"])
def test_a_picture_out_of_reach_keeps_the_routers_answer(engine, kind):
    rng = np.random.default_rng(0)
    pixels = {
        "noise": rng.integers(0, 256, (200, 200, 3)),
        "black": np.zeros((200, 200, 3)),
        "stripes": np.tile(np.arange(200)[:, None, None] % 20 * 12, (1, 200, 3)),
    }[kind].astype(np.uint8)
    decision = engine.answer(png(Image.fromarray(pixels)), "Where is the chair?")
    assert FAR_IMAGE in decision.gate.reasons
    assert decision.final == decision.base


@pytest.mark.parametrize("box", [(0, 0, 640, 427), (0, 100, 320, 427), (200, 150, 500, 400)])
@pytest.mark.parametrize("photograph", [0, 1])
def test_a_photograph_is_never_repaired(engine, photograph, box):
    picture = Image.fromarray(load_sample_images().images[photograph]).crop(box)
    decision = engine.answer(png(picture), "Where is the chair?", label="bottom right")
    assert FAR_IMAGE in decision.gate.reasons
    assert decision.final == decision.base


def test_cancelling_stops_between_stages_and_within_a_strategy(engine, chair):
    case, data = chair
    asked = []

    def cancelled() -> bool:
        asked.append(True)
        return len(asked) > 9

    with pytest.raises(Cancelled):
        engine.answer(data, case.question, cancelled=cancelled)
    assert engine.answer(data, case.question).base


def test_a_cancel_is_heard_while_another_question_is_answered(engine, chair):
    with engine._lock:
        began = time.perf_counter()
        stop = Timer(0.2, lambda: None)
        stop.start()
        with pytest.raises(Cancelled):
            engine.answer(chair[1], chair[0].question, cancelled=lambda: not stop.is_alive())
    assert time.perf_counter() - began < 5


def test_labels_are_recorded_in_the_models_own_words(engine, chair):
    data, question = chair[1], chair[0].question
    names = [engine.default_strategy]
    assert engine.answer(data, question, strategies=names, label=" TOP ").input.label == "top"
    assert engine.answer(data, question, strategies=names, label="  ").input.label is None


def test_a_strategy_that_is_named_twice_runs_once(engine, chair):
    decision = engine.answer(chair[1], chair[0].question, strategies=["ngd", "ngd"], strategy="ngd")
    assert [record.strategy for record in decision.trajectories] == ["ngd"]


def test_progress_goes_forward(engine, chair):
    shares = []
    engine.answer(chair[1], chair[0].question, progress=lambda stage, share: shares.append(share))
    assert shares == sorted(shares)
    assert 0 <= shares[0] < shares[-1] <= 1


def test_bad_requests_are_refused(engine, chair):
    data = chair[1]
    with pytest.raises(QuestionError):
        engine.answer(data, "  ")
    with pytest.raises(ParameterError, match="not an answer"):
        engine.answer(data, "Where is the chair?", label="on the moon")
    with pytest.raises(ParameterError, match="needs the right answer"):
        engine.answer(data, "Where is the chair?", strategies=["oracle"], strategy="oracle")
    with pytest.raises(ParameterError, match="no strategy called"):
        engine.answer(data, "Where is the chair?", strategies=["magic"])
    with pytest.raises(ParameterError, match="no strategy called"):
        engine.answer(data, "Where is the chair?", parameters={"magic": DescentParams()})
    with pytest.raises(ParameterError, match="parameters of ngd are NgdParams"):
        engine.answer(data, "Where is the chair?", parameters={"ngd": Params()})


def test_a_changed_model_is_noticed(engine, chair):
    weight = next(engine.model.model.router.parameters())
    kept = weight.detach().clone()
    try:
        with torch.no_grad():
            weight.view(-1)[0] += 1e-3
        with pytest.raises(ModelError, match="weights changed"):
            engine.answer(chair[1], chair[0].question)
    finally:
        with torch.no_grad():
            weight.copy_(kept)
    assert engine.model.fingerprint() == engine.model_fingerprint


@pytest.mark.parametrize("name", list(strategies()))
def test_the_closed_form_moves_as_autograd_does(engine, chair, name):
    """The shipped model's own numbers, with and without autograd."""
    case, data = chair
    prepared = engine.model.prepare([Sample(read_image(data).image, case.question)])
    embedding = engine.embedder.embed([case.question])
    params = engine.default_retrieval
    found = engine.index.retrieve(embedding, prepared.image_features.numpy(), params)
    label = torch.tensor([engine.model.answers.index(case.label)])
    problem = build_problem(engine.model, prepared, engine.index, found, params.policy, label)
    plain = dataclasses.replace(
        problem,
        surrogate_loss=problem.surrogate_loss._plain,
        random_surrogate_loss=problem.random_surrogate_loss._plain,
        own_loss=problem.own_loss._plain,
        own_entropy=problem.own_entropy._plain,
    )
    strategy, values = get_strategy(name), engine.default_parameters(name)
    fast, slow = strategy.reroute(problem, values), strategy.reroute(plain, values)
    for field in ("routing", "surrogate_loss", "gradient_norm"):
        first, second = getattr(fast, field), getattr(slow, field)
        assert torch.allclose(first, second, atol=1e-4, equal_nan=True), field
    answers = [engine.model.answer(prepared, t.routing[-1]).argmax() for t in (fast, slow)]
    assert answers[0] == answers[1]
