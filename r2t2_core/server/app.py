"""The HTTP service, API version 1: routes and nothing else.

`create_app` is the place where an audit log is plugged in: `record` is given every decision, with
its request and who asked, before the answer is returned.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

from fastapi import Depends, FastAPI, Header, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from r2t2_core import __version__
from r2t2_core.decision import Decision
from r2t2_core.engine import Engine
from r2t2_core.errors import BackendError, Cancelled, ModelError, ParameterError, WorkbenchError
from r2t2_core.i18n import N_
from r2t2_core.server.batching import BusyError, DeadlineError
from r2t2_core.server.catalogue import catalogue_routes
from r2t2_core.server.intake import Door, RefusedBodyError
from r2t2_core.server.job_routes import job_routes
from r2t2_core.server.schemas import (
    MAX_PICTURE_TEXT,
    SEE_SCHEMA,
    UNREADABLE,
    AnswerResponse,
    BatchBody,
    BatchItem,
    BatchResponse,
    Health,
    NeighboursResponse,
    PictureBody,
    Problem,
    RerouteBody,
    Responses,
    RetrievalBody,
    Tags,
)
from r2t2_core.server.service import Caller, Record, Service, UnknownError
from r2t2_core.settings import Settings

MAX_BODY = MAX_PICTURE_TEXT + 1_000_000
"""Bytes of a body."""

PATIENCE = 30.0
"""Seconds in which a body has to arrive."""

GONE_POLL = 0.05
"""Seconds between two looks at whether the client is still there."""

CLIENT_GONE = 499
"""Status of a request whose client has left; nobody reads it but the metrics."""

STATUS: dict[type[WorkbenchError], int] = {
    BusyError: 429,
    DeadlineError: 504,
    UnknownError: 404,
    Cancelled: CLIENT_GONE,
    ModelError: 503,
}
"""Kind of error → HTTP status; 422 for all that is wrong with a request."""

REFUSALS: Responses = {
    400: {"model": Problem, "description": "The body is no JSON"},
    413: {"model": Problem, "description": "The body is too large"},
    422: {"model": Problem, "description": "The request cannot be used"},
    429: {"model": Problem, "description": "Too much to do; see Retry-After"},
    503: {"model": Problem, "description": "The model cannot be used"},
    504: {"model": Problem, "description": "The deadline has passed"},
}

Result = TypeVar("Result")


def create_app(
    load: Callable[[], Engine], settings: Settings, record: Record | None = None
) -> FastAPI:
    """Build the service.

    Parameters
    ----------
    load : callable
        Loads the engine; called once, in a thread, when the service starts.
    settings : Settings
    record : callable, optional
        Keeps a decision before its answer is returned: the audit log's place.
    """
    service = Service(load, settings, record)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        loading = asyncio.get_running_loop().create_task(service.start())
        yield
        await loading
        await service.close()

    app = FastAPI(
        title="R2-T2 Workbench",
        version=__version__,
        description="Answers of a frozen mixture of experts, before and after re-routing.",
        lifespan=lifespan,
    )
    app.state.service = service
    app.add_middleware(Door, metrics=service.metrics, limit=MAX_BODY, patience=PATIENCE)
    _handle_errors(app)
    _health_routes(app, service)
    _answer_routes(app, service)
    catalogue_routes(app, service)
    job_routes(app, service)
    return app


def _health_routes(app: FastAPI, service: Service) -> None:
    @app.get("/health/live", tags=["health"])
    async def live() -> Health:
        """Say that the process lives."""
        return Health(status="ok")

    @app.get("/health/ready", tags=["health"], responses={503: {"model": Health}})
    async def ready(response: Response) -> Health:
        """Say whether it can answer."""
        response.status_code = 200 if service.state == "ok" else 503
        return Health(status=service.state)

    @app.get("/metrics", tags=["health"], response_class=Response)
    async def metrics() -> Response:
        """Return Prometheus' metrics."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4")


Bearer = Annotated[
    str | None,
    Header(
        alias="Authorization", max_length=4000, description="`Bearer TOKEN`, for the audit log."
    ),
]
Purpose = Annotated[
    str, Header(alias="X-Purpose", max_length=500, description="What for, for the audit log.")
]


def caller_of(authorization: Bearer = None, purpose: Purpose = "") -> Caller:
    """Return who asks, as the headers say."""
    scheme, _, token = (authorization or "").partition(" ")
    return Caller(token.strip() or None if scheme.lower() == "bearer" else None, purpose)


Deadline = Annotated[
    float | None,
    Header(alias="X-Deadline-Seconds", gt=0, le=3600, allow_inf_nan=False,
           description="Seconds after which the answer is of no use."),
]  # fmt: skip
Key = Annotated[
    str | None,
    Header(alias="Idempotency-Key", min_length=8, max_length=200,
           description="The same key gives the same decision again."),
]  # fmt: skip


Asker = Annotated[Caller, Depends(caller_of)]


def _answer_routes(app: FastAPI, service: Service) -> None:
    tags: Tags = ["answers"]
    responses = REFUSALS

    @app.post("/v1/answers", tags=tags, responses=responses)
    async def answer(
        body: PictureBody, request: Request, caller: Asker, deadline: Deadline = None
    ) -> AnswerResponse:
        """Answer as the frozen model does, without re-routing."""
        plain = RerouteBody(image=body.image, question=body.question,
                            strategies=("base",), strategy="base").to_request()  # fmt: skip
        decision = (await _while_there(request, service.keep(plain, deadline, caller))).decision
        experts = [name for gate in decision.system.gates for name in gate.experts]
        return AnswerResponse(
            answer=decision.base.answer,
            probability=decision.base.probability,
            routing=dict(zip(experts, decision.base.routing, strict=True)),
            model=decision.system.model,
            model_fingerprint=decision.system.model_fingerprint_after,
        )

    @app.post("/v1/decisions", tags=tags, responses={**responses, 200: {"model": Decision}})
    async def decide(
        body: RerouteBody,
        request: Request,
        caller: Asker,
        deadline: Deadline = None,
        key: Key = None,
    ) -> Response:
        """Answer before and after re-routing; the response is the decision."""
        work = service.decide(body.to_request(), deadline, key, caller)
        return _json(await _while_there(request, work))

    @app.post(
        "/v1/decisions/batch", tags=tags, responses={**responses, 200: {"model": BatchResponse}}
    )
    async def decide_batch(
        body: BatchBody, request: Request, caller: Asker, deadline: Deadline = None
    ) -> Response:
        """Answer several requests; each has its own decision or its own problem."""
        items = await _while_there(
            request,
            asyncio.gather(*(_item(service, one, deadline, caller) for one in body.requests)),
        )
        return _json(BatchResponse(items=tuple(items)).model_dump_json().encode())

    @app.get(
        "/v1/decisions/{decision_id}",
        tags=tags,
        responses={200: {"model": Decision}, 404: {"model": Problem}},
    )
    async def find(decision_id: str) -> Response:
        """Return one of the last decisions again."""
        return _json(service.find(decision_id))

    @app.post("/v1/neighbours", tags=tags, responses=responses)
    async def neighbours(
        body: RetrievalBody, request: Request, deadline: Deadline = None
    ) -> NeighboursResponse:
        """Return the reference samples that a re-route would use."""
        plain = RerouteBody(
            image=body.image, question=body.question, retrieval=body.retrieval,
            strategies=("base",), strategy="base",
        ).to_request()  # fmt: skip
        decision = await _while_there(request, service.compute(plain, deadline))
        return NeighboursResponse(reference=decision.reference, neighbours=decision.neighbours)


async def _item(
    service: Service, body: RerouteBody, deadline: float | None, caller: Caller
) -> BatchItem:
    try:
        kept = await service.keep(body.to_request(), deadline, caller)
        return BatchItem(decision=kept.decision)
    except WorkbenchError as error:
        return BatchItem(problem=Problem.of(error))


def _json(body: bytes) -> Response:
    return Response(body, media_type="application/json")


async def _while_there(request: Request, work: Awaitable[Result]) -> Result:
    """Do work while the client is there; when it leaves, the work is cancelled."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait([task], timeout=GONE_POLL)
            if not task.done() and await request.is_disconnected():
                raise Cancelled(N_("Cancelled."), N_("Nothing was changed."))
        return task.result()
    finally:
        task.cancel()


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(WorkbenchError)
    async def refused(request: Request, error: WorkbenchError) -> JSONResponse:
        status = next((code for kind, code in STATUS.items() if isinstance(error, kind)), 422)
        headers = {"Retry-After": str(error.retry_after)} if isinstance(error, BusyError) else None
        return _problem(error, status, headers)

    @app.exception_handler(RequestValidationError)
    async def unreadable(request: Request, error: RequestValidationError) -> JSONResponse:
        # Never what was sent: it may be a picture of many megabytes.
        first = error.errors()[0]
        place = ".".join(str(part)[:64] for part in first["loc"])
        reason = f"{place}: {first['msg'][:200]}"
        return _problem(ParameterError(UNREADABLE, SEE_SCHEMA, reason=reason), 422)

    @app.exception_handler(HTTPException)
    async def refused_by_framework(request: Request, error: HTTPException) -> JSONResponse:
        if isinstance(error, RefusedBodyError):
            problem = error.error
        else:
            problem = BackendError(UNREADABLE, SEE_SCHEMA, reason=str(error.detail)[:200])
        return _problem(problem, error.status_code, dict(error.headers or {}))

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        # The number ties the sentence to the log, which alone holds the details.
        problem = BackendError(
            N_("Something went wrong in the backend; its log has the details under {number}."),
            N_("Try again; if it happens again, report it with this number."),
            number=secrets.token_hex(4),
        )
        return _problem(problem, 500)


def _problem(
    error: WorkbenchError, status: int, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(Problem.of(error).model_dump(), status, headers)
