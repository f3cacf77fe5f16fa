"""What the fields of our messages hold, for ROS' own message classes and for those of a bag."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.types import FaceEmotion

JPEG_FORMAT = "bgr8; jpeg compressed bgr8"
"""The `format` of a sensor_msgs/CompressedImage, as image_transport writes and reads it."""

# The sum of a float32 corner and a float32 size can exceed the picture's border by this much.
_ROUNDING_PX = 1e-3


def emotion_fields(face: FaceEmotion) -> dict[str, Any]:
    """Return the fields of a deepfer/msg/Emotion by name, all but `roi`."""
    return {
        "face_id": face.face_id,
        "landmarks": face.landmarks.reshape(-1),
        "detection_confidence": face.detection_confidence,
        "emotion": face.emotion,
        "confidence": face.confidence,
        "probabilities": face.probabilities,
        "frame_probabilities": face.frame_probabilities,
    }


def region_fields(box_xywh: NDArray[np.float32]) -> dict[str, int]:
    """Return the pixels that a box touches, as the fields of a sensor_msgs/RegionOfInterest."""
    left, top, width, height = (float(value) for value in box_xywh)
    x_offset, y_offset = math.floor(left), math.floor(top)
    return {
        "x_offset": x_offset,
        "y_offset": y_offset,
        "width": math.ceil(left + width - _ROUNDING_PX) - x_offset,
        "height": math.ceil(top + height - _ROUNDING_PX) - y_offset,
    }
