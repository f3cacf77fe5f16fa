"""The data that flows through the core: pictures, face detections and emotions.

Pixel coordinates follow OpenCV: x to the right, y down, (0, 0) is the centre of the top left
pixel. Arrays in these types are read-only.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

LANDMARK_NAMES = ("right_eye", "left_eye", "nose_tip", "right_mouth_corner", "left_mouth_corner")
"""Order of the five landmarks; right and left are the person's own."""

UNKNOWN_EMOTION = "unknown"
"""Reported instead of a label when no class is likely enough."""

_LANDMARK_COUNT = len(LANDMARK_NAMES)
_PROBABILITY_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class FaceDetections:
    """The faces that a detector found in one picture.

    Attributes:
        boxes_xywh: float32 (N, 4), left, top, width, height in pixels of the picture, clipped to
            it, widths and heights above 0.
        landmarks: float32 (N, 5, 2), x and y in pixels in the order of `LANDMARK_NAMES`; NaN
            where the detector gives none.
        confidences: float32 (N,), from 0 to 1.
    """

    boxes_xywh: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    confidences: NDArray[np.float32]

    def __post_init__(self) -> None:
        count = len(self.boxes_xywh)
        _freeze(self, "boxes_xywh", (count, 4))
        _freeze(self, "landmarks", (count, _LANDMARK_COUNT, 2))
        _freeze(self, "confidences", (count,))
        if count and not (self.boxes_xywh[:, 2:] > 0).all():
            raise ValueError(f"Box widths and heights must be above 0, got {self.boxes_xywh}.")
        if count and not ((self.confidences >= 0) & (self.confidences <= 1)).all():
            raise ValueError(f"Confidences must be from 0 to 1, got {self.confidences}.")

    def __len__(self) -> int:
        return len(self.boxes_xywh)

    @classmethod
    def empty(cls) -> "FaceDetections":
        """Return the value that stands for "no face"."""
        return cls(
            np.empty((0, 4), np.float32),
            np.empty((0, _LANDMARK_COUNT, 2), np.float32),
            np.empty(0, np.float32),
        )


@dataclass(frozen=True, slots=True, eq=False)
class FaceEmotion:
    """One face of one picture and the emotion that its expression shows.

    Attributes:
        face_id: Stable while the face is tracked.
        box_xywh: float32 (4,), left, top, width, height in pixels, clipped to the picture.
        landmarks: float32 (5, 2), x and y in pixels in the order of `LANDMARK_NAMES`, or NaN.
        detection_confidence: The detector's confidence that this is a face, 0 to 1.
        emotion: Label of the face's class, or `UNKNOWN_EMOTION`. Steadier than the largest of the
            probabilities, see `ExpressionSmoother`.
        confidence: Smoothed probability of that class, 0 to 1.
        labels: The model's labels, in the order of the probabilities.
        probabilities: float32 (C,), smoothed over the track, sums to 1.
        frame_probabilities: float32 (C,), of this picture alone, sums to 1.
    """

    face_id: str
    box_xywh: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    detection_confidence: float
    emotion: str
    confidence: float
    labels: tuple[str, ...] = field(repr=False)
    probabilities: NDArray[np.float32]
    frame_probabilities: NDArray[np.float32]

    def __post_init__(self) -> None:
        _freeze(self, "box_xywh", (4,))
        _freeze(self, "landmarks", (_LANDMARK_COUNT, 2))
        for name in ("probabilities", "frame_probabilities"):
            _freeze(self, name, (len(self.labels),))
            fault = find_probability_fault(getattr(self, name))
            if fault is not None:
                raise ValueError(f"{name} must {fault}.")
        if self.emotion not in (*self.labels, UNKNOWN_EMOTION):
            raise ValueError(
                f"emotion is '{self.emotion}', expected one of {', '.join(self.labels)} "
                f"or {UNKNOWN_EMOTION}."
            )


def find_probability_fault(probabilities: NDArray[np.float32]) -> str | None:
    """Say what probabilities must be and are not.

    Args:
        probabilities: (C,), or (N, C) with a row for each face.

    Returns:
        The rest of a sentence that begins with "They must", or None if they are all right.
    """
    # For so few numbers Python is faster than NumPy, which would also warn of what is infinite.
    for row in np.atleast_2d(probabilities).tolist():
        total = sum(row)
        # NaN makes the sum NaN, and no comparison with that is true.
        if not (min(row) >= 0 and abs(total - 1) <= _PROBABILITY_SUM_TOLERANCE):
            values = ", ".join(f"{value:.3g}" for value in row)
            return f"be 0 or more and sum to 1, got {values} with a sum of {total:.4g}"
    return None


def _freeze(instance: object, name: str, shape: tuple[int, ...]) -> None:
    """Replace an array attribute by a read-only float32 view after a check of its shape."""
    array = np.asarray(getattr(instance, name), dtype=np.float32).view()
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}.")
    array.flags.writeable = False
    object.__setattr__(instance, name, array)
