"""Requests that schemathesis makes of our own schema, good and bad: each is answered, and as the schema says."""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from serving import running
from veridical.server.app import app_of
from veridical.server.service import Limits, Service

ROUTES = ("/health", "/metrics", "/v1/models", "/v1/images/generations", "/v1/images/edits", "/v1/images/variations")


@pytest.fixture(scope="module")
def schema(one):
    """Of a running server."""
    service = Service(one, Limits(pixels=64 * 64, body=2**20))
    loaded = schemathesis.openapi.from_dict(app_of(service).openapi())
    with running(service) as url:
        loaded.config.update(base_url=url.removesuffix("/v1"))
        yield loaded


@pytest.mark.long
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=lambda mode: mode.value)
@pytest.mark.parametrize("route", ROUTES)
def test_every_request_is_answered_as_the_schema_says(schema, route, mode):
    method = "POST" if "images" in route else "GET"
    if method == "GET" and mode is GenerationMode.NEGATIVE:
        return  # there is nothing to say wrongly

    @given(case=schema[route][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate]
    )
    def ask(case):
        # The schema cannot say which names, words and pictures a run takes: what fits it may be refused, with 400.
        case.call_and_validate(timeout=60, excluded_checks=[positive_data_acceptance])

    ask()
