from collections.abc import Iterator

import httpx
import pytest
from web_server import TestServer, running_server


@pytest.fixture(scope="module")
def server() -> Iterator[TestServer]:
    """Return a server with the cameras main and front, without a token."""
    with running_server(cameras=("main", "front")) as running:
        yield running


@pytest.fixture
def client(server: TestServer) -> Iterator[httpx.Client]:
    """Return a visitor of that server."""
    with httpx.Client(base_url=server.url, timeout=60) as visitor:
        yield visitor
