"""The listener behind `deepfer demo`: subscribes to what the emotion node publishes."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image

from deepfer.msg import EmotionArray
from deepfer_ros.cli.emotion_log import EmotionLog, FaceReading
from deepfer_ros.emotion_labels import emotion_labels
from deepfer_ros.image_conversion import from_image_message
from deepfer_ros.messages import to_nanoseconds
from deepfer_ros.recognition.images import MAX_IMAGE_PIXELS

_RESULT_DEPTH = 10
_T = TypeVar("_T")
# Pictures and results come on two topics, either one first; a few are kept until both are there.
_KEPT = 30


@dataclass(frozen=True, slots=True, eq=False)
class Snapshot:
    """An annotated picture that the emotion node has published.

    Attributes:
        image_bgr: uint8 (H, W, 3).
        faces: How many faces it shows.
    """

    image_bgr: NDArray[np.uint8]
    faces: int


class EmotionWatcher:
    """A node in a ROS context of its own that collects results, and pictures if wanted.

    Args:
        wants_images: Whether to subscribe to `emotions/image`, which makes the emotion node draw.
    """

    def __init__(self, *, wants_images: bool) -> None:
        self.log = EmotionLog(emotion_labels())
        self._face_counts: OrderedDict[int, int] = OrderedDict()
        self._images: OrderedDict[int, Image] = OrderedDict()
        self._best: tuple[Image, int] | None = None
        self._context = Context()
        self._context.init(args=[])
        self._node = Node("deepfer_demo", context=self._context, enable_rosout=False)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._emotions = self._node.create_subscription(
            EmotionArray, "emotions", self._on_emotions, QoSProfile(depth=_RESULT_DEPTH)
        )
        if wants_images:
            self._node.create_subscription(
                Image, "emotions/image", self._on_image, QoSProfile(depth=1)
            )

    def spin_for(self, seconds: float) -> None:
        """Take in what arrives for a while."""
        end_s = time.monotonic() + seconds
        while (remaining_s := end_s - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=remaining_s)

    def close(self) -> None:
        """Leave ROS."""
        self._executor.shutdown()
        self._node.destroy_node()
        self._context.shutdown()

    def rivals(self) -> list[str]:
        """Return who else publishes the same topics, so that results are mixed up."""
        rivals = []
        for topic in ("emotions", "image_raw"):
            name = self._node.resolve_topic_name(topic)
            publishers = self._node.get_publishers_info_by_topic(name)
            if len(publishers) > 1:
                nodes = ", ".join(sorted(publisher.node_name for publisher in publishers))
                rivals.append(f"{name} has {len(publishers)} publishers ({nodes})")
        return rivals

    def snapshot(self) -> Snapshot | None:
        """Return the newest picture that shows a face, else the newest, else None."""
        if self._best is not None:
            image, faces = self._best
        elif self._images:
            image, faces = next(reversed(self._images.values())), 0
        else:
            return None
        return Snapshot(from_image_message(image, max_pixels=MAX_IMAGE_PIXELS), faces)

    def _on_emotions(self, message: EmotionArray) -> None:
        stamp_ns = to_nanoseconds(message.header)
        now = self._node.get_clock().now()
        self.log.add(
            [
                FaceReading(face.face_id, face.emotion, face.confidence, tuple(face.probabilities))
                for face in message.emotions
            ],
            model=message.model,
            latency_s=(now.nanoseconds - stamp_ns) / 1e9,
            now_s=time.monotonic(),
        )
        _keep(self._face_counts, stamp_ns, len(message.emotions))
        self._match(stamp_ns)

    def _on_image(self, message: Image) -> None:
        stamp_ns = to_nanoseconds(message.header)
        _keep(self._images, stamp_ns, message)
        self._match(stamp_ns)

    def _match(self, stamp_ns: int) -> None:
        faces = self._face_counts.get(stamp_ns, 0)
        if faces and stamp_ns in self._images:
            self._best = (self._images[stamp_ns], faces)


def _keep(entries: "OrderedDict[int, _T]", stamp_ns: int, entry: _T) -> None:
    entries[stamp_ns] = entry
    while len(entries) > _KEPT:
        entries.popitem(last=False)
