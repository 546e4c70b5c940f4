"""`r2t2 serve`: the engine behind HTTP."""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import Annotated

import typer
import uvicorn

from r2t2_core.cli.output import complaints
from r2t2_core.engine import Engine
from r2t2_core.server.app import create_app
from r2t2_core.settings import Settings

GRACE = 60
"""Seconds that accepted requests have to finish when the backend is stopped."""


class Device(StrEnum):
    """Devices that may be asked for."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"
    mps = "mps"


class Precision(StrEnum):
    """Number formats of the model's large products."""

    float32 = "float32"
    bfloat16 = "bfloat16"


def serve(
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 serves a network.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8600,
    device: Annotated[
        Device | None, typer.Option(help="By default R2T2_DEVICE, or the best there is.")
    ] = None,
    dtype: Annotated[
        Precision | None, typer.Option(help="By default R2T2_DTYPE, or float32.")
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=0, max=256, help="Threads of torch; 0 leaves it its choice.")
    ] = None,
) -> None:
    """Hold one frozen model and answer over HTTP; the API is described at /docs."""
    with complaints():
        settings = Settings.from_environment()
        asked = {"device": device, "dtype": dtype, "threads": threads}
        settings = settings.model_copy(
            update={name: getattr(value, "value", value) for name, value in asked.items()
                    if value is not None}
        )  # fmt: skip
        settings.resolve_device()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    app = create_app(lambda: Engine.load(settings), settings)
    uvicorn.run(
        app,
        host=host,
        port=port,
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=15,
        h11_max_incomplete_event_size=64 * 1024,
    )
