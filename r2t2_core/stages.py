"""Clock, progress and cancelling of one call of the engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock

from r2t2_core.decision import Timing
from r2t2_core.errors import Cancelled
from r2t2_core.i18n import N_

PATIENCE = 0.05
"""Seconds between two looks at whether a call that waits for its turn was cancelled."""

Progress = Callable[[str, float], None]


class Stages:
    """The stages of one call.

    Parameters
    ----------
    progress : callable or None
        Called with a stage (message identifier) and the share done, 0 to 1.
    cancelled : callable or None
        Asked between stages and at every step.
    """

    def __init__(self, progress: Progress | None, cancelled: Callable[[], bool] | None) -> None:
        self.timings: list[Timing] = []
        self.cancelled = cancelled or (lambda: False)
        self._progress = progress or (lambda stage, share: None)

    def check(self) -> None:
        """Raise Cancelled where the person has cancelled."""
        if self.cancelled():
            raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))

    @contextmanager
    def turn(self, lock: Lock) -> Iterator[None]:
        """Hold a lock; a cancel is heard while waiting for it."""
        self.check()
        while not lock.acquire(timeout=PATIENCE):
            self.check()
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def stage(self, name: str, share: float, strategy: str | None = None) -> Iterator[None]:
        """Time a stage; refuse to begin it when the person has cancelled."""
        self.check()
        self._progress(name, share)
        began = time.perf_counter()
        yield
        elapsed = (time.perf_counter() - began) * 1000
        self.timings.append(Timing(stage=name, strategy=strategy, milliseconds=elapsed))
