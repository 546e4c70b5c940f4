"""A backend on loopback, with the session's engine."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from r2t2_core.evaluation.suites import shipped_suites
from r2t2_core.server.app import create_app
from r2t2_core.settings import SAMPLE_DATA, Settings


@contextmanager
def serving(load, settings: Settings, record=None) -> Iterator[str]:
    """Serve an engine in a thread; yield the address once it is ready."""
    app = create_app(load, settings, record)
    server = uvicorn.Server(
        uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error",
                       timeout_graceful_shutdown=10)
    )  # fmt: skip
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started and time.monotonic() < until:
        time.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    while httpx.get(f"{address}/health/ready").status_code != 200:
        assert time.monotonic() < until
        time.sleep(0.01)
    try:
        yield address
    finally:
        server.should_exit = True
        thread.join(20)


@pytest.fixture(scope="session")
def suite_name() -> str:
    """The first shipped suite."""
    return next(iter(shipped_suites(SAMPLE_DATA / "suites")))


@pytest.fixture(scope="module")
def recorded() -> list:
    """Decisions that the backend recorded."""
    return []


@pytest.fixture(scope="module")
def address(engine, recorded, tmp_path_factory) -> Iterator[str]:
    """A backend with a folder of its own."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("backend"))
    with serving(lambda: engine, settings, lambda *kept: recorded.append(kept)) as where:
        yield where
