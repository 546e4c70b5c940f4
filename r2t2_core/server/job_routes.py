"""Routes of long work: begin, look, listen, cancel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from r2t2_core.i18n import N_
from r2t2_core.server.jobs import Job
from r2t2_core.server.schemas import (
    ENDED,
    EvaluationBody,
    JobInfo,
    JobResult,
    Problem,
    Responses,
    Tags,
)
from r2t2_core.server.service import Service, UnknownError

LOOK = 0.2
"""Seconds between two looks at a job's progress."""

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the line open."""


def job_routes(app: FastAPI, service: Service) -> None:
    """Add the routes."""
    tags: Tags = ["jobs"]
    missing: Responses = {404: {"model": Problem}}

    def find(job: str) -> Job:
        found = service.jobs.get(job)
        if found is None:
            raise UnknownError(N_("There is no such job."), N_("List the jobs at /v1/jobs."))
        return found

    @app.post(
        "/v1/jobs/evaluation",
        tags=tags,
        status_code=202,
        responses={
            400: {"model": Problem},
            413: {"model": Problem},
            422: {"model": Problem},
            429: {"model": Problem},
        },
    )
    async def evaluate(body: EvaluationBody) -> JobInfo:
        """Begin to evaluate methods over suites."""
        return service.jobs.begin(body).info()

    @app.get("/v1/jobs", tags=tags)
    async def jobs() -> list[JobInfo]:
        """List the jobs that are remembered, oldest first."""
        return [job.info() for job in service.jobs.all()]

    @app.get("/v1/jobs/{job_id}", tags=tags, responses=missing)
    async def job(job_id: str) -> JobInfo:
        """Say how far a job is."""
        return find(job_id).info()

    @app.get(
        "/v1/jobs/{job_id}/events",
        tags=tags,
        responses={**missing, 200: {"content": {"text/event-stream": {}}}},
        response_class=StreamingResponse,
    )
    async def events(job_id: str) -> StreamingResponse:
        """Tell of a job's progress as server-sent events, until it ends."""
        return StreamingResponse(
            _events(find(job_id)),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    @app.get("/v1/jobs/{job_id}/result", tags=tags, responses={**missing, 409: {"model": JobInfo}})
    async def result(job_id: str) -> JobResult:
        """Return what a finished job found."""
        found = find(job_id)
        if found.problem is not None:
            raise found.problem
        if found.result is None:
            raise UnknownError(N_("The job has not finished."), N_("Ask again later."))
        return found.result

    @app.delete("/v1/jobs/{job_id}", tags=tags, status_code=202, responses=missing)
    async def cancel(job_id: str) -> JobInfo:
        """Ask a job to stop; it does after its present batch."""
        found = find(job_id)
        found.stop.set()
        return found.info()


async def _events(job: Job) -> AsyncIterator[str]:
    sent, silence = "", 0.0
    while True:
        info = job.info()
        text = info.model_dump_json()
        if text != sent:
            yield f"event: {info.state}\ndata: {text}\n\n"
            sent, silence = text, 0.0
        if info.state in ENDED:
            return
        await asyncio.sleep(LOOK)
        silence += LOOK
        if silence >= HEARTBEAT:
            yield ": still here\n\n"
            silence = 0.0
