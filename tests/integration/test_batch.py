"""Several requests at once: the numbers of each alone, and its own error where it has one."""

from __future__ import annotations

from collections import Counter

import pytest

from r2t2_core.decision import Decision
from r2t2_core.errors import Cancelled, ImageError, NeighbourhoodError, WorkbenchError
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.request import AnswerRequest
from r2t2_core.strategies.mode_finding import ModeFindingParams
from tests.agreement import differences

SIZE = 6


@pytest.fixture(scope="module")
def requests(cases, gallery_dir) -> list[AnswerRequest]:
    """The gallery's first cases, as everyone would ask them."""
    return [
        AnswerRequest((gallery_dir / case.image).read_bytes(), case.question, label=case.label)
        for case in cases[:SIZE]
    ]


def alone(engine, request: AnswerRequest) -> Decision:
    (outcome,) = engine.answer_batch([engine.read(request)])
    assert isinstance(outcome, Decision)
    return outcome


def together(engine, requests: list[AnswerRequest]) -> list[Decision | WorkbenchError]:
    return engine.answer_batch([engine.read(request) for request in requests])


def test_a_batch_gives_each_what_it_gets_alone(engine, requests):
    singly = [alone(engine, request) for request in requests]
    batch = together(engine, requests)
    for own, shared in zip(singly, batch, strict=True):
        assert isinstance(shared, Decision)
        assert differences(own, shared, within=1e-5) == []
        assert own.system.batch == 1
        assert shared.system.batch == SIZE
    assert len({decision.id for decision in batch}) == SIZE


def test_alone_is_bit_exact_before_and_after_a_batch_and_by_either_door(engine, requests):
    first = alone(engine, requests[0])
    together(engine, requests)
    again = alone(engine, requests[0])
    assert differences(first, again) == []
    request = requests[0]
    assert differences(first, engine.answer(request.image, request.question,
                                            label=request.label)) == []  # fmt: skip


def test_requests_with_other_settings_are_computed_apart(engine, requests):
    other = AnswerRequest(
        requests[0].image,
        requests[0].question,
        retrieval=RetrievalParams(policy="all_labelled", n_neighbours=3),
        parameters={"mode_finding": ModeFindingParams(steps=2)},
        strategies=("mode_finding",),
        strategy="mode_finding",
    )
    batch = together(engine, [requests[0], other, requests[1], other])
    sizes = [decision.system.batch for decision in batch]
    assert sizes == [2, 2, 2, 2]
    assert [len(decision.neighbours) for decision in batch][1] == 3
    assert batch[1].trajectories[0].parameters["steps"] == 2
    assert differences(batch[1], alone(engine, other), within=1e-5) == []


def test_a_query_without_neighbours_fails_by_itself(engine, requests):
    """A ball so small that a question that nobody asked has no neighbour in it."""
    ball = RetrievalParams(policy="all_labelled", mode="ball", radius=0.8)
    far = AnswerRequest(requests[0].image, "Please write me a poem about love", ball)
    near = [AnswerRequest(r.image, r.question, ball) for r in requests[:2]]
    outcomes = together(engine, [near[0], far, near[1]])
    assert isinstance(outcomes[1], NeighbourhoodError)
    for request, outcome in zip(near, outcomes[::2], strict=True):
        assert isinstance(outcome, Decision)
        assert differences(alone(engine, request), outcome) == []


def test_near_duplicates_of_one_query_do_not_change_anothers_numbers(engine, requests):
    """A threshold so low that the index has to look further for some of them."""
    loose = RetrievalParams(policy="all_labelled", duplicate_threshold=0.3)
    asked = [AnswerRequest(r.image, r.question, loose) for r in requests]
    outcomes = together(engine, asked)
    for request, outcome in zip(asked, outcomes, strict=True):
        expected = engine.answer_batch([engine.read(request)])[0]
        assert type(outcome) is type(expected)
        if isinstance(outcome, Decision):
            assert differences(expected, outcome, within=1e-5) == []


def test_who_has_left_is_told_so_only_when_all_have_left(engine, requests):
    left = engine.read(requests[0])
    stays = engine.read(requests[1])
    asked = Counter()

    def gone() -> bool:
        asked["times"] += 1
        return True

    object.__setattr__(left, "cancelled", gone)
    outcomes = engine.answer_batch([left, stays])
    assert isinstance(outcomes[1], Decision)
    outcomes = engine.answer_batch([left, left])
    assert all(isinstance(outcome, Cancelled) for outcome in outcomes)
    assert asked["times"] > 0


def test_a_request_that_cannot_be_read_is_refused_before_it_takes_a_turn(engine, requests):
    with engine._lock, pytest.raises(ImageError):
        engine.read(AnswerRequest(b"", requests[0].question))
