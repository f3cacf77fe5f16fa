"""Face detectors behind one Protocol, and the choice among them.

All of them look for faces on a reduced copy and report pixels of the full picture. Their boxes
mean the same: on the faces of FER-2013 the longer side of a YuNet box and the side of a Haar box
differ by 1 % in the median, so that one crop margin serves all.

`yunet` and `libfacedetection` are one network, and differ in where its weights come from.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.errors import DetectorError
from deepfer_ros.recognition.geometry import clip_boxes
from deepfer_ros.recognition.images import check_image
from deepfer_ros.recognition.types import LANDMARK_NAMES, FaceDetections
from deepfer_ros.recognition.yunet_file import find_yunet_file
from deepfer_ros.recognition.yunet_network import YuNetNetwork
from deepfer_ros.recognition.yunet_weights import YuNetWeights, read_library, read_onnx

DETECTOR_NAMES = ("auto", "yunet", "libfacedetection", "haar")

_LANDMARK_COUNT = len(LANDMARK_NAMES)
_MAX_FACES = 200
# On FER-2013 it finds as many faces as the better known "default" cascade (80 %), with fewer
# false ones.
_HAAR_CASCADE = "haarcascade_frontalface_alt2.xml"
_HAAR_MIN_SIDE_PX = 24
_NO_LITERT = "LiteRT is not installed; install it with 'pip install ai-edge-litert'"


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
        DetectorError: The user named a YuNet file that does not exist or cannot be reached.
    """
    return (
        _yunet_status(find_yunet_file(yunet_file)),
        _libfacedetection_status(_libfacedetection_path()),
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
    threads: int = 1,
) -> FaceDetector:
    """Load a face detector.

    Args:
        name: One of `DETECTOR_NAMES`; `auto` takes the best that is available.
        yunet_file: YuNet's model file; see `find_yunet_file` for the default.
        min_confidence: Faces below this confidence, 0 to 1, are left out. Haar has no
            confidence and reports 1 for all.
        max_side_px: Longer side of the reduced copy on which faces are looked for. Faces
            smaller than about 10 pixels there are missed; the cost grows with its square.
        threads: Threads that a network may use.

    Raises:
        DetectorError: The name is unknown, the detector is not available, or its file is not
            usable.
    """
    chosen = _choose_detector(name, yunet_file)
    if chosen == "haar":
        return HaarDetector(max_side_px=max_side_px)
    return YuNetDetector(
        chosen,
        _read_weights(chosen, yunet_file),
        min_confidence=min_confidence,
        max_side_px=max_side_px,
        threads=threads,
    )


def check_detector(name: str, *, yunet_file: Path | None = None) -> None:
    """Check that a detector can be loaded, for little: LiteRT is not started.

    Args:
        name: See `load_detector`.
        yunet_file: See `load_detector`.

    Raises:
        DetectorError: See `load_detector`.
    """
    chosen = _choose_detector(name, yunet_file)
    if chosen != "haar":
        _read_weights(chosen, yunet_file)


class YuNetDetector:
    """YuNet (Wu et al. 2023), a network for faces and their landmarks. Not thread-safe.

    Args:
        name: What it is called, after where its weights come from.
        weights: What the network has learnt.
        min_confidence: See `load_detector`.
        max_side_px: See `load_detector`.
        threads: See `load_detector`.

    Raises:
        DetectorError: LiteRT cannot be loaded.
    """

    def __init__(
        self,
        name: str,
        weights: YuNetWeights,
        *,
        min_confidence: float = 0.6,
        max_side_px: int = 320,
        threads: int = 1,
    ) -> None:
        self.name = name
        self._network = YuNetNetwork(weights, threads=threads)
        self._min_confidence = min_confidence
        self._max_side_px = max_side_px

    def detect(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        """See `FaceDetector.detect`."""
        return _detect_reduced(image_bgr, self._max_side_px, self._find)

    def _find(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        return _detections(*self._network.find_faces(image_bgr, self._min_confidence))


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
        landmarks = np.full((len(boxes), _LANDMARK_COUNT, 2), np.nan)
        return _detections(boxes, landmarks, np.ones(len(boxes)))


def _choose_detector(name: str, yunet_file: Path | None) -> str:
    """Return the name of the detector that is meant, which is available.

    Raises:
        DetectorError: The name is unknown, or there is none.
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
    return chosen


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
        np.asarray(landmarks[order], np.float32),
        np.clip(np.asarray(confidences[order], np.float32), 0, 1),
    )


def _yunet_status(path: Path | None) -> DetectorStatus:
    if path is None:
        return DetectorStatus("yunet", False, "no YuNet file; run 'deepfer fetch-detector'")
    return _network_status("yunet", f"using {path}")


def _libfacedetection_status(path: Path | None) -> DetectorStatus:
    if path is None:
        return DetectorStatus(
            "libfacedetection",
            False,
            "the package yuface is not installed (it exists for Python 3.10 and 3.11 on x86_64)",
        )
    return _network_status("libfacedetection", "the package yuface is installed")


def _network_status(name: str, reason: str) -> DetectorStatus:
    if find_spec("ai_edge_litert") is None:
        return DetectorStatus(name, False, _NO_LITERT)
    return DetectorStatus(name, True, reason)


def _read_weights(name: str, yunet_file: Path | None) -> YuNetWeights:
    """Return the weights for a detector that is available."""
    path = find_yunet_file(yunet_file) if name == "yunet" else _libfacedetection_path()
    assert path is not None, "an available detector has a file"
    return read_onnx(path) if name == "yunet" else read_library(path)


def _libfacedetection_path() -> Path | None:
    """Return the library inside the wheel, or None if the wheel is not installed."""
    spec = find_spec("yuface")
    folders = list(spec.submodule_search_locations or ()) if spec is not None else []
    paths = [Path(folder) / "libfacedetection.so" for folder in folders]
    return next((path for path in paths if os.path.isfile(path)), None)


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
        (folder / _HAAR_CASCADE for folder in folders if os.path.isfile(folder / _HAAR_CASCADE)),
        None,
    )
