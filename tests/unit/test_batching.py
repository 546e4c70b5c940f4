"""Gathering requests, on an engine that is no engine: who waits, who is refused, who has left."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field

import pytest
import torch

from r2t2_core.decision import Decision
from r2t2_core.errors import Cancelled, ImageError, ModelError
from r2t2_core.request import AnswerRequest
from r2t2_core.server.batching import BusyError, DeadlineError, MicroBatcher


@dataclass
class Asked:
    """What the fake engine reads a request to."""

    question: str
    cancelled: object


@dataclass
class FakeEngine:
    """Answers every question with itself; counts batches."""

    seconds: float = 0.0
    room: int = 1000
    gate: threading.Event | None = None
    batches: list[int] = field(default_factory=list)
    tried: list[int] = field(default_factory=list)
    cancelled: list[bool] = field(default_factory=list)

    def read(self, request, cancelled=None):
        if not request.image:
            raise ImageError("The file is empty (0 bytes).")
        return Asked(request.question, cancelled)

    def answer_batch(self, batch):
        self.tried.append(len(batch))
        if len(batch) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        if self.gate is not None:
            self.gate.wait(10)
        time.sleep(self.seconds)
        self.cancelled += [asked.cancelled() for asked in batch]
        if any(asked.question == "break" for asked in batch):
            raise RuntimeError("nobody foresaw this")
        self.batches.append(len(batch))
        return [
            Cancelled("Cancelled.") if asked.question == "cancel"
            else Decision.model_construct(id=asked.question)
            for asked in batch
        ]  # fmt: skip


class Watch:
    """Counts what the batcher tells."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.halvings = 0

    def batch(self, size: int, seconds: float) -> None:
        self.sizes.append(size)

    def halved(self) -> None:
        self.halvings += 1


def request(question: str) -> AnswerRequest:
    return AnswerRequest(b"picture", question)


def use(engine, body, size=8, window=0.05, capacity=64):
    """Run `body(batcher, watch)` in a loop of its own."""

    async def whole():
        watch = Watch()
        batcher = MicroBatcher(engine, size, window, capacity, watch)
        batcher.start()
        try:
            return await body(batcher, watch)
        finally:
            if engine.gate is not None:
                engine.gate.set()
            await batcher.close()

    return asyncio.run(whole())


def test_a_lone_request_does_not_wait_for_the_window():
    async def body(batcher, watch):
        began = time.monotonic()
        decision = await batcher.answer(request("one"), 30)
        return decision.id, time.monotonic() - began, watch.sizes

    name, seconds, sizes = use(FakeEngine(), body, window=20)
    assert name == "one"
    assert seconds < 10
    assert sizes == [1]


def test_requests_that_arrive_while_one_is_computed_are_answered_together():
    engine = FakeEngine(gate=threading.Event())

    async def body(batcher, watch):
        first = asyncio.ensure_future(batcher.answer(request("first"), 30))
        while not engine.tried:
            await asyncio.sleep(0.01)
        others = [asyncio.ensure_future(batcher.answer(request(str(n)), 30)) for n in range(11)]
        while batcher.held < 12 or batcher._reading:
            await asyncio.sleep(0.01)
        engine.gate.set()
        names = [decision.id for decision in await asyncio.gather(first, *others)]
        return names, watch.sizes

    names, sizes = use(engine, body)
    assert names == ["first", *map(str, range(11))]
    assert sizes == [1, 8, 3]


def test_a_full_queue_refuses_and_says_when_to_come_again():
    engine = FakeEngine(gate=threading.Event())

    async def body(batcher, watch):
        held = [asyncio.ensure_future(batcher.answer(request(str(n)), 30)) for n in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(BusyError) as refused:
            await batcher.answer(request("one too many"), 30)
        engine.gate.set()
        await asyncio.gather(*held)
        assert (await batcher.answer(request("again"), 30)).id == "again"
        return refused.value.retry_after

    assert use(engine, body, capacity=3) >= 1


def test_a_deadline_ends_the_wait_and_the_work():
    engine = FakeEngine(gate=threading.Event())

    async def body(batcher, watch):
        with pytest.raises(DeadlineError, match="longer than"):
            await batcher.answer(request("late"), 0.05)
        engine.gate.set()
        return (await batcher.answer(request("next"), 30)).id

    assert use(engine, body) == "next"
    # It was computed and heard of it, or it was never begun.
    assert engine.cancelled in ([True, False], [False])


def test_who_leaves_is_not_computed_any_more():
    engine = FakeEngine(gate=threading.Event())

    async def body(batcher, watch):
        first = asyncio.ensure_future(batcher.answer(request("first"), 30))
        while not engine.tried:
            await asyncio.sleep(0.01)
        leaves = asyncio.ensure_future(batcher.answer(request("leaves"), 30))
        stays = asyncio.ensure_future(batcher.answer(request("stays"), 30))
        while batcher.held < 3 or batcher._reading:
            await asyncio.sleep(0.01)
        leaves.cancel()
        await asyncio.sleep(0)
        engine.gate.set()
        await asyncio.gather(first, stays)
        assert batcher.held == 0
        return watch.sizes

    assert use(engine, body) == [1, 1]


def test_a_batch_that_does_not_fit_into_memory_is_halved():
    engine = FakeEngine(room=2, gate=threading.Event())

    async def body(batcher, watch):
        first = asyncio.ensure_future(batcher.answer(request("first"), 30))
        while not engine.tried:
            await asyncio.sleep(0.01)
        rest = [asyncio.ensure_future(batcher.answer(request(str(n)), 30)) for n in range(8)]
        while batcher.held < 9 or batcher._reading:
            await asyncio.sleep(0.01)
        engine.gate.set()
        return [d.id for d in await asyncio.gather(first, *rest)], watch.halvings

    names, halvings = use(engine, body)
    assert names == ["first", *map(str, range(8))]
    assert engine.tried == [1, 8, 4, 2, 2, 4, 2, 2]
    assert halvings == 3


def test_a_request_that_fits_no_memory_is_one_clear_error_and_the_next_is_answered():
    engine = FakeEngine(room=0)

    async def body(batcher, watch):
        with pytest.raises(ModelError, match="not enough memory"):
            await batcher.answer(request("large"), 30)
        engine.room = 10
        return (await batcher.answer(request("small"), 30)).id

    assert use(engine, body) == "small"


def test_errors_reach_who_asked_and_nobody_else():
    engine = FakeEngine()

    async def body(batcher, watch):
        with pytest.raises(ImageError):
            await batcher.answer(AnswerRequest(b"", "empty"), 30)
        with pytest.raises(Cancelled):
            await batcher.answer(request("cancel"), 30)
        with pytest.raises(RuntimeError, match="nobody foresaw"):
            await batcher.answer(request("break"), 30)
        assert batcher.held == 0
        return (await batcher.answer(request("fine"), 30)).id

    assert use(engine, body) == "fine"


def test_closing_finishes_what_was_accepted_and_refuses_the_rest():
    engine = FakeEngine(gate=threading.Event())

    async def body(batcher, watch):
        accepted = [asyncio.ensure_future(batcher.answer(request(str(n)), 30)) for n in range(5)]
        await asyncio.sleep(0.05)
        closing = asyncio.ensure_future(batcher.close())
        await asyncio.sleep(0)
        with pytest.raises(BusyError, match="about to stop"):
            await batcher.answer(request("late"), 30)
        engine.gate.set()
        await closing
        return [task.result().id for task in accepted]

    assert use(engine, body) == ["0", "1", "2", "3", "4"]
