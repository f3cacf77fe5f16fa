"""Videos for tests whose pictures come at irregular times, which OpenCV cannot write."""

import struct
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray


def write_matroska(
    path: Path,
    pictures_bgr: Sequence[NDArray[np.uint8]],
    times_ms: Sequence[int],
    *,
    stated_rate_hz: int | None = None,
) -> Path:
    """Write a Matroska file of JPEG pictures.

    Args:
        path: The file.
        pictures_bgr: uint8 (H, W, 3), all of one size.
        times_ms: When each is shown.
        stated_rate_hz: What the file says of its rate: browsers that record say 1000.
    """
    height, width = pictures_bgr[0].shape[:2]
    rate = b"" if stated_rate_hz is None else _number("23E383", 10**9 // stated_rate_hz)
    track = _element(
        "AE",
        *(_number("D7", 1), _number("73C5", 1), _number("83", 1), _element("86", b"V_MJPEG")),
        *(rate, _element("E0", _number("B0", width), _number("BA", height))),
    )
    clusters = [
        _element("1F43B675", _number("E7", time_ms), _element("A3", b"\x81\0\0\x80", jpeg))
        for time_ms, jpeg in zip(times_ms, map(_encode, pictures_bgr), strict=True)
    ]
    duration = _element("4489", struct.pack(">d", times_ms[-1] + 1))
    segment = _element(
        "18538067",
        _element("1549A966", _number("2AD7B1", 10**6), duration),
        _element("1654AE6B", track),
        *clusters,
    )
    head = _element("1A45DFA3", _element("4282", b"matroska"), _number("4287", 4))
    path.write_bytes(head + segment)
    return path


def _encode(picture_bgr: NDArray[np.uint8]) -> bytes:
    _, data = cv2.imencode(".jpg", picture_bgr, [cv2.IMWRITE_JPEG_QUALITY, 100])
    return data.tobytes()


def _element(identity: str, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes.fromhex(identity) + struct.pack(">Q", len(content) | 1 << 56) + content


def _number(identity: str, value: int) -> bytes:
    return _element(identity, value.to_bytes(8, "big"))
