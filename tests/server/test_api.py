"""The API over a real socket: what it answers, and how it refuses."""

from __future__ import annotations

import base64
import json
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from r2t2_core.decision import Decision
from r2t2_core.errors import WorkbenchError
from r2t2_core.registry import strategies
from r2t2_core.server.schemas import BatchResponse, JobInfo, NeighboursResponse, StrategyInfo
from r2t2_core.settings import Settings
from tests.agreement import differences
from tests.server.conftest import serving


@pytest.fixture(scope="module")
def http(address):
    with httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def case(cases, gallery_dir):
    return cases[0], (gallery_dir / cases[0].image).read_bytes()


@pytest.fixture(scope="module")
def body(case) -> dict:
    return {
        "image": base64.b64encode(case[1]).decode(),
        "question": case[0].question,
        "label": case[0].label,
    }


def test_a_decision_over_http_is_the_one_in_this_process(http, engine, case, body, recorded):
    headers = {"Authorization": "Bearer secret", "X-Purpose": "a test"}
    response = http.post("/v1/decisions", json=body, headers=headers)
    assert response.status_code == 200
    decision = Decision.from_json(response.content)
    own = engine.answer(case[1], case[0].question, label=case[0].label)
    assert differences(own, decision) == []
    assert decision.system.batch == 1
    kept, request, caller = recorded[-1]
    assert kept.id == decision.id
    assert request.image == case[1]
    assert (caller.token, caller.purpose) == ("secret", "a test")
    again = http.get(f"/v1/decisions/{decision.id}")
    assert Decision.from_json(again.content) == decision


def test_an_idempotency_key_gives_the_same_decision_once(http, body, recorded):
    key = {"Idempotency-Key": "one-key-for-this-test"}
    first = http.post("/v1/decisions", json=body, headers=key).json()
    count = len(recorded)
    second = http.post("/v1/decisions", json=body, headers=key).json()
    assert first["id"] == second["id"]
    assert len(recorded) == count
    other = http.post("/v1/decisions", json={**body, "question": "Is there a cup?"}, headers=key)
    assert other.status_code == 422
    assert "another request" in other.json()["detail"]


def test_a_decision_that_cannot_be_recorded_is_not_given(engine, body, tmp_path):
    def refuse(decision, request, caller):
        raise WorkbenchError("The audit log cannot be written.", "Make room.")

    with serving(lambda: engine, Settings(data_dir=tmp_path), refuse) as address:
        response = httpx.post(f"{address}/v1/decisions", json=body, timeout=60)
    assert response.status_code == 422
    assert "audit log cannot be written" in response.json()["detail"]


def test_a_batch_gives_each_its_decision_or_its_problem(http, body):
    bad = {**body, "image": base64.b64encode(b"no picture").decode()}
    response = http.post("/v1/decisions/batch", json={"requests": [body, bad, body]})
    items = BatchResponse.model_validate_json(response.content).items
    assert [item.decision is not None for item in items] == [True, False, True]
    assert items[1].problem.type == "ImageError"
    assert differences(items[0].decision, items[2].decision, within=1e-5) == []


def test_the_plain_answer_and_the_neighbours_are_those_of_the_decision(http, engine, case, body):
    own = engine.answer(case[1], case[0].question)
    asked = {name: body[name] for name in ("image", "question")}
    answer = http.post("/v1/answers", json=asked).json()
    assert answer["answer"] == own.base.answer
    assert list(answer["routing"].values()) == pytest.approx(own.base.routing, abs=1e-6)
    found = NeighboursResponse.model_validate_json(http.post("/v1/neighbours", json=asked).content)
    assert [n.id for n in found.neighbours] == [n.id for n in own.neighbours]
    fewer = http.post("/v1/neighbours", json={**asked, "retrieval": {"n_neighbours": 2}})
    assert len(fewer.json()["neighbours"]) == 2


def test_strategies_come_with_the_schemas_of_their_parameters(http, engine):
    found = [StrategyInfo.model_validate(entry) for entry in http.get("/v1/strategies").json()]
    assert [info.name for info in found] == list(strategies())
    ngd = next(info for info in found if info.name == "ngd")
    assert ngd.parameters["properties"]["steps"]["maximum"] == 50
    assert ngd.defaults == engine.default_parameters("ngd").model_dump(mode="json")


def test_the_reference_set_and_its_pictures(http, engine):
    (info,) = http.get("/v1/reference-sets").json()
    assert info["size"] == len(engine.reference)
    assert info["admitted"]["all_labelled"] == info["size"]
    name = engine.reference.image_path(0).relative_to(engine.reference.root).as_posix()
    base = f"/v1/reference-sets/{info['content_hash']}/pictures"
    assert http.get(f"{base}/{name}").content == engine.reference.image_path(0).read_bytes()


@pytest.mark.parametrize(
    "path",
    ["../manifest.json", "images/../manifest.json", "manifest.json", "%2e%2e/%2e%2e/README.md",
     "images/nothing.jpg", "/etc/passwd", "images%00.jpg"],
)  # fmt: skip
def test_no_other_file_leaves_by_the_pictures_door(http, path):
    (info,) = http.get("/v1/reference-sets").json()
    response = http.get(f"/v1/reference-sets/{info['content_hash']}/pictures/{path}")
    assert response.status_code == 404


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"image": "???"}, 422, "base64"),
        ({"image": ""}, 422, "empty"),
        ({"question": ""}, 422, "The question is empty"),
        ({"question": 5}, 422, "question"),
        ({"label": "on the moon"}, 422, "not an answer"),
        ({"strategy": "magic"}, 422, "no strategy called magic"),
        ({"strategy": "oracle", "label": None}, 422, "needs the right answer"),
        ({"retrieval": {"n_neighbours": 0}}, 422, "n_neighbours"),
        ({"retrieval": {"mode": "ball", "radius": 1.0}, "question": "Is this a poem?"}, 422, ""),
        ({"parameters": {"ngd": {"steps": 1e9}}}, 422, "steps"),
        ({"parameters": {"ngd": {"nothing": 1}}}, 422, "no parameter called nothing"),
        ({"surprise": 1}, 422, "surprise"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(http, body, change, status, words):
    response = http.post("/v1/decisions", json={**body, **change})
    assert response.status_code == status
    problem = response.json()
    assert words in problem["detail"]
    assert set(problem) == {"type", "detail", "message", "remedy", "params"}
    assert body["image"] not in response.text


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"image": NaN}', b"[" * 100_000, b'"' + b"a" * 99],
)
def test_malformed_json_is_refused(http, content):
    response = http.post(
        "/v1/decisions", content=content, headers={"Content-Type": "application/json"}
    )
    assert response.status_code in (400, 422)
    assert response.json()["type"] in ("ParameterError", "BackendError")


def test_a_huge_body_is_refused_before_it_is_held(http, address):
    where = urlsplit(address)
    with socket.create_connection((where.hostname, where.port), timeout=20) as line:
        line.sendall(
            b"POST /v1/decisions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            b"Content-Length: 10000000000\r\n\r\n{"
        )
        assert line.recv(1000).startswith(b"HTTP/1.1 413")

    def endless():
        for _ in range(60):
            yield b" " * 1_000_000

    try:
        status = http.post("/v1/decisions", content=endless()).status_code
    except httpx.TransportError:
        # The backend closed the line while it was being sent.
        status = 413
    assert status == 413


def test_a_deadline_that_has_passed_is_said(http, body):
    response = http.post("/v1/decisions", json=body, headers={"X-Deadline-Seconds": "0.0001"})
    assert response.status_code == 504
    assert "longer than" in response.json()["detail"]


def test_health_and_metrics(http, body):
    assert http.get("/health/live").json() == {"status": "ok"}
    assert http.get("/health/ready").json() == {"status": "ok"}
    http.post("/v1/decisions", json=body)
    text = http.get("/metrics").text
    assert 'r2t2_requests_total{route="/v1/decisions",status="200"}' in text
    assert "r2t2_batch_size_bucket" in text
    assert "r2t2_requests_held 0.0" in text


def test_unknown_addresses_and_methods_are_refused_in_the_same_form(http):
    assert http.get("/nothing").json()["type"] == "BackendError"
    assert http.get("/v1/decisions").status_code == 405
    assert http.get("/v1/decisions/none").status_code == 404
    assert http.get("/v1/jobs/none").status_code == 404


def test_an_evaluation_tells_its_progress_and_its_result(http, suite_name):
    suite = http.post("/v1/jobs/evaluation", json={"suites": ["no such suite"]})
    assert suite.status_code == 202
    failed = _last(http, suite.json()["id"])
    assert failed.state == "failed"
    assert "no suite called" in failed.problem.detail
    asked = {"suites": [suite_name], "methods": ["base", "ngd"], "limit": 8}
    begun = http.post("/v1/jobs/evaluation", json=asked)
    job = begun.json()["id"]
    last = _last(http, job)
    assert last.state == "finished"
    assert last.done == last.total == 8
    scores = http.get(f"/v1/jobs/{job}/result").json()["scores"]
    assert {entry["method"] for entry in scores} == {"base", "ngd"}
    assert [entry["id"] for entry in http.get("/v1/jobs").json()][-1] == job


def test_an_evaluation_can_be_cancelled(http, suite_name):
    job = http.post("/v1/jobs/evaluation", json={"suites": [suite_name]}).json()["id"]
    assert http.get(f"/v1/jobs/{job}/result").status_code == 404
    assert http.delete(f"/v1/jobs/{job}").status_code == 202
    assert _last(http, job).state == "cancelled"


def _last(http: httpx.Client, job: str) -> JobInfo:
    with http.stream("GET", f"/v1/jobs/{job}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in stream.iter_lines() if line.startswith("data: ")]
    return JobInfo.model_validate(json.loads(lines[-1].removeprefix("data: ")))
