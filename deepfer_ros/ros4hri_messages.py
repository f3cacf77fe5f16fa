"""Convert faces to the messages of ROS4HRI (REP-155). Importing this needs hri_msgs."""

import cv2
import numpy as np
from hri_msgs.msg import (
    Expression,
    FacialLandmarks,
    IdsList,
    NormalizedPointOfInterest2D,
    NormalizedRegionOfInterest2D,
)
from numpy.typing import NDArray
from std_msgs.msg import Header

from deepfer_ros.recognition.affect import valence_and_arousal
from deepfer_ros.recognition.cropping import cut_region, warp_region
from deepfer_ros.recognition.geometry import crop_matrix, eye_line_angle_deg
from deepfer_ros.recognition.types import FaceEmotion

__all__ = [
    "Expression",
    "FacialLandmarks",
    "IdsList",
    "NormalizedRegionOfInterest2D",
    "align_face",
    "crop_face",
    "to_expression",
    "to_landmarks",
    "to_region",
]

_EXPRESSIONS = {
    "angry": Expression.ANGRY,
    "disgust": Expression.DISGUSTED,
    "fear": Expression.SCARED,
    "happy": Expression.HAPPY,
    "sad": Expression.SAD,
    "surprise": Expression.SURPRISED,
    "neutral": Expression.NEUTRAL,
}
# The places of LANDMARK_NAMES among the points of FacialLandmarks.
_LANDMARKS = (
    FacialLandmarks.RIGHT_PUPIL,
    FacialLandmarks.LEFT_PUPIL,
    FacialLandmarks.NOSE,
    FacialLandmarks.MOUTH_OUTER_RIGHT,
    FacialLandmarks.MOUTH_OUTER_LEFT,
)
# The side of the pictures of faces that the other nodes of ROS4HRI publish.
_CROP_SIDE_PX = 128


def to_region(
    face: FaceEmotion, header: Header, size_wh: tuple[int, int]
) -> NormalizedRegionOfInterest2D:
    """Return where a face is; `size_wh` is the size of the picture in pixels."""
    width, height = size_wh
    left, top, box_width, box_height = (float(value) for value in face.box_xywh)
    return NormalizedRegionOfInterest2D(
        header=header,
        xmin=_share(left, width),
        ymin=_share(top, height),
        xmax=_share(left + box_width, width),
        ymax=_share(top + box_height, height),
        c=face.detection_confidence,
    )


def to_landmarks(face: FaceEmotion, header: Header, size_wh: tuple[int, int]) -> FacialLandmarks:
    """Return the points of a face; those that are not known have a confidence of 0."""
    width, height = size_wh
    message = FacialLandmarks(header=header, width=width, height=height)
    for index, (x, y) in zip(_LANDMARKS, face.landmarks.tolist(), strict=True):
        if np.isfinite(x + y):
            message.landmarks[index] = NormalizedPointOfInterest2D(
                x=_share(x, width), y=_share(y, height), c=face.detection_confidence
            )
    return message


def to_expression(face: FaceEmotion, header: Header) -> Expression:
    """Return the expression of a face.

    The list of ROS4HRI has no word for an unknown one: the likeliest is sent then, with the
    probability that it has.
    """
    label, confidence = face.emotion, face.confidence
    if label not in _EXPRESSIONS:
        likeliest = int(face.probabilities.argmax())
        label, confidence = face.labels[likeliest], float(face.probabilities[likeliest])
    valence, arousal = valence_and_arousal(face.labels, face.probabilities)
    return Expression(
        header=header,
        expression=_EXPRESSIONS[label],
        valence=valence,
        arousal=arousal,
        confidence=min(confidence, 1.0),
    )


def crop_face(image_bgr: NDArray[np.uint8], face: FaceEmotion) -> NDArray[np.uint8]:
    """Return the region of a face, scaled to fit a square and centred on black.

    Args:
        image_bgr: uint8 (H, W, 3), BGR.
        face: A face of that picture.

    Returns:
        uint8 (128, 128, 3), BGR.
    """
    left, top, width, height = (float(value) for value in face.box_xywh)
    x, y = int(left), int(top)
    region = image_bgr[y : max(y + 1, round(top + height)), x : max(x + 1, round(left + width))]
    scale = _CROP_SIDE_PX / max(region.shape[:2])
    rows, columns = (max(1, round(side * scale)) for side in region.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    crop = np.zeros((_CROP_SIDE_PX, _CROP_SIDE_PX, 3), np.uint8)
    y, x = (_CROP_SIDE_PX - rows) // 2, (_CROP_SIDE_PX - columns) // 2
    crop[y : y + rows, x : x + columns] = cv2.resize(region, (columns, rows), interpolation=method)
    return crop


def align_face(image_bgr: NDArray[np.uint8], face: FaceEmotion) -> NDArray[np.uint8]:
    """Return the square around a face, turned so that its eyes are level.

    Args:
        image_bgr: uint8 (H, W, 3), BGR.
        face: A face of that picture.

    Returns:
        uint8 (128, 128, 3), BGR; black outside the picture.
    """
    angle_deg = eye_line_angle_deg(face.landmarks)
    matrix = crop_matrix(face.box_xywh, angle_deg, 0.0, _CROP_SIDE_PX)
    region, matrix = cut_region(image_bgr, matrix, _CROP_SIDE_PX)
    return warp_region(region, matrix, _CROP_SIDE_PX, border_mode=cv2.BORDER_CONSTANT)


def _share(value_px: float, size_px: int) -> float:
    return min(max(value_px / size_px, 0.0), 1.0)
