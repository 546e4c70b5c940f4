"""Requests that a machine makes up from the API's own description: no 5xx, answers as described."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error

OPERATIONS = 18
"""Paths and methods that the API offers, so that a lost one is noticed."""


@pytest.fixture(scope="module")
def schema(address):
    return schemathesis.openapi.from_url(f"{address}/openapi.json")


def test_every_route_is_described(schema):
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) == OPERATIONS


@pytest.fixture(scope="module")
def quiet(schema):
    # Evaluations run for minutes; made-up ones are refused or cancelled in test_api.
    return schema.exclude(path="/v1/jobs/evaluation", method="POST")


lazy = schemathesis.pytest.from_fixture("quiet")


@lazy.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_what_a_machine_makes_up_is_no_server_error(case):
    # Who asks for an answer within a nanosecond is told that it took longer, by a 504.
    case.headers.pop("X-Deadline-Seconds", None)
    response = case.call(timeout=60)
    case.validate_response(response, checks=[not_a_server_error])
