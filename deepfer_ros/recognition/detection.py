"""Face detectors behind one Protocol, and the choice among them.

All of them look for faces on a reduced copy and report pixels of the full picture. Their boxes
mean the same: on the faces of FER-2013 the longer side of a YuNet box and the side of a Haar box
differ by 1 % in the median, so that one crop margin serves all.
"""

import ctypes
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.errors import DetectorError
from deepfer_ros.recognition.geometry import clip_boxes
from deepfer_ros.recognition.images import check_image
from deepfer_ros.recognition.types import LANDMARK_NAMES, FaceDetections
from deepfer_ros.recognition.yunet_file import find_yunet_file

DETECTOR_NAMES = ("auto", "yunet", "libfacedetection", "haar")

_LANDMARK_COUNT = len(LANDMARK_NAMES)
_NMS_THRESHOLD = 0.3
_MAX_FACES = 200
# On FER-2013 it finds as many faces as the better known "default" cascade (80 %), with fewer
# false ones.
_HAAR_CASCADE = "haarcascade_frontalface_alt2.xml"
_HAAR_MIN_SIDE_PX = 24
# DETECT_BUFFER_SIZE in libfacedetection's header.
_LIBFACEDETECTION_BUFFER_BYTES = 0x9000
# libfacedetection fails on pictures that are smaller than its largest stride allows.
_MIN_SIDE_PX = 32


class FaceDetector(Protocol):
    """What the recognizer needs of a detector."""

    @property
    def name(self) -> str:
        """Name of the method, one of `DETECTOR_NAMES`."""

    def detect(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        """Find the faces of a picture.

        Args:
            image_bgr: uint8 (H, W, 3), BGR.

        Raises:
            ImageError: It is not such a picture.
        """


@dataclass(frozen=True, slots=True)
class DetectorStatus:
    """Whether a detector can be used here.

    Attributes:
        name: One of `DETECTOR_NAMES`.
        available: It can be loaded.
        reason: Why, or why not and what to do.
    """

    name: str
    available: bool
    reason: str


def detector_statuses(yunet_file: Path | None = None) -> tuple[DetectorStatus, ...]:
    """Return which detectors can be used here, best first.

    Raises:
        DetectorError: The user named a YuNet file that does not exist.
    """
    return (
        _yunet_status(find_yunet_file(yunet_file)),
        DetectorStatus("libfacedetection", True, "the package yuface is installed")
        if _libfacedetection_path() is not None
        else DetectorStatus(
            "libfacedetection",
            False,
            "the package yuface is not installed (it exists for Python 3.10 and 3.11 on x86_64)",
        ),
        DetectorStatus("haar", True, "OpenCV's cascade is installed")
        if _haar_path() is not None
        else DetectorStatus("haar", False, f"OpenCV {cv2.__version__} comes without cascades"),
    )


def load_detector(
    name: str = "auto",
    *,
    yunet_file: Path | None = None,
    min_confidence: float = 0.6,
    max_side_px: int = 320,
) -> FaceDetector:
    """Load a face detector.

    Args:
        name: One of `DETECTOR_NAMES`; `auto` takes the best that is available.
        yunet_file: YuNet's model file; see `find_yunet_file` for the default.
        min_confidence: Faces below this confidence, 0 to 1, are left out. Haar has no
            confidence and reports 1 for all.
        max_side_px: Longer side of the reduced copy on which faces are looked for. Faces
            smaller than about 10 pixels there are missed; the cost grows with its square.

    Raises:
        DetectorError: The name is unknown, the detector is not available, or its file is not
            usable.
    """
    if name not in DETECTOR_NAMES:
        raise DetectorError(
            f"Unknown detector '{name}'; choose one of {', '.join(DETECTOR_NAMES)}."
        )
    statuses = detector_statuses(yunet_file)
    candidates = [status for status in statuses if name in ("auto", status.name)]
    chosen = next((status.name for status in candidates if status.available), None)
    if chosen is None:
        reasons = "; ".join(f"{status.name}: {status.reason}" for status in candidates)
        raise DetectorError(f"Detector '{name}' is not available ({reasons}).")
    if chosen == "yunet":
        path = find_yunet_file(yunet_file)
        assert path is not None, "an available YuNet has a file"
        return YuNetDetector(path, min_confidence=min_confidence, max_side_px=max_side_px)
    if chosen == "libfacedetection":
        return LibFaceDetectionDetector(min_confidence=min_confidence, max_side_px=max_side_px)
    return HaarDetector(max_side_px=max_side_px)


class YuNetDetector:
    """YuNet through OpenCV's `FaceDetectorYN`. Not thread-safe.

    Args:
        path: YuNet's ONNX file.
        min_confidence: See `load_detector`.
        max_side_px: See `load_detector`.

    Raises:
        DetectorError: The file is not a YuNet model.
    """

    name = "yunet"

    def __init__(self, path: Path, *, min_confidence: float = 0.6, max_side_px: int = 320) -> None:
        self._max_side_px = max_side_px
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(path), "", (max_side_px, max_side_px), min_confidence, _NMS_THRESHOLD
            )
            self.detect(np.zeros((max_side_px, max_side_px, 3), np.uint8))
        except cv2.error as err:
            raise DetectorError(f"{path} is not a YuNet model OpenCV can read: {err}") from err

    def detect(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        """See `FaceDetector.detect`."""
        return _detect_reduced(image_bgr, self._max_side_px, self._find)

    def _find(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        self._detector.setInputSize((image_bgr.shape[1], image_bgr.shape[0]))
        # OpenCV's type hints do not say that "no face" is None.
        rows = cast("NDArray[np.float32] | None", self._detector.detect(image_bgr)[1])
        if rows is None:
            return FaceDetections.empty()
        # A row is box (4), landmarks (10), confidence (1).
        return _detections(rows[:, :4], rows[:, 4:14], rows[:, 14])


class LibFaceDetectionDetector:
    """libfacedetection, YuNet's predecessor with its weights compiled in. Not thread-safe.

    The library comes with the `yuface` wheel. It is called directly, because the wheel's own
    wrapper never frees its result buffer: 36 KiB a picture, a megabyte a second on a camera.

    Args:
        min_confidence: See `load_detector`.
        max_side_px: See `load_detector`.

    Raises:
        DetectorError: The wheel is not installed, or its library cannot be loaded.
    """

    name = "libfacedetection"

    def __init__(self, *, min_confidence: float = 0.6, max_side_px: int = 320) -> None:
        path = _libfacedetection_path()
        if path is None:
            raise DetectorError("The package yuface is not installed.")
        # Its OpenMP threads would spin between the loops: on a busy machine that costs six times
        # the time of the detection itself.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        try:
            # int* facedetect_cnn(unsigned char* result_buffer, unsigned char* bgr, int width,
            #                     int height, int step), as C++ spells it.
            detect = ctypes.CDLL(str(path))._Z14facedetect_cnnPhS_iii
        except (OSError, AttributeError) as err:
            raise DetectorError(f"{path} cannot be used: {err}.") from err
        detect.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int] * 3]
        detect.restype = ctypes.c_void_p
        self._detect = detect
        self._buffer = np.zeros(_LIBFACEDETECTION_BUFFER_BYTES, np.uint8)
        self._min_confidence = min_confidence
        self._max_side_px = max_side_px

    def detect(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        """See `FaceDetector.detect`."""
        return _detect_reduced(image_bgr, self._max_side_px, self._find)

    def _find(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        pixels = np.ascontiguousarray(image_bgr)
        height, width = pixels.shape[:2]
        self._detect(self._buffer.ctypes.data, pixels.ctypes.data, width, height, 3 * width)
        # The buffer begins with the number of faces; each is 16 shorts: confidence in percent,
        # box (4), landmarks (10), one unused.
        count = int(self._buffer[:4].view(np.int32)[0])
        rows = self._buffer[4 : 4 + 32 * count].view(np.int16).reshape(count, 16)
        rows = rows[rows[:, 0] >= 100 * self._min_confidence]
        return _detections(rows[:, 1:5], rows[:, 5:15], rows[:, 0] / 100)


class HaarDetector:
    """OpenCV's Haar cascade (Viola & Jones 2001): no landmarks, no confidence.

    Args:
        max_side_px: See `load_detector`.

    Raises:
        DetectorError: This OpenCV comes without the cascade.
    """

    name = "haar"

    def __init__(self, *, max_side_px: int = 320) -> None:
        path = _haar_path()
        if path is None:
            raise DetectorError(f"OpenCV {cv2.__version__} comes without {_HAAR_CASCADE}.")
        self._cascade = cv2.CascadeClassifier(str(path))
        self._max_side_px = max_side_px

    def detect(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        """See `FaceDetector.detect`."""
        return _detect_reduced(image_bgr, self._max_side_px, self._find)

    def _find(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
        found = self._cascade.detectMultiScale(
            grey, scaleFactor=1.1, minNeighbors=4, minSize=(_HAAR_MIN_SIDE_PX, _HAAR_MIN_SIDE_PX)
        )
        boxes = np.asarray(found, np.float32).reshape(-1, 4)
        landmarks = np.full((len(boxes), 2 * _LANDMARK_COUNT), np.nan)
        return _detections(boxes, landmarks, np.ones(len(boxes)))


def _detect_reduced(
    image_bgr: NDArray[np.uint8],
    max_side_px: int,
    find: Callable[[NDArray[np.uint8]], FaceDetections],
) -> FaceDetections:
    """Find faces on a copy of at most `max_side_px`; return them in pixels of the picture."""
    check_image(image_bgr)
    height, width = image_bgr.shape[:2]
    scale = min(1.0, max_side_px / max(height, width))
    reduced_width, reduced_height = (max(1, round(side * scale)) for side in (width, height))
    reduced = _shrink(image_bgr, reduced_width, reduced_height) if scale < 1 else image_bgr
    pad_x, pad_y = (max(0, _MIN_SIDE_PX - side) for side in (reduced_width, reduced_height))
    if pad_x or pad_y:
        reduced = np.asarray(
            cv2.copyMakeBorder(reduced, 0, pad_y, 0, pad_x, cv2.BORDER_CONSTANT), np.uint8
        )
    found = find(reduced)
    scale_xy = np.array([width / reduced_width, height / reduced_height], np.float32)
    boxes = clip_boxes(found.boxes_xywh * np.tile(scale_xy, 2), width, height)
    # A box without area left holds nothing that could be classified.
    kept = (boxes[:, 2:] >= 1).all(axis=1)
    landmarks = (found.landmarks + 0.5) * scale_xy - 0.5
    return FaceDetections(boxes[kept], landmarks[kept], found.confidences[kept])


def _shrink(image_bgr: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return a picture averaged down to a size.

    Halving comes first, as often as it goes: OpenCV does that with vector instructions, which
    makes the whole two to five times as fast. The average stays that over the same pixels.
    """
    while image_bgr.shape[1] >= 2 * width and image_bgr.shape[0] >= 2 * height:
        half_size = (image_bgr.shape[1] // 2, image_bgr.shape[0] // 2)
        image_bgr = np.asarray(cv2.resize(image_bgr, half_size, interpolation=cv2.INTER_AREA))
    return np.asarray(cv2.resize(image_bgr, (width, height), interpolation=cv2.INTER_AREA))


def _detections(
    boxes: NDArray[np.number], landmarks: NDArray[np.number], confidences: NDArray[np.number]
) -> FaceDetections:
    """Build detections from plain rows; rows with a value that is not finite are dropped."""
    finite = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1)
    order = np.flatnonzero(finite)[:_MAX_FACES]
    return FaceDetections(
        np.asarray(boxes[order], np.float32),
        np.asarray(landmarks[order], np.float32).reshape(-1, _LANDMARK_COUNT, 2),
        np.clip(np.asarray(confidences[order], np.float32), 0, 1),
    )


def _yunet_status(path: Path | None) -> DetectorStatus:
    if path is None:
        return DetectorStatus("yunet", False, "no YuNet file; run 'deepfer fetch-detector'")
    if not hasattr(cv2, "FaceDetectorYN"):
        return DetectorStatus(
            "yunet", False, f"OpenCV {cv2.__version__} has no FaceDetectorYN; 4.5.4 or later has"
        )
    return DetectorStatus("yunet", True, f"using {path}")


def _libfacedetection_path() -> Path | None:
    """Return the library inside the wheel, or None if the wheel is not installed."""
    spec = find_spec("yuface")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    paths = [Path(folder) / "libfacedetection.so" for folder in folders]
    return next((path for path in paths if path.is_file()), None)


def _haar_path() -> Path | None:
    """Return the cascade's file, or None if this OpenCV cannot use it."""
    if not hasattr(cv2, "CascadeClassifier"):
        return None
    # Debian's OpenCV has no cv2.data; its cascades come with the package opencv-data.
    folders = [Path("/usr/share/opencv4/haarcascades")]
    wheel_folder = getattr(getattr(cv2, "data", None), "haarcascades", None)
    if wheel_folder is not None:
        folders.insert(0, Path(wheel_folder))
    return next(
        (folder / _HAAR_CASCADE for folder in folders if (folder / _HAAR_CASCADE).is_file()), None
    )
