"""What all WebSockets of the server have in common."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Coroutine, Sequence
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from websockets.exceptions import ConnectionClosed

from deepfer_ros.web.live import BAD_MESSAGE, TOO_SLOW, ClosedError

UNSUPPORTED = 1003

_MAX_REASON_BYTES = 120
_CANCEL_AGAIN_S = 0.1
# What sending to a visitor who has left raises; which one depends on the version of uvicorn.
_LEFT = (WebSocketDisconnect, ConnectionClosed, ConnectionError)


async def send(socket: WebSocket, message: str | bytes, timeout_s: float) -> None:
    """Send a text or bytes.

    Raises:
        ClosedError: The other side does not take it.
        WebSocketDisconnect: The other side has left.
    """
    kind = "text" if isinstance(message, str) else "bytes"
    sending = socket.send({"type": "websocket.send", kind: message})
    try:
        await asyncio.wait_for(sending, timeout_s)
    except asyncio.TimeoutError as err:
        raise ClosedError(TOO_SLOW, f"A message was not taken for {timeout_s:g} s.") from err
    except _LEFT as err:
        raise WebSocketDisconnect(1006) from err


async def receive(socket: WebSocket) -> str | bytes:
    """Wait for a text or bytes.

    Raises:
        WebSocketDisconnect: The other side has left.
    """
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code") or 1005)
    text = message.get("text")
    return text if text is not None else message.get("bytes") or b""


def read_message(text: str | bytes) -> dict[str, Any]:
    """Return the JSON object in a message.

    Raises:
        ClosedError: There is none.
    """
    if isinstance(text, bytes):
        raise ClosedError(UNSUPPORTED, "A JSON text is expected here, got a binary message.")
    try:
        message = json.loads(text)
    # RecursionError: thousands of brackets.
    except (ValueError, RecursionError) as err:
        raise ClosedError(BAD_MESSAGE, f"A JSON object is expected, got {text!r:.40}.") from err
    if not isinstance(message, dict):
        raise ClosedError(BAD_MESSAGE, f"A JSON object is expected, got {text!r:.40}.")
    return message


async def first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Run works together until the first ends; end the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel(tasks)
    # Both may have failed, as when the other side has left. Every exception is asked for: asyncio
    # prints those that nobody has seen.
    errors = [
        error
        for task in tasks
        if not task.cancelled() and (error := task.exception()) is not None and task in done
    ]
    if errors:
        raise errors[0]


async def _cancel(tasks: Sequence["asyncio.Future[None]"]) -> None:
    """Cancel tasks and wait for their end.

    Before Python 3.12, a `wait_for` that is cancelled in the very moment when it is done takes no
    notice; so it is told again.
    """
    while pending := [task for task in tasks if not task.done()]:
        for task in pending:
            task.cancel()
        await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)


@contextlib.asynccontextmanager
async def session(socket: WebSocket) -> AsyncIterator[None]:
    """Accept a connection, and close it with the code and the reason of what ends it."""
    await socket.accept()
    code, reason = 1000, ""
    try:
        yield
    except ClosedError as err:
        code, reason = err.code, err.reason
    except _LEFT:
        return
    with contextlib.suppress(RuntimeError, *_LEFT):
        await socket.send({"type": "websocket.close", "code": code, "reason": _shorten(reason)})


def _shorten(reason: str) -> str:
    """Return what fits into a close message."""
    return reason.encode()[:_MAX_REASON_BYTES].decode("utf-8", "ignore")
