"""A node that publishes the benchmark's frames at a steady rate, run in a process of its own.

    python -m deepfer_ros.bench.image_publisher --ros-args -p width:=640 -p height:=480

Each image's `frame_id` is its number in its camera, which comes back in the header of its result;
its stamp is the time of publishing. Several times a second it tells on the topic `sent` how many
images it has published: those that are lost can be known from nothing else.
"""

import itertools
import json
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header, String

from deepfer_ros.bench.frames import make_frames
from deepfer_ros.messages import to_compressed_image, to_image
from deepfer_ros.node_runner import run_node
from deepfer_ros.parameter_table import declare_parameters, parameter, read_parameters

NODE_NAME = "image_publisher"
SENT_TOPIC = "sent"
SENT_QOS = QoSProfile(depth=10)

_JPEG_QUALITY = 90
_WAIT_S = 0.01
_SENT_PERIOD_S = 0.05


@dataclass(frozen=True, slots=True)
class PublisherParameters:
    """What is published. Each field is described by its own entry."""

    width: int = parameter(640, "Width in pixels.", read_only=True)
    height: int = parameter(480, "Height in pixels.", read_only=True)
    faces: int = parameter(1, "Faces in each image.", read_only=True)
    rate_hz: float = parameter(30.0, "Images a second of each camera.", read_only=True)
    cameras: int = parameter(1, "Cameras; see camera_names.", read_only=True)
    compressed: bool = parameter(False, "Publish JPEG images.", read_only=True)


@dataclass(frozen=True, slots=True)
class SentCounts:
    """What was published until a moment.

    Attributes:
        time_s: The moment, as `time.monotonic` gives it; all processes have the same clock.
        counts: How many images, by camera. Their numbers are below it.
    """

    time_s: float
    counts: tuple[int, ...]

    def to_message(self) -> String:
        """Return it as a message."""
        return String(data=json.dumps([self.time_s, *self.counts]))

    @staticmethod
    def of_message(message: String) -> "SentCounts":
        """Return what a message says."""
        time_s, *counts = json.loads(message.data)
        return SentCounts(time_s, tuple(counts))


def camera_names(count: int) -> tuple[str, ...]:
    """Return the names of so many cameras, for the emotion node's parameter `cameras`."""
    return ("",) if count == 1 else tuple(f"camera{index}" for index in range(count))


def camera_topic(camera: str, topic: str) -> str:
    """Return the relative name of a camera's topic."""
    return f"{camera}/{topic}" if camera else topic


class ImagePublisher(Node):
    """Publishes images as camera drivers do, best effort, once somebody subscribes to all.

    The cameras take turns, as cameras do that nobody has synchronized.

    Args:
        options: Passed on to `rclpy.node.Node`.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - whatever rclpy takes
        # These exist first: from Kilted on, ROS destroys a node that is half made, too.
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher")
        super().__init__(NODE_NAME, **options)
        declare_parameters(self, PublisherParameters)
        self._parameters = read_parameters(self, PublisherParameters)
        compressed = self._parameters.compressed
        self._publishers_in_turn = [
            self.create_publisher(
                CompressedImage if compressed else Image,
                camera_topic(name, "image_raw/compressed" if compressed else "image_raw"),
                QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
            )
            for name in camera_names(self._parameters.cameras)
        ]
        self._sent_publisher = self.create_publisher(String, SENT_TOPIC, SENT_QOS)
        self._messages = self._make_messages()

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def destroy_node(self) -> None:
        """Stop publishing, then destroy the node."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        super().destroy_node()

    def _make_messages(self) -> list[Image | CompressedImage]:
        parameters = self._parameters
        frames = make_frames((parameters.width, parameters.height), parameters.faces)
        if parameters.compressed:
            return [
                to_compressed_image(image, Header(), quality=_JPEG_QUALITY)
                for image in frames.images_bgr
            ]
        return [to_image(image, Header()) for image in frames.images_bgr]

    def _run(self) -> None:
        publishers = self._publishers_in_turn
        while not all(publisher.get_subscription_count() for publisher in publishers):
            if self._stopping.wait(_WAIT_S):
                return
        start_s = time.monotonic()
        period_s = 1 / (self._parameters.rate_hz * len(publishers))
        counts = [0] * len(publishers)
        told_s = start_s
        for turn in itertools.count():
            if time.monotonic() >= told_s + _SENT_PERIOD_S:
                told_s = time.monotonic()
                self._sent_publisher.publish(SentCounts(told_s, tuple(counts)).to_message())
            due_s = start_s + turn * period_s
            if self._stopping.wait(max(due_s - time.monotonic(), 0.0)):
                return
            number, camera = divmod(turn, len(publishers))
            message = self._messages[number % len(self._messages)]
            message.header.frame_id = str(number)
            message.header.stamp = self.get_clock().now().to_msg()
            publishers[camera].publish(message)
            counts[camera] += 1


if __name__ == "__main__":
    sys.exit(run_node(NODE_NAME, ImagePublisher))
