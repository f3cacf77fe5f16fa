"""Pictures one after another: from a webcam, a video file, image files or a built-in sample.

Needs no ROS. `open_source` turns what a user gives (`auto`, `sample`, `0`, `/dev/video0`, a path)
into a `FrameSource`.
"""

import importlib.util
import math
import os
import re
import stat
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.images import read_image

AUTO_SOURCE = "auto"
SAMPLE_SOURCE = "sample"
SOURCE_HELP = (
    "'auto' (the first webcam that works, else the sample), 'sample' (a built-in moving face), "
    "a webcam (0, 1, … or /dev/videoN), a video file, an image file or a folder of images"
)
"""What may be given as a source, for the help texts of parameters and options."""

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".webp")
"""Which files of a folder count as images, in lower case."""

SAMPLE_SIZE = (640, 480)
"""Width and height of the sample if no other size is asked for, in pixels."""

SAMPLE_PERIOD = 360
"""Frames after which the sample's movement repeats."""

Report = Callable[[str], None]
"""Takes one sentence about something that was skipped or could not be used."""

_DEVICES = Path("/dev")
# A webcam needs a second or two to wake up, some longer.
_DEVICE_TIMEOUT_S = 5.0
_AUTO_TIMEOUT_S = 3.0
_CLOSE_TIMEOUT_S = 1.0

_SAMPLE_RATE_HZ = 30.0
_IMAGE_RATE_HZ = 10.0
# Slow enough to see what was found in each picture of a folder.
_FOLDER_RATE_HZ = 2.0
_FALLBACK_VIDEO_RATE_HZ = 25.0
# A higher one is believed only if the file states it and the times of the pictures agree: stated
# alone, it is mostly the ticks of the file's clock (1000, 90000).
_MAX_LONE_RATE_HZ = 240.0
_MAX_RATE_RATIO = 2.0
_TIMED_PICTURES = 30


class CameraError(Exception):
    """A source of pictures does not exist, cannot be used or has stopped working."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source.

    Attributes:
        image_bgr: uint8 (H, W, 3), read-only by agreement: a source may hand it out again.
        captured_s: When it was taken or read, as `time.monotonic` gives it.
        position_s: Its time in the file as the file states it, in seconds; 0 for all pictures of
            a file without times, and of a source that is no video.
    """

    image_bgr: NDArray[np.uint8]
    captured_s: float
    position_s: float = 0.0


class FrameSource(Protocol):
    """Where pictures come from.

    Attributes:
        name: What `open_source` takes to open the same source again.
        description: For log lines and titles: "webcam /dev/video0".
        rate_hz: Pictures a second if nobody asks for another rate; None for a camera, which sets
            the pace itself.
    """

    name: str
    description: str
    rate_hz: float | None

    def read(self) -> Frame | None:
        """Return the next picture, or None after the last one.

        Raises:
            CameraError: The source has stopped working.
        """

    def rewind(self) -> None:
        """Start from the first picture again; a camera goes on as before.

        Raises:
            CameraError: The source cannot be opened any more.
        """

    def close(self) -> None:
        """Free the device or file. May be called more than once and from another thread."""


def open_source(
    source: str, *, size: tuple[int, int] | None = None, report: Report = lambda text: None
) -> FrameSource:
    """Open a source and make sure that it gives pictures.

    Args:
        source: See `SOURCE_HELP`.
        size: Wanted width and height in pixels. A webcam is asked for it and may choose another;
            files are scaled to fit into it, with their aspect kept; the sample has just this size.
        report: Told about webcams that `auto` could not use and image files that are skipped.

    Raises:
        CameraError: The source does not exist or gives no picture; the text says what was
            received, what is allowed and what to do.
    """
    text = source.strip()
    if size is not None and min(size) < 1:
        raise CameraError(f"The picture size must be 1x1 or more, got {size[0]}x{size[1]}.")
    if text == AUTO_SOURCE:
        return _open_auto(size, report)
    if text == SAMPLE_SOURCE:
        return SampleSource(size)
    if text.isdecimal():
        # Not by int, which refuses a number of thousands of digits.
        return WebcamSource(_DEVICES / f"video{text.lstrip('0') or '0'}", size)
    if not text:
        raise CameraError(f"The source is empty; allowed are {SOURCE_HELP}.")
    # Leaves ~user as it is if there is no such user.
    path = Path(os.path.expanduser(text))
    if _names_device(path):
        return WebcamSource(path, size)
    mode = _read_mode(path)
    if stat.S_ISCHR(mode):
        return WebcamSource(path, size)
    if stat.S_ISDIR(mode):
        return ImageSource(path, size, report)
    if stat.S_ISREG(mode):
        is_image = cv2.haveImageReader(str(path))
        return ImageSource(path, size, report) if is_image else VideoSource(path, size)
    raise CameraError(
        f"Source '{source}' is neither a regular file nor a folder; allowed are {SOURCE_HELP}."
    )


class WebcamSource:
    """A webcam, read by a thread of its own so that a device that hangs hangs nothing else.

    Args:
        device: The device file, such as `/dev/video0`.
        size: Wanted width and height in pixels.
        timeout_s: How long the device may take to deliver a picture.
        open_capture: Opens the device; a test gives its own.

    Raises:
        CameraError: The device is missing, not allowed, or delivers no picture in time.
    """

    rate_hz: float | None = None

    def __init__(
        self,
        device: Path,
        size: tuple[int, int] | None = None,
        *,
        timeout_s: float = _DEVICE_TIMEOUT_S,
        open_capture: Callable[[str], cv2.VideoCapture] | None = None,
    ) -> None:
        if open_capture is None:
            _check_device(device)
        self.name = str(device)
        self.description = f"webcam {device}"
        self._size = size
        self._timeout_s = timeout_s
        self._open_capture = open_capture or _open_webcam
        self._news = threading.Condition()
        self._frame: Frame | None = None
        self._failure = ""
        self._closed = False
        # A daemon: if the driver never returns, the program can end all the same.
        self._thread = threading.Thread(target=self._capture, name=f"{device}", daemon=True)
        self._thread.start()
        try:
            first = self.read()
        # A signal may interrupt the wait; the device shall be freed all the same.
        except (CameraError, KeyboardInterrupt):
            self.close()
            raise
        with self._news:
            self._frame = self._frame or first

    def read(self) -> Frame | None:
        """Return the newest picture that was not returned yet. See `FrameSource.read`."""
        with self._news:
            arrived = self._news.wait_for(
                lambda: self._frame is not None or self._failure or self._closed, self._timeout_s
            )
            frame, self._frame = self._frame, None
            if frame is not None:
                return frame
            if self._closed:
                raise CameraError(f"Webcam {self.name} was closed.")
            if not arrived:
                raise CameraError(
                    f"Webcam {self.name} delivered no picture within {self._timeout_s:g} s; plug "
                    "it in again, end other programs that use it, or choose another source."
                )
            raise CameraError(self._failure)

    def rewind(self) -> None:
        """Do nothing: a camera has no beginning."""

    def close(self) -> None:
        """See `FrameSource.close`."""
        with self._news:
            self._closed = True
            self._news.notify_all()
        # The thread frees the device itself; one that hangs in the driver is left behind.
        self._thread.join(_CLOSE_TIMEOUT_S)

    def _capture(self) -> None:
        """Read until closed or broken; the only code that touches the device."""
        capture = self._open_capture(self.name)
        try:
            if not capture.isOpened():
                self._fail(
                    f"Webcam {self.name} cannot be opened; end other programs that use it, or "
                    "choose another source."
                )
                return
            _request_size(capture, self._size)
            while not self._closed:
                delivered, image = capture.read()
                if not delivered or image is None:
                    self._fail(
                        f"Webcam {self.name} stopped delivering pictures; is it plugged in?"
                    )
                    return
                with self._news:
                    self._frame = Frame(_as_bgr(image), time.monotonic())
                    self._news.notify_all()
        finally:
            capture.release()

    def _fail(self, text: str) -> None:
        with self._news:
            self._failure = text
            self._news.notify_all()


class VideoSource:
    """A video file.

    Args:
        path: The file.
        size: Width and height that pictures are scaled to fit into, in pixels.

    Raises:
        CameraError: The file is not a video that OpenCV can read.
    """

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        self.name = str(path)
        self.description = f"video {path}"
        self._size = size
        self._lock = threading.Lock()
        self._capture = self._open()
        stated_hz = float(self._capture.get(cv2.CAP_PROP_FPS))
        first = self.read()
        if first is None:
            self.close()
            raise CameraError(
                f"The file {path} holds no picture that can be read, neither as an image nor as a "
                "video."
            )
        self.rate_hz: float | None = _choose_rate(stated_hz, self._measure_rate(first.position_s))
        self.rewind()

    def read(self) -> Frame | None:
        """See `FrameSource.read`."""
        with self._lock:
            if not self._capture.grab():
                return None
            position_s = _read_position(self._capture)
            delivered, image = self._capture.retrieve()
        if not delivered or image is None:
            return None
        return Frame(fit_image(_as_bgr(image), self._size), time.monotonic(), position_s)

    def rewind(self) -> None:
        """Open the file again: seeking is not exact in every format."""
        with self._lock:
            self._capture.release()
            self._capture = self._open()

    def close(self) -> None:
        """See `FrameSource.close`."""
        with self._lock:
            self._capture.release()

    def _measure_rate(self, first_s: float) -> float:
        """Return the rate of the first pictures by their times; 0 if they have none.

        Args:
            first_s: Position of the first picture, which has been read.
        """
        with self._lock:
            count, last_s = 0, first_s
            while count < _TIMED_PICTURES - 1 and self._capture.grab():
                count, last_s = count + 1, _read_position(self._capture)
        return count / (last_s - first_s) if last_s > first_s else 0.0

    def _open(self) -> cv2.VideoCapture:
        if not os.access(self.name, os.R_OK):
            raise CameraError(f"The file {self.name} is missing or may not be read.")
        for backend in cv2.videoio_registry.getStreamBackends():
            # This one takes the name for a numbered series of pictures.
            if backend == cv2.CAP_IMAGES:
                continue
            capture = cv2.VideoCapture(self.name, backend)
            if capture.isOpened():
                return capture
        raise CameraError(
            f"The file {self.name} is neither an image nor a video that OpenCV can read; allowed "
            f"are {SOURCE_HELP}."
        )


class ImageSource:
    """One image file, or the image files of a folder in the order of their names.

    Args:
        path: An image file or a folder; folders below it are not looked into.
        size: Width and height that pictures are scaled to fit into, in pixels.
        report: Told once about each file that cannot be read and is skipped.

    Raises:
        CameraError: There is no image, or none can be read.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int] | None = None,
        report: Report = lambda text: None,
    ) -> None:
        # Remembered: a folder that is gone does not become an image.
        self._is_folder = os.path.isdir(path)
        self.name = str(path)
        self.description = f"{'folder' if self._is_folder else 'image'} {path}"
        self.rate_hz: float | None = _FOLDER_RATE_HZ if self._is_folder else _IMAGE_RATE_HZ
        self._path = path
        self._size = size
        self._report = report
        self._reported: set[Path] = set()
        # A lone image is decoded once, not for every frame.
        self._decoded: tuple[Path, NDArray[np.uint8]] | None = None
        self._remaining: list[Path] = []
        self.rewind()
        if self.read() is None:
            raise CameraError(f"None of the images in {path} can be read.")
        self.rewind()

    def read(self) -> Frame | None:
        """See `FrameSource.read`."""
        while self._remaining:
            path = self._remaining.pop(0)
            try:
                return Frame(self._decode(path), time.monotonic())
            except ImageError as err:
                if not os.path.isdir(self._path):
                    raise CameraError(str(err)) from err
                if path not in self._reported:
                    self._reported.add(path)
                    self._report(f"Skipped an image: {err}")
        return None

    def rewind(self) -> None:
        """List the folder again; what was added to it since takes part."""
        try:
            self._remaining = list_images(self._path) if self._is_folder else [self._path]
        except OSError as err:
            raise CameraError(f"Cannot list the folder {self._path}: {err.strerror}.") from err
        if not self._remaining:
            raise CameraError(
                f"The folder {self._path} holds no image; looked for {' '.join(IMAGE_SUFFIXES)}."
            )

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _decode(self, path: Path) -> NDArray[np.uint8]:
        if self._decoded is None or self._decoded[0] != path:
            self._decoded = (path, fit_image(read_image(path), self._size))
        return self._decoded[1]


class SampleSource:
    """A real face that moves through the picture and comes closer and goes away, for ever.

    A camera pans and zooms over the portrait of the astronaut Eileen Collins (NASA, public
    domain), which scikit-image ships. The same frame number always gives the same picture.

    Args:
        size: Width and height in pixels, `SAMPLE_SIZE` if None.

    Raises:
        CameraError: scikit-image's photograph is not installed.
    """

    name = SAMPLE_SOURCE
    description = "built-in sample"
    rate_hz: float | None = _SAMPLE_RATE_HZ

    def __init__(self, size: tuple[int, int] | None = None) -> None:
        self._size = size or SAMPLE_SIZE
        self._photograph = read_sample_photograph()
        self._index = 0

    def read(self) -> Frame | None:
        """See `FrameSource.read`; there is no last picture."""
        captured_s = time.monotonic()
        image = self.render(self._index)
        self._index += 1
        return Frame(image, captured_s)

    def render(self, index: int) -> NDArray[np.uint8]:
        """Return the picture with a number, uint8 (H, W, 3) BGR."""
        left, top, zoom = self._view(index)
        matrix = np.array([[zoom, 0, -left * zoom], [0, zoom, -top * zoom]])
        return np.asarray(
            cv2.warpAffine(
                self._photograph,
                matrix,
                self._size,
                flags=cv2.INTER_LINEAR,
                borderMode=cv2.BORDER_REPLICATE,
            ),
            dtype=np.uint8,
        )

    def rewind(self) -> None:
        """Start again with frame 0."""
        self._index = 0

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _view(self, index: int) -> tuple[float, float, float]:
        """Return left and top of the view in the photograph, and its enlargement.

        All swing with a whole number of periods, so the path is closed and smooth.
        """
        height, width = self._photograph.shape[:2]
        phase = 2 * math.pi * index / SAMPLE_PERIOD
        smallest = max(self._size[0] / width, self._size[1] / height)
        zoom = smallest * (1.45 - 0.4 * math.cos(phase))
        view_width = self._size[0] / zoom
        # As far to both sides as the photograph reaches and the head stays inside the view.
        leftmost = _smooth_max(_SAMPLE_HEAD_X - (1 - _SAMPLE_BORDER) * view_width, 0.0)
        rightmost = -_smooth_max(_SAMPLE_BORDER * view_width - _SAMPLE_HEAD_X, view_width - width)
        across = 0.5 - 0.5 * math.sin(2 * phase)
        down = 0.5 - 0.5 * math.cos(3 * phase)
        return (
            leftmost + across * (rightmost - leftmost),
            down * min(_SAMPLE_HEAD_TOP, height - self._size[1] / zoom),
            zoom,
        )


# Where the head is in scikit-image's photograph, in pixels, and how close its middle may come to
# the left and right border of the view, as a share of the view's width.
_SAMPLE_HEAD_X = 226
_SAMPLE_HEAD_TOP = 14
_SAMPLE_BORDER = 0.27


def _smooth_max(a: float, b: float, rounding: float = 15.0) -> float:
    """Return a little more than the larger of two numbers, without a kink where they meet."""
    return b + rounding * math.log1p(math.exp((a - b) / rounding))


def read_sample_photograph() -> NDArray[np.uint8]:
    """Return the photograph behind the sample, uint8 (512, 512, 3) BGR.

    Raises:
        CameraError: It is not installed or not readable.
    """
    # Only its data file is wanted: importing scikit-image takes a second and needs SciPy.
    spec = importlib.util.find_spec("skimage")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    for folder in folders:
        path = Path(folder) / "data" / "astronaut.png"
        if os.path.isfile(path):
            try:
                return read_image(path)
            except ImageError as err:
                raise CameraError(f"The sample photograph cannot be used: {err}") from err
    raise CameraError(
        "The sample photograph is not installed; run 'pip install --no-deps scikit-image', or "
        "choose another source."
    )


def list_webcams() -> tuple[Path, ...]:
    """Return the device files of the cameras of this machine, lowest number first."""
    found = []
    for path in _DEVICES.glob("video*"):
        match = re.fullmatch(r"video(\d+)", path.name)
        if match:
            found.append((int(match[1]), path))
    return tuple(path for _, path in sorted(found))


def list_images(folder: Path) -> list[Path]:
    """Return the image files directly in a folder, told by their suffix, sorted by name.

    Raises:
        OSError: The folder cannot be listed.
    """
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir()
    )


def fit_image(image_bgr: NDArray[np.uint8], size: tuple[int, int] | None) -> NDArray[np.uint8]:
    """Return a picture scaled so that it just fits into a size, with its aspect kept.

    Args:
        image_bgr: uint8 (H, W, 3).
        size: Largest width and height in pixels; None leaves the picture as it is.
    """
    if size is None:
        return image_bgr
    height, width = image_bgr.shape[:2]
    scale = min(size[0] / width, size[1] / height)
    fitted = (max(round(width * scale), 1), max(round(height * scale), 1))
    if fitted == (width, height):
        return image_bgr
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image_bgr, fitted, interpolation=interpolation), dtype=np.uint8)


def _open_auto(size: tuple[int, int] | None, report: Report) -> FrameSource:
    for device in list_webcams():
        try:
            return WebcamSource(device, size, timeout_s=_AUTO_TIMEOUT_S)
        except CameraError as err:
            report(str(err))
    return SampleSource(size)


def _names_device(path: Path) -> bool:
    """Tell whether a path means a camera, plugged in or not; /dev/shm holds ordinary files."""
    named = path.parent == _DEVICES and path.name.startswith("video")
    return named or Path("/dev/v4l") in path.parents


def _read_mode(path: Path) -> int:
    """Return what kind of file a path is, as `stat` tells it.

    Raises:
        CameraError: There is none, or it cannot be reached.
    """
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as err:
        raise CameraError(f"Source '{path}' does not exist; allowed are {SOURCE_HELP}.") from err
    # A folder that may not be entered, a name that is too long, a byte that no name has.
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else err
        raise CameraError(
            f"Source '{path!s:.200}' cannot be reached: {reason}; allowed are {SOURCE_HELP}."
        ) from err


def _check_device(device: Path) -> None:
    """Refuse what is certainly no usable camera, before a driver is asked.

    Raises:
        CameraError: The device is missing, is no device, or may not be read.
    """
    present = ", ".join(map(str, list_webcams())) or "none"
    try:
        mode = device.stat().st_mode
    except (OSError, ValueError) as err:
        raise CameraError(
            f"Webcam {device} does not exist; present: {present}. Plug one in, or choose another "
            f"source: {SOURCE_HELP}."
        ) from err
    if not stat.S_ISCHR(mode):
        raise CameraError(f"{device} is not a camera; present: {present}.")
    if not os.access(device, os.R_OK | os.W_OK):
        raise CameraError(
            f"Webcam {device} may not be read by this user; add the user to the group 'video' "
            "(sudo usermod -aG video $USER), then log in again."
        )


def _open_webcam(name: str) -> cv2.VideoCapture:
    return cv2.VideoCapture(name, cv2.CAP_V4L2)


def _request_size(capture: cv2.VideoCapture, size: tuple[int, int] | None) -> None:
    """Ask a webcam for a size; it may choose another."""
    if size is None:
        return
    if size[0] > SAMPLE_SIZE[0]:
        # Uncompressed, larger pictures than this do not get through USB 2 at full rate.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
    capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
    capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])


def _read_position(capture: cv2.VideoCapture) -> float:
    """Return the time in the file of the picture just taken, in seconds; 0 if it has none."""
    position_ms = capture.get(cv2.CAP_PROP_POS_MSEC)
    return position_ms / 1e3 if math.isfinite(position_ms) else 0.0


def _choose_rate(stated_hz: float, measured_hz: float) -> float:
    """Return the rate of a video.

    Args:
        stated_hz: What the file says: the rate, 0, not a number, or the ticks of its clock.
        measured_hz: By the times of the first pictures; 0 if they have none.
    """
    # The stated one is for the whole video, so a small difference says nothing against it.
    if 0 < measured_hz / _MAX_RATE_RATIO <= stated_hz <= measured_hz * _MAX_RATE_RATIO:
        return stated_hz
    for rate_hz in (measured_hz, stated_hz):
        if 0 < rate_hz <= _MAX_LONE_RATE_HZ:
            return rate_hz
    return _FALLBACK_VIDEO_RATE_HZ


def _as_bgr(image: "cv2.typing.MatLike") -> NDArray[np.uint8]:
    """Return a picture of a camera or video, which may be grey, as uint8 (H, W, 3) BGR."""
    if image.ndim == 2 or image.shape[2] == 1:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    return np.asarray(image, dtype=np.uint8)
