"""What a visitor of the web server does in tests."""

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.frames import Close
from websockets.sync.client import ClientConnection, connect

TIMEOUT_S = 20.0
"""Longest wait for anything: the machine may be busy."""


@dataclass(frozen=True)
class Picture:
    """A message with a picture: its head and the JPEG."""

    head: dict[str, Any]
    jpeg: bytes


def read_message(connection: ClientConnection) -> Picture | dict[str, Any]:
    """Return the next message: a picture, or the JSON of a text."""
    message = connection.recv(TIMEOUT_S)
    if isinstance(message, str):
        text: dict[str, Any] = json.loads(message)
        return text
    (length,) = struct.unpack(">I", message[:4])
    return Picture(json.loads(message[4 : 4 + length]), message[4 + length :])


def next_picture(connection: ClientConnection, *, acknowledge: bool = True) -> Picture:
    """Return the next picture, past all texts."""
    while True:
        message = read_message(connection)
        if isinstance(message, Picture):
            if acknowledge:
                say(connection, type="ack", sequence=message.head["sequence"])
            return message


def next_text(connection: ClientConnection, kind: str) -> dict[str, Any]:
    """Return the next text of a kind, past everything else."""
    while True:
        message = read_message(connection)
        if isinstance(message, dict) and message["type"] == kind:
            return message


def wait_for_state(connection: ClientConnection, state: str) -> dict[str, Any]:
    """Read until the camera is in a state; return the message that says it."""
    end_s, found = time.monotonic() + TIMEOUT_S, "unknown"
    while time.monotonic() < end_s:
        message = read_message(connection)
        if isinstance(message, Picture):
            say(connection, type="ack", sequence=message.head["sequence"])
        elif message["type"] == "status":
            found = message["camera"]["state"]
            if found == state:
                return message
    raise AssertionError(f"the camera is {found}, not {state}")


def read_to_the_end(connection: ClientConnection) -> Close:
    """Read until the server closes the connection; return its code and reason."""
    closed: ConnectionClosed | None = None
    end_s = time.monotonic() + TIMEOUT_S
    while closed is None:
        assert time.monotonic() < end_s, "the connection goes on"
        try:
            connection.recv(TIMEOUT_S)
        except ConnectionClosed as err:
            closed = err
    assert closed.rcvd is not None, "the connection broke without a word"
    return closed.rcvd


def say(connection: ClientConnection, **message: object) -> None:
    """Send a JSON text."""
    connection.send(json.dumps(message))


@contextmanager
def socket_to(url: str, **options: Any) -> Iterator[ClientConnection]:  # noqa: ANN401
    """Open a WebSocket; `url` may begin with http."""
    options.setdefault("open_timeout", TIMEOUT_S)
    with connect(url.replace("http", "ws", 1), **options) as connection:
        yield connection


def raw_socket(port: int) -> socket.socket:
    """Return a connection on which a test may say what it likes."""
    return socket.create_connection(("127.0.0.1", port), TIMEOUT_S)


def is_closed_by_peer(connection: socket.socket) -> bool:
    """Wait for the other side to close; return whether it did."""
    connection.settimeout(TIMEOUT_S)
    try:
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True
