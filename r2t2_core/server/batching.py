"""Requests that arrive at the same time are answered together; a lone one never waits.

One batch is computed at a time, in a thread of its own. While it is computed, requests are read
(pictures decoded) in other threads and gather for the next batch.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import torch

from r2t2_core.decision import Decision
from r2t2_core.engine import Outcome
from r2t2_core.errors import BackendError, ModelError, WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.request import AnswerRequest, ReadRequest

logger = logging.getLogger(__name__)

READERS = 2
"""Threads that decode pictures."""


class BatchEngine(Protocol):
    """What the batcher needs of an engine."""

    def read(
        self, request: AnswerRequest, cancelled: Callable[[], bool] | None = None
    ) -> ReadRequest:
        """Check a request and decode its picture."""

    def answer_batch(self, batch: Sequence[ReadRequest]) -> list[Outcome]:
        """Answer several requests."""


class BusyError(BackendError):
    """The backend holds as many requests as it may, or is about to stop.

    Attributes
    ----------
    retry_after : int
        Seconds after which it is worth asking again.
    """

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message, N_("Ask again in {seconds} seconds."), seconds=retry_after)
        self.retry_after = retry_after


class DeadlineError(BackendError):
    """A request took longer than it may."""


@dataclass
class _Ticket:
    """One accepted request."""

    done: asyncio.Future[Outcome]
    deadline: float
    read: ReadRequest | None = None
    gone: bool = False

    def given_up(self) -> bool:
        """Tell whether nobody waits any more."""
        return self.gone or time.monotonic() > self.deadline


class Watch(Protocol):
    """Is told what the batcher does; metrics are made of it."""

    def batch(self, size: int, seconds: float) -> None:
        """A batch was computed."""

    def halved(self) -> None:
        """A batch did not fit into the device's memory."""


class MicroBatcher:
    """Gathers requests into batches.

    Parameters
    ----------
    engine : BatchEngine
    size : int
        Most requests in a batch.
    window : float
        Seconds that a batch waits for requests that are being read.
    capacity : int
        Requests that are held at once; more are refused.
    watch : Watch
    """

    def __init__(
        self, engine: BatchEngine, size: int, window: float, capacity: int, watch: Watch
    ) -> None:
        self._engine = engine
        self._size = size
        self._window = window
        self._capacity = capacity
        self._watch = watch
        self._waiting: deque[_Ticket] = deque()
        self._held = 0
        self._reading = 0
        self._arrived = asyncio.Event()
        self._seconds = 0.1
        self._closing = False
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="intake")
        self._model = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._loop_task: asyncio.Task[None] | None = None

    @property
    def held(self) -> int:
        """Requests that are held now: being read, waiting, or computed."""
        return self._held

    def start(self) -> None:
        """Begin to take batches; called in the event loop."""
        self._loop_task = asyncio.get_running_loop().create_task(self._work())

    async def close(self) -> None:
        """Refuse new requests, finish those that were accepted, and end."""
        self._closing = True
        while self._held:
            await asyncio.sleep(0.01)
        if self._loop_task is not None:
            self._loop_task.cancel()
        self._readers.shutdown()
        self._model.shutdown()

    async def answer(self, request: AnswerRequest, deadline: float) -> Decision:
        """Answer one request; cancel the call to say that nobody waits any more.

        Parameters
        ----------
        request : AnswerRequest
        deadline : float
            Seconds from now.

        Raises
        ------
        BusyError
            The queue is full, or the backend is about to stop.
        DeadlineError
            It took too long.
        WorkbenchError
            As in `Engine.answer`.
        """
        if self._closing:
            raise BusyError(N_("The backend is about to stop."), 5)
        if self._held >= self._capacity:
            wait = max(1, round(self._held * self._seconds))
            raise BusyError(N_("The backend has too much to do."), wait)
        ticket = _Ticket(asyncio.get_running_loop().create_future(), time.monotonic() + deadline)
        self._held += 1
        try:
            return await self._answer(request, ticket, deadline)
        finally:
            ticket.gone = True
            self._held -= 1

    async def _answer(self, request: AnswerRequest, ticket: _Ticket, deadline: float) -> Decision:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(deadline):
                self._reading += 1
                try:
                    ticket.read = await loop.run_in_executor(
                        self._readers, self._engine.read, request, ticket.given_up
                    )
                finally:
                    self._reading -= 1
                    self._arrived.set()
                self._waiting.append(ticket)
                outcome = await ticket.done
        except TimeoutError as error:
            raise DeadlineError(
                N_("The answer took longer than {seconds} seconds."),
                N_("Ask again, or with fewer strategies."),
                seconds=f"{deadline:g}",
            ) from error
        if isinstance(outcome, WorkbenchError):
            raise outcome
        return outcome

    async def _work(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._gather()
            batch: list[_Ticket] = []
            while self._waiting and len(batch) < self._size:
                ticket = self._waiting.popleft()
                if not ticket.given_up():
                    batch.append(ticket)
            reads = [ticket.read for ticket in batch if ticket.read is not None]
            if not reads:
                continue
            began = time.monotonic()
            outcomes: Sequence[Outcome | Exception]
            try:
                outcomes = await loop.run_in_executor(self._model, self._compute, reads)
            except Exception as error:  # Whatever it is, the next batch is not to suffer from it.
                logger.exception("a batch failed")
                outcomes = [error] * len(reads)
            seconds = time.monotonic() - began
            self._seconds = 0.8 * self._seconds + 0.2 * seconds / len(reads)
            self._watch.batch(len(reads), seconds)
            for ticket, outcome in zip(batch, outcomes, strict=True):
                if ticket.done.done():
                    continue
                if isinstance(outcome, Decision | WorkbenchError):
                    ticket.done.set_result(outcome)
                else:
                    ticket.done.set_exception(outcome)

    async def _gather(self) -> None:
        """Wait for a request; then, briefly, for others that are being read at this moment."""
        while not self._waiting:
            self._arrived.clear()
            await self._arrived.wait()
        until = time.monotonic() + self._window
        while self._reading and len(self._waiting) < self._size:
            left = until - time.monotonic()
            if left <= 0:
                return
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), left)
            except TimeoutError:
                return

    def _compute(self, reads: list[ReadRequest]) -> list[Outcome]:
        """Answer a batch; one that does not fit into the device's memory is halved."""
        try:
            return self._engine.answer_batch(reads)
        except torch.OutOfMemoryError:
            self._watch.halved()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        if len(reads) == 1:
            return [
                ModelError(
                    N_("The device has not enough memory for this question."),
                    N_("Use fewer neighbours or strategies, or another device."),
                )
            ]
        half = len(reads) // 2
        return self._compute(reads[:half]) + self._compute(reads[half:])
