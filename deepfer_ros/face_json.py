"""Faces as JSON: one form for the command line, the web page and its HTTP interface."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.types import FaceEmotion

_PIXEL_DECIMALS = 2
_DECIMALS = 6


def face_to_json(face: FaceEmotion) -> dict[str, Any]:
    """Return a face as JSON holds it; coordinates in pixels of the picture.

    `face_id` is left to the caller: only tracked faces have one that means something.
    """
    has_landmarks = np.isfinite(face.landmarks).all()
    return {
        "box_xywh": _numbers(face.box_xywh, _PIXEL_DECIMALS),
        # NaN is no JSON: null where the detector gives no landmarks.
        "landmarks": [_numbers(point, _PIXEL_DECIMALS) for point in face.landmarks]
        if has_landmarks
        else None,
        "detection_confidence": round(face.detection_confidence, _DECIMALS),
        "emotion": face.emotion,
        "confidence": round(face.confidence, _DECIMALS),
        "probabilities": dict(
            zip(face.labels, _numbers(face.probabilities, _DECIMALS), strict=True)
        ),
    }


def _numbers(values: NDArray[np.float32], decimals: int) -> list[float]:
    return [round(float(value), decimals) for value in values]
