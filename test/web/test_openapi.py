"""The HTTP interface does what its description says, whatever it is sent."""

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance
from web_server import TestServer, running_server

from deepfer_ros.web.limits import WebLimits

TOKEN = "a-good-long-token_123"


@pytest.fixture(scope="module")
def open_server() -> Iterator[TestServer]:
    with running_server(limits=WebLimits(image_bytes=100_000, video_bytes=100_000)) as server:
        server.play_frames("main", 10_000)
        yield server


@pytest.fixture(scope="module")
def locked_server() -> Iterator[TestServer]:
    with running_server(token=TOKEN) as server:
        server.play_frames("main", 10_000)
        yield server


OPERATIONS = [
    ("GET", "/api/status"),
    ("GET", "/api/cameras"),
    ("GET", "/api/cameras/{name}/snapshot.jpg"),
    ("POST", "/api/classify"),
    ("POST", "/api/classify-video"),
    ("POST", "/api/session"),
]


def try_out(
    server: TestServer, headers: dict[str, str], operation: tuple[str, str], mode: GenerationMode
) -> None:
    """Send requests that the description allows or forbids, and check all that is answered."""
    url = f"{server.url}/api/openapi.json"
    interface = schemathesis.openapi.from_url(url, headers=headers)
    method, path = operation
    strategy = interface[path][method].as_strategy(generation_mode=mode)

    # Enough to find what is wrong in general; more would only take longer.
    @given(case=strategy)
    @settings(
        max_examples=15,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case) -> None:
        # A description cannot say which bytes are a picture.
        case.call_and_validate(
            headers=headers, timeout=60, excluded_checks=[positive_data_acceptance]
        )

    check()


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_answers_are_as_described(open_server: TestServer, operation: tuple[str, str]) -> None:
    try_out(open_server, {}, operation, GenerationMode.POSITIVE)


@pytest.mark.parametrize("operation", OPERATIONS[3:], ids=" ".join)
def test_what_is_forbidden_is_refused_as_described(
    open_server: TestServer, operation: tuple[str, str]
) -> None:
    try_out(open_server, {}, operation, GenerationMode.NEGATIVE)


@pytest.mark.parametrize("operation", OPERATIONS, ids=" ".join)
def test_answers_are_as_described_with_a_token(
    locked_server: TestServer, operation: tuple[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    try_out(locked_server, headers, operation, GenerationMode.POSITIVE)


def test_the_description_names_every_path(client: httpx.Client) -> None:
    description = client.get("/api/openapi.json").json()
    assert set(description["paths"]) == {path for _, path in OPERATIONS}
    for path, methods in description["paths"].items():
        for method, operation in methods.items():
            assert operation["summary"], (method, path)
            assert "403" in operation["responses"], (method, path)
    assert "security" not in description


def test_the_description_tells_of_the_token(locked_server: TestServer) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    description = httpx.get(f"{locked_server.url}/api/openapi.json", headers=headers).json()
    assert description["security"] == [{"token": []}]
    assert description["paths"]["/api/session"]["post"]["security"] == []
    assert "401" in description["paths"]["/api/status"]["get"]["responses"]
