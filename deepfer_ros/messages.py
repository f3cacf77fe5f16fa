"""Convert between the types of the core and ROS messages."""

import array
import math

import numpy as np
from cv_bridge import CvBridge, CvBridgeError
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, RegionOfInterest
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

from deepfer.msg import Emotion, EmotionArray
from deepfer_ros.recognition.errors import ImageError, ModelError
from deepfer_ros.recognition.images import decode_image, encode_image
from deepfer_ros.recognition.types import FaceEmotion

_BRIDGE = CvBridge()

# The sum of a float32 corner and a float32 size can exceed the picture's border by this much.
_ROUNDING_PX = 1e-3


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
    return CompressedImage(header=header, format="jpeg", data=_to_byte_array(memoryview(data)))


def from_image_message(message: Image | CompressedImage, *, max_pixels: int) -> NDArray[np.uint8]:
    """Return the pixels of an image message, without a copy where its encoding allows that.

    Args:
        message: The image.
        max_pixels: Largest width times height that is accepted.

    Returns:
        uint8 (H, W, 3), BGR.

    Raises:
        ImageError: The message does not hold an image, or one that is too large.
    """
    if isinstance(message, CompressedImage):
        return decode_image(memoryview(message.data), max_pixels=max_pixels)
    _check_size(message, max_pixels)
    try:
        image_bgr: NDArray[np.uint8] = _BRIDGE.imgmsg_to_cv2(message, "bgr8")
    except CvBridgeError as err:
        raise ImageError(f"The image cannot be converted to bgr8: {err}.") from err
    return image_bgr


def _check_size(message: Image, max_pixels: int) -> None:
    """Check what cv_bridge of ROS takes on trust.

    Raises:
        ImageError: Width, height, step, encoding or data do not fit each other.
    """
    width, height, step = message.width, message.height, message.step
    if width == 0 or height == 0:
        raise ImageError(f"The image has no pixels: its size is {width}x{height}.")
    if width * height > max_pixels:
        raise ImageError(
            f"The image has {width}x{height} pixels; at most {max_pixels} are allowed."
        )
    try:
        dtype, channels = _BRIDGE.encoding_to_dtype_with_channels(message.encoding)
    except CvBridgeError as err:
        raise ImageError(f"The encoding '{message.encoding}' is unknown: {err}.") from err
    row_bytes = width * channels * np.dtype(dtype).itemsize
    if step < row_bytes:
        raise ImageError(
            f"step is {step}, but {width} pixels of {message.encoding} take {row_bytes} bytes."
        )
    if len(message.data) < step * height:
        raise ImageError(
            f"data has {len(message.data)} bytes, but {height} rows of {step} bytes take "
            f"{step * height}."
        )


def _to_emotion(face: FaceEmotion) -> Emotion:
    return Emotion(
        face_id=face.face_id,
        roi=_to_region(face.box_xywh),
        landmarks=face.landmarks.reshape(-1),
        detection_confidence=face.detection_confidence,
        emotion=face.emotion,
        confidence=face.confidence,
        probabilities=face.probabilities,
        frame_probabilities=face.frame_probabilities,
    )


def _to_region(box_xywh: NDArray[np.float32]) -> RegionOfInterest:
    """Return the pixels that a box touches."""
    left, top, width, height = (float(value) for value in box_xywh)
    x_offset, y_offset = math.floor(left), math.floor(top)
    return RegionOfInterest(
        x_offset=x_offset,
        y_offset=y_offset,
        width=math.ceil(left + width - _ROUNDING_PX) - x_offset,
        height=math.ceil(top + height - _ROUNDING_PX) - y_offset,
    )


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
