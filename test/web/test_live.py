"""Pictures and results go out to all who look, newest first, and nobody waits for anybody."""

import time
from collections.abc import Callable

import httpx
import pytest
from web_client import (
    TIMEOUT_S,
    next_picture,
    next_text,
    read_message,
    read_to_the_end,
    say,
    socket_to,
    wait_for_state,
)
from web_server import TestServer, fake_face, running_server

from deepfer_ros.web.limits import WebLimits


def wait_until(condition: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end_s, f"waited in vain for {what}"
        time.sleep(0.02)


def watched(server: TestServer) -> frozenset[str]:
    return server.watched[-1] if server.watched else frozenset()


def test_a_picture_comes_with_its_emotions(server: TestServer) -> None:
    with socket_to(f"{server.url}/api/live?camera=main") as viewer:
        next_text(viewer, "status")
        server.show("main", [fake_face("a"), fake_face("b")], b"\xff\xd8jpeg", stamp_ns=5 * 10**9)
        picture = next_picture(viewer)
    assert picture.jpeg == b"\xff\xd8jpeg"
    head = picture.head
    assert (head["camera"], head["stamp"], head["frame_id"]) == ("main", 5.0, "camera")
    assert (head["age_ms"], head["model"]) == (20.0, "fake48")
    assert abs(head["server_time_ms"] / 1e3 - time.time()) < TIMEOUT_S
    assert [face["face_id"] for face in head["faces"]] == ["a", "b"]
    face = head["faces"][0]
    assert face["box_xywh"] == [40.0, 30.0, 60.0, 80.0]
    assert face["landmarks"] is None
    assert (face["emotion"], face["confidence"]) == ("happy", 0.7)
    assert face["probabilities"]["happy"] == 0.7
    assert next(iter(face["probabilities"])) == "angry"


def test_all_who_look_get_the_same_bytes(server: TestServer) -> None:
    url = f"{server.url}/api/live?camera=main"
    with socket_to(url) as first, socket_to(url) as second:
        for viewer in (first, second):
            next_text(viewer, "status")
        server.show("main", [fake_face()], b"\xff\xd8same")
        assert next_picture(first) == next_picture(second)


def test_pictures_are_wanted_only_while_somebody_looks() -> None:
    with running_server(cameras=("main", "front")) as server:
        assert server.watched == []
        with socket_to(f"{server.url}/api/live?camera=front") as one:
            wait_until(lambda: watched(server) == {"front"}, "front to be watched")
            with socket_to(f"{server.url}/api/live?camera=front"):
                next_text(one, "status")
            assert server.watched == [{"front"}]
        wait_until(lambda: not watched(server), "nothing to be watched")
        with httpx.Client(base_url=server.url) as visitor:
            visitor.get("/api/cameras")
            visitor.get("/api/status")
        assert server.watched == [{"front"}, frozenset()]


def test_a_viewer_sees_only_its_camera(server: TestServer) -> None:
    with socket_to(f"{server.url}/api/live?camera=front") as viewer:
        next_text(viewer, "status")
        server.show("main", [], b"\xff\xd8main")
        server.show("front", [], b"\xff\xd8front")
        assert next_picture(viewer).jpeg == b"\xff\xd8front"


def test_who_acknowledges_late_gets_the_newest_and_skips_the_rest() -> None:
    with running_server() as server:
        url = f"{server.url}/api/live?camera=main"
        with socket_to(url) as slow, socket_to(url) as quick:
            for viewer in (slow, quick):
                next_text(viewer, "status")
            for number in range(1, 11):
                server.show("main", [], b"\xff\xd8%d" % number)
                # The quick one gets each, whatever the slow one does.
                assert next_picture(quick).head["sequence"] == number
            first = next_picture(slow, acknowledge=False)
            second = next_picture(slow, acknowledge=False)
            assert (first.head["sequence"], second.head["sequence"]) == (1, 2)
            # Two are under way: a third does not come, however long it is waited for.
            assert isinstance(read_message(slow), dict)
            say(slow, type="ack", sequence=2)
            assert next_picture(slow).head["sequence"] == 10
            assert next_text(slow, "status")["skipped"] == 7


def test_who_never_acknowledges_is_closed_and_the_others_go_on() -> None:
    with running_server(limits=WebLimits(send_s=0.5)) as server:
        url = f"{server.url}/api/live?camera=main"
        with socket_to(url) as idle, socket_to(url) as good:
            next_text(idle, "status")
            next_text(good, "status")
            server.show()
            next_picture(good)
            close = read_to_the_end(idle)
            assert close.code == 4008
            assert "acknowledged" in close.reason
            server.show()
            assert next_picture(good).head["sequence"] == 2


def test_who_does_not_read_delays_nobody() -> None:
    """Nothing is read from the sockets of many viewers while one follows every picture."""
    jpeg = b"\xff\xd8" + bytes(500_000)
    with running_server(limits=WebLimits(send_s=2.0, pictures_under_way=100)) as server:
        url = f"{server.url}/api/live?camera=main"
        stalled = [socket_to(url, max_queue=1) for _ in range(10)]
        connections = [context.__enter__() for context in stalled]
        with socket_to(url) as good:
            next_text(good, "status")
            for number in range(1, 41):
                server.show("main", [], jpeg)
                picture = next_picture(good)
                assert picture.head["sequence"] == number
            assert len(picture.jpeg) == len(jpeg)
            wait_until(
                lambda: httpx.get(f"{server.url}/api/status").json()["viewers"] == 1,
                "the stalled viewers to be dropped",
            )
        for connection in connections:
            connection.socket.close()


def test_the_state_of_a_camera_is_told(server: TestServer) -> None:
    with socket_to(f"{server.url}/api/live?camera=nobody") as viewer:
        status = next_text(viewer, "status")
        assert status["camera"]["state"] == "absent"
        assert status["camera"]["topic"] is None
    with socket_to(f"{server.url}/api/live?camera=front") as viewer:
        camera = next_text(viewer, "status")["camera"]
        assert camera["topic"] == "/front/emotions"
        server.play_frames("front", 100)
        status = wait_for_state(viewer, "live")
        server.stop_frames()
        assert status["camera"]["faces"] == 0
        assert status["camera"]["latency_ms"] == 20.0


def test_a_camera_that_falls_silent_is_told() -> None:
    with running_server() as server, socket_to(f"{server.url}/api/live") as viewer:
        wait_for_state(viewer, "silent")
        server.show()
        wait_for_state(viewer, "live")
        wait_for_state(viewer, "silent")
        server.set_cameras()
        wait_for_state(viewer, "absent")
        server.set_cameras("main")
        server.show()
        wait_for_state(viewer, "live")


def test_a_ping_is_answered(server: TestServer) -> None:
    with socket_to(f"{server.url}/api/live?camera=main") as viewer:
        say(viewer, type="ping", time_ms=12.5)
        pong = next_text(viewer, "pong")
    assert pong["time_ms"] == 12.5
    assert abs(pong["server_time_ms"] / 1e3 - time.time()) < TIMEOUT_S


@pytest.mark.parametrize(
    ("message", "code"),
    [
        pytest.param("garbage", 4400, id="no JSON"),
        pytest.param("[" * 100_000, 4400, id="deep JSON"),
        pytest.param("[]", 4400, id="a list"),
        pytest.param('{"type": "dance"}', 4400, id="unknown"),
        pytest.param('{"type": "ack"}', 4400, id="no sequence"),
        pytest.param('{"type": "ack", "sequence": "1"}', 4400, id="sequence is a text"),
        pytest.param('{"type": "ping", "time_ms": null}', 4400, id="ping without a time"),
        pytest.param(b"\x00\x01", 1003, id="binary"),
    ],
)
def test_a_wrong_message_ends_the_connection_with_a_reason(
    server: TestServer, message: str | bytes, code: int
) -> None:
    with socket_to(f"{server.url}/api/live?camera=main") as viewer:
        viewer.send(message)
        close = read_to_the_end(viewer)
    assert close.code == code
    assert close.reason


@pytest.mark.parametrize("name", ["", "a/b", "..%2F", "a" * 201, "%00"])
@pytest.mark.parametrize("path", ["live", "emotions"])
def test_a_wrong_name_of_a_camera_is_refused(server: TestServer, path: str, name: str) -> None:
    with socket_to(f"{server.url}/api/{path}?camera={name}") as viewer:
        close = read_to_the_end(viewer)
    assert close.code == 4400
    assert "camera must be" in close.reason


def test_more_viewers_than_allowed_are_refused_with_a_reason() -> None:
    with running_server(limits=WebLimits(viewers=2)) as server:
        url = f"{server.url}/api/live?camera=main"
        with socket_to(url) as one, socket_to(f"{server.url}/api/emotions"):
            next_text(one, "status")
            with socket_to(url) as third:
                close = read_to_the_end(third)
            assert close.code == 4429
            answer = httpx.get(f"{server.url}/api/cameras/main/snapshot.jpg")
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            server.show()
            assert next_picture(one).head["sequence"] == 1


def test_results_come_as_json_from_all_cameras_or_from_one(server: TestServer) -> None:
    all_of_them = socket_to(f"{server.url}/api/emotions")
    with all_of_them as both, socket_to(f"{server.url}/api/emotions?camera=front") as front:
        # An answer to a ping: the server has let them in.
        both.ping().wait(TIMEOUT_S)
        front.ping().wait(TIMEOUT_S)
        server.show("main", [fake_face("m")])
        server.show("front", [fake_face("f")])
        messages = [read_message(both), read_message(both)]
        only = read_message(front)
    assert [message["camera"] for message in messages] == ["main", "front"]
    assert only["camera"] == "front"
    assert only["faces"][0]["face_id"] == "f"
    assert only["faces"][0]["emotion"] == "happy"


def test_a_snapshot_is_the_next_picture(server: TestServer, client: httpx.Client) -> None:
    server.play_frames("main", 200, jpeg=b"\xff\xd8snapshot")
    answer = client.get("/api/cameras/main/snapshot.jpg")
    server.stop_frames()
    assert answer.status_code == 200
    assert answer.content == b"\xff\xd8snapshot"
    assert answer.headers["content-type"] == "image/jpeg"
    assert 'filename="deepfer_main_' in answer.headers["content-disposition"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_snapshot_of_no_camera_is_not_found(client: httpx.Client) -> None:
    answer = client.get("/api/cameras/nobody/snapshot.jpg")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "There is no camera 'nobody'; there is front, main."


def test_a_snapshot_of_a_silent_camera_does_not_wait_for_ever() -> None:
    with running_server() as server:
        answer = httpx.get(f"{server.url}/api/cameras/main/snapshot.jpg", timeout=60)
    assert answer.status_code == 504
    assert "no picture" in answer.json()["detail"]


def test_the_end_of_the_server_takes_leave_of_those_who_look() -> None:
    with running_server() as server:
        with socket_to(f"{server.url}/api/live?camera=main") as viewer:
            next_text(viewer, "status")
            server.close()
            close = read_to_the_end(viewer)
        assert close.code == 1001


def test_the_list_of_cameras(server: TestServer, client: httpx.Client) -> None:
    answer = client.get("/api/cameras")
    assert answer.status_code == 200
    cameras = {camera["name"]: camera for camera in answer.json()["cameras"]}
    assert list(cameras) == ["front", "main"]
    assert cameras["main"]["topic"] == "/emotions"
    assert cameras["main"]["image_topic"] == "/emotions/image/compressed"
    assert cameras["main"]["viewers"] == 0
