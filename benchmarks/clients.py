"""Many clients at one backend, on loopback: throughput against one client's, and who failed."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from benchmarks.measuring import quantile
from r2t2_core.evaluation.suites import load_suite, shipped_suites
from r2t2_core.server.client import state_of
from r2t2_core.settings import Settings

PATIENCE = 300.0
"""Seconds in which the backend has to start."""


@dataclass(frozen=True)
class ClientsResult:
    """What was measured.

    Attributes
    ----------
    clients, requests : int
    one, many : float
        Answers a second, of one client and of all together.
    failed : int
    p50, p99 : float
        Seconds of one request with all clients at work.
    one_p50 : float
        Seconds of one request of the lone client.
    batch : float
        Mean size of a batch with all clients at work.
    """

    clients: int
    requests: int
    one: float
    many: float
    failed: int
    p50: float
    p99: float
    one_p50: float
    batch: float


@contextmanager
def backend() -> Iterator[str]:
    """Start a backend in a process of its own; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-m", "r2t2_core.cli", "serve", "--port", str(port)],
            env={**os.environ, "R2T2_DATA_DIR": folder, "R2T2_QUEUE_SIZE": "200"},
            stderr=subprocess.DEVNULL,
        )
        try:
            until = time.monotonic() + PATIENCE
            while state_of(address) != "ok":
                if process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError("the backend did not start")
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()
            process.wait(60)


def bodies(count: int) -> list[bytes]:
    """Return requests: samples of the shipped suites, in turn."""
    settings = Settings()
    found = []
    suites = [load_suite(path).samples for path in
              list(shipped_suites(settings.sample_data / "suites").values())[:3]]  # fmt: skip
    for place in range(count):
        samples = suites[place % len(suites)]
        sample = samples[place // len(suites) % len(samples)]
        image = base64.b64encode(sample.image.read_bytes()).decode()
        found.append(json.dumps({"image": image, "question": sample.question,
                                 "strategies": []}).encode())  # fmt: skip
    return found


def many_clients(clients: int = 50, requests: int = 1000, alone: int = 100) -> ClientsResult:
    """Measure one client, then many."""
    asked = bodies(max(requests, alone))
    with backend() as address:
        _ask(address, asked[:10])
        began = time.perf_counter()
        one = _ask(address, asked[:alone])
        one_rate = alone / (time.perf_counter() - began)
        before = _batches(address)
        parts = [asked[client:requests:clients] for client in range(clients)]
        began = time.perf_counter()
        with ThreadPoolExecutor(clients) as pool:
            answers = [pair for part in pool.map(lambda part: _ask(address, part), parts)
                       for pair in part]  # fmt: skip
        many_rate = requests / (time.perf_counter() - began)
        after = _batches(address)
    seconds = [spent for _status, spent in answers]
    return ClientsResult(
        clients, requests, one_rate, many_rate,
        sum(status != 200 for status, _spent in answers),
        quantile(seconds, 0.5), quantile(seconds, 0.99),
        quantile([spent for _status, spent in one], 0.5),
        (after[1] - before[1]) / max(1.0, after[0] - before[0]),
    )  # fmt: skip


def _ask(address: str, asked: Sequence[bytes]) -> list[tuple[int, float]]:
    headers = {"Content-Type": "application/json"}
    answers = []
    with httpx.Client(base_url=address, timeout=120, headers=headers, trust_env=False) as http:
        for body in asked:
            began = time.perf_counter()
            try:
                status = http.post("/v1/decisions", content=body).status_code
            except httpx.HTTPError:
                status = 0
            answers.append((status, time.perf_counter() - began))
    return answers


def _batches(address: str) -> tuple[float, float]:
    """Return how many batches there were, and how many requests in them."""
    lines = httpx.get(f"{address}/metrics", trust_env=False).text.splitlines()
    numbers = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return float(numbers["r2t2_batch_size_count"]), float(numbers["r2t2_batch_size_sum"])
