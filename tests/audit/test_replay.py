"""Replays say how near they come, where they part, and what was not as it was."""

from __future__ import annotations

import copy
import json

import pytest

from r2t2_core.audit.comparison import compare, produced_by
from r2t2_core.audit.erasure import erase, plan_erasure
from r2t2_core.audit.recorder import Recorder
from r2t2_core.audit.replay import NO_PICTURE, OTHER_MODEL, parse_range, replay, retrieval_of
from r2t2_core.decision import Decision
from r2t2_core.errors import AuditError, ParameterError
from tests.audit.decisions import PICTURE, make_decision


def altered(decision: Decision, path: tuple[str | int, ...], value: object) -> Decision:
    """Return a decision with one value changed."""
    whole = copy.deepcopy(decision.model_dump(mode="json"))
    place = whole
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    return Decision.model_validate_json(json.dumps(whole))


def test_the_same_is_bit_exact():
    decision = make_decision()
    again = altered(decision, ("timings",), [])
    found = compare(decision, altered(again, ("id",), "other"))
    assert found.is_exact
    assert found.first is None


def test_a_small_difference_is_within_the_tolerance_and_told():
    decision = make_decision()
    found = compare(decision, altered(decision, ("base", "probability"), 0.8 + 3e-6))
    assert not found.is_exact
    assert found.first is None
    assert found.largest == pytest.approx(3e-6)
    assert found.largest_at == "base.probability"


def test_the_first_stage_and_step_are_named():
    decision = make_decision()
    path = ("trajectories", 0, "steps", 1, "surrogate_loss")
    other = altered(altered(decision, path, 0.9), ("final", "probability"), 0.1)
    first = compare(decision, other).first
    assert first is not None
    assert (first.stage, first.strategy, first.step) == ("re-routing", "ngd", 1)
    assert first.path == "trajectories[0].steps[1].surrogate_loss"


def test_a_missing_neighbour_is_no_small_difference():
    decision = make_decision()
    first = compare(decision, altered(decision, ("neighbours",), [])).first
    assert first is not None
    assert first.stage == "the neighbours"


def test_an_answer_that_differs_is_never_within_a_tolerance():
    decision = make_decision()
    found = compare(decision, altered(decision, ("gate", "reroute"), False), tolerance=9)
    assert found.first is not None


def test_what_results_hang_on_is_named():
    decision = make_decision()
    other = altered(decision, ("system", "device"), "cuda:0")
    assert produced_by(decision, other) == {"device": ("cpu", "cuda:0")}


@pytest.mark.parametrize(
    ("text", "numbers"), [("2-4", [2, 3, 4]), ("4-", [4, 5]), ("-2", [1, 2]), ("3-99", [3, 4, 5])]
)
def test_ranges(text, numbers):
    assert list(parse_range(text, 5)) == numbers


@pytest.mark.parametrize("text", ["5", "a-b", "1-2-3", ""])
def test_no_ranges(text):
    with pytest.raises(AuditError, match="no range"):
        parse_range(text, 5)


class Stage:
    """An engine that gives what it is told to."""

    def __init__(self, decision: Decision, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given = decision
        self.model_fingerprint = decision.system.model_fingerprint_after
        manifest = type("M", (), {"content_hash": decision.reference.content_hash})()
        self.reference = type("R", (), {"manifest": manifest})()
        self.asked: dict[str, object] = {}
        monkeypatch.setattr("r2t2_core.audit.replay._host_differs", lambda *_: {})

    def answer(self, image: bytes, question: str, **options: object) -> Decision:
        self.asked = {"image": image, "question": question, **options}
        return self.given


@pytest.fixture
def staged(recorder, who, monkeypatch) -> tuple[Recorder, Decision, Stage]:
    decision = make_decision()
    recorder.record_decision(decision, PICTURE, principal=who)
    return recorder, decision, Stage(decision, monkeypatch)


def test_a_replay_asks_what_was_asked_and_is_an_entry(staged, who):
    recorder, decision, stage = staged
    assert replay(recorder, stage, "1", who).verdict == "bit_exact"
    assert stage.asked["image"] == PICTURE
    assert stage.asked["question"] == decision.input.question
    assert stage.asked["retrieval"] == retrieval_of(decision)
    assert stage.asked["strategies"] == ["ngd"]
    entry = recorder.log.find("2").entry
    assert entry.kind == "replay"
    assert entry.subject == decision.id
    assert entry.body["verdict"] == "bit_exact"


def test_what_was_erased_cannot_be_replayed_and_that_is_said(staged, who):
    recorder, _decision, stage = staged
    erase(recorder, plan_erasure(recorder, ["1"], "picture", who), "why", who)
    found = replay(recorder, stage, "1", who)
    assert found.verdict == "not_replayable"
    assert found.missing == (NO_PICTURE,)


def test_another_model_is_said_not_guessed(staged, who):
    recorder, decision, stage = staged
    stage.model_fingerprint = "f" * 64
    stage.given = altered(decision, ("base", "probability"), 0.5)
    found = replay(recorder, stage, "1", who)
    assert found.verdict == "diverged"
    assert found.missing == (OTHER_MODEL,)
    assert found.comparison.first.stage == "the frozen model"


def test_what_the_engine_refuses_is_said(staged, who, monkeypatch):
    recorder, _decision, stage = staged

    def refuse(*_given: object, **_options: object) -> Decision:
        raise ParameterError("No such answer.")

    monkeypatch.setattr(stage, "answer", refuse)
    found = replay(recorder, stage, "1", who)
    assert found.verdict == "not_replayable"
    assert "No such answer" in found.problem
