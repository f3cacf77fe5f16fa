"""Read, check and encode pictures. Whatever is wrong with one becomes an `ImageError`."""

import io
import math
import os
import stat
import struct
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from deepfer_ros.recognition.errors import ImageError

MAX_IMAGE_BYTES = 32 * 1024 * 1024
"""Largest encoded picture that is read."""

MAX_IMAGE_PIXELS = 50_000_000
"""Largest picture that is decoded; a small file can hold a picture that fills the memory."""

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF")
_FORMAT_NAMES = "JPEG, PNG, WebP, BMP, PPM, TIFF"

# EXIF 2.3, section 4.6.4.
_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1
# What turns a picture that has an orientation.
_TURNS: dict[object, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda image: image[:, ::-1],
    3: lambda image: image[::-1, ::-1],
    4: lambda image: image[::-1],
    5: lambda image: image.swapaxes(0, 1),
    6: lambda image: image[::-1].swapaxes(0, 1),
    7: lambda image: image[::-1, ::-1].swapaxes(0, 1),
    8: lambda image: image[:, ::-1].swapaxes(0, 1),
}
# What Pillow raises for files that are damaged, in their pixels or in what they say about them.
_DAMAGE = (
    OSError,
    EOFError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    struct.error,
)

_ENCODINGS = {
    ".jpg": cv2.IMWRITE_JPEG_QUALITY,
    ".jpeg": cv2.IMWRITE_JPEG_QUALITY,
    ".png": None,
    ".webp": cv2.IMWRITE_WEBP_QUALITY,
    ".bmp": None,
}
# The longest side that a format can hold. OpenCV prints an error of its own about a longer one.
_MAX_SIDES_PX = {".jpg": 65_500, ".jpeg": 65_500, ".webp": 16_383}

_PILLOW_LIMIT_LOCK = threading.Lock()


def check_image(image_bgr: NDArray[np.uint8]) -> None:
    """Make sure that an array is a colour picture.

    Raises:
        ImageError: It is not uint8 (H, W, 3), or has no pixels.
    """
    if not isinstance(image_bgr, np.ndarray):
        raise ImageError(
            f"A picture must be a NumPy array, uint8 (H, W, 3), got {type(image_bgr).__name__}."
        )
    if image_bgr.dtype != np.uint8 or image_bgr.ndim != 3 or image_bgr.shape[2] != 3:
        raise ImageError(
            f"A picture must be uint8 (H, W, 3), got {image_bgr.dtype} {image_bgr.shape}."
        )
    if image_bgr.size == 0:
        raise ImageError(f"A picture must have pixels, got {image_bgr.shape}.")


def read_image(
    path: Path,
    *,
    root: Path | None = None,
    max_bytes: int = MAX_IMAGE_BYTES,
    max_pixels: int = MAX_IMAGE_PIXELS,
) -> NDArray[np.uint8]:
    """Read a picture from a file. Never waits for a pipe or a device.

    Args:
        path: The file.
        root: Only files in this folder may be read; symbolic links are followed first.
        max_bytes: Largest file that is read.
        max_pixels: Largest picture that is decoded.

    Returns:
        uint8 (H, W, 3), BGR, turned upright by its EXIF orientation.

    Raises:
        ImageError: The file is missing, not a regular file, outside `root`, too large, not
            readable or not a whole picture.
    """
    return decode_image(_read_bytes(path, root, max_bytes), name=str(path), max_pixels=max_pixels)


def decode_image(
    data: bytes | bytearray | memoryview,
    *,
    name: str = "The picture",
    max_bytes: int = MAX_IMAGE_BYTES,
    max_pixels: int = MAX_IMAGE_PIXELS,
) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG, WebP, BMP, PPM or TIFF picture.

    Args:
        data: The encoded picture.
        name: What an error calls it.
        max_bytes: Largest data that is decoded.
        max_pixels: Largest picture that is decoded.

    Returns:
        uint8 (H, W, 3), BGR, turned upright by its EXIF orientation.

    Raises:
        ImageError: The data is empty, too large, not a picture or truncated.
    """
    if len(data) == 0:
        raise ImageError(f"{name} is empty: 0 bytes.")
    if len(data) > max_bytes:
        raise ImageError(f"{name} has {len(data)} bytes, at most {max_bytes} are allowed.")
    _raise_pillow_limit(max_pixels)
    try:
        # OpenCV would decode before telling the size, and fills up truncated pictures with grey.
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise ImageError(
                    f"{name} has {width}x{height} pixels, at most {max_pixels} pixels are allowed."
                )
            image.load()
            return _turn_upright(_to_bgr(image), _orientation(image))
    except UnidentifiedImageError as err:
        raise ImageError(f"{name} is not a picture of a known format ({_FORMAT_NAMES}).") from err
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise ImageError(
            f"{name} has too many pixels, at most {max_pixels} pixels are allowed."
        ) from err
    except _DAMAGE as err:
        raise ImageError(f"{name} is a damaged or truncated picture: {err}.") from err


def encode_image(
    image_bgr: NDArray[np.uint8], suffix: str = ".jpg", *, quality: int = 90
) -> bytes:
    """Encode a picture.

    Args:
        image_bgr: uint8 (H, W, 3), BGR.
        suffix: `.jpg`, `.jpeg`, `.png`, `.webp` or `.bmp`.
        quality: 1 to 100, for JPEG and WebP.

    Raises:
        ImageError: It is not a picture, the suffix is unknown, or the picture is too large for
            the format.
    """
    check_image(image_bgr)
    check_suffix(suffix)
    height, width = image_bgr.shape[:2]
    max_side_px = _MAX_SIDES_PX.get(suffix.lower(), math.inf)
    if max(width, height) > max_side_px:
        raise ImageError(
            f"A picture of {width}x{height} pixels cannot become {suffix}, at most {max_side_px} "
            "pixels a side are allowed."
        )
    flag = _ENCODINGS[suffix.lower()]
    try:
        done, buffer = cv2.imencode(suffix, image_bgr, [] if flag is None else [flag, quality])
    except cv2.error as err:
        raise ImageError(
            f"A picture of {width}x{height} pixels cannot become {suffix}: {err}"
        ) from err
    if not done:
        raise ImageError(f"A picture of {width}x{height} pixels cannot become {suffix}.")
    return buffer.tobytes()


def check_suffix(suffix: str) -> None:
    """Make sure that pictures can be written with this suffix.

    Raises:
        ImageError: They cannot.
    """
    if suffix.lower() not in _ENCODINGS:
        raise ImageError(
            f"Pictures cannot be written as '{suffix}'; choose {', '.join(_ENCODINGS)}."
        )


def _read_bytes(path: Path, root: Path | None, max_bytes: int) -> bytes:
    """Read a regular file, and no more than `max_bytes` of it."""
    try:
        resolved = path.expanduser().resolve(strict=True)
        if root is not None and not resolved.is_relative_to(root.expanduser().resolve()):
            raise ImageError(f"{path} is outside the allowed folder {root}.")
        # Without O_NONBLOCK, opening a named pipe would wait for a writer.
        descriptor = os.open(resolved, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise ImageError(f"{path} does not exist.") from err
    except (OSError, ValueError, RuntimeError) as err:
        raise ImageError(f"{path!s:.200} cannot be opened: {err}.") from err
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise ImageError(f"{path} is {kind}; a picture file is needed.")
        if status.st_size > max_bytes:
            raise ImageError(
                f"{path} has {status.st_size} bytes, at most {max_bytes} are allowed."
            )
        with open(descriptor, "rb", closefd=False) as file:
            # None is what a file gives that has nothing yet, such as /proc/kmsg.
            return file.read(max_bytes + 1) or b""
    except OSError as err:
        raise ImageError(f"{path} cannot be read: {err.strerror}.") from err
    finally:
        os.close(descriptor)


def _raise_pillow_limit(max_pixels: int) -> None:
    """Make sure that Pillow does not refuse what `max_pixels` allows.

    Pillow has one limit for the whole process. It is raised and never lowered, so that threads
    with different limits do not get into each other's way: each checks its own.
    """
    with _PILLOW_LIMIT_LOCK:
        if Image.MAX_IMAGE_PIXELS is not None and Image.MAX_IMAGE_PIXELS < max_pixels:
            Image.MAX_IMAGE_PIXELS = max_pixels


def _orientation(image: Image.Image) -> object:
    """Return the EXIF orientation of a picture that has been loaded, whatever stands there.

    Pillow's `ImageOps.exif_transpose` would turn it, too, but writes all tags anew for that, and
    fails where one is odd. Damaged EXIF data do not spoil a picture: viewers show it as it is.
    """
    # Pillow turns a TIFF itself, and up to version 9 leaves the orientation in it.
    if image.format == "TIFF":
        return _UPRIGHT
    try:
        return image.getexif().get(_ORIENTATION_TAG, _UPRIGHT)
    except _DAMAGE:
        return _UPRIGHT


def _turn_upright(image_bgr: NDArray[np.uint8], orientation: object) -> NDArray[np.uint8]:
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image_bgr if turn is None else np.ascontiguousarray(turn(image_bgr))


def _to_bgr(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I") or image.mode == "F":
        # 16-bit pictures: Pillow's own conversion to 8 bits cuts off instead of scaling.
        values = np.asarray(image, np.float64)
        grey = np.rint(values * (255 / max(65535.0, values.max()))).clip(0, 255).astype(np.uint8)
        return np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR), np.uint8)
    rgb = np.asarray(image if image.mode == "RGB" else image.convert("RGB"), np.uint8)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)
