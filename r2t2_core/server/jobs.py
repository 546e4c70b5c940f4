"""Long work of the backend: one after the other, with progress, and a cancel that stops it."""

from __future__ import annotations

import base64
import json
import logging
import shutil
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event
from typing import Literal

from r2t2_core.engine import Engine
from r2t2_core.errors import BackendError, Cancelled, RunError, WorkbenchError
from r2t2_core.evaluation.methods import parse_methods
from r2t2_core.evaluation.metrics import score
from r2t2_core.evaluation.runner import Run, evaluate
from r2t2_core.evaluation.suites import Suite, load_suite, shipped_suites
from r2t2_core.i18n import N_
from r2t2_core.server.batching import BusyError
from r2t2_core.server.schemas import ENDED, EvaluationBody, JobInfo, JobResult, Problem
from r2t2_core.settings import Settings

logger = logging.getLogger(__name__)

KEPT = 100
"""Jobs that are remembered."""

WAITING = 8
"""Jobs that may wait or run at once."""

State = Literal["waiting", "running", "finished", "failed", "cancelled"]


@dataclass
class Job:
    """One piece of work; its thread writes, others read."""

    id: str
    state: State = "waiting"
    done: int = 0
    total: int = 0
    problem: WorkbenchError | None = None
    result: JobResult | None = None
    stop: Event = field(default_factory=Event)

    def info(self) -> JobInfo:
        """Return what people may know of it."""
        return JobInfo(
            id=self.id,
            kind="evaluation",
            state=self.state,
            done=self.done,
            total=self.total,
            problem=None if self.problem is None else Problem.of(self.problem),
        )


class Jobs:
    """The backend's jobs.

    Parameters
    ----------
    engine : callable
        Returns the engine.
    settings : Settings
    """

    def __init__(self, engine: Callable[[], Engine], settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._jobs: OrderedDict[str, Job] = OrderedDict()
        # One at a time: jobs share the model with questions, which must not wait for several.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="job")

    def close(self) -> None:
        """Stop what runs; finished batches of an evaluation stay on disk."""
        for job in self._jobs.values():
            job.stop.set()
        self._pool.shutdown(cancel_futures=True)

    def all(self) -> list[Job]:
        """Return the jobs that are remembered, oldest first."""
        return list(self._jobs.values())

    def get(self, job: str) -> Job | None:
        """Return a job."""
        return self._jobs.get(job)

    def begin(self, body: EvaluationBody) -> Job:
        """Begin an evaluation.

        Raises
        ------
        BusyError
            Too many jobs wait already.
        """
        waiting = sum(job.state not in ENDED for job in self._jobs.values())
        if waiting >= WAITING:
            raise BusyError(N_("The backend has too much to do."), 60)
        job = Job(uuid.uuid4().hex)
        self._jobs[job.id] = job
        for old in [job.id for job in self._jobs.values() if job.state in ENDED][:-KEPT]:
            del self._jobs[old]
        self._pool.submit(self._work, job, body)
        return job

    def _work(self, job: Job, body: EvaluationBody) -> None:
        try:
            _check(job)
            job.state = "running"
            job.result = self._evaluate(job, body)
            job.state = "finished"
        except Cancelled as error:
            job.problem, job.state = error, "cancelled"
        except WorkbenchError as error:
            job.problem, job.state = error, "failed"
        except Exception as error:  # The thread ends; the sentence is all that anybody sees of it.
            logger.exception("a job failed")
            job.problem = BackendError(
                N_("Something went wrong that nobody foresaw: {reason}"), "", reason=repr(error)
            )
            job.state = "failed"

    def _evaluate(self, job: Job, body: EvaluationBody) -> JobResult:
        engine = self._engine()
        folder = self._settings.data_dir / "jobs" / job.id

        def note(done: int, total: int) -> None:
            job.done, job.total = done, total

        try:
            suites = self._suites(job, body, folder)
            methods = parse_methods(list(body.methods), engine.defaults, body.seed)
            run = evaluate(
                engine,
                suites,
                methods,
                self._settings.data_dir / "runs",
                limit=body.limit,
                seed=body.seed,
                progress=note,
                cancelled=job.stop.is_set,
            )
            return _result(run)
        finally:
            if folder.exists():
                shutil.rmtree(folder)

    def _suites(self, job: Job, body: EvaluationBody, folder: Path) -> list[Suite]:
        if body.archive is not None:
            folder.mkdir(parents=True)
            archive = folder / "suite.zip"
            archive.write_bytes(base64.b64decode(body.archive))
            return [load_suite(archive, folder / "files")]
        shipped = shipped_suites(self._settings.sample_data / "suites")
        for name in body.suites:
            if name not in shipped:
                raise RunError(
                    N_("There is no suite called {name}."),
                    N_("Choose one of: {known}."),
                    name=name,
                    known=", ".join(shipped),
                )
        names = dict.fromkeys(body.suites or shipped)
        return [
            load_suite(shipped[name], self._settings.data_dir / "unpacked" / name) for name in names
        ]


def _check(job: Job) -> None:
    if job.stop.is_set():
        raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))


def _result(run: Run) -> JobResult:
    scores = tuple(asdict(entry) for entry in score(run.results))
    bad = json.loads((run.folder / "bad_rows.json").read_text(encoding="utf-8"))
    return JobResult(scores=scores, bad_rows=len(bad))
