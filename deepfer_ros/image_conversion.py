"""Turn image messages into pictures, wherever the messages come from.

Needs no ROS: rclpy's messages and those that are read from a bag have the same fields. ROS' own
cv_bridge is not used because its compiled part works with one major version of NumPy only.
"""

from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.image_encodings import Encoding, find_encoding
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.images import decode_image


class RawImage(Protocol):
    """The fields of sensor_msgs/Image that say what its pixels are."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


class EncodedImage(Protocol):
    """The fields of sensor_msgs/CompressedImage that say what its pixels are."""

    format: str
    data: Any


def from_image_message(message: RawImage | EncodedImage, *, max_pixels: int) -> NDArray[np.uint8]:
    """Return the pixels of an image message, without a copy where its encoding allows that.

    Args:
        message: A sensor_msgs/Image or CompressedImage.
        max_pixels: Largest width times height that is accepted.

    Returns:
        uint8 (H, W, 3), BGR.

    Raises:
        ImageError: The message does not hold an image, one that is too large, or one that has no
            colours or grey values, such as a depth image.
    """
    # Only the compressed one has a format; the two have no class in common.
    if hasattr(message, "format"):
        if "compressedDepth" in message.format:
            raise ImageError(
                f"The image is a depth image ('{message.format}'); one with colours or grey "
                "values is needed."
            )
        return decode_image(memoryview(message.data), max_pixels=max_pixels)
    encoding = _check(message, max_pixels)
    try:
        return _to_bgr(_view(message, encoding), encoding)
    except cv2.error as err:
        raise ImageError(
            f"The image cannot be converted from {encoding.name} to bgr8: {err.err}."
        ) from err


def _check(message: RawImage, max_pixels: int) -> Encoding:
    """Return the encoding of an image after a check of everything that it says about itself.

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
    encoding = find_encoding(message.encoding)
    if encoding is None:
        raise ImageError(
            f"The encoding '{message.encoding}' is unknown; known are those of "
            "sensor_msgs/image_encodings but nv24, and types such as 8UC3."
        )
    row_bytes = width * encoding.channels * encoding.dtype.itemsize
    if step < row_bytes:
        raise ImageError(
            f"step is {step}, but {width} pixels of {encoding.name} take {row_bytes} bytes."
        )
    rows = encoding.rows(height)
    if len(message.data) < step * rows:
        raise ImageError(
            f"data has {len(message.data)} bytes, but {rows} rows of {step} bytes take "
            f"{step * rows}."
        )
    if (encoding.is_subsampled and width % 2) or (encoding.is_semiplanar and height % 2):
        raise ImageError(f"An image in {encoding.name} cannot have {width}x{height} pixels.")
    return encoding


def _view(message: RawImage, encoding: Encoding) -> NDArray[Any]:
    """Return the values of an image, (H, W) or (H, W, C), without a copy if the bytes allow.

    The padding at the end of each row is kept out of sight.
    """
    itemsize = encoding.dtype.itemsize
    shape: tuple[int, ...] = (encoding.rows(message.height), message.width)
    strides: tuple[int, ...] = (message.step, encoding.channels * itemsize)
    if encoding.channels > 1:
        shape += (encoding.channels,)
        strides += (itemsize,)
    dtype = encoding.dtype.newbyteorder(">" if message.is_bigendian else "<")
    values = np.ndarray(shape, dtype, buffer=message.data, strides=strides)
    if message.step % itemsize:  # OpenCV takes no rows that begin in the middle of a value
        values = values.copy()
    return values.astype(encoding.dtype, copy=False)


def _to_bgr(values: NDArray[Any], encoding: Encoding) -> NDArray[np.uint8]:
    """Convert colours first, then the type of the values.

    Types that do not say what their channels are, such as 8UC3, count as BGR if they have three.

    Raises:
        ImageError: The encoding has no colours or grey values.
    """
    if not encoding.family and encoding.channels != 3:
        raise ImageError(
            f"The image cannot be converted to bgr8: {encoding.name} does not say what its "
            f"{encoding.channels} channels are."
        )
    if encoding.family not in ("", "BGR"):
        # OpenCV calls the layouts of YUV "YUV2BGR_NV12", all others "RGB2BGR".
        family, _, layout = encoding.family.partition("_")
        name = f"COLOR_{family}2BGR_{layout}" if layout else f"COLOR_{family}2BGR"
        values = np.asarray(cv2.cvtColor(values, getattr(cv2, name)))
    return _to_8_bits(values)


def _to_8_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale 16 bits to the full range of 8; round and saturate other types."""
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.uint16:
        return np.asarray(cv2.convertScaleAbs(values, alpha=255 / 65535), np.uint8)
    # float64 holds every value of the types up to 32 bits; what is no number becomes 0.
    rounded = np.rint(np.nan_to_num(values.astype(np.float64), nan=0.0))
    return rounded.clip(0, 255).astype(np.uint8)
