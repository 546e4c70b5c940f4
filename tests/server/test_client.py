"""The client: the same decision as in this process, and what it does when things go wrong."""

from __future__ import annotations

import dataclasses
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from r2t2_core.decision import Decision
from r2t2_core.errors import BackendError, Cancelled, ImageError, ParameterError, RunError
from r2t2_core.i18n import set_language, translate_error
from r2t2_core.registry import strategies
from r2t2_core.server import client as client_module
from r2t2_core.server.client import RemoteBackend, open_backend, state_of
from r2t2_core.server.schemas import EvaluationBody
from r2t2_core.settings import Settings
from tests.agreement import differences


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch):
    monkeypatch.setattr(client_module, "FIRST_PAUSE", 0.01)


@pytest.fixture
def backend(address, tmp_path) -> RemoteBackend:
    return RemoteBackend(address, tmp_path / "pictures")


@pytest.fixture(scope="module")
def case(cases, gallery_dir):
    return cases[0], (gallery_dir / cases[0].image).read_bytes()


def test_a_backend_somewhere_else_is_as_the_engine_here(backend, engine, case):
    assert backend.answers == engine.answers
    assert backend.device == engine.device
    assert backend.default_strategy == engine.default_strategy
    assert backend.default_retrieval == engine.default_retrieval
    for name in strategies():
        assert backend.default_parameters(name) == engine.default_parameters(name)
    chosen = {
        "retrieval": engine.default_retrieval.model_copy(update={"n_neighbours": 4}),
        "parameters": {"ngd": engine.default_parameters("ngd").model_copy(update={"steps": 3})},
        "strategies": ["ngd"],
        "strategy": "ngd",
        "label": case[0].label,
    }
    there = backend.answer(case[1], case[0].question, **chosen)
    here = engine.answer(case[1], case[0].question, **chosen)
    assert differences(here, there) == []
    for neighbour in there.neighbours:
        own = engine.pictures / neighbour.image
        assert (backend.pictures / neighbour.image).read_bytes() == own.read_bytes()


def test_errors_come_back_as_what_they_are_and_are_translated(backend, case):
    with pytest.raises(ImageError) as refused:
        backend.answer(b"no picture", case[0].question)
    set_language("ja")
    message, _remedy = translate_error(refused.value)
    assert message != refused.value.message
    with pytest.raises(ParameterError, match="not an answer"):
        backend.answer(case[1], case[0].question, label="on the moon")


def test_an_evaluation_runs_there_with_progress_and_can_be_cancelled(backend, suite_name):
    seen = []
    result = backend.evaluate(
        EvaluationBody(suites=(suite_name,), methods=("base", "ngd"), limit=6),
        lambda *numbers: seen.append(numbers),
    )
    assert {entry["method"] for entry in result.scores} == {"base", "ngd"}
    assert seen[-1] == (6, 6)
    with pytest.raises(Cancelled):
        backend.evaluate(EvaluationBody(suites=(suite_name,)), cancelled=lambda: True)
    with pytest.raises(RunError, match="no suite called"):
        backend.evaluate(EvaluationBody(suites=("no such suite",)))


def test_nobody_there_is_one_sentence(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    assert state_of(address) == "gone"
    with pytest.raises(BackendError, match="does not answer"):
        open_backend(Settings(backend_url=address, data_dir=tmp_path))


def test_the_state_is_what_the_backend_says(address):
    assert state_of(address) == "ok"


@dataclasses.dataclass
class Play:
    """A backend that fails as it is told: what it was sent, and what it answers next."""

    address: str
    seen: list[tuple[str, str, str | None]]
    answers: list[tuple[int, dict[str, str], bytes]]


@pytest.fixture
def play(engine, case):
    """Pass system and strategies on as they are; answer decisions from a list."""
    decision = engine.answer(case[1], case[0].question, strategies=[engine.default_strategy])
    told = Play("", [], [])
    system = {
        "model": "m", "model_fingerprint": "f", "device": "cpu", "dtype": "float32", "threads": 1,
        "code_version": "0", "experts": [], "answers": [], "reference_hash": "r" * 64,
        "default_strategy": "ngd", "default_retrieval": {},
    }  # fmt: skip

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            whole = {"/v1/system": system, "/v1/strategies": []}
            found = whole.get(self.path)
            self._reply(200 if found is not None else 404, {}, json.dumps(found).encode())

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            told.seen.append((self.command, self.path, self.headers.get("Idempotency-Key")))
            if told.answers:
                self._reply(*told.answers.pop(0))
            else:
                self._reply(200, {}, decision.model_dump_json().encode())

        def _reply(self, status, headers, body):
            if status == 0:
                self.close_connection = True
                return
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    told.address = f"http://127.0.0.1:{server.server_port}"
    yield told
    server.shutdown()


BUSY = json.dumps(
    {"type": "BusyError", "detail": "", "message": "The backend has too much to do.",
     "remedy": "", "params": {}}
).encode()  # fmt: skip


@pytest.mark.parametrize(
    "trouble", [(0, {}, b""), (503, {}, b""), (429, {"Retry-After": "0"}, BUSY)]
)
def test_a_decision_is_asked_for_again_under_the_same_key(play, tmp_path, trouble, case):
    play.answers = [trouble, trouble]
    backend = RemoteBackend(play.address, tmp_path)
    assert isinstance(backend.answer(case[1], case[0].question), Decision)
    assert len(play.seen) == 3
    assert len({key for _method, _path, key in play.seen}) == 1
    backend.answer(case[1], case[0].question)
    assert play.seen[-1][2] != play.seen[0][2]


def test_it_gives_up_after_a_few_attempts(play, tmp_path, case):
    play.answers = [(429, {"Retry-After": "0"}, BUSY)] * 10
    backend = RemoteBackend(play.address, tmp_path)
    with pytest.raises(BackendError, match="too much to do"):
        backend.answer(case[1], case[0].question)
    assert len(play.seen) == client_module.ATTEMPTS


def test_a_job_is_never_begun_twice(play, tmp_path):
    play.answers = [(503, {}, b"")] * 3
    backend = RemoteBackend(play.address, tmp_path)
    with pytest.raises(BackendError, match="status 503"):
        backend.evaluate(EvaluationBody())
    assert len(play.seen) == 1


def test_what_is_no_backend_is_said(play, tmp_path, case):
    play.answers = [(200, {}, b"<html>")]
    backend = RemoteBackend(play.address, tmp_path)
    with pytest.raises(BackendError, match="cannot be read"):
        backend.answer(case[1], case[0].question)


def test_a_cancel_is_heard_while_the_backend_computes(play, tmp_path, case):
    backend = RemoteBackend(play.address, tmp_path)
    with pytest.raises(Cancelled):
        backend.answer(case[1], case[0].question, cancelled=lambda: True)
