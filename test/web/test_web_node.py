"""The web node between ROS topics and visitors, in a process of its own."""

import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from node_process import NodeProcess, running
from numpy.typing import NDArray
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from ros_peer import RosPeer
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header
from web_client import next_picture, next_text, read_message, say, socket_to, wait_for_state

from deepfer.msg import Emotion, EmotionArray
from deepfer_ros.image_conversion import from_image_message
from deepfer_ros.recognition.images import encode_image

NODE = ["-m", "deepfer_ros.web.web_node", "--ros-args", "-p", "port:=0"]
TIMEOUT_S = 60.0


def wait_for(node: NodeProcess, pattern: str) -> "re.Match[str]":
    """Wait until a node writes what fits the pattern."""
    end_s = time.monotonic() + TIMEOUT_S
    while not (match := re.search(pattern, node.log)):
        assert node.is_running, node.log
        assert time.monotonic() < end_s, node.log
        time.sleep(0.05)
    return match


def url_of(node: NodeProcess) -> str:
    """Return where a node serves, once it says so."""
    return wait_for(node, r"Open (https?://\S+)")[1]


@pytest.fixture(scope="module")
def url(ros_environment: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log_path = tmp_path_factory.mktemp("web") / "node.log"
    with running(NODE, log_path) as node:
        yield url_of(node).rstrip("/")
        assert node.stop() == 0
        assert "Traceback" not in node.log


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "node.log"


def header(seconds: int) -> Header:
    message = Header(frame_id="camera")
    message.stamp.sec = seconds
    return message


def happy(seconds: int) -> EmotionArray:
    face = Emotion(
        face_id="abc",
        roi=RegionOfInterest(x_offset=1, y_offset=2, width=30, height=40),
        landmarks=[float("nan")] * 10,
        detection_confidence=0.9,
        emotion="happy",
        confidence=0.7,
        probabilities=[0.1, 0.0, 0.0, 0.7, 0.1, 0.1, 0.0],
        frame_probabilities=[0.1, 0.0, 0.0, 0.7, 0.1, 0.1, 0.0],
    )
    return EmotionArray(header=header(seconds), model="test48", emotions=[face])


def picture(seconds: int, data: bytes) -> CompressedImage:
    return CompressedImage(header=header(seconds), format="jpeg", data=data)


def names(url: str) -> list[str]:
    return [camera["name"] for camera in httpx.get(f"{url}/api/cameras").json()["cameras"]]


def test_pictures_go_from_the_topic_to_who_looks(url: str, peer: RosPeer) -> None:
    emotions = peer.advertise(EmotionArray, "emotions")
    pictures = peer.node.create_publisher(CompressedImage, "emotions/image/compressed", 1)
    peer.wait_until(lambda: names(url) == ["main"], "the camera to be found")
    assert pictures.get_subscription_count() == 0
    with socket_to(f"{url}/api/live?camera=main") as viewer:
        next_text(viewer, "status")
        peer.wait_until(pictures.get_subscription_count, "a subscription to the pictures")
        # A result of a foreign node that contradicts itself is left out.
        wrong = happy(4)
        wrong.emotions[0].probabilities[0] = 0.9
        emotions.publish(wrong)
        emotions.publish(happy(5))
        pictures.publish(picture(5, b"\xff\xd8five"))
        shown = next_picture(viewer)
        assert shown.jpeg == b"\xff\xd8five"
        assert (shown.head["stamp"], shown.head["model"]) == (5.0, "test48")
        # That stamp is of another clock.
        assert shown.head["age_ms"] is None
        (face,) = shown.head["faces"]
        assert (face["face_id"], face["emotion"]) == ("abc", "happy")
        assert face["box_xywh"] == [1.0, 2.0, 30.0, 40.0]
        assert face["landmarks"] is None
        # A picture of this clock has an age.
        now = happy(int(time.time()))
        emotions.publish(now)
        pictures.publish(picture(now.header.stamp.sec, b"\xff\xd8now"))
        assert next_picture(viewer).head["age_ms"] >= 0
        # The picture may come first.
        pictures.publish(picture(6, b"\xff\xd8six"))
        emotions.publish(happy(6))
        assert next_picture(viewer).jpeg == b"\xff\xd8six"
    peer.wait_until(lambda: not pictures.get_subscription_count(), "the end of the subscription")
    peer.node.destroy_publisher(pictures)
    peer.node.destroy_publisher(emotions)
    peer.wait_until(lambda: names(url) == [], "the camera to be gone")


def test_cameras_come_and_go_under_their_names(url: str, peer: RosPeer) -> None:
    with socket_to(f"{url}/api/live?camera=front") as viewer:
        assert next_text(viewer, "status")["camera"]["state"] == "absent"
        publisher = peer.advertise(EmotionArray, "front/emotions")
        publisher.publish(happy(1))
        live = wait_for_state(viewer, "live")["camera"]
        assert live["topic"] == "/front/emotions"
        assert live["faces"] == 1
        peer.node.destroy_publisher(publisher)
        wait_for_state(viewer, "absent")


@pytest.mark.parametrize(
    ("message_type", "topic"),
    [(Image, "/browser/image_raw"), (CompressedImage, "/browser/image_raw/compressed")],
    ids=["raw", "compressed"],
)
def test_a_browser_becomes_a_camera_and_ends(
    url: str, peer: RosPeer, astronaut_bgr: NDArray[np.uint8], message_type: type, topic: str
) -> None:
    received: list[Image | CompressedImage] = []
    peer.node.create_subscription(message_type, topic, received.append, 1)
    assert peer.node.count_publishers(topic) == 0
    with socket_to(f"{url}/api/browser-camera") as visitor:
        say(visitor, type="start", consent=True)
        assert read_message(visitor)["type"] == "started"  # type: ignore[index]
        peer.wait_until(lambda: peer.node.count_publishers(topic), "the topic")
        jpeg = encode_image(astronaut_bgr, ".jpg")
        end_s = time.monotonic() + TIMEOUT_S
        while not received and time.monotonic() < end_s:
            visitor.send(jpeg)
            read_message(visitor)
            peer.spin_for(0.1)
    message = received[0]
    assert message.header.frame_id == "browser_camera"
    assert abs(message.header.stamp.sec - time.time()) < TIMEOUT_S
    # As the emotion node reads it.
    shown = from_image_message(message, max_pixels=512 * 512)
    assert shown.shape == (512, 512, 3)
    assert np.abs(shown.astype(int) - astronaut_bgr).mean() < 5
    peer.wait_until(lambda: not peer.node.count_publishers(topic), "the end of the topic")


def test_its_parameters_can_be_read_and_not_be_changed(url: str, peer: RosPeer) -> None:
    request = GetParameters.Request(names=["host", "browser_camera"])
    answer = peer.call(GetParameters, "/web_node/get_parameters", request)
    assert answer.values[0].string_value == "127.0.0.1"  # type: ignore[attr-defined]
    assert answer.values[1].bool_value is True  # type: ignore[attr-defined]
    value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value="0.0.0.0")
    change = SetParameters.Request(parameters=[Parameter(name="host", value=value)])
    (result,) = peer.call(SetParameters, "/web_node/set_parameters", change).results  # type: ignore[attr-defined]
    assert not result.successful
    assert httpx.get(f"{url}/api/status").status_code == 200


def refused(arguments: list[str], log_path: Path) -> str:
    """Return what a node says that does not start."""
    with running([*NODE, *arguments], log_path) as node:
        assert node.wait() == 1
        return node.log


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["host:=192.0.2.1"], "cannot listen on 192.0.2.1", id="foreign address"),
        pytest.param(["host:=no.such.invalid"], "is unknown", id="unknown name"),
        pytest.param(["token_file:=/missing"], "/missing cannot be read", id="no token file"),
        pytest.param(["certificate:=/missing"], "go together", id="no key"),
        pytest.param(
            ["certificate:=/missing", "-p", "private_key:=/missing"],
            "cannot be used",
            id="no certificate",
        ),
        pytest.param(["port:=70000"], "70000", id="port out of range"),
        pytest.param(["detector:=magic"], "detector must be one of", id="unknown detector"),
        pytest.param(["model:=/missing"], "'/missing' is neither a bundle", id="no model"),
        pytest.param(["yunet_file:=/missing"], "YuNet file /missing does not", id="no YuNet file"),
        pytest.param(
            ["yunet_file:=/dev/null", "-p", "detector:=yunet"],
            "YuNet file /dev/null does not exist",
            id="device instead of a YuNet file",
        ),
    ],
)
def test_what_cannot_be_served_is_refused_in_a_sentence(
    ros_environment: None, log_path: Path, arguments: list[str], reason: str
) -> None:
    log = refused(["-p", *arguments], log_path)
    assert "web_node cannot start: " in log
    assert reason in log
    assert "Traceback" not in log


def test_a_port_in_use_is_refused_in_a_sentence(url: str, log_path: Path) -> None:
    log = refused(["-p", f"port:={httpx.URL(url).port}"], log_path)
    assert re.fullmatch(r"web_node cannot start: .*Address already in use.*\n", log)


def test_other_machines_need_a_token(ros_environment: None, log_path: Path) -> None:
    with running([*NODE, "-p", "host:=0.0.0.0"], log_path) as node:
        match = re.fullmatch(r"http://(\S+):(\d+)/\?token=(\S+)", url_of(node))
        assert match is not None
        here = f"http://127.0.0.1:{match[2]}"
        assert httpx.get(f"{here}/api/status").status_code == 401
        bearer = {"Authorization": f"Bearer {match[3]}"}
        assert httpx.get(f"{here}/api/status", headers=bearer).status_code == 200
        # Not a line of ROS's log, which would go to files and to /rosout.
        assert "[INFO]" not in node.log


def test_the_name_that_it_listens_on_is_its_own(ros_environment: None, log_path: Path) -> None:
    # A name of this machine that no list holds and that is no address in the usual form.
    with running([*NODE, "-p", "host:='127.1'"], log_path) as node:
        url = url_of(node)
        assert url.startswith("http://127.1:")
        host = url.partition("//")[2].rstrip("/")
        here = f"http://127.0.0.1:{httpx.URL(url).port}/api/status"
        assert httpx.get(here, headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("source", ["file", "variable"])
def test_a_token_can_be_given(
    ros_environment: None, monkeypatch: pytest.MonkeyPatch, log_path: Path, source: str
) -> None:
    token, arguments = "my-own-token-0123456789", []
    if source == "file":
        path = log_path.with_name("token")
        path.write_text(f"{token}\n")
        arguments = ["-p", f"token_file:={path}"]
    else:
        monkeypatch.setenv("DEEPFER_WEB_TOKEN", token)
    with running([*NODE, *arguments], log_path) as node:
        assert url_of(node).endswith(f"/?token={token}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
def test_it_ends_at_once_when_told(
    ros_environment: None, log_path: Path, number: signal.Signals
) -> None:
    with running(NODE, log_path) as node:
        url = url_of(node)
        with socket_to(f"{url}api/live?camera=main") as viewer:
            next_text(viewer, "status")
            assert node.stop(number) == 0
        assert "Traceback" not in node.log


def test_it_ends_when_the_server_fails(ros_environment: None, log_path: Path) -> None:
    code = """
import asyncio, sys, uvicorn
from deepfer_ros.web.web_node import main

async def fail(self, sockets):
    await asyncio.sleep(0.5)
    raise OSError("the server broke")

uvicorn.Server.serve = fail
sys.exit(main())
"""
    with running(["-c", code, *NODE[2:]], log_path) as node:
        url_of(node)
        assert node.wait() == 1
        assert node.log.rstrip().endswith("OSError: the server broke")


@pytest.mark.slow
@pytest.mark.parametrize("command", ["web", "demo"])
def test_the_commands_show_the_sample(ros_environment: None, log_path: Path, command: str) -> None:
    options = {"web": ["--port", "0"], "demo": ["--web"]}[command]
    code = "import deepfer_ros.cli as cli; cli.main()"
    with running(["-c", code, command, "--source", "sample", *options], log_path) as process:
        if (
            command == "demo"
            and wait_for(process, "already in use|Open http")[0] == "already in use"
        ):
            pytest.skip("another program uses the port of the demo's page")
        url = url_of(process).rstrip("/")
        with socket_to(f"{url}/api/live?camera=main") as viewer:
            wait_for_state(viewer, "live")
            while not (shown := next_picture(viewer)).head["faces"]:
                pass
        assert names(url) == ["browser", "main"]
        assert shown.head["faces"][0]["emotion"] == "happy"
        assert shown.jpeg.startswith(b"\xff\xd8")
        assert process.stop(signal.SIGINT) == 0
