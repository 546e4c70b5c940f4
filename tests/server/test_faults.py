"""What goes wrong in the world: clients that leave or dawdle, many at once, a backend that dies."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from r2t2_core.decision import Decision
from r2t2_core.errors import BackendError, ModelError
from r2t2_core.request import AnswerRequest
from r2t2_core.server import app as app_module
from r2t2_core.server.batching import BusyError
from r2t2_core.server.client import RemoteBackend, state_of
from r2t2_core.server.service import Service
from r2t2_core.settings import Settings
from tests.agreement import differences
from tests.server.conftest import serving

ROOT = Path(__file__).resolve().parents[2]


def asked(cases, gallery_dir, engine, count: int) -> list[tuple[dict, Decision]]:
    """Bodies with the decision that each gives alone."""
    pairs = []
    for case in cases[:count]:
        data = (gallery_dir / case.image).read_bytes()
        body = {
            "image": base64.b64encode(data).decode(),
            "question": case.question,
            "strategies": ["ngd", "kernel_regression"],
            "strategy": "kernel_regression",
        }
        decision = engine.answer(
            data, case.question, strategies=body["strategies"], strategy=body["strategy"]
        )
        pairs.append((body, decision))
    return pairs


BAD: list[tuple[str, bytes]] = [
    ("/v1/decisions", b"{"),
    ("/v1/decisions", b'{"image": 1, "question": []}'),
    ("/v1/decisions", json.dumps({"image": "aGVsbG8=", "question": "Where is it?"}).encode()),
    ("/v1/decisions/batch", b'{"requests": []}'),
    ("/v1/neighbours", b'{"image": "", "question": ""}'),
    ("/v1/jobs/evaluation", b'{"limit": -1}'),
    ("/v1/nothing", b"{}"),
]


def ask_mixed(address: str, pairs, requests: int, clients: int, seed: int) -> list[str]:
    """Send good and bad requests from several clients; return what was not as it should be."""

    def one(client: int) -> list[str]:
        rng, wrong = random.Random(seed * 1000 + client), []
        headers = {"Content-Type": "application/json"}
        with httpx.Client(base_url=address, timeout=120, headers=headers) as http:
            for _ in range(requests // clients):
                if rng.random() < 0.3:
                    path, content = rng.choice(BAD)
                    status = http.post(path, content=content).status_code
                    if not 400 <= status < 500:
                        wrong.append(f"{path} {content[:40]!r}: {status}")
                    continue
                body, own = rng.choice(pairs)
                response = http.post("/v1/decisions", json=body)
                if response.status_code != 200:
                    wrong.append(f"{response.status_code}: {response.text[:100]}")
                    continue
                wrong += differences(own, Decision.from_json(response.content), within=1e-5)
        return wrong

    with ThreadPoolExecutor(clients) as pool:
        return [line for lines in pool.map(one, range(clients)) for line in lines]


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def test_a_few_clients_with_good_and_bad_requests(address, engine, cases, gallery_dir):
    pairs = asked(cases, gallery_dir, engine, 4)
    assert ask_mixed(address, pairs, requests=40, clients=5, seed=0) == []
    text = httpx.get(f"{address}/metrics").text
    assert "r2t2_requests_held 0.0" in text
    assert 'status="5' not in text


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux' own count")
def test_a_thousand_requests_of_twenty_clients_leave_no_memory_behind(
    address, engine, cases, gallery_dir
):
    pairs = asked(cases, gallery_dir, engine, 12)
    # As many as are remembered, so that what is kept on purpose is there before.
    assert ask_mixed(address, pairs, requests=500, clients=20, seed=1) == []
    before = resident_bytes()
    assert ask_mixed(address, pairs, requests=1000, clients=20, seed=2) == []
    grown = resident_bytes() - before
    assert grown < 30_000_000, f"{grown / 1e6:.1f} MB"


def test_a_client_that_leaves_is_not_computed_for(address, engine, cases, gallery_dir):
    (body, own), *_ = asked(cases, gallery_dir, engine, 1)
    where = urlsplit(address)
    content = json.dumps(body).encode()
    with engine._lock:
        with socket.create_connection((where.hostname, where.port)) as line:
            line.sendall(
                b"POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                + f"Content-Length: {len(content)}\r\n\r\n".encode()
                + content
            )
            until = time.monotonic() + 20
            while "r2t2_requests_held 1.0" not in httpx.get(f"{address}/metrics").text:
                assert time.monotonic() < until
        while "r2t2_requests_held 0.0" not in httpx.get(f"{address}/metrics").text:
            assert time.monotonic() < until
    assert 'route="/v1/decisions",status="499"' in httpx.get(f"{address}/metrics").text
    response = httpx.post(f"{address}/v1/decisions", json=body, timeout=60)
    assert differences(own, Decision.from_json(response.content)) == []


def test_a_client_that_dawdles_is_shown_the_door(engine, tmp_path, monkeypatch):
    monkeypatch.setattr(app_module, "PATIENCE", 0.3)
    with serving(lambda: engine, Settings(data_dir=tmp_path)) as address:
        where = urlsplit(address)
        with socket.create_connection((where.hostname, where.port), timeout=20) as line:
            line.sendall(b"POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
            assert line.recv(1000).startswith(b"HTTP/1.1 408")
        assert state_of(address) == "ok"


def test_stopping_finishes_what_was_accepted(engine, cases, gallery_dir, tmp_path):
    (body, own), *_ = asked(cases, gallery_dir, engine, 1)
    answers = []
    with serving(lambda: engine, Settings(data_dir=tmp_path)) as address:
        engine._lock.acquire()
        post = threading.Thread(
            target=lambda: answers.append(
                httpx.post(f"{address}/v1/decisions", json=body, timeout=60)
            )
        )
        post.start()
        until = time.monotonic() + 20
        while "r2t2_requests_held 1.0" not in httpx.get(f"{address}/metrics").text:
            assert time.monotonic() < until
        threading.Timer(0.5, engine._lock.release).start()
    post.join(30)
    assert answers[0].status_code == 200
    assert differences(own, Decision.from_json(answers[0].content)) == []
    assert state_of(address) == "gone"


def test_an_engine_that_cannot_be_loaded_is_said_and_the_process_lives(tmp_path):
    def load():
        raise ModelError("There is no model in {folder}.", "Train it.", folder="here")

    async def whole() -> None:
        service = Service(load, Settings(data_dir=tmp_path))
        assert service.state == "loading"
        with pytest.raises(BusyError, match="loading"):
            await service.compute(AnswerRequest(b"", ""))
        await service.start()
        assert service.state == "damaged"
        with pytest.raises(ModelError, match="no model in here"):
            await service.compute(AnswerRequest(b"", ""))
        await service.close()
        assert service.state == "stopping"

    asyncio.run(whole())


@pytest.mark.slow
def test_a_backend_that_is_killed_and_started_again(cases, gallery_dir, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"

    def start() -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-m", "r2t2_core.cli", "serve", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, "R2T2_DATA_DIR": str(tmp_path / "there")},
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + 120
        while state_of(address) != "ok":
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.2)
        return process

    data = (gallery_dir / cases[0].image).read_bytes()
    first = start()
    try:
        backend = RemoteBackend(address, tmp_path / "pictures")
        before = backend.answer(data, cases[0].question)
        failed = []

        def keep_asking() -> None:
            try:
                while True:
                    backend.answer(data, cases[0].question)
            except BackendError as error:
                failed.append(error)

        asking = threading.Thread(target=keep_asking)
        asking.start()
        time.sleep(0.3)
        first.kill()
        asking.join(60)
        assert "does not answer" in str(failed[0])
    finally:
        first.kill()
        first.wait()
    second = start()
    try:
        assert differences(before, backend.answer(data, cases[0].question)) == []
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) in (0, -signal.SIGTERM)
    finally:
        second.kill()
        second.wait()
