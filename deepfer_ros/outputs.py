"""The topics that the emotion node publishes for every frame."""

import numpy as np
from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode, LifecyclePublisher
from rclpy.qos import QoSProfile
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from deepfer.msg import EmotionArray
from deepfer_ros.messages import (
    to_compressed_image,
    to_detection_array,
    to_emotion_array,
    to_image,
)
from deepfer_ros.qos import OVERRIDABLE_QOS
from deepfer_ros.recognition.drawing import draw_emotions
from deepfer_ros.recognition.types import FaceEmotion

_RESULT_DEPTH = 10
_IMAGE_DEPTH = 1


class EmotionOutputs:
    """Publishers for the results of the stream. They publish only while the node is active.

    Args:
        node: The node that they belong to.
        prefix: Begins the name of every topic: empty, or a camera's name and "/".
    """

    def __init__(self, node: LifecycleNode, prefix: str = "") -> None:
        self._node = node
        self._prefix = prefix
        self._emotions = self._create(EmotionArray, "emotions", _RESULT_DEPTH)
        self._detections = self._create(Detection2DArray, "emotions/detections", _RESULT_DEPTH)
        self._image = self._create(Image, "emotions/image", _IMAGE_DEPTH)
        self._compressed = self._create(CompressedImage, "emotions/image/compressed", _IMAGE_DEPTH)

    def publish(
        self,
        image_bgr: NDArray[np.uint8],
        faces: tuple[FaceEmotion, ...],
        header: Header,
        *,
        model: str,
        jpeg_quality: int,
    ) -> None:
        """Publish the result for one frame. Images are made only if somebody subscribes to them.

        Args:
            image_bgr: uint8 (H, W, 3), BGR, the frame itself.
            faces: What was recognized in it.
            header: The header of the frame's message.
            model: Name of the model.
            jpeg_quality: 1 to 100, for the compressed image.
        """
        self._emotions.publish(to_emotion_array(faces, header, model))
        if self._detections.get_subscription_count():
            self._detections.publish(to_detection_array(faces, header))
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

    def destroy(self) -> None:
        """Undo the constructor."""
        for publisher in (self._emotions, self._detections, self._image, self._compressed):
            self._node.destroy_lifecycle_publisher(publisher)

    def _create(self, message_type: type, topic: str, depth: int) -> LifecyclePublisher:
        return self._node.create_lifecycle_publisher(
            message_type,
            self._prefix + topic,
            QoSProfile(depth=depth),
            qos_overriding_options=OVERRIDABLE_QOS,
        )
