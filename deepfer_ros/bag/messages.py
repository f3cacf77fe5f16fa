"""Make the messages of a bag. They equal those of `deepfer_ros.messages`, which need ROS."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.typesys.store import Typestore

from deepfer_ros.bag.definitions import COMPRESSED_IMAGE, DETECTION_ARRAY, EMOTION_ARRAY, IMAGE
from deepfer_ros.bag.recording import NS_PER_S, RecordedImage
from deepfer_ros.message_fields import JPEG_FORMAT, emotion_fields, region_fields
from deepfer_ros.recognition.images import encode_image
from deepfer_ros.recognition.types import FaceEmotion

_JPEG_QUALITY = 90

Message = Any
"""A message of the typestore: a dataclass made at run time."""


class MessageFactory:
    """Makes messages with the header of the image that they are about.

    Args:
        typestore: See `load_typestore`.
        model: Name of the model.
    """

    def __init__(self, typestore: Typestore, model: str) -> None:
        self._types = typestore.types
        self._model = model

    def emotion_array(self, image: RecordedImage, faces: tuple[FaceEmotion, ...]) -> Message:
        """Return a deepfer/msg/EmotionArray."""
        return self._make(
            EMOTION_ARRAY,
            header=self._header(image),
            model=self._model,
            emotions=[self._emotion(face) for face in faces],
        )

    def detection_array(self, image: RecordedImage, faces: tuple[FaceEmotion, ...]) -> Message:
        """Return a vision_msgs/msg/Detection2DArray with a hypothesis for each label."""
        header = self._header(image)
        return self._make(
            DETECTION_ARRAY,
            header=header,
            detections=[self._detection(face, header) for face in faces],
        )

    def image(self, image: RecordedImage, annotated_bgr: NDArray[np.uint8]) -> Message:
        """Return a sensor_msgs/msg/Image of a picture, uint8 (H, W, 3) BGR."""
        height, width = annotated_bgr.shape[:2]
        return self._make(
            IMAGE,
            header=self._header(image),
            height=height,
            width=width,
            encoding="bgr8",
            is_bigendian=0,
            step=3 * width,
            data=np.ascontiguousarray(annotated_bgr).reshape(-1),
        )

    def compressed_image(self, image: RecordedImage, annotated_bgr: NDArray[np.uint8]) -> Message:
        """Return a sensor_msgs/msg/CompressedImage, JPEG, of a picture, uint8 (H, W, 3) BGR."""
        data = encode_image(annotated_bgr, ".jpg", quality=_JPEG_QUALITY)
        return self._make(
            COMPRESSED_IMAGE,
            header=self._header(image),
            format=JPEG_FORMAT,
            data=np.frombuffer(data, np.uint8),
        )

    def _header(self, image: RecordedImage) -> Message:
        sec, nanosec = divmod(image.stamp_ns, NS_PER_S)
        stamp = self._make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
        return self._make("std_msgs/msg/Header", stamp=stamp, frame_id=image.frame_id)

    def _emotion(self, face: FaceEmotion) -> Message:
        region = self._make(
            "sensor_msgs/msg/RegionOfInterest", do_rectify=False, **region_fields(face.box_xywh)
        )
        return self._make("deepfer/msg/Emotion", roi=region, **emotion_fields(face))

    def _detection(self, face: FaceEmotion, header: Message) -> Message:
        left, top, width, height = (float(value) for value in face.box_xywh)
        position = self._make("vision_msgs/msg/Point2D", x=left + width / 2, y=top + height / 2)
        box = self._make(
            "vision_msgs/msg/BoundingBox2D",
            center=self._make("vision_msgs/msg/Pose2D", position=position, theta=0.0),
            size_x=width,
            size_y=height,
        )
        return self._make(
            "vision_msgs/msg/Detection2D",
            header=header,
            results=[
                self._hypothesis(label, float(probability))
                for label, probability in zip(face.labels, face.probabilities, strict=True)
            ],
            bbox=box,
            id=face.face_id,
        )

    def _hypothesis(self, label: str, score: float) -> Message:
        # The pose is of no use for a face in a picture; these are its default values.
        pose = self._make(
            "geometry_msgs/msg/Pose",
            position=self._make("geometry_msgs/msg/Point", x=0.0, y=0.0, z=0.0),
            orientation=self._make("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
        )
        return self._make(
            "vision_msgs/msg/ObjectHypothesisWithPose",
            hypothesis=self._make("vision_msgs/msg/ObjectHypothesis", class_id=label, score=score),
            pose=self._make(
                "geometry_msgs/msg/PoseWithCovariance", pose=pose, covariance=np.zeros(36)
            ),
        )

    def _make(self, name: str, **fields: Any) -> Message:  # noqa: ANN401 - of every type
        return self._types[name](**fields)
