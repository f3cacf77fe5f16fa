"""The ROS side of the live view: finds the cameras and takes in what the emotion node publishes.

All of it belongs to the executor's thread, except what says otherwise.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from deepfer.msg import Emotion, EmotionArray
from deepfer_ros.messages import to_compressed_image, to_image, to_nanoseconds
from deepfer_ros.recognition.types import FaceEmotion
from deepfer_ros.web.camera_names import choose_cameras, name_cameras
from deepfer_ros.web.emotion_cameras import BROWSER_CAMERA
from deepfer_ros.web.live import CameraTopics, EmotionResult, LiveHub
from deepfer_ros.web.picture_matching import PictureMatcher

_EMOTION_ARRAY = "deepfer/msg/EmotionArray"
# As in the emotion node's diagnostics: what is farther off was stamped by another clock, for
# example a simulation's.
_MAX_AHEAD_S = 1.0
_MAX_AGE_S = 60.0
_RESULT_DEPTH = 10
_BAD_RESULT_LOG_PERIOD_S = 5.0
_JPEG_START = b"\xff\xd8"
_JPEG_QUALITY = 90

Tell = Callable[[Callable[[LiveHub], None]], None]


class RosCameras:
    """Feeds the hub of the live view from topics.

    Results of all cameras are always received: they are small. Pictures are received only while
    somebody looks at them, so that the emotion node makes none otherwise.

    Args:
        node: The node that subscribes.
        labels: Of the probabilities in messages.
        tell: Has something done with the hub.
        limit: How many cameras are taken at most.
    """

    def __init__(self, node: Node, labels: tuple[str, ...], tell: Tell, limit: int) -> None:
        self._node = node
        self._limit = limit
        self._labels = labels
        self._tell = tell
        self._cameras: dict[str, _RosCamera] = {}
        self._left_out: frozenset[str] = frozenset()
        self._watched: frozenset[str] = frozenset()
        self._wake = node.create_guard_condition(self._follow_watched)

    def watch(self, names: frozenset[str]) -> None:
        """Take the names of the cameras whose pictures are wanted. For all threads."""
        self._watched = names
        self._wake.trigger()

    def discover(self) -> None:
        """Take in which cameras there are now."""
        found = self._bound(name_cameras(self._published_topics(), self._node.get_namespace()))
        known = {name: camera.topics.topic for name, camera in self._cameras.items()}
        if found == known:
            return
        for name in known.keys() - found.keys():
            self._cameras.pop(name).close()
        for name, topic in found.items():
            if known.get(name, topic) != topic:
                self._cameras.pop(name).close()
            if name not in self._cameras:
                topics = CameraTopics(name, topic, f"{topic}/image/compressed")
                self._cameras[name] = _RosCamera(self._node, topics, self._labels, self._tell)
        present = [camera.topics for camera in self._cameras.values()]
        self._tell(lambda hub: hub.set_cameras(present))
        self._follow_watched()

    def _bound(self, found: dict[str, str]) -> dict[str, str]:
        """Return no more cameras than are allowed, and warn about the others when they change."""
        shown = choose_cameras(found, self._limit)
        left_out = found.keys() - shown
        if left_out and left_out != self._left_out:
            self._node.get_logger().warning(
                f"There are {len(found)} cameras, and at most {self._limit} are shown. Left out: "
                f"{', '.join(sorted(left_out))}. A page in a namespace shows that one's alone."
            )
        self._left_out = frozenset(left_out)
        return {name: topic for name, topic in found.items() if name in shown}

    def _published_topics(self) -> list[str]:
        # Our own subscriptions keep names in the graph; a camera is there if somebody publishes.
        return [
            topic
            for topic, types in self._node.get_topic_names_and_types()
            if _EMOTION_ARRAY in types and self._node.count_publishers(topic)
        ]

    def _follow_watched(self) -> None:
        for name, camera in self._cameras.items():
            camera.receive_pictures(name in self._watched)


class _RosCamera:
    """The subscriptions to one camera.

    Args:
        node: The node that subscribes.
        topics: To what.
        labels: Of the probabilities in messages.
        tell: Has something done with the hub.
    """

    def __init__(
        self, node: Node, topics: CameraTopics, labels: tuple[str, ...], tell: Tell
    ) -> None:
        self.topics = topics
        self._node = node
        self._labels = labels
        self._tell = tell
        self._matcher = PictureMatcher()
        self._pictures: Any = None
        # rclpy's groups remember every entity that they ever had: each gets one of its own.
        self._results = node.create_subscription(
            EmotionArray,
            topics.topic,
            self._on_emotions,
            QoSProfile(depth=_RESULT_DEPTH),
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def receive_pictures(self, is_wanted: bool) -> None:
        """Subscribe to the pictures, or end that."""
        if is_wanted and self._pictures is None:
            self._pictures = self._node.create_subscription(
                CompressedImage,
                self.topics.image_topic,
                self._on_picture,
                QoSProfile(depth=1),
                callback_group=MutuallyExclusiveCallbackGroup(),
            )
        elif not is_wanted and self._pictures is not None:
            self._node.destroy_subscription(self._pictures)
            self._pictures = None
            self._matcher = PictureMatcher()

    def close(self) -> None:
        """End all subscriptions."""
        self.receive_pictures(False)
        self._node.destroy_subscription(self._results)

    def _on_emotions(self, message: EmotionArray) -> None:
        try:
            faces = tuple(from_emotion(face, self._labels) for face in message.emotions)
        except ValueError as err:
            self._node.get_logger().warning(
                f"A result on {self.topics.topic} is left out: {err}",
                throttle_duration_sec=_BAD_RESULT_LOG_PERIOD_S,
            )
            return
        stamp_ns = to_nanoseconds(message.header)
        now_ns = self._node.get_clock().now().nanoseconds
        result = EmotionResult(
            stamp_ns=stamp_ns,
            frame_id=message.header.frame_id,
            model=message.model,
            faces=faces,
            age_s=age_of(stamp_ns, now_ns),
            arrived_s=time.time(),
        )
        name = self.topics.name
        self._tell(lambda hub: hub.add_result(name, result))
        self._show(self._matcher.add_result(result))

    def _on_picture(self, message: CompressedImage) -> None:
        jpeg = message.data.tobytes()
        if jpeg.startswith(_JPEG_START):
            self._show(self._matcher.add_picture(to_nanoseconds(message.header), jpeg))

    def _show(self, match: tuple[EmotionResult, bytes] | None) -> None:
        if match is not None:
            name, (result, jpeg) = self.topics.name, match
            self._tell(lambda hub: hub.add_picture(name, result, jpeg))


class RosImageSink:
    """Publishes the pictures of a browser's camera; the topics exist only while it sends.

    Each form is made only while somebody subscribes to it: the emotion node takes the one that
    its `image_transport` says.

    Args:
        node: The node that publishes.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._lock = threading.Lock()
        self._is_open = False
        self._image_bgr: NDArray[np.uint8] | None = None
        self._publishers: tuple[Publisher, Publisher] | None = None
        self._wake = node.create_guard_condition(self._follow)

    def open(self) -> None:
        """See `ImageSink`. For all threads."""
        self._set(is_open=True, image_bgr=None)

    def put(self, image_bgr: NDArray[np.uint8]) -> None:
        """See `ImageSink`. For all threads."""
        self._set(is_open=True, image_bgr=image_bgr)

    def close(self) -> None:
        """See `ImageSink`. For all threads."""
        self._set(is_open=False, image_bgr=None)

    def _set(self, *, is_open: bool, image_bgr: NDArray[np.uint8] | None) -> None:
        with self._lock:
            self._is_open, self._image_bgr = is_open, image_bgr
        self._wake.trigger()

    def _follow(self) -> None:
        """Do what the other threads have asked for."""
        with self._lock:
            is_open, image_bgr = self._is_open, self._image_bgr
            self._image_bgr = None
        if is_open and self._publishers is None:
            raw = self._advertise(Image, f"{BROWSER_CAMERA}/image_raw")
            # As everywhere in ROS, who remaps image_raw moves its compressed form with it.
            compressed = self._advertise(CompressedImage, f"{raw.topic_name}/compressed")
            self._publishers = raw, compressed
            self._node.get_logger().info(f"A visitor's camera is published on {raw.topic_name}.")
        if self._publishers is None:
            return
        if not is_open:
            for publisher in self._publishers:
                self._node.destroy_publisher(publisher)
            self._publishers = None
            self._node.get_logger().info("The visitor's camera has ended.")
        elif image_bgr is not None:
            stamp = self._node.get_clock().now().to_msg()
            header = Header(stamp=stamp, frame_id=f"{BROWSER_CAMERA}_camera")
            raw, compressed = self._publishers
            if raw.get_subscription_count():
                raw.publish(to_image(image_bgr, header))
            if compressed.get_subscription_count():
                compressed.publish(to_compressed_image(image_bgr, header, quality=_JPEG_QUALITY))

    def _advertise(self, message_type: type, topic: str) -> Publisher:
        return self._node.create_publisher(
            message_type,
            topic,
            QoSProfile(depth=1),
            callback_group=MutuallyExclusiveCallbackGroup(),
        )


def age_of(stamp_ns: int, now_ns: int) -> float | None:
    """Return the age of a picture in seconds, or None if its stamp is not of this clock."""
    age_s = (now_ns - stamp_ns) / 1e9
    return max(age_s, 0.0) if stamp_ns and -_MAX_AHEAD_S <= age_s <= _MAX_AGE_S else None


def from_emotion(message: Emotion, labels: tuple[str, ...]) -> FaceEmotion:
    """Return a face as the core has it.

    Raises:
        ValueError: The message contradicts itself, as no emotion node's does.
    """
    roi = message.roi
    numbers = (message.detection_confidence, message.confidence)
    if not np.isfinite(numbers).all():
        raise ValueError(f"Its confidences are no numbers: {numbers}.")
    return FaceEmotion(
        face_id=message.face_id,
        box_xywh=np.array([roi.x_offset, roi.y_offset, roi.width, roi.height], np.float32),
        landmarks=np.asarray(message.landmarks, np.float32).reshape(-1, 2),
        detection_confidence=message.detection_confidence,
        emotion=message.emotion,
        confidence=message.confidence,
        labels=labels,
        probabilities=np.asarray(message.probabilities, np.float32),
        frame_probabilities=np.asarray(message.frame_probabilities, np.float32),
    )
