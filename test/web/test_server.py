"""The server's thread: it starts in time or not at all, and does not fail in silence."""

import asyncio
import threading
from collections.abc import Callable

import pytest
import uvicorn
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from deepfer_ros.web import server as web_server
from deepfer_ros.web.guard import Receive, Scope, Send
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.server import ServedApplication, WebServer, listen

TIMEOUT_S = 20.0


async def answer_nothing(scope: Scope, receive: Receive, send: Send) -> None:
    pass


async def clean_up() -> None:
    pass


def create() -> ServedApplication:
    return ServedApplication(answer_nothing, list, lambda: None, clean_up)


def make(
    create: Callable[[], ServedApplication] = create,
    on_failure: Callable[[], None] = lambda: None,
) -> WebServer:
    return WebServer(listen("127.0.0.1", 0), create, WebLimits(), on_failure=on_failure)


def test_one_that_cannot_be_made_does_not_start() -> None:
    def fail() -> ServedApplication:
        raise ZeroDivisionError("no application")

    server = make(fail)
    with pytest.raises(ZeroDivisionError, match="no application"):
        server.start()
    server.stop()


def test_one_that_does_not_start_in_time_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_server, "_START_S", 0.1)
    may_go_on = threading.Event()

    def create_late() -> ServedApplication:
        may_go_on.wait(TIMEOUT_S)
        return create()

    server = make(create_late)
    with pytest.raises(TimeoutError, match=r"not started within 0\.1 s"):
        server.start()
    may_go_on.set()
    server.stop()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_failure_is_told_and_can_be_raised_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    told, may_fail = threading.Event(), threading.Event()

    async def fail(server: uvicorn.Server) -> None:
        may_fail.wait(TIMEOUT_S)
        raise ZeroDivisionError("at work")

    monkeypatch.setattr(uvicorn.Server, "main_loop", fail)
    server = make(on_failure=told.set)
    server.start()
    server.raise_failure()
    may_fail.set()
    assert told.wait(TIMEOUT_S)
    with pytest.raises(ZeroDivisionError, match="at work"):
        server.raise_failure()
    server.stop()


def test_stop_is_no_failure() -> None:
    told = threading.Event()
    server = make(on_failure=told.set)
    server.start()
    server.stop()
    server.raise_failure()
    assert not told.is_set()


def test_a_visitor_who_is_slow_to_go_is_still_told_why() -> None:
    may_go = asyncio.Event()

    async def talk(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await may_go.wait()
        # For example because a picture is being decoded; longer than uvicorn takes to see its end.
        await asyncio.sleep(0.5)
        await send({"type": "websocket.close", "code": 1001, "reason": "The server ends."})

    server = make(lambda: ServedApplication(talk, list, may_go.set, clean_up))
    server.start()
    with connect(f"ws://127.0.0.1:{server.port}") as visitor:
        server.stop()
        with pytest.raises(ConnectionClosed) as ended:
            visitor.recv(TIMEOUT_S)
    assert ended.value.rcvd is not None
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (1001, "The server ends.")
