"""Work in a thread of its own, with progress and a cancel that really stops it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass, field
from threading import Event
from typing import Generic, TypeVar

from r2t2_core.i18n import N_

_pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="reroute")

Result = TypeVar("Result")

Progress = Callable[[str, float], None]

Ask = Callable[[Progress, Callable[[], bool]], Result]
"""`(progress, cancelled) → result`: what a job does in its thread."""


@dataclass
class Job(Generic[Result]):
    """A running piece of work.

    Attributes
    ----------
    key : str
        What was asked (hash of all inputs), so that a result is never taken for another's.
    stage, share : str, float
        Progress: a message identifier, and 0 to 1.
    """

    key: str
    stage: str = N_("Waiting for the model")
    share: float = 0.0
    _stop: Event = field(default_factory=Event)
    _future: Future[Result] | None = None

    @classmethod
    def start(cls, key: str, ask: Ask[Result]) -> Job[Result]:
        """Begin to work on `ask(progress, cancelled)`."""
        job: Job[Result] = cls(key)
        job._future = _pool.submit(ask, job._note, job._stop.is_set)
        return job

    def _note(self, stage: str, share: float) -> None:
        self.stage, self.share = stage, share

    def cancel(self) -> None:
        """Ask the work to stop; it does at its next step."""
        self._stop.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, so long; return whether it has come."""
        assert self._future is not None
        try:
            self._future.exception(timeout=seconds)
        except StillRunning:
            return False
        return True

    def result(self) -> Result:
        """Return the result, or raise what went wrong."""
        assert self._future is not None
        return self._future.result()
