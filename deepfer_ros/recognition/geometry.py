"""Boxes, landmarks and the crop that a classifier sees."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

# The eyes decide the rotation alone; place and size of a crop come from the box, because the
# training pictures were cut out by boxes too.
_MAX_ROTATION_DEG = 45.0


def clip_boxes(boxes_xywh: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Return boxes cut off at the picture's border.

    Args:
        boxes_xywh: (N, 4), left, top, width, height in pixels.
        width: Width of the picture in pixels.
        height: Height of the picture in pixels.

    Returns:
        float32 (N, 4); a box outside the picture gets a width or height of 0.

    Example:
        >>> clip_boxes(np.array([[-2, 1, 5, 20]], np.float32), width=10, height=10)
        array([[0., 1., 3., 9.]], dtype=float32)
    """
    boxes = np.asarray(boxes_xywh, dtype=np.float32)
    size = np.array([width, height], dtype=np.float32)
    top_left = np.clip(boxes[:, :2], 0, size)
    bottom_right = np.clip(boxes[:, :2] + boxes[:, 2:], 0, size)
    return np.hstack([top_left, bottom_right - top_left]).astype(np.float32)


def eye_line_angle_deg(landmarks: NDArray[np.float32]) -> float:
    """Return how far a face is tilted, from the line between its eyes.

    Args:
        landmarks: (5, 2), x and y in pixels, in the order of `LANDMARK_NAMES`.

    Returns:
        Degrees, 0 for an upright face, positive when the picture has to be turned
        counter-clockwise to make it upright; 0 if the landmarks are NaN, and at most 45 to
        either side, because landmarks of faces turned further cannot be trusted.
    """
    (right_x, right_y), (left_x, left_y) = landmarks[:2].tolist()
    dx, dy = left_x - right_x, left_y - right_y
    if not math.isfinite(dx + dy) or (dx == 0 and dy == 0):
        return 0.0
    angle_deg = math.degrees(math.atan2(dy, dx))
    return min(max(angle_deg, -_MAX_ROTATION_DEG), _MAX_ROTATION_DEG)


def crop_matrix(
    box_xywh: NDArray[np.float32], angle_deg: float, margin: float, size_px: int
) -> NDArray[np.float64]:
    """Return the 2x3 matrix that maps the picture to an upright square crop of a face.

    Args:
        box_xywh: (4,), left, top, width, height in pixels.
        angle_deg: Tilt of the face, see `eye_line_angle_deg`.
        margin: Border around the box on every side, as a share of the box's longer side.
        size_px: Side of the crop in pixels.
    """
    left, top, width, height = (float(value) for value in box_xywh)
    # The centre of pixel (0, 0) is the origin, so a box from 0 to w has its centre at w/2 - 1/2.
    centre = (left + width / 2 - 0.5, top + height / 2 - 0.5)
    scale = size_px / (max(width, height) * (1 + 2 * margin))
    matrix = np.asarray(cv2.getRotationMatrix2D(centre, angle_deg, scale), dtype=np.float64)
    matrix[:, 2] += (size_px - 1) / 2 - np.array(centre)
    return matrix
