"""Requests that a machine makes up from the API's own description: no 5xx."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error

OPERATIONS = frozenset(
    (
        "GET /health/live", "GET /health/ready", "GET /metrics", "POST /v1/answers",
        "POST /v1/decisions", "POST /v1/decisions/batch", "GET /v1/decisions/{decision_id}",
        "POST /v1/neighbours", "GET /v1/system", "GET /v1/strategies", "GET /v1/reference-sets",
        "GET /v1/reference-sets/{content_hash}/pictures/{path}", "POST /v1/jobs/evaluation",
        "GET /v1/jobs", "GET /v1/jobs/{job_id}", "GET /v1/jobs/{job_id}/events",
        "GET /v1/jobs/{job_id}/result", "DELETE /v1/jobs/{job_id}",
    )
)  # fmt: skip

BEGINS_WORK = "POST /v1/jobs/evaluation"
"""Evaluations run for minutes; `test_api` begins its own."""


@pytest.fixture(scope="module")
def operations(address):
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    found = (result.ok() for result in schema.get_all_operations())
    return {f"{operation.method.upper()} {operation.path}": operation for operation in found}


def test_every_route_is_described(operations):
    assert set(operations) == OPERATIONS


@pytest.mark.parametrize("name", sorted(OPERATIONS - {BEGINS_WORK}))
def test_what_a_machine_makes_up_is_no_server_error(operations, name):
    try_out(operations[name], schemathesis.GenerationMode.POSITIVE)
    if name.startswith("POST"):
        # Others take no body, and any text is a path: there is nothing that is not as described.
        try_out(operations[name], schemathesis.GenerationMode.NEGATIVE)


def try_out(operation, mode) -> None:
    """Send a few requests that are as described, or are not."""

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=8, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def send(case) -> None:
        # Who asks for an answer within a nanosecond is told that it took longer, by a 504.
        (case.headers or {}).pop("X-Deadline-Seconds", None)
        case.validate_response(case.call(timeout=60), checks=[not_a_server_error])

    send()
