"""Convert the results of the core to ROS messages; `image_conversion` has the other direction."""

import array

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    LabelInfo,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
    VisionClass,
)

from deepfer.msg import Emotion, EmotionArray
from deepfer_ros.message_fields import JPEG_FORMAT, emotion_fields, region_fields
from deepfer_ros.recognition.errors import ModelError
from deepfer_ros.recognition.images import encode_image
from deepfer_ros.recognition.types import FaceEmotion


def check_labels(labels: tuple[str, ...]) -> None:
    """Check that a model's labels are the constants of `deepfer/msg/Emotion`, in that order.

    Raises:
        ModelError: They are not, so that the probabilities in messages would be misread.
    """
    count = len(Emotion().probabilities)
    positions = [getattr(Emotion, label.upper(), None) for label in labels]
    if positions != list(range(count)):
        raise ModelError(
            f"The model's labels ({', '.join(labels)}) are not the {count} constants of "
            f"deepfer/msg/Emotion in their order; use a model that was trained for these."
        )


def to_emotion_array(faces: tuple[FaceEmotion, ...], header: Header, model: str) -> EmotionArray:
    """Return the result for one image; `header` is the image's own."""
    return EmotionArray(header=header, model=model, emotions=[_to_emotion(face) for face in faces])


def to_detection_array(faces: tuple[FaceEmotion, ...], header: Header) -> Detection2DArray:
    """Return the same as standard detections, with one hypothesis for each label."""
    return Detection2DArray(
        header=header, detections=[_to_detection(face, header) for face in faces]
    )


def to_label_info(labels: tuple[str, ...], header: Header) -> LabelInfo:
    """Return the names of the labels, numbered as in the probabilities of an emotion."""
    classes = [VisionClass(class_id=index, class_name=label) for index, label in enumerate(labels)]
    return LabelInfo(header=header, class_map=classes)


def to_nanoseconds(header: Header) -> int:
    """Return the stamp of a header in nanoseconds; rclpy's own type refuses times before 1970."""
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def to_image(image_bgr: NDArray[np.uint8], header: Header) -> Image:
    """Return an uncompressed image message.

    Args:
        image_bgr: uint8 (H, W, 3), BGR.
        header: Stamp and frame.
    """
    height, width = image_bgr.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="bgr8", step=3 * width)
    message.data = _to_byte_array(np.ascontiguousarray(image_bgr).data)
    return message


def to_compressed_image(
    image_bgr: NDArray[np.uint8], header: Header, *, quality: int
) -> CompressedImage:
    """Return an image message compressed as JPEG.

    Args:
        image_bgr: uint8 (H, W, 3), BGR.
        header: Stamp and frame.
        quality: JPEG quality from 1 to 100.
    """
    data = encode_image(image_bgr, ".jpg", quality=quality)
    return CompressedImage(
        header=header, format=JPEG_FORMAT, data=_to_byte_array(memoryview(data))
    )


def _to_emotion(face: FaceEmotion) -> Emotion:
    region = RegionOfInterest(**region_fields(face.box_xywh))
    return Emotion(roi=region, **emotion_fields(face))


def _to_detection(face: FaceEmotion, header: Header) -> Detection2D:
    detection = Detection2D(header=header, id=face.face_id)
    left, top, width, height = (float(value) for value in face.box_xywh)
    detection.bbox.center.position.x = left + width / 2
    detection.bbox.center.position.y = top + height / 2
    detection.bbox.size_x = width
    detection.bbox.size_y = height
    detection.results = [
        ObjectHypothesisWithPose(
            hypothesis=ObjectHypothesis(class_id=label, score=float(probability))
        )
        for label, probability in zip(face.labels, face.probabilities, strict=True)
    ]
    return detection


def _to_byte_array(data: memoryview) -> "array.array[int]":
    """Copy bytes once into what message fields hold; other types are checked byte by byte."""
    copy = array.array("B")
    copy.frombytes(data.cast("B"))
    return copy
