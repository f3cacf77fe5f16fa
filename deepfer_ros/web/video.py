"""Take pictures from a short video that is in memory; nothing is written to a disk."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.web.limits import WebLimits

_MAX_RATE_HZ = 240
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# Other kinds of files, play lists for example, could name further files that would be opened.
_STARTS = (
    (4, b"ftyp"),  # MP4, MOV
    (4, b"moov"),  # MOV
    (4, b"mdat"),
    (4, b"wide"),
    (0, b"\x1aE\xdf\xa3"),  # WebM, Matroska
    (0, b"RIFF"),  # AVI
)


@dataclass(frozen=True, slots=True, eq=False)
class SampledFrame:
    """A picture of a video.

    Attributes:
        time_s: Since the beginning.
        image_bgr: uint8 (H, W, 3).
    """

    time_s: float
    image_bgr: NDArray[np.uint8]


class Video:
    """A video that is open.

    Args:
        capture: OpenCV's.
        name: What errors call it.
        limits: What is taken of it.

    Raises:
        ImageError: It has no pictures, or too large ones.
    """

    def __init__(self, capture: cv2.VideoCapture, name: str, limits: WebLimits) -> None:
        self._capture = capture
        self._limits = limits
        self._name = name
        self.truncated: str | None = None
        if not capture.isOpened():
            raise ImageError(f"{name} is damaged, or of a kind that cannot be decoded here.")
        self.width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        if self.width * self.height > limits.video_pixels:
            raise ImageError(
                f"{name} has pictures of {self.width}x{self.height} pixels, at most "
                f"{limits.video_pixels} pixels are allowed."
            )
        rate_hz, count = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        duration_s = count / rate_hz if rate_hz > 0 and count > 0 else 0.0
        self.duration_s = round(duration_s, 3) if 0 < duration_s < 1e6 else None

    def frames(self) -> Iterator[SampledFrame]:
        """Yield pictures at the rate of the limits.

        Raises:
            ImageError: There is not a single one.
        """
        period_s, due_s, last_s = 1 / self._limits.video_rate_hz, 0.0, 0.0
        taken = 0
        for index in range(int(self._limits.video_seconds * _MAX_RATE_HZ)):
            if not self._capture.grab():
                break
            # Of the picture just taken; files without times have 0 for all.
            time_s = max(self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1e3, last_s)
            last_s = time_s
            if index and time_s < due_s - period_s / 20:
                continue
            if time_s >= self._limits.video_seconds or taken >= self._limits.video_frames:
                self.truncated = (
                    f"Only the first {self._limits.video_seconds:g} s were read, which is the "
                    "limit."
                )
                break
            done, image_bgr = self._capture.retrieve()
            if not done:
                break
            due_s = max(due_s + period_s, time_s)
            taken += 1
            yield SampledFrame(round(time_s, 3), np.asarray(image_bgr, np.uint8))
        if not taken:
            raise ImageError(f"{self._name} has no picture that can be decoded.")


@contextmanager
def open_video(data: bytes, name: str, limits: WebLimits) -> Iterator[Video]:
    """Open a video that is in memory.

    Args:
        data: An MP4, MOV, WebM, Matroska or AVI file.
        name: What errors call it.
        limits: What is taken of it.

    Raises:
        ImageError: It is none of these, damaged, or too large.
    """
    _check_kind(data, name)
    # FFmpeg shall open this file and nothing that the file points to.
    os.environ[_OPTIONS] = "protocol_whitelist;file"
    descriptor = os.memfd_create("deepfer_video", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(data)
        capture = cv2.VideoCapture(f"/proc/self/fd/{descriptor}", cv2.CAP_FFMPEG)
        try:
            yield Video(capture, name, limits)
        finally:
            capture.release()
    finally:
        os.close(descriptor)


def _check_kind(data: bytes, name: str) -> None:
    if not data:
        raise ImageError(f"{name} is empty: 0 bytes.")
    if not any(data[offset : offset + len(start)] == start for offset, start in _STARTS):
        raise ImageError(f"{name} is no video of a known format (MP4, MOV, WebM, MKV, AVI).")
