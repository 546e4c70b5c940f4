"""Work in a thread of its own, with progress and a cancel that really stops it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass, field
from threading import Event

from r2t2_core.decision import Decision
from r2t2_core.i18n import N_

_pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="reroute")

Ask = Callable[[Callable[[str, float], None], Callable[[], bool]], Decision]


@dataclass
class Job:
    """A running question.

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
    _future: Future[Decision] | None = None

    @classmethod
    def start(cls, key: str, ask: Ask) -> Job:
        """Begin to work on `ask(progress, cancelled)`."""
        job = cls(key)
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

    def result(self) -> Decision:
        """Return the decision, or raise what went wrong."""
        assert self._future is not None
        return self._future.result()
