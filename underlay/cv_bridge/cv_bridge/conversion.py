"""Conversion of an image from one encoding to another."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cv_bridge.encodings import CvBridgeError, Encoding

Array = NDArray[Any]


def convert(image: Array, source: Encoding, target: Encoding) -> Array:
    """Convert an image: its colours first, then the type of its values.

    Between 8 and 16 bits the values are scaled to the full range; between other types they are
    rounded and saturated. Types without colours, such as 8UC3, convert to and from every encoding
    with as many channels.

    Args:
        image: Shape (H, W) or (H, W, C), as `source` says.
        source: What the image is.
        target: What is wanted.

    Returns:
        The converted image; the given array itself where nothing needs to be done.

    Raises:
        CvBridgeError: The conversion makes no sense or is not possible.
    """
    return _convert_depth(_convert_color(image, source, target), target.dtype)


def _convert_color(image: Array, source: Encoding, target: Encoding) -> Array:
    if source.family == target.family:
        if source.channels != target.channels:
            raise CvBridgeError(
                f"an image with the encoding {source.name!r} cannot become {target.name!r}: it "
                f"has {source.channels} channels, not {target.channels}"
            )
        return image
    if not source.family or not target.family:
        if source.channels == target.channels:
            return image
        generic = target if source.family else source
        raise CvBridgeError(
            f"an image with the encoding {source.name!r} cannot become {target.name!r}: "
            f"{generic.name!r} does not say what its {generic.channels} channels are"
        )
    if target.family not in ("GRAY", "BGR", "RGB", "BGRA", "RGBA"):
        raise CvBridgeError(
            f"an image with the encoding {source.name!r} cannot become {target.name!r}: only "
            "mono, rgb, bgr, rgba and bgra images can be made from others"
        )
    if source.is_subsampled:
        return _convert_yuv(image, source, target)
    code = getattr(cv2, f"COLOR_{source.family}2{target.family}", None)
    if code is None:  # some versions of OpenCV lack Bayer to RGBA
        opaque = target.family.removesuffix("A")
        image = cv2.cvtColor(image, getattr(cv2, f"COLOR_{source.family}2{opaque}"))
        code = getattr(cv2, f"COLOR_{opaque}2{target.family}")
    return cv2.cvtColor(image, code)


def _convert_yuv(image: Array, source: Encoding, target: Encoding) -> Array:
    layout = source.family.removeprefix("YUV_")
    if target.family != "GRAY":
        return cv2.cvtColor(image, getattr(cv2, f"COLOR_YUV2{target.family}_{layout}"))
    # The brightness is there already.
    if source.is_semiplanar:
        return image[: image.shape[0] * 2 // 3]
    return np.ascontiguousarray(image[:, :, 1 if layout == "UYVY" else 0])


def _convert_depth(image: Array, dtype: np.dtype[Any]) -> Array:
    if image.dtype == dtype:
        return image
    if (image.dtype.name, dtype.name) == ("uint8", "uint16"):
        return image.astype(np.uint16) * np.uint16(257)
    if (image.dtype.name, dtype.name) == ("uint16", "uint8"):
        return cv2.convertScaleAbs(image, alpha=255 / 65535)
    if np.issubdtype(dtype, np.floating):
        return image.astype(dtype)
    limits = np.iinfo(dtype)
    # float64 holds every value of the types up to 32 bits; what is no number becomes 0
    values = np.nan_to_num(image.astype(np.float64), nan=0.0)
    return np.clip(np.rint(values), limits.min, limits.max).astype(dtype)
