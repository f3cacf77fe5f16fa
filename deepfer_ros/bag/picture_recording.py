"""Read a video or a folder of images as if a camera had recorded it."""

import contextlib
import itertools
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
# Between pictures whose times in the file are the same or out of order.
_LEAST_STEP_S = 0.001


class PictureRecording:
    """A video, an image or the images of a folder in the order of their names. See `Recording`.

    Times count from 0 at the first picture; those of a video are the file's own, which need not
    be regular. All pictures have one topic, `/image_raw`.

    Args:
        path: The file or folder.
        selection: Which pictures are wanted.
        rate_hz: Pictures a second; the file's own times if None, and 2 for a folder.

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
        self._has_own_times = rate_hz is None and isinstance(source, VideoSource)
        self._selection = selection
        count = self._count()
        self.duration_s: float | None = None
        if count:
            end_s = count / self._rate_hz
            self.duration_s = max(min(selection.end_s or end_s, end_s) - selection.start_s, 0.0)
        rate = "own" if self._has_own_times else self._rate_hz
        self.identity = f"{count}:{rate}:{_size_of(path)}"

    def entries(self) -> Iterator[RecordedImage | RecordedMessage]:
        """See `Recording.entries`."""
        selected = 0
        for elapsed_s, decode in self._timed_pictures():
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

    def _timed_pictures(self) -> Iterator[tuple[float, Callable[[], NDArray[np.uint8]]]]:
        """Yield the time of each picture, in seconds since the first one, and how to decode it."""
        if isinstance(self._source, ImageSource):
            for number, path in enumerate(self._files()):
                yield number / self._rate_hz, cache(partial(read_image, path))
            return
        try:
            self._source.rewind()
        except CameraError as err:
            raise BagError(str(err)) from err
        clock = _VideoClock(1 / self._rate_hz)
        for number in itertools.count():
            frame = self._source.read()
            if frame is None:
                return
            own_s = clock.advance(frame.position_s)
            elapsed_s = own_s if self._has_own_times else number / self._rate_hz
            yield elapsed_s, partial(_same, frame.image_bgr)

    def _files(self) -> list[Path]:
        return list_images(self._path) if self._path.is_dir() else [self._path]

    def _count(self) -> int:
        """Return how many pictures there are, or 0 if nobody knows."""
        if isinstance(self._source, ImageSource):
            return len(self._files())
        capture = cv2.VideoCapture(str(self._path))
        count = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        stated_hz = capture.get(cv2.CAP_PROP_FPS)
        capture.release()
        if not count > 0:
            return 0
        # OpenCV takes it from the file's duration and stated rate, even where that is no rate.
        rate_hz = self._source.rate_hz or stated_hz
        return round(count / stated_hz * rate_hz) if stated_hz > 0 else round(count)


class _VideoClock:
    """Turns the times in a video into times that begin with 0 and always grow.

    Args:
        period_s: From one picture to the next where the file does not say it.
    """

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._position_s: float | None = None
        self._offset_s = 0.0
        self._time_s = 0.0

    def advance(self, position_s: float) -> float:
        """Return the time of the next picture, in seconds.

        Args:
            position_s: What the file says; see `Frame`.
        """
        before_s, self._position_s = self._position_s, position_s
        if before_s is None:
            self._offset_s = -position_s
            return self._time_s
        next_s = self._time_s + self._period_s
        if position_s < before_s:
            # The times begin again, as in videos that were joined, or they end.
            self._offset_s = next_s - position_s
        own_s = position_s + self._offset_s if position_s != before_s else next_s
        self._time_s = max(own_s, self._time_s + _LEAST_STEP_S)
        return self._time_s


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
