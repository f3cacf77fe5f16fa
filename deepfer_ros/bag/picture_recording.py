"""Read a video or a folder of images as if a camera had recorded it."""

import contextlib
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.bag.errors import BagError
from deepfer_ros.bag.recording import NS_PER_S, RecordedImage, RecordedMessage, Selection
from deepfer_ros.camera_sources import (
    CameraError,
    ImageSource,
    VideoSource,
    list_images,
    open_source,
)
from deepfer_ros.recognition.images import read_image

_FRAME_ID = "camera"


class PictureRecording:
    """A video, an image or the images of a folder in the order of their names. See `Recording`.

    Times count from 0 at the first picture. All pictures have one topic, `/image_raw`.

    Args:
        path: The file or folder.
        selection: Which pictures are wanted.
        rate_hz: Pictures a second; the file's own if None, and 2 for a folder.

    Raises:
        BagError: There is no picture.
    """

    topics: tuple[str, ...] = ("/image_raw",)
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path, selection: Selection, *, rate_hz: float | None = None) -> None:
        if selection.topics:
            raise BagError(f"{path} has no topics, so --topic {selection.topics[0]} has no use.")
        try:
            source = open_source(str(path))
        except CameraError as err:
            raise BagError(str(err)) from err
        if not isinstance(source, ImageSource | VideoSource):
            source.close()
            raise BagError(f"{path} is a {source.description}; give a bag, a video or a folder.")
        self._source = source
        self.description = source.description
        self._path = path
        self._rate_hz = rate_hz or source.rate_hz or 1.0
        self._selection = selection
        count = self._count()
        self.duration_s: float | None = None
        if count:
            end_s = count / self._rate_hz
            self.duration_s = max(min(selection.end_s or end_s, end_s) - selection.start_s, 0.0)
        self.identity = f"{count}:{self._rate_hz}:{_size_of(path)}"

    def entries(self) -> Iterator[RecordedImage | RecordedMessage]:
        """See `Recording.entries`."""
        pictures: Iterator[Callable[[], NDArray[np.uint8]]]
        if isinstance(self._source, VideoSource):
            pictures = self._video_pictures()
        else:
            pictures = (cache(partial(read_image, path)) for path in self._files())
        selected = 0
        for number, decode in enumerate(pictures):
            elapsed_s = number / self._rate_hz
            if elapsed_s < self._selection.start_s:
                continue
            if self._selection.end_s is not None and elapsed_s > self._selection.end_s:
                return
            if selected % self._selection.every == 0:
                time_ns = round(elapsed_s * NS_PER_S)
                yield RecordedImage(
                    self.topics[0], selected, time_ns, elapsed_s, time_ns, _FRAME_ID, decode
                )
            selected += 1

    def close(self) -> None:
        """See `Recording.close`."""
        self._source.close()

    def _video_pictures(self) -> Iterator[Callable[[], NDArray[np.uint8]]]:
        self._source.rewind()
        while (frame := self._source.read()) is not None:
            yield partial(_same, frame.image_bgr)

    def _files(self) -> list[Path]:
        return list_images(self._path) if self._path.is_dir() else [self._path]

    def _count(self) -> int:
        """Return how many pictures there are, or 0 if nobody knows."""
        if isinstance(self._source, ImageSource):
            return len(self._files())
        capture = cv2.VideoCapture(str(self._path))
        count = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        capture.release()
        return max(count, 0)


def _same(image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return image_bgr


def _size_of(path: Path) -> int:
    """Return the bytes of all files together."""
    size = 0
    for file in list_images(path) if path.is_dir() else [path]:
        # A link that leads nowhere has none. It is skipped like every picture that cannot be read.
        with contextlib.suppress(OSError):
            size += file.stat().st_size
    return size
