"""The class CvBridge."""

import sys
from typing import Any

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from cv_bridge.conversion import convert
from cv_bridge.encodings import DEPTH_OF_DTYPE, CvBridgeError, Encoding, parse_encoding

Array = NDArray[Any]

_FORMATS = (
    "bmp dib jpeg jpg jpe jp2 png pbm pgm ppm pnm webp avif sr ras tiff tif exr hdr pic".split()
)

# Differs between OpenCV 4 and 5; old ones have no CV_MAKETYPE.
_ONE_CHANNEL_MORE = cv2.CV_8UC2 - cv2.CV_8UC1


class CvBridge:
    """Converts between ROS images and the arrays of OpenCV."""

    def imgmsg_to_cv2(self, img_msg: Image, desired_encoding: str = "passthrough") -> Array:
        """Convert an image message to an array.

        Nothing is copied unless colours, types or the byte order must be converted: the array is
        then a view of `img_msg.data`, which keeps the padding at the end of each row out of sight.

        Args:
            img_msg: The image.
            desired_encoding: What the array should be; "passthrough" leaves it as it is.

        Returns:
            Shape (H, W) for one channel, otherwise (H, W, C); (H * 3 / 2, W) for nv12 and nv21 as
            they are. In the byte order of this machine.

        Raises:
            CvBridgeError: The encoding is unknown, the data do not fit the size, or the
                conversion is not possible.
        """
        source = parse_encoding(img_msg.encoding)
        image = _view(img_msg, source)
        if desired_encoding == "passthrough":
            return image
        return convert(image, source, parse_encoding(desired_encoding))

    def cv2_to_imgmsg(
        self, cvim: Array, encoding: str = "passthrough", header: Header | None = None
    ) -> Image:
        """Convert an array to an image message.

        Args:
            cvim: Shape (H, W) or (H, W, C). Need not be contiguous.
            encoding: What the array is; the values are not converted. "passthrough" says only its
                type, for example 8UC3.
            header: Stamp and frame for the message.

        Raises:
            CvBridgeError: The array does not fit the encoding, is empty, or has a type that no
                encoding has.
            TypeError: It is no array.
        """
        dtype, channels = _check_array(cvim)
        cvtype_name = self.dtype_with_channels_to_cvtype2(dtype, channels)
        expected = parse_encoding(cvtype_name if encoding == "passthrough" else encoding)
        rows, width = cvim.shape[:2]
        height = rows * 2 // 3 if expected.is_semiplanar else rows
        if expected.cvtype_name != cvtype_name:
            raise CvBridgeError(
                f"the encoding {encoding!r} needs the type {expected.cvtype_name}, but the array "
                f"has the shape {cvim.shape} and the type {dtype}, which is {cvtype_name}"
            )
        if expected.is_semiplanar and rows % 3:
            raise CvBridgeError(
                f"the encoding {encoding!r} needs 3 rows for every 2 of the image, but the array "
                f"has the shape {cvim.shape}"
            )
        _check_subsampling(expected, height, width)

        img_msg = Image()
        if header is not None:
            img_msg.header = header
        img_msg.height = height
        img_msg.width = width
        img_msg.encoding = expected.name
        img_msg.is_bigendian = _is_big_endian(cvim.dtype)
        img_msg.step = width * channels * dtype.itemsize
        # Appending bytes to the message's own buffer copies once. Assigning an array of numpy
        # would go through every single value, a hundred times slower.
        img_msg.data.frombytes(np.ascontiguousarray(cvim).data.cast("B"))
        return img_msg

    def compressed_imgmsg_to_cv2(
        self, cmprs_img_msg: CompressedImage, desired_encoding: str = "passthrough"
    ) -> Array:
        """Decode a compressed image message.

        Args:
            cmprs_img_msg: The image, in any format that OpenCV reads.
            desired_encoding: What the array should be; "passthrough" leaves it as it was decoded,
                which is mono, bgr or bgra with 8 or 16 bits.

        Returns:
            Shape (H, W) for one channel, otherwise (H, W, C).

        Raises:
            CvBridgeError: The data are not an image, or the conversion is not possible.
        """
        size = len(cmprs_img_msg.data)
        data = np.ndarray((size,), np.uint8, buffer=cmprs_img_msg.data)
        try:
            image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if size else None
        except cv2.error as err:
            raise CvBridgeError(f"the compressed image cannot be decoded: {err.err}") from err
        if image is None:
            raise CvBridgeError(
                f"the compressed image cannot be decoded: {size} bytes with the format "
                f"{cmprs_img_msg.format!r} are not an image that OpenCV reads"
            )
        if desired_encoding == "passthrough":
            return image
        color = {1: "mono", 3: "bgr", 4: "bgra"}.get(1 if image.ndim == 2 else image.shape[2])
        if color is not None and image.dtype in (np.uint8, np.uint16):
            source = parse_encoding(f"{color}{image.dtype.itemsize * 8}")
        else:
            source = parse_encoding(self.dtype_with_channels_to_cvtype2(*_check_array(image)))
        return convert(image, source, parse_encoding(desired_encoding))

    def cv2_to_compressed_imgmsg(self, cvim: Array, dst_format: str = "jpg") -> CompressedImage:
        """Encode an array as a compressed image message. Its header is left empty.

        Args:
            cvim: Shape (H, W) or (H, W, C), grey, BGR or BGRA.
            dst_format: The ending of the file format: jpg, png, webp, ...

        Raises:
            CvBridgeError: The format is unknown or cannot hold the array.
            TypeError: It is no array.
        """
        _check_array(cvim)
        if dst_format not in _FORMATS:
            raise CvBridgeError(f"unknown format {dst_format!r}; known are {', '.join(_FORMATS)}")
        try:
            success, data = cv2.imencode(f".{dst_format}", cvim)
        except cv2.error as err:
            raise CvBridgeError(f"cannot encode as {dst_format!r}: {err.err}") from err
        if not success:
            raise CvBridgeError(
                f"cannot encode as {dst_format!r} an array with the shape {cvim.shape} and the "
                f"type {cvim.dtype}"
            )
        cmprs_img_msg = CompressedImage()
        cmprs_img_msg.format = dst_format
        cmprs_img_msg.data.frombytes(np.ascontiguousarray(data).data.cast("B"))
        return cmprs_img_msg

    def dtype_with_channels_to_cvtype2(self, dtype: DTypeLike, n_channels: int) -> str:
        """Return OpenCV's name of a type, for example 8UC3.

        Raises:
            CvBridgeError: OpenCV has no such type.
        """
        name = np.dtype(dtype).name
        if name not in DEPTH_OF_DTYPE:
            raise CvBridgeError(
                f"no encoding holds values of the type {name}; possible are "
                f"{', '.join(DEPTH_OF_DTYPE)}"
            )
        return f"{DEPTH_OF_DTYPE[name]}C{n_channels}"

    def cvtype2_to_dtype_with_channels(self, cvtype: int) -> tuple[str, int]:
        """Return the type of the values and the number of channels of a type such as cv2.CV_8UC3.

        Raises:
            CvBridgeError: OpenCV has no such type.
        """
        for dtype, depth in DEPTH_OF_DTYPE.items():
            offset = cvtype - getattr(cv2, f"CV_{depth}")
            if offset >= 0 and offset % _ONE_CHANNEL_MORE == 0:
                return dtype, offset // _ONE_CHANNEL_MORE + 1
        raise CvBridgeError(f"OpenCV has no type {cvtype}")

    def encoding_to_cvtype2(self, encoding: str) -> int:
        """Return the type that OpenCV has for an encoding, such as cv2.CV_8UC3 for rgb8.

        Raises:
            CvBridgeError: The encoding is unknown.
        """
        parsed = parse_encoding(encoding)
        depth = getattr(cv2, f"CV_{DEPTH_OF_DTYPE[parsed.dtype.name]}")
        return int(depth + (parsed.channels - 1) * _ONE_CHANNEL_MORE)

    def encoding_to_dtype_with_channels(self, encoding: str) -> tuple[str, int]:
        """Return the type of the values and the number of channels of an encoding.

        Raises:
            CvBridgeError: The encoding is unknown.
        """
        parsed = parse_encoding(encoding)
        return parsed.dtype.name, parsed.channels


def _view(img_msg: Image, encoding: Encoding) -> Array:
    """Return the pixels of a message, without a copy if the byte order allows."""
    width, height, step = img_msg.width, img_msg.height, img_msg.step
    if width == 0 or height == 0:
        raise CvBridgeError(f"the image has no pixels: its size is {width}x{height}")
    _check_subsampling(encoding, height, width)
    itemsize = encoding.dtype.itemsize
    row_bytes = width * encoding.channels * itemsize
    if step < row_bytes:
        raise CvBridgeError(
            f"step is {step}, but a row of {width} pixels of {encoding.name!r} has {row_bytes} "
            "bytes"
        )
    rows = encoding.rows(height)
    # The last row may lack its padding.
    needed = step * (rows - 1) + row_bytes
    if len(img_msg.data) < needed:
        raise CvBridgeError(
            f"data has {len(img_msg.data)} bytes, but {width}x{height} pixels of "
            f"{encoding.name!r} with step {step} need {needed}"
        )
    shape: tuple[int, ...] = (rows, width)
    strides: tuple[int, ...] = (step, encoding.channels * itemsize)
    if encoding.channels > 1:
        shape += (encoding.channels,)
        strides += (itemsize,)
    dtype = encoding.dtype.newbyteorder(">" if img_msg.is_bigendian else "<")
    image = np.ndarray(shape, dtype, buffer=img_msg.data, strides=strides)
    return image.astype(encoding.dtype, copy=False)


def _check_array(image: Array) -> tuple[np.dtype[Any], int]:
    """Return the type and the number of channels of an array that is an image."""
    if not isinstance(image, np.ndarray):
        raise TypeError(f"an image must be a numpy array, not {type(image).__name__}")
    if image.ndim not in (2, 3) or image.size == 0:
        raise CvBridgeError(
            f"an image must have the shape (H, W) or (H, W, C) and pixels, not {image.shape}"
        )
    return image.dtype.newbyteorder("="), 1 if image.ndim == 2 else image.shape[2]


def _check_subsampling(encoding: Encoding, height: int, width: int) -> None:
    if encoding.is_subsampled and width % 2:
        raise CvBridgeError(f"{encoding.name!r} needs an even width, not {width}")
    if encoding.is_semiplanar and height % 2:
        raise CvBridgeError(f"{encoding.name!r} needs an even height, not {height}")


def _is_big_endian(dtype: np.dtype[Any]) -> int:
    return int(dtype.byteorder == ">" or (dtype.byteorder == "=" and sys.byteorder == "big"))
