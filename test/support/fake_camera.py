"""A camera for the node under test, and what the node says about its images."""

import numpy as np
from builtin_interfaces.msg import Time
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_peer import RosPeer
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from deepfer.msg import EmotionArray
from deepfer_ros.messages import to_image

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)

BLACK = np.zeros((72, 64, 3), np.uint8)


class FakeCamera:
    """Publishes small images, each with a frame_id of its own.

    Args:
        peer: The node that publishes.
        qos: Quality of service of the images.
        prefix: Begins the names of the topics, for example "front/".
        node: The node under test, if its very first result must not get lost: it may find the
            subscription to its results later than the images.
    """

    def __init__(
        self,
        peer: RosPeer,
        qos: QoSProfile = RELIABLE,
        prefix: str = "",
        node: Node | None = None,
    ) -> None:
        self._peer = peer
        self.results: list[EmotionArray] = peer.listen(EmotionArray, f"{prefix}emotions")
        if node is not None:
            topic = peer.node.resolve_topic_name(f"{prefix}emotions")
            (publisher,) = (entry for entry in node.publishers if entry.topic_name == topic)
            peer.wait_until(publisher.get_subscription_count, f"a subscription to {topic}")
        self._publisher: Publisher = peer.advertise(Image, f"{prefix}image_raw", qos)
        self._name = prefix.rstrip("/") or "camera"
        self._count = 0

    def send(self, message: Image | None = None, stamp: Time | None = None) -> str:
        """Publish an image, and return its frame_id."""
        self._count += 1
        message = message or to_image(BLACK, Header())
        message.header.frame_id = f"{self._name}{self._count}"
        message.header.stamp = stamp or self._peer.node.get_clock().now().to_msg()
        self._publisher.publish(message)
        return str(message.header.frame_id)

    def send_until_received(
        self, message: Image | None = None, stamp: Time | None = None
    ) -> EmotionArray:
        """Publish until a result arrives: the first images may come before the connection."""
        seen = len(self.results)
        sent: set[str] = set()

        def is_answered() -> bool:
            sent.add(self.send(message, stamp))
            self._peer.spin_for(0.05)
            return any(result.header.frame_id in sent for result in self.results[seen:])

        self._peer.wait_until(is_answered, "a result")
        return self.results[-1]

    def send_and_receive(self, stamp: Time | None = None) -> EmotionArray:
        """Publish once to a node that is known to listen, and return the result."""
        frame_id = self.send(stamp=stamp)
        self._peer.wait_until(
            lambda: self.results and self.results[-1].header.frame_id == frame_id,
            f"the result of {frame_id}",
        )
        return self.results[-1]
