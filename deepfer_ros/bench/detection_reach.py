"""What `detection_max_side_px` costs and gains: time against the smallest face that is found."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.bench.timing import Timing, measure
from deepfer_ros.camera_sources import read_sample_photograph
from deepfer_ros.recognition.detection import FaceDetector, load_detector

SIDES_PX = (160, 240, 320, 480, 640)
"""Values of the parameter that are compared."""

_SIZE_WH = (640, 480)
_GREY = 128
# Width of the face in the photograph of 512x512 pixels.
_FACE_WIDTH_PX = 90
_FACE_WIDTHS_PX = tuple(range(60, 7, -2))


@dataclass(frozen=True, slots=True)
class DetectionReach:
    """What one value of the parameter does, on pictures of 640x480.

    Attributes:
        max_side_px: The value.
        timing: Of the detection.
        smallest_face_px: Width of the smallest face that is found, and all larger ones too; None
            if not even the largest one is.
    """

    max_side_px: int
    timing: Timing
    smallest_face_px: int | None


def measure_reach(
    detector_name: str, *, seconds: float, sides_px: Iterable[int] = SIDES_PX
) -> tuple[DetectionReach, ...]:
    """Detect faces of all sizes with different values of the parameter.

    Raises:
        DetectorError: The detector is not available.
        CameraError: The sample photograph is not installed.
    """
    photograph = read_sample_photograph()
    pictures = {width: _draw(photograph, width) for width in _FACE_WIDTHS_PX}
    return tuple(
        _measure(load_detector(detector_name, max_side_px=side_px), side_px, pictures, seconds)
        for side_px in sides_px
    )


def _measure(
    detector: FaceDetector,
    max_side_px: int,
    pictures: dict[int, NDArray[np.uint8]],
    seconds: float,
) -> DetectionReach:
    smallest = None
    for face_width_px, picture in pictures.items():
        if len(detector.detect(picture)) != 1:
            break
        smallest = face_width_px
    picture = pictures[_FACE_WIDTHS_PX[0]]
    timing = measure(lambda: detector.detect(picture), seconds=seconds)
    return DetectionReach(max_side_px, timing, smallest)


def _draw(photograph: NDArray[np.uint8], face_width_px: int) -> NDArray[np.uint8]:
    """Return a grey picture with the photograph in its middle, its face as wide as asked for."""
    width, height = _SIZE_WH
    side = round(photograph.shape[0] * face_width_px / _FACE_WIDTH_PX)
    small = cv2.resize(photograph, (side, side), interpolation=cv2.INTER_AREA)
    picture = np.full((height, width, 3), _GREY, np.uint8)
    left, top = (width - side) // 2, (height - side) // 2
    picture[top : top + side, left : left + side] = small
    return picture
