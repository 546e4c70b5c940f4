"""The client of the backend: an engine that is somewhere else.

A request that may safely be sent twice is sent again after a failure, after a pause with jitter:
everything that only reads, and decisions, which carry an idempotency key, so that a second attempt
gets the decision that the first one made.
"""

from __future__ import annotations

import asyncio
import base64
import concurrent.futures
import random
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, TypeAdapter, ValidationError

from r2t2_core.backend import Backend
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import BackendError, Cancelled, WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.reference.index import RetrievalParams
from r2t2_core.registry import get_strategy, parse_params
from r2t2_core.server.schemas import (
    ENDED,
    EvaluationBody,
    Health,
    JobInfo,
    JobResult,
    Problem,
    RerouteBody,
    StrategyInfo,
    SystemInfo,
)
from r2t2_core.settings import Settings
from r2t2_core.stages import PATIENCE, Progress
from r2t2_core.strategies.base import Params

ATTEMPTS = 4

FIRST_PAUSE = 0.2
"""Seconds before the second attempt, at most; each further pause may be twice as long."""

LONGEST_PAUSE = 5.0

TIMEOUT = httpx.Timeout(60.0, connect=3.0)

AGAIN = frozenset((408, 429, 502, 503))
"""Statuses after which asking again makes sense."""

LISTEN = 1.0
"""Seconds after which the progress of a job is asked for anew, and a cancel is passed on."""

STAGE_ASK = N_("Asking the backend")

_STRATEGIES = TypeAdapter(list[StrategyInfo])

Result = TypeVar("Result")

Model = TypeVar("Model", bound=BaseModel)


class RemoteBackend:
    """A backend behind HTTP.

    Parameters
    ----------
    address : str
        For example `http://127.0.0.1:8600`.
    pictures : Path
        Folder in which pictures of neighbours are kept.

    Raises
    ------
    BackendError
        It does not answer.
    """

    def __init__(self, address: str, pictures: Path) -> None:
        self._address = address.rstrip("/")
        # Requests live in an event loop of their own, where a cancel really closes the line: that
        # is how the backend hears of it.
        self._loop = asyncio.new_event_loop()
        Thread(target=self._loop.run_forever, name="backend-client", daemon=True).start()
        self._http = httpx.AsyncClient(base_url=self._address, timeout=TIMEOUT, trust_env=False)
        self.system = _read(SystemInfo, self._send("GET", "/v1/system"))
        found = _STRATEGIES.validate_json(self._send("GET", "/v1/strategies").content)
        self._defaults = {info.name: info.defaults for info in found}
        self._pictures = pictures / self.system.reference_hash[:16]

    @classmethod
    def open(cls, settings: Settings) -> RemoteBackend:
        """Open the backend that the settings name."""
        if settings.backend_url is None:
            raise ValueError("R2T2_BACKEND_URL is not set")
        return cls(settings.backend_url, settings.data_dir / "reference_pictures")

    @property
    def address(self) -> str:
        """Where it is."""
        return self._address

    @property
    def device(self) -> str:
        """Its device in words of torch."""
        return self.system.device

    @property
    def answers(self) -> tuple[str, ...]:
        """The model's answer vocabulary."""
        return self.system.answers

    @property
    def pictures(self) -> Path:
        """Folder below which the pictures of a decision's neighbours lie."""
        return self._pictures

    @property
    def default_strategy(self) -> str:
        """The strategy that validation chose."""
        return self.system.default_strategy

    @property
    def default_retrieval(self) -> RetrievalParams:
        """The retrieval that validation chose."""
        return self.system.default_retrieval

    def default_parameters(self, strategy: str) -> Params:
        """Return a strategy's parameters as validation chose them."""
        return parse_params(get_strategy(strategy), self._defaults.get(strategy, {}))

    def answer(
        self,
        image_bytes: bytes,
        question: str,
        *,
        retrieval: RetrievalParams | None = None,
        parameters: Mapping[str, Params] | None = None,
        strategies: Sequence[str] | None = None,
        strategy: str | None = None,
        label: str | None = None,
        progress: Progress | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Decision:
        """Answer a question before and after re-routing, as `Engine.answer` does.

        Raises
        ------
        BackendError
            The backend does not answer, or has too much to do.
        WorkbenchError
            As in `Engine.answer`.
        """
        if progress is not None:
            progress(STAGE_ASK, 0.1)
        # Not checked here: what is wrong with it the backend says, in one sentence.
        body = RerouteBody.model_construct(
            image=base64.b64encode(image_bytes).decode(),
            question=question,
            retrieval=retrieval,
            parameters={
                name: params.model_dump(mode="json") for name, params in (parameters or {}).items()
            },
            strategies=None if strategies is None else tuple(strategies),
            strategy=strategy,
            label=label,
        )
        response = self._send(
            "POST",
            "/v1/decisions",
            content=body.model_dump_json().encode(),
            headers={"Content-Type": "application/json", "Idempotency-Key": uuid.uuid4().hex},
            cancelled=cancelled,
        )
        decision = _read(Decision, response)
        self._fetch_pictures(decision)
        return decision

    def evaluate(
        self,
        body: EvaluationBody,
        progress: Callable[[int, int], None] = lambda done, total: None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> JobResult:
        """Evaluate methods over suites where the backend is.

        Raises
        ------
        Cancelled
            `cancelled()` said so.
        WorkbenchError
            As in `evaluation.runner.evaluate`.
        """
        # Not sent twice: a second attempt would begin a second job.
        response = self._send(
            "POST",
            "/v1/jobs/evaluation",
            content=body.model_dump_json().encode(),
            headers={"Content-Type": "application/json"},
            attempts=1,
        )
        job = _read(JobInfo, response)
        last = self._run(self._follow(job.id, progress, cancelled), None)
        if last == "cancelled":
            raise Cancelled(N_("Cancelled."), N_("Finished batches are kept: resume."))
        return _read(JobResult, self._send("GET", f"/v1/jobs/{job.id}/result"))

    async def _follow(
        self, job: str, progress: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> str:
        """Pass on a job's progress until it ends; return how."""
        state, asked = "", False
        while state not in ENDED:
            if cancelled() and not asked:
                await self._http.delete(f"/v1/jobs/{job}")
                asked = True
            try:
                async with asyncio.timeout(LISTEN):
                    async with self._http.stream("GET", f"/v1/jobs/{job}/events") as stream:
                        async for line in stream.aiter_lines():
                            if line.startswith("data: "):
                                info = JobInfo.model_validate_json(line.removeprefix("data: "))
                                progress(info.done, info.total)
                                state = info.state
            except TimeoutError:
                # Every line begins with the present state, so that nothing is lost by a new one.
                continue
            except httpx.HTTPError as error:
                raise self._gone(error) from error
        return state

    def _fetch_pictures(self, decision: Decision) -> None:
        """Keep the pictures of a decision's neighbours beside this program."""
        for name in dict.fromkeys(neighbour.image for neighbour in decision.neighbours):
            path = (self._pictures / name).resolve()
            if not path.is_relative_to(self._pictures.resolve()) or path.is_file():
                continue
            where = f"/v1/reference-sets/{self.system.reference_hash}/pictures/{name}"
            try:
                data = self._send("GET", where).content
            except WorkbenchError:
                # The answer stands without it; the page shows where a picture is missing.
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
            temporary.write_bytes(data)
            temporary.replace(path)

    def _send(
        self,
        method: str,
        path: str,
        *,
        attempts: int = ATTEMPTS,
        cancelled: Callable[[], bool] | None = None,
        **content: Any,
    ) -> httpx.Response:
        """Send a request, and again where that is safe and may help."""
        attempt = 0
        while True:
            attempt += 1
            _check(cancelled)
            try:
                response = self._once(method, path, cancelled, **content)
            except httpx.HTTPError as error:
                if attempt == attempts:
                    raise self._gone(error) from error
                _pause(_backoff(attempt), cancelled)
                continue
            if response.is_success:
                return response
            if response.status_code not in AGAIN or attempt == attempts:
                raise _error_of(response)
            _pause(_wait_of(response, attempt), cancelled)

    def _once(
        self, method: str, path: str, cancelled: Callable[[], bool] | None, **content: Any
    ) -> httpx.Response:
        return self._run(self._http.request(method, path, **content), cancelled)

    def _run(
        self, work: Coroutine[Any, Any, Result], cancelled: Callable[[], bool] | None
    ) -> Result:
        """Wait for work in the client's own loop; a cancel ends it."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while True:
            try:
                return future.result(PATIENCE if cancelled else None)
            except concurrent.futures.TimeoutError:
                if future.done():
                    return future.result()
                try:
                    _check(cancelled)
                except Cancelled:
                    future.cancel()
                    raise

    def _gone(self, error: Exception) -> BackendError:
        return BackendError(
            N_("The backend {address} does not answer ({reason})."),
            N_("Start it with `r2t2 serve`, or check R2T2_BACKEND_URL."),
            address=self._address,
            reason=str(error) or type(error).__name__,
        )


def open_backend(settings: Settings) -> Backend:
    """Return the backend that the settings name, or an engine in this process.

    Raises
    ------
    WorkbenchError
        The backend does not answer, or the engine cannot be loaded.
    """
    return Engine.load(settings) if settings.backend_url is None else RemoteBackend.open(settings)


def state_of(address: str) -> str:
    """Return what a backend says of itself (`Health.status`), or `gone`, in two seconds at most."""
    try:
        response = httpx.get(f"{address.rstrip('/')}/health/ready", timeout=2, trust_env=False)
        return Health.model_validate_json(response.content).status
    except (httpx.HTTPError, ValidationError):
        return "gone"


def _backoff(attempt: int) -> float:
    """Return a pause in seconds: up to twice as long after every attempt, drawn at random."""
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (attempt - 1))
    return random.uniform(longest / 4, longest)


def _wait_of(response: httpx.Response, attempt: int) -> float:
    """Return the pause that the backend asks for, with jitter on top of it."""
    asked = response.headers.get("Retry-After", "")
    pause = min(float(asked), LONGEST_PAUSE) if asked.isdigit() else 0.0
    return pause + _backoff(attempt)


def _pause(seconds: float, cancelled: Callable[[], bool] | None) -> None:
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        _check(cancelled)
        time.sleep(min(left, PATIENCE))


def _check(cancelled: Callable[[], bool] | None) -> None:
    if cancelled is not None and cancelled():
        raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))


def _error_of(response: httpx.Response) -> WorkbenchError:
    """Return the error that the backend tells of."""
    try:
        return Problem.model_validate_json(response.content).to_error()
    except ValidationError:
        return BackendError(
            N_("The backend answered with status {status}."),
            N_("Check that R2T2_BACKEND_URL names a backend of this version."),
            status=response.status_code,
        )


def _read(model: type[Model], response: httpx.Response) -> Model:
    try:
        return model.model_validate_json(response.content)
    except ValidationError as error:
        raise BackendError(
            N_("The backend's answer cannot be read."),
            N_("Check that R2T2_BACKEND_URL names a backend of this version."),
        ) from error
