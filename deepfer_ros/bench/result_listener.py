"""Listens to the results of the emotion node and notes when each one came. Needs ROS."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header, String

from deepfer.msg import EmotionArray
from deepfer_ros.bench.image_publisher import SENT_QOS, SENT_TOPIC, SentCounts, camera_topic
from deepfer_ros.messages import to_nanoseconds

_RESULT_DEPTH = 10
_SPIN_S = 0.05


@dataclass(frozen=True, slots=True)
class Arrival:
    """One result that has come.

    Attributes:
        camera: Name of the camera.
        number: Number of the image that it is about; see `image_publisher`.
        latency_s: Time from the image's stamp until now.
        faces: How many faces were found.
    """

    camera: str
    number: int
    latency_s: float
    faces: int


class ResultListener:
    """A node in a ROS context of its own that collects what the emotion node publishes.

    Attributes:
        emotions: The results so far.
        images: The annotated images so far.
        sent: What the image publisher last said; None if it has not yet.

    Args:
        namespace: Namespace of the emotion node.
        cameras: Names of its cameras.
        annotated: Whether to subscribe to `emotions/image` too, which makes that node draw.
    """

    def __init__(self, namespace: str, cameras: Sequence[str], *, annotated: bool) -> None:
        self.emotions: list[Arrival] = []
        self.images: list[Arrival] = []
        self.sent: SentCounts | None = None
        self._context = Context()
        self._context.init(args=[])
        self._node = Node(
            "result_listener", namespace=namespace, context=self._context, enable_rosout=False
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._node.create_subscription(String, SENT_TOPIC, self._on_sent, SENT_QOS)
        for camera in cameras:
            self._subscribe(camera, annotated)

    def spin_until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Take in results until a condition holds; return whether it did in time."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            remaining_s = end_s - time.monotonic()
            if remaining_s <= 0:
                return False
            self._executor.spin_once(timeout_sec=min(_SPIN_S, remaining_s))
        return True

    def count_publishers(self, topic: str) -> int:
        """Return how many publishers of a relative topic are known."""
        return self._node.count_publishers(self._node.resolve_topic_name(topic))

    def close(self) -> None:
        """Leave ROS."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.shutdown()

    def _subscribe(self, camera: str, annotated: bool) -> None:
        self._node.create_subscription(
            EmotionArray,
            camera_topic(camera, "emotions"),
            lambda message: self.emotions.append(
                self._arrival(camera, message.header, len(message.emotions))
            ),
            QoSProfile(depth=_RESULT_DEPTH),
        )
        if annotated:
            self._node.create_subscription(
                Image,
                camera_topic(camera, "emotions/image"),
                lambda message: self.images.append(self._arrival(camera, message.header, 0)),
                QoSProfile(depth=1),
            )

    def _on_sent(self, message: String) -> None:
        self.sent = SentCounts.of_message(message)

    def _arrival(self, camera: str, header: Header, faces: int) -> Arrival:
        now_ns = self._node.get_clock().now().nanoseconds
        age_s = (now_ns - to_nanoseconds(header)) / 1e9
        return Arrival(camera, int(header.frame_id), age_s, faces)
