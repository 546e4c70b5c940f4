"""The door for bytes: bodies that are too large or too slow, and one count for every request."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from r2t2_core.errors import BackendError
from r2t2_core.i18n import N_
from r2t2_core.server.metrics import Metrics
from r2t2_core.server.schemas import Problem

TOO_LARGE = N_("The request is larger than {limit} MB.")
SEND_LESS = N_("Send smaller pictures, or fewer at a time.")
TOO_SLOW = N_("The request did not arrive within {seconds} seconds.")
SEND_FASTER = N_("Send it again.")


class RefusedBodyError(HTTPException):
    """The body is too large or too slow."""

    def __init__(self, status: int, error: BackendError) -> None:
        super().__init__(status, str(error), {"Connection": "close"})
        self.error = error


class Door:
    """ASGI middleware that limits bodies in size and time, and counts requests.

    Parameters
    ----------
    app : ASGIApp
    metrics : Metrics
    limit : int
        Bytes of a body.
    patience : float
        Seconds in which a body has to arrive.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, limit: int, patience: float) -> None:
        self._app = app
        self._metrics = metrics
        self._limit = limit
        self._patience = patience

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, with its body counted as it arrives."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500
        arrived, whole = 0, False
        until = time.monotonic() + self._patience

        async def counted() -> Message:
            nonlocal arrived, whole
            if whole:
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, until - time.monotonic()))
            except TimeoutError as error:
                problem = BackendError(TOO_SLOW, SEND_FASTER, seconds=f"{self._patience:g}")
                raise RefusedBodyError(408, problem) from error
            arrived += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if arrived > self._limit:
                raise RefusedBodyError(413, self._too_large())
            return message

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if _announced(scope) > self._limit:
                await _refuse(noted, RefusedBodyError(413, self._too_large()))
            else:
                await self._app(scope, counted, noted)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.request(route, status, time.perf_counter() - began)

    def _too_large(self) -> BackendError:
        return BackendError(TOO_LARGE, SEND_LESS, limit=self._limit // 1_000_000)


def _announced(scope: Scope) -> int:
    """Return the length that the headers announce; 0 where they do not."""
    headers: Any = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    return int(length) if length.isdigit() else 0


async def _refuse(send: Send, refusal: RefusedBodyError) -> None:
    body = Problem.of(refusal.error).model_dump_json().encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refusal.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body})
