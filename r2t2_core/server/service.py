"""What the routes share: the engine, the batcher, the jobs, and what was answered lately."""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import BackendError, ModelError, ParameterError, WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.request import AnswerRequest
from r2t2_core.server.batching import BusyError, MicroBatcher
from r2t2_core.server.jobs import Jobs
from r2t2_core.server.metrics import Metrics
from r2t2_core.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who asks, as the request says; nothing here is believed before the audit log has checked it.

    Attributes
    ----------
    token : str or None
        Bearer token.
    purpose : str
        What for.
    """

    token: str | None = None
    purpose: str = ""


NOBODY = Caller()

Record = Callable[[Decision, AnswerRequest, Caller], None]
"""Is given every decision before its answer is returned; what it raises keeps the answer back."""

REMEMBERED = 300
"""Decisions that can be asked for again, by identifier or by idempotency key."""


@dataclass(frozen=True)
class Kept:
    """A decision that was recorded, and its JSON."""

    decision: Decision
    body: bytes


@dataclass
class _Given:
    """What was answered under an idempotency key, or is being answered."""

    request: str
    work: asyncio.Task[Kept] | None
    body: bytes = b""
    waiting: int = 0

    async def wait(self) -> bytes:
        """Wait for the answer; when the last one who waits has left, the work is cancelled."""
        if self.work is None:
            return self.body
        work, self.waiting = self.work, self.waiting + 1
        try:
            return (await asyncio.shield(work)).body
        finally:
            self.waiting -= 1
            if self.waiting == 0 and not work.done():
                work.cancel()

    def settle(self, task: asyncio.Task[Kept]) -> None:
        """Hold the answer's bytes alone once it is there: the record itself is much larger."""
        if not _failed(task):
            self.body, self.work = task.result().body, None


class Service:
    """The backend without HTTP.

    Parameters
    ----------
    load : callable
        Loads the engine; called once, in a thread.
    settings : Settings
    record : callable or None
        Keeps a decision before its answer is returned (the audit log).
    """

    def __init__(
        self, load: Callable[[], Engine], settings: Settings, record: Record | None = None
    ) -> None:
        self._load = load
        self._settings = settings
        self._record = record
        self._engine: Engine | None = None
        self._batcher: MicroBatcher | None = None
        self._problem: WorkbenchError | None = None
        self._stopping = False
        self._keys: OrderedDict[str, _Given] = OrderedDict()
        self._decisions: OrderedDict[str, bytes] = OrderedDict()
        self.metrics = Metrics(lambda: self._batcher.held if self._batcher else 0)
        self.jobs = Jobs(lambda: self.engine, settings)

    @property
    def state(self) -> Literal["ok", "loading", "stopping", "damaged"]:
        """Whether it is ready to answer."""
        if self._stopping:
            return "stopping"
        if self._problem is not None:
            return "damaged"
        return "loading" if self._batcher is None else "ok"

    @property
    def engine(self) -> Engine:
        """The engine; BusyError while it is loaded, its own error where it cannot be."""
        if self._problem is not None:
            raise self._problem
        if self._engine is None:
            raise BusyError(N_("The backend is loading the model."), 2)
        return self._engine

    async def start(self) -> None:
        """Load the engine and begin to take requests."""
        try:
            self._engine = await asyncio.to_thread(self._load)
        except WorkbenchError as error:
            logger.error("the engine cannot be loaded: %s", error)
            self._problem = error
            return
        settings = self._settings
        batcher = MicroBatcher(
            self._engine,
            settings.batch_size,
            settings.batch_window,
            settings.queue_size,
            self.metrics,
        )
        batcher.start()
        self._batcher = batcher

    async def close(self) -> None:
        """Finish what was accepted, refuse what comes, end."""
        self._stopping = True
        if self._batcher is not None:
            await self._batcher.close()
        await asyncio.to_thread(self.jobs.close)

    async def compute(self, request: AnswerRequest, deadline: float | None = None) -> Decision:
        """Answer one request; nothing is kept of it.

        Raises
        ------
        WorkbenchError
            As in `MicroBatcher.answer`.
        """
        engine = self.engine
        if self._batcher is None or self._stopping:
            raise BusyError(N_("The backend is about to stop."), 5)
        limit = self._settings.deadline
        allowed = limit if deadline is None else min(deadline, limit)
        decision = await self._batcher.answer(request, allowed)
        if decision.system.model_fingerprint_after != engine.model_fingerprint:
            raise ModelError(N_("The model's weights changed while the program was running."))
        return decision

    async def decide(
        self,
        request: AnswerRequest,
        deadline: float | None = None,
        key: str | None = None,
        caller: Caller = NOBODY,
    ) -> bytes:
        """Answer one request, keep its decision and return its JSON; the same key gives the same.

        Raises
        ------
        ParameterError
            The key was used for another request.
        WorkbenchError
            As in `compute`.
        """
        if key is None:
            return (await self.keep(request, deadline, caller)).body
        what = _digest(request, caller)
        given = self._keys.get(key)
        if given is not None and given.request != what:
            raise ParameterError(
                N_("The idempotency key was used for another request."),
                N_("Use a new key for every request."),
            )
        if given is None or (given.work is not None and _failed(given.work)):
            # A task of its own: who comes second must not lose the answer when the first leaves.
            task = asyncio.get_running_loop().create_task(self.keep(request, deadline, caller))
            given = self._keys[key] = _Given(what, task)
            task.add_done_callback(given.settle)
            while len(self._keys) > REMEMBERED:
                self._keys.popitem(last=False)
        return await given.wait()

    async def keep(
        self, request: AnswerRequest, deadline: float | None = None, caller: Caller = NOBODY
    ) -> Kept:
        """Answer one request and keep its decision: record, count and remember it.

        Raises
        ------
        WorkbenchError
            As in `compute`.
        """
        decision = await self.compute(request, deadline)
        if self._record is not None:
            await asyncio.to_thread(self._record, decision, request, caller)
        self.metrics.decision(decision)
        kept = Kept(decision, decision.model_dump_json().encode())
        self._decisions[decision.id] = kept.body
        while len(self._decisions) > REMEMBERED:
            self._decisions.popitem(last=False)
        return kept

    def find(self, decision: str) -> bytes:
        """Return the JSON of a decision that was made lately.

        Raises
        ------
        UnknownError
            None of the last ones has that identifier.
        """
        if decision not in self._decisions:
            raise UnknownError(
                N_("There is no decision {id} among the last {count}."),
                N_("Older ones are in the audit log."),
                id=decision[:64],
                count=REMEMBERED,
            )
        return self._decisions[decision]


class UnknownError(BackendError):
    """What was asked for is not there."""


def _failed(task: asyncio.Task[Kept]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)


def _digest(request: AnswerRequest, caller: Caller) -> str:
    digest = hashlib.sha256(request.image)
    retrieval = None if request.retrieval is None else request.retrieval.model_dump_json()
    values = {name: params.model_dump_json() for name, params in request.parameters.items()}
    rest = (request.question, retrieval, sorted(values.items()), request.strategies,
            request.strategy, request.label, caller)  # fmt: skip
    digest.update(repr(rest).encode(errors="replace"))
    return digest.hexdigest()
