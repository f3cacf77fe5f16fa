"""Tests of the camera node: with sources that do what a test says, and as a process of its own."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("rclpy")

from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import Image

from deepfer_ros import camera_node
from deepfer_ros.camera_node import CameraNode
from deepfer_ros.camera_sources import CameraError, Frame, FrameSource, Report, SampleSource

if TYPE_CHECKING:
    from ros_peer import RosPeer

BEST_EFFORT = QoSProfile(depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)


class ScriptedSource:
    """Gives numbered pictures, ends or fails as the test says."""

    name = "scripted"
    description = "scripted source"

    def __init__(
        self, count: int = 1000, *, fails: bool = False, rate_hz: float | None = 50.0
    ) -> None:
        self.count = count
        self.fails = fails
        self.rate_hz = rate_hz
        self.index = 0
        self.rewinds = 0
        self.closed = threading.Event()

    def read(self) -> Frame | None:
        if self.closed.is_set():
            raise CameraError("The scripted source was closed.")
        if self.index == self.count:
            if self.fails:
                raise CameraError("The scripted source was unplugged.")
            return None
        image_bgr = np.zeros((4, 6, 3), np.uint8)
        image_bgr[0, 0] = (self.index % 256, 100, 200)
        self.index += 1
        return Frame(image_bgr, time.monotonic())

    def rewind(self) -> None:
        self.index = 0
        self.rewinds += 1

    def close(self) -> None:
        self.closed.set()


StartNode = Callable[..., CameraNode]


@pytest.fixture
def start_node(peer: "RosPeer") -> Iterator[StartNode]:
    """Return a function that starts a node with the sources to be opened one after another."""
    nodes: list[CameraNode] = []

    def start(*sources: FrameSource | CameraError, **parameters: str | float | bool) -> CameraNode:
        remaining = list(sources)

        def open_next(name: str, size: tuple[int, int] | None, report: Report) -> FrameSource:
            source = remaining.pop(0)
            if isinstance(source, CameraError):
                raise source
            return source

        node = CameraNode(
            open_source=open_next,
            context=peer.context,
            parameter_overrides=[Parameter(name, value=parameters[name]) for name in parameters],
        )
        nodes.append(node)
        node.start()
        return node

    yield start
    for node in nodes:
        node.destroy_node()


def numbers(messages: list[Image]) -> list[int]:
    return [message.data[0] for message in messages]


def to_array(message: Image) -> NDArray[np.uint8]:
    return np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)


@pytest.mark.parametrize(
    "qos", [pytest.param(BEST_EFFORT, id="best effort"), pytest.param(RELIABLE, id="reliable")]
)
def test_publishes_to_every_kind_of_subscriber(
    peer: "RosPeer", start_node: StartNode, qos: QoSProfile
) -> None:
    before_ns = peer.node.get_clock().now().nanoseconds
    start_node(ScriptedSource(), frame_id="head_camera")
    messages = peer.listen(Image, "image_raw", qos)
    peer.wait_until(lambda: len(messages) >= 3, "three images")
    image = messages[0]
    assert (image.width, image.height, image.step, image.encoding) == (6, 4, 18, "bgr8")
    assert not image.is_bigendian
    assert image.header.frame_id == "head_camera"
    assert list(image.data[1:4]) == [100, 200, 0]
    stamps_ns = [Time.from_msg(message.header.stamp).nanoseconds for message in messages]
    assert before_ns < stamps_ns[0] < stamps_ns[1] < peer.node.get_clock().now().nanoseconds
    assert numbers(messages)[1] == numbers(messages)[0] + 1


def test_stamps_say_when_the_picture_was_taken(peer: "RosPeer", start_node: StartNode) -> None:
    class LateSource(ScriptedSource):
        def read(self) -> Frame | None:
            frame = super().read()
            return frame and Frame(frame.image_bgr, frame.captured_s - 1.5)

    start_node(LateSource())
    messages = peer.listen(Image, "image_raw")
    peer.wait_until(lambda: messages, "an image")
    age_ns = (peer.node.get_clock().now() - Time.from_msg(messages[0].header.stamp)).nanoseconds
    assert age_ns > 1.5e9


def test_a_video_loops(peer: "RosPeer", start_node: StartNode) -> None:
    source = ScriptedSource(3)
    start_node(source)
    messages = peer.listen(Image, "image_raw", RELIABLE)
    peer.wait_until(lambda: source.rewinds >= 2 and len(messages) > 3, "two repetitions")
    first = numbers(messages)[0]
    assert numbers(messages)[:4] == [(first + step) % 3 for step in range(4)]


def test_a_video_ends_without_loop(peer: "RosPeer", start_node: StartNode) -> None:
    source = ScriptedSource(60, rate_hz=20)
    node = start_node(source, loop=False)
    messages = peer.listen(Image, "image_raw", RELIABLE)
    peer.wait_until(lambda: messages and numbers(messages)[-1] == 59, "the last image")
    peer.spin_for(1.0)
    assert source.rewinds == 0
    # As the log says, it can be started again.
    assert node.set_parameters([Parameter("loop", value=True)])[0].successful
    peer.wait_until(lambda: source.rewinds == 1 and numbers(messages)[-1] < 59, "a repetition")
    node.destroy_node()
    assert source.closed.is_set()


def test_comes_back_after_the_camera_was_unplugged(peer: "RosPeer", start_node: StartNode) -> None:
    unplugged = ScriptedSource(2, fails=True)
    plugged_in = ScriptedSource()
    start_node(unplugged, CameraError("Webcam is missing."), plugged_in)
    messages = peer.listen(Image, "image_raw")
    peer.wait_until(lambda: plugged_in.index > 5 and messages, "the second camera")
    assert unplugged.closed.is_set()


def test_a_source_that_is_suddenly_empty_is_opened_again(
    peer: "RosPeer", start_node: StartNode
) -> None:
    good = ScriptedSource()
    start_node(ScriptedSource(0), good)
    messages = peer.listen(Image, "image_raw")
    peer.wait_until(lambda: messages, "an image")
    assert good.index > 0


def test_ends_while_it_waits_for_the_camera(peer: "RosPeer", start_node: StartNode) -> None:
    node = start_node(ScriptedSource(0, fails=True), *[CameraError("missing")] * 50)
    node.destroy_node()
    assert not any(thread.name.startswith("camera") for thread in threading.enumerate())


def test_comes_back_after_the_disk_was_unreachable(
    peer: "RosPeer", monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A network drive that is gone answers every question with an error."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    cv2.imwrite(str(folder / "a.png"), np.full((4, 6, 3), 1, np.uint8))
    parameters = {"source": str(folder), "rate_hz": 50.0}
    node = CameraNode(
        context=peer.context,
        parameter_overrides=[Parameter(name, value=value) for name, value in parameters.items()],
    )
    refused: list[Path] = []
    stat = Path.stat

    def fail(path: Path, **options: bool) -> os.stat_result:
        if path != folder:
            return stat(path, **options)
        refused.append(path)
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), str(path))

    try:
        node.start()
        messages = peer.listen(Image, "image_raw")
        peer.wait_until(lambda: messages, "an image")
        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", fail)
            (folder / "a.png").unlink()
            peer.wait_until(lambda: refused, "an attempt")
        cv2.imwrite(str(folder / "b.png"), np.full((4, 6, 3), 2, np.uint8))
        peer.wait_until(lambda: numbers(messages)[-1] == 2, "the second picture")
    finally:
        node.destroy_node()


def test_an_unforeseen_failure_ends_the_node(peer: "RosPeer", start_node: StartNode) -> None:
    class BrokenSource(ScriptedSource):
        def read(self) -> Frame | None:
            if self.index == 2:
                raise ZeroDivisionError("a bug")
            return super().read()

    source = BrokenSource()
    executor = SingleThreadedExecutor(context=peer.context)
    executor.add_node(start_node(source))
    end_s = time.monotonic() + 20

    def spin() -> None:
        while time.monotonic() < end_s:
            executor.spin_once(timeout_sec=0.1)

    try:
        with pytest.raises(ZeroDivisionError, match="a bug"):
            spin()
    finally:
        executor.shutdown()
    assert source.closed.is_set()


@pytest.mark.parametrize("rate_hz", [pytest.param(40.0, id="file"), pytest.param(None, id="live")])
def test_rate_can_be_limited(
    peer: "RosPeer", start_node: StartNode, rate_hz: float | None
) -> None:
    class LiveSource(ScriptedSource):
        def read(self) -> Frame | None:
            time.sleep(0.01)
            return super().read()

    start_node(LiveSource(rate_hz=rate_hz), rate_hz=20)
    messages = peer.listen(Image, "image_raw", RELIABLE)
    peer.wait_until(lambda: len(messages) >= 12, "a dozen images")
    stamps_s = [Time.from_msg(message.header.stamp).nanoseconds / 1e9 for message in messages]
    # A busy machine may be slower than asked for, never faster.
    assert np.mean(np.diff(stamps_s[:12])) > 0.04


@pytest.mark.parametrize("version", ["4.6", "4.9", "neither"])
def test_opencv_is_silenced_whatever_its_version(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Ubuntu's OpenCV, up to 24.04, has the function in another place."""
    levels: list[int] = []
    function = SimpleNamespace(setLogLevel=levels.append)
    fakes = {
        "4.6": SimpleNamespace(utils=SimpleNamespace(), setLogLevel=levels.append),
        "4.9": SimpleNamespace(utils=SimpleNamespace(logging=function)),
        "neither": SimpleNamespace(utils=SimpleNamespace()),
    }
    monkeypatch.setattr(camera_node, "cv2", fakes[version])
    camera_node._silence_opencv()
    assert levels == ([] if version == "neither" else [0])


def test_the_second_picture_waits_for_its_time(peer: "RosPeer", start_node: StartNode) -> None:
    read_s: list[float] = []

    class TimedSource(ScriptedSource):
        def read(self) -> Frame | None:
            read_s.append(time.monotonic())
            return super().read()

    start_node(TimedSource(rate_hz=4.0))
    peer.wait_until(lambda: len(read_s) >= 2, "two pictures")
    # A busy machine may be slower than asked for, never faster.
    assert read_s[1] - read_s[0] >= 0.25


def test_a_rate_that_rises_counts_at_once(peer: "RosPeer", start_node: StartNode) -> None:
    source = ScriptedSource()
    node = start_node(source, rate_hz=0.001)
    messages = peer.listen(Image, "image_raw", RELIABLE)
    peer.wait_until(lambda: source.index == 1, "the first image")
    assert node.set_parameters([Parameter("rate_hz", value=50.0)])[0].successful
    peer.wait_until(lambda: len(messages) >= 5, "images at the new rate")


@pytest.mark.parametrize(
    ("flip", "row", "column"),
    [("none", 0, 0), ("horizontal", 0, 5), ("vertical", 3, 0), ("both", 3, 5)],
)
def test_flip(peer: "RosPeer", start_node: StartNode, flip: str, row: int, column: int) -> None:
    start_node(ScriptedSource(), flip=flip)
    messages = peer.listen(Image, "image_raw")
    peer.wait_until(lambda: messages, "an image")
    green = to_array(messages[0])[:, 1::3]
    assert np.argwhere(green == 100).tolist() == [[row, column]]


def test_size_may_change_on_the_way(peer: "RosPeer", start_node: StartNode) -> None:
    class GrowingSource(ScriptedSource):
        def read(self) -> Frame | None:
            frame = super().read()
            assert frame is not None
            side = 4 + self.index % 3
            return Frame(np.full((side, 2 * side, 3), side, np.uint8), frame.captured_s)

    start_node(GrowingSource())
    messages = peer.listen(Image, "image_raw", RELIABLE)
    peer.wait_until(lambda: len({m.height for m in messages}) == 3, "three sizes")
    for message in messages:
        assert (message.width, message.step) == (2 * message.height, 6 * message.height)
        assert set(message.data) == {message.height}
        assert len(message.data) == message.step * message.height


class TestParameters:
    @pytest.mark.parametrize(
        ("name", "value", "reason"),
        [
            ("rate_hz", -1.0, "rate_hz out of range Min: 0.0, Max: 1000.0"),
            ("rate_hz", -1, "rate_hz must be from 0.0 to 1000.0, got -1."),
            ("rate_hz", 1e-12, "rate_hz must be 0 or at least 0.001, got 1e-12."),
            ("rate_hz", "fast", "rate_hz must be a number, got 'fast'."),
            ("flip", "up", "flip must be one of none, horizontal, vertical, both, got 'up'."),
            ("source", "sample", "read-only"),
            ("width", 640, "read-only"),
        ],
    )
    def test_wrong_changes_are_refused(
        self,
        peer: "RosPeer",
        start_node: StartNode,
        name: str,
        value: str | float,
        reason: str,
    ) -> None:
        node = start_node(ScriptedSource())
        before = node.get_parameter(name).value
        result = node.set_parameters([Parameter(name, value=value)])[0]
        assert not result.successful
        assert reason in result.reason
        assert node.get_parameter(name).value == before

    def test_flip_can_be_changed_while_running(
        self, peer: "RosPeer", start_node: StartNode
    ) -> None:
        node = start_node(ScriptedSource())
        messages = peer.listen(Image, "image_raw")
        assert node.set_parameters([Parameter("flip", value="vertical")])[0].successful
        peer.wait_until(
            lambda: messages and to_array(messages[-1])[3, 1] == 100, "an image upside down"
        )

    def test_all_are_described(self, start_node: StartNode) -> None:
        node = start_node(ScriptedSource())
        for name in ("source", "rate_hz", "width", "height", "loop", "flip", "frame_id"):
            assert node.describe_parameter(name).description

    def test_width_needs_height(self, start_node: StartNode) -> None:
        with pytest.raises(CameraError, match="must both be given, or both be 0; got 640x0"):
            start_node(ScriptedSource(), width=640)


def start_process(*ros_arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "deepfer_ros.camera_node", "--ros-args", *ros_arguments],
        stderr=subprocess.PIPE,
        text=True,
    )


STOPPED_AT_THE_WEBCAM = """
import os, signal, sys, time
from deepfer_ros import camera_node, camera_sources

def hang(name):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)

camera_sources._check_device = lambda device: None
camera_sources._open_webcam = hang
sys.exit(camera_node.main(["--ros-args", "-p", "source:=0"]))
"""


class TestProcess:
    @pytest.mark.parametrize("size", [(640, 480), (1920, 1080)], ids=["640x480", "1920x1080"])
    def test_frames_of_every_size_arrive(self, peer: "RosPeer", size: tuple[int, int]) -> None:
        process = start_process(
            *("-p", "source:=sample", "-p", f"width:={size[0]}", "-p", f"height:={size[1]}"),
            *("-p", "rate_hz:=10"),
        )
        try:
            messages = peer.listen(Image, "image_raw", BEST_EFFORT)
            peer.wait_until(lambda: len(messages) >= 5, "five images")
        finally:
            process.send_signal(signal.SIGINT)
            _, output = process.communicate(timeout=20)
        assert process.returncode == 0, output
        assert "Traceback" not in output
        sample = SampleSource(size)
        expected = [sample.render(index) for index in range(150)]
        received = to_array(messages[0]).reshape(size[1], size[0], 3)
        assert any(np.array_equal(received, image_bgr) for image_bgr in expected)

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
    def test_ends_cleanly(self, peer: "RosPeer", number: signal.Signals) -> None:
        process = start_process("-p", "source:=sample")
        messages = peer.listen(Image, "image_raw")
        peer.wait_until(lambda: messages, "an image")
        process.send_signal(number)
        _, output = process.communicate(timeout=20)
        assert process.returncode == 0
        assert "Traceback" not in output

    def test_ends_while_it_waits_for_a_webcam_that_hangs(self, ros_environment: None) -> None:
        done = subprocess.run(
            [sys.executable, "-c", STOPPED_AT_THE_WEBCAM],
            check=False,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert (done.returncode, done.stderr) == (0, "")

    def test_topic_can_be_remapped_and_namespaced(self, peer: "RosPeer", tmp_path: Path) -> None:
        path = tmp_path / 'a "photo" with: spaces.png'
        cv2.imwrite(str(path), np.full((48, 64, 3), 33, np.uint8))
        text = str(path).replace('"', '\\"')
        process = start_process(
            *("-r", "image_raw:=color/image", "-r", "__ns:=/robot", "-p", f'source:="{text}"')
        )
        try:
            messages = peer.listen(Image, "/robot/color/image")
            peer.wait_until(lambda: messages, "an image")
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
        assert set(messages[0].data) == {33}

    @pytest.mark.parametrize(
        ("argument", "expected"),
        [
            ("source:=97", "Webcam /dev/video97 does not exist"),
            ("source:=/nowhere/film.mp4", "'/nowhere/film.mp4' does not exist"),
            ("source:=~nobody_here/film.mp4", "'~nobody_here/film.mp4' does not exist"),
            (f"source:=/{'x' * 300}", "cannot be reached: File name too long"),
            ("source:=[1, 2]", "source"),
            ("rate_hz:=-3", "rate_hz must be from 0.0 to 1000.0, got -3."),
            ("flip:=up", "flip must be one of none, horizontal, vertical, both, got 'up'."),
            ("width:=640", "width and height must both be given"),
            ("loop:=perhaps", "loop"),
            ("qos_overrides./image_raw.publisher.reliability:=perfect", "reliability`: `perfect`"),
        ],
    )
    def test_wrong_parameter_is_one_clear_line(
        self, ros_environment: None, argument: str, expected: str
    ) -> None:
        process = start_process("-p", argument)
        _, output = process.communicate(timeout=30)
        assert process.returncode == 1
        assert output.startswith("camera_node cannot start: ")
        assert expected in output
        assert output.count("\n") == 1

    def test_missing_parameter_file(self, ros_environment: None) -> None:
        process = start_process("--params-file", "/nowhere/parameters.yaml")
        _, output = process.communicate(timeout=30)
        assert process.returncode == 1
        assert "/nowhere/parameters.yaml" in output
        assert "Traceback" not in output
