"""Best-effort images larger than Fast DDS' usual segment must arrive from another process."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fake_recognition import FakeLoader
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_peer import TIMEOUT_S, RosPeer, spinning
from sensor_msgs.msg import Image

from deepfer_ros.emotion_node import EmotionNode

COUNT = 100
LEAST = 95
PUBLISHER = Path(__file__).parents[1] / "support" / "publish_images.py"

SIZES = pytest.mark.parametrize(("width", "height"), [(640, 480), (1920, 1080)])


@contextmanager
def publishing(width: int, height: int) -> Iterator[None]:
    command = [sys.executable, str(PUBLISHER), str(width), str(height), str(COUNT)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE)
    try:
        yield
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()


@SIZES
def test_a_subscription_receives_them(peer: RosPeer, width: int, height: int) -> None:
    received: list[str] = []
    qos = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
    peer.node.create_subscription(
        Image, "image_raw", lambda image: received.append(image.header.frame_id), qos
    )
    with publishing(width, height):
        peer.wait_until(lambda: len(received) >= LEAST, f"{LEAST} of {COUNT} images")


@SIZES
def test_the_node_receives_them(peer: RosPeer, width: int, height: int) -> None:
    node = EmotionNode(
        load=FakeLoader(),
        context=peer.context,
        parameter_overrides=[Parameter("image_timeout_s", value=0)],
    )
    node.start()
    with spinning(node), publishing(width, height):
        end_s = time.monotonic() + TIMEOUT_S
        while node._statistics.report().received < LEAST:
            assert time.monotonic() < end_s, f"only {node._statistics.report().received} arrived"
            time.sleep(0.05)
