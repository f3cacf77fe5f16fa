"""A node that publishes the benchmark's frames at a steady rate, run in a process of its own.

    python -m deepfer_ros.bench.image_publisher --ros-args -p width:=640 -p height:=480

Each image's `frame_id` is its number, which comes back in the header of its result; its stamp is
the time of publishing.
"""

import itertools
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from deepfer_ros.bench.frames import make_frames
from deepfer_ros.messages import to_compressed_image, to_image
from deepfer_ros.node_runner import run_node
from deepfer_ros.parameter_table import declare_parameters, parameter, read_parameters

NODE_NAME = "image_publisher"

_JPEG_QUALITY = 90
_WAIT_S = 0.01


@dataclass(frozen=True, slots=True)
class PublisherParameters:
    """What is published. Each field is described by its own entry."""

    width: int = parameter(640, "Width in pixels.", read_only=True)
    height: int = parameter(480, "Height in pixels.", read_only=True)
    faces: int = parameter(1, "Faces in each image.", read_only=True)
    rate_hz: float = parameter(30.0, "Images a second.", read_only=True)
    compressed: bool = parameter(False, "Publish JPEG images.", read_only=True)


class ImagePublisher(Node):
    """Publishes images as a camera driver does, best effort, once somebody subscribes.

    Args:
        options: Passed on to `rclpy.node.Node`.
    """

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - whatever rclpy takes
        super().__init__(NODE_NAME, **options)
        declare_parameters(self, PublisherParameters)
        self._parameters = read_parameters(self, PublisherParameters)
        self._publisher = self.create_publisher(
            CompressedImage if self._parameters.compressed else Image,
            "image_raw/compressed" if self._parameters.compressed else "image_raw",
            QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
        )
        self._messages = self._make_messages()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="publisher")

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
        while not self._publisher.get_subscription_count():
            if self._stopping.wait(_WAIT_S):
                return
        start_s = time.monotonic()
        for number, message in enumerate(itertools.cycle(self._messages)):
            due_s = start_s + number / self._parameters.rate_hz
            if self._stopping.wait(max(due_s - time.monotonic(), 0.0)):
                return
            message.header.frame_id = str(number)
            message.header.stamp = self.get_clock().now().to_msg()
            self._publisher.publish(message)


if __name__ == "__main__":
    sys.exit(run_node(NODE_NAME, ImagePublisher))
