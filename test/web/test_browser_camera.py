"""A visitor's camera becomes a camera of the robot: with consent, one at a time, bounded."""

import json

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from web_client import TIMEOUT_S, read_message, read_to_the_end, say, socket_to
from web_server import TestServer, running_server
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from deepfer_ros.recognition.images import encode_image
from deepfer_ros.web.limits import WebLimits

# Fast enough for tests that do not wait between pictures.
QUICK = WebLimits(camera_rate_hz=1000.0)


def start(visitor: ClientConnection) -> dict[str, object]:
    say(visitor, type="start", consent=True)
    message = read_message(visitor)
    assert isinstance(message, dict)
    return message


def send(visitor: ClientConnection, data: bytes) -> dict[str, object]:
    visitor.send(data)
    message = read_message(visitor)
    assert isinstance(message, dict)
    return message


@pytest.fixture(scope="module")
def jpeg(astronaut_bgr: NDArray[np.uint8]) -> bytes:
    return encode_image(astronaut_bgr, ".jpg")


def test_pictures_arrive_and_the_end_is_clean(jpeg: bytes) -> None:
    with running_server(limits=QUICK) as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            assert start(visitor) == {
                "type": "started",
                "camera": "browser",
                "max_rate_hz": 1000.0,
                "max_bytes": 1048576,
                "max_pixels": 2073600,
            }
            assert server.sink.events == ["open"]
            status = httpx.get(f"{server.url}/api/status").json()["browser_camera"]
            assert (status["enabled"], status["active"]) == (True, True)
            assert send(visitor, jpeg) == {"type": "ack", "frame": 1}
            assert send(visitor, jpeg) == {"type": "ack", "frame": 2}
            say(visitor, type="stop")
            assert read_message(visitor) == {"type": "stopped"}
            assert read_to_the_end(visitor).code == 1000
        expected = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert len(server.sink.images) == 2
        assert np.abs(server.sink.images[0].astype(int) - expected).mean() < 2
        assert server.sink.events == ["open", "close"]
        status = httpx.get(f"{server.url}/api/status").json()["browser_camera"]
        assert status["active"] is False


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"type": "start"}, id="nothing said"),
        pytest.param({"type": "start", "consent": False}, id="refused"),
        pytest.param({"type": "start", "consent": "yes"}, id="a text"),
        pytest.param({"type": "stop", "consent": True}, id="no start"),
    ],
)
def test_without_consent_nothing_is_opened(message: dict[str, object]) -> None:
    with running_server() as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            say(visitor, **message)
            answer = read_message(visitor)
            assert isinstance(answer, dict)
            assert answer["type"] == "error"
            assert "consent" in answer["detail"]
            assert read_to_the_end(visitor).code == 4403
        assert server.sink.events == []


def test_pictures_before_consent_are_refused(jpeg: bytes) -> None:
    with running_server() as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            visitor.send(jpeg)
            assert read_to_the_end(visitor).code == 1003
        assert server.sink.events == []
        assert server.sink.images == []


def test_one_visitor_at_a_time(jpeg: bytes) -> None:
    with running_server(limits=QUICK) as server:
        url = f"{server.url}/api/browser-camera"
        with socket_to(url) as first:
            start(first)
            with socket_to(url) as second:
                assert start(second)["detail"] == (
                    "Another visitor's camera is in use; try again later."
                )
                assert read_to_the_end(second).code == 4409
            assert send(first, jpeg) == {"type": "ack", "frame": 1}
            say(first, type="stop")
            read_to_the_end(first)
        with socket_to(url) as third:
            assert start(third)["type"] == "started"
        assert server.sink.events[:3] == ["open", "close", "open"]


def test_who_leaves_without_a_word_gives_the_place_back() -> None:
    with running_server() as server:
        url = f"{server.url}/api/browser-camera"
        with socket_to(url) as first:
            start(first)
            first.socket.close()
        for _ in range(100):
            with socket_to(url) as second:
                if start(second)["type"] == "started":
                    break
        else:
            pytest.fail("the place is still taken")
        assert server.sink.events[:2] == ["open", "close"]


def truncated(jpeg: bytes) -> bytes:
    return jpeg[: len(jpeg) // 2]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "JPEG picture is expected", id="empty"),
        pytest.param(b"garbage", "JPEG picture is expected", id="garbage"),
        pytest.param(b"\xff\xd8\xff" + bytes(100), "not a picture", id="only a start"),
        pytest.param(
            encode_image(np.zeros((4, 4, 3), np.uint8), ".png"), "JPEG picture", id="PNG"
        ),
        pytest.param(
            truncated(encode_image(np.zeros((64, 64, 3), np.uint8), ".jpg")),
            "damaged or truncated",
            id="truncated",
        ),
        pytest.param(
            encode_image(np.zeros((1100, 2000, 3), np.uint8), ".jpg"), "2000x1100", id="large"
        ),
        pytest.param(b"\xff\xd8\xff" + bytes(1_100_000), "1100003 bytes", id="many bytes"),
    ],
)
def test_a_wrong_picture_is_answered_and_the_next_one_goes_on(
    jpeg: bytes, data: bytes, reason: str
) -> None:
    with running_server(limits=QUICK) as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            start(visitor)
            answer = send(visitor, data)
            assert (answer["type"], answer["frame"]) == ("rejected", 1)
            assert reason in str(answer["detail"])
            assert send(visitor, jpeg) == {"type": "ack", "frame": 2}
        assert len(server.sink.images) == 1


def test_a_message_beyond_all_measure_ends_the_connection() -> None:
    with running_server() as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            start(visitor)
            try:
                visitor.send(bytes(8_000_000))
                visitor.recv(TIMEOUT_S)
            except ConnectionClosed as err:
                closed = err
        assert closed.rcvd is None or closed.rcvd.code == 1009
        assert httpx.get(f"{server.url}/api/status").status_code == 200


def test_many_wrong_pictures_end_it() -> None:
    with running_server(limits=WebLimits(camera_rate_hz=1000.0, camera_faults=5)) as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            start(visitor)
            for _ in range(5):
                assert send(visitor, b"garbage")["type"] == "rejected"
            assert read_to_the_end(visitor).code == 4400
        assert server.sink.events == ["open", "close"]


def test_pictures_that_come_too_fast_are_refused(jpeg: bytes) -> None:
    with running_server(limits=WebLimits(camera_rate_hz=0.001)) as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            start(visitor)
            kinds = [send(visitor, jpeg)["type"] for _ in range(8)]
            assert "At most 0.001" in str(send(visitor, jpeg)["detail"])
        # A few come early on every network.
        assert kinds == ["ack"] * 4 + ["rejected"] * 4
        assert len(server.sink.images) == 4


def test_silence_ends_it() -> None:
    with running_server(limits=WebLimits(camera_pause_s=0.3)) as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            start(visitor)
            assert read_to_the_end(visitor).code == 4408
        assert server.sink.events == ["open", "close"]


@pytest.mark.parametrize("text", ["garbage", json.dumps({"type": "dance"})])
def test_other_texts_end_it(text: str) -> None:
    with running_server() as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            start(visitor)
            visitor.send(text)
            assert read_to_the_end(visitor).code == 4400
        assert server.sink.events == ["open", "close"]


def test_it_can_be_switched_off() -> None:
    with running_server(browser_camera=False) as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            close = read_to_the_end(visitor)
        assert (close.code, close.reason) == (4403, "This server takes no browser as a camera.")
        status = httpx.get(f"{server.url}/api/status").json()["browser_camera"]
        assert status["enabled"] is False


def test_the_end_of_the_server_closes_the_camera(jpeg: bytes) -> None:
    with running_server(limits=QUICK) as server:
        with socket_to(f"{server.url}/api/browser-camera") as visitor:
            start(visitor)
            send(visitor, jpeg)
            server.close()
            assert read_to_the_end(visitor).code == 1001
        assert server.sink.events == ["open", "close"]


def test_nothing_of_it_delays_the_live_view(server: TestServer, jpeg: bytes) -> None:
    """Two conversations at once: each gets its answers."""
    with (
        socket_to(f"{server.url}/api/browser-camera") as visitor,
        socket_to(f"{server.url}/api/live?camera=main") as viewer,
    ):
        start(visitor)
        visitor.send(jpeg)
        server.show("main")
        while isinstance(read_message(viewer), dict):
            pass
        assert read_message(visitor) == {"type": "ack", "frame": 1}
