"""The topics that the emotion node publishes for every frame."""

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, LabelInfo

from deepfer.msg import EmotionArray
from deepfer_ros.messages import (
    to_compressed_image,
    to_detection_array,
    to_emotion_array,
    to_image,
    to_label_info,
)
from deepfer_ros.qos import OVERRIDABLE_QOS
from deepfer_ros.recognition.drawing import draw_emotions
from deepfer_ros.recognition.types import FaceEmotion
from deepfer_ros.ros4hri import HumanFaces

_RESULT_DEPTH = 10
_IMAGE_DEPTH = 1


class EmotionOutputs:
    """Publishers for the results of one camera. They publish only while the node is active.

    The names of the labels are there as soon as this exists, for whoever subscribes later too.

    Args:
        node: The node that they belong to.
        prefix: Begins the name of every topic: empty, or a camera's name and "/".
        group: Callback group of the publishers' events; the node's own if None.
        labels: The model's labels.
        humans: Where the faces go as ROS4HRI wants them, if anywhere; shared by all cameras.

    Raises:
        RuntimeError: The QoS overrides of a publisher are wrong.
        ParameterException: They are of a wrong type.
    """

    def __init__(
        self,
        node: LifecycleNode,
        prefix: str = "",
        group: CallbackGroup | None = None,
        *,
        labels: tuple[str, ...],
        humans: HumanFaces | None = None,
    ) -> None:
        self._node = node
        self._prefix = prefix
        self._group = group
        self._humans = humans
        self._lifecycle_publishers: list[LifecyclePublisher] = []
        self._labels: Publisher | None = None
        try:
            self._emotions = self._create(EmotionArray, "emotions", _RESULT_DEPTH)
            self._detections = self._create(Detection2DArray, "emotions/detections", _RESULT_DEPTH)
            self._image = self._create(Image, "emotions/image", _IMAGE_DEPTH)
            self._compressed = self._create(
                CompressedImage, "emotions/image/compressed", _IMAGE_DEPTH
            )
            self._labels = self._publish_labels(labels)
        except BaseException:
            self.destroy()
            raise

    def publish(
        self,
        image_bgr: NDArray[np.uint8],
        faces: tuple[FaceEmotion, ...],
        header: Header,
        *,
        model: str,
        jpeg_quality: int,
        tracked_ids: tuple[str, ...] = (),
    ) -> None:
        """Publish the result for one frame. Images are made only if somebody subscribes to them.

        Args:
            image_bgr: uint8 (H, W, 3), BGR, the frame itself.
            faces: What was recognized in it.
            header: The header of the frame's message.
            model: Name of the model.
            jpeg_quality: 1 to 100, for the compressed image.
            tracked_ids: All faces that are tracked, those too that are not in this frame.

        Raises:
            ImageError: The annotated image cannot be encoded; all the rest is published.
        """
        self._emotions.publish(to_emotion_array(faces, header, model))
        if self._detections.get_subscription_count():
            self._detections.publish(to_detection_array(faces, header))
        if self._humans is not None:
            self._humans.publish(self._prefix, image_bgr, faces, header, tracked_ids=tracked_ids)
        wants_image = self._image.get_subscription_count() > 0
        wants_compressed = self._compressed.get_subscription_count() > 0
        if not (wants_image or wants_compressed):
            return
        annotated_bgr = draw_emotions(image_bgr, faces)
        if wants_image:
            self._image.publish(to_image(annotated_bgr, header))
        if wants_compressed:
            self._compressed.publish(
                to_compressed_image(annotated_bgr, header, quality=jpeg_quality)
            )

    def forget_faces(self) -> None:
        """Say that no face is tracked any more: no frame will come for now."""
        if self._humans is not None:
            self._humans.forget(self._prefix)

    def destroy(self) -> None:
        """Undo the constructor."""
        self.forget_faces()
        while self._lifecycle_publishers:
            self._node.destroy_lifecycle_publisher(self._lifecycle_publishers.pop())
        if self._labels is not None:
            self._node.destroy_publisher(self._labels)
            self._labels = None

    def _publish_labels(self, labels: tuple[str, ...]) -> Publisher:
        # An ordinary publisher: one of a lifecycle would lose what it publishes while inactive.
        publisher = self._node.create_publisher(
            LabelInfo,
            f"{self._prefix}emotions/labels",
            QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL),
            qos_overriding_options=OVERRIDABLE_QOS,
            callback_group=self._group,
        )
        stamp = self._node.get_clock().now().to_msg()
        publisher.publish(to_label_info(labels, Header(stamp=stamp)))
        return publisher

    def _create(self, message_type: type, topic: str, depth: int) -> LifecyclePublisher:
        publisher = self._node.create_lifecycle_publisher(
            message_type,
            self._prefix + topic,
            QoSProfile(depth=depth),
            qos_overriding_options=OVERRIDABLE_QOS,
            callback_group=self._group,
        )
        self._lifecycle_publishers.append(publisher)
        return publisher
