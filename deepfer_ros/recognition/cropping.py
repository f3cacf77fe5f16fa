"""Cut the crops that a classifier sees out of the full picture."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.geometry import crop_matrix, eye_line_angle_deg
from deepfer_ros.recognition.types import FaceDetections


def crop_faces(
    image_bgr: NDArray[np.uint8], detections: FaceDetections, *, size_px: int, margin: float
) -> NDArray[np.uint8]:
    """Return upright, square, grey crops of all faces of a picture.

    Args:
        image_bgr: uint8 (H, W, 3), BGR.
        detections: N faces, in pixels of the picture.
        size_px: S, side of a crop in pixels.
        margin: Border around a box on every side, as a share of the box's longer side.

    Returns:
        uint8 (N, S, S). What lies outside the picture repeats its border.
    """
    crops = np.empty((len(detections), size_px, size_px), np.uint8)
    for index, (box_xywh, landmarks) in enumerate(
        zip(detections.boxes_xywh, detections.landmarks, strict=True)
    ):
        matrix = crop_matrix(box_xywh, eye_line_angle_deg(landmarks), margin, size_px)
        region, matrix = cut_region(image_bgr, matrix, size_px)
        grey = np.asarray(cv2.cvtColor(region, cv2.COLOR_BGR2GRAY), np.uint8)
        crops[index] = warp_region(grey, matrix, size_px, border_mode=cv2.BORDER_REPLICATE)
    return crops


def cut_region(
    image_bgr: NDArray[np.uint8], matrix: NDArray[np.float64], size_px: int
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Return the region of a picture that a crop is taken from, and the matrix that fits it.

    OpenCV does not warp pictures of 32767 or more pixels a side; those of its regions it does.

    Args:
        image_bgr: uint8 (H, W, 3), BGR.
        matrix: (2, 3), maps the picture to the crop.
        size_px: Side of the crop in pixels.

    Returns:
        The region, a view of the picture, and the (2, 3) matrix that maps it to the crop.
    """
    height, width = image_bgr.shape[:2]
    (xx, xy, x0), (yx, yy, y0) = cv2.invertAffineTransform(matrix).tolist()
    middle = (size_px - 1) / 2
    centre_x, centre_y = (xx + xy) * middle + x0, (yx + yy) * middle + y0
    reach_x, reach_y = ((abs(a) + abs(b)) * size_px / 2 for a, b in ((xx, xy), (yx, yy)))
    # One pixel more on every side for the interpolation; at least one pixel in all.
    left = min(max(math.floor(centre_x - reach_x) - 1, 0), width - 1)
    top = min(max(math.floor(centre_y - reach_y) - 1, 0), height - 1)
    right = min(max(math.ceil(centre_x + reach_x) + 2, left + 1), width)
    bottom = min(max(math.ceil(centre_y + reach_y) + 2, top + 1), height)
    shifted = matrix.copy()
    shifted[:, 2] += matrix[:, :2] @ np.array([left, top], np.float64)
    return image_bgr[top:bottom, left:right], shifted


def warp_region(
    region: NDArray[np.uint8], matrix: NDArray[np.float64], size_px: int, *, border_mode: int
) -> NDArray[np.uint8]:
    """Warp a region of a picture to a square crop, without aliasing.

    Args:
        region: uint8 (H, W) or (H, W, 3), see `cut_region`.
        matrix: (2, 3), maps the region to the crop.
        size_px: Side of the crop in pixels.
        border_mode: What lies outside the region, one of OpenCV's `BORDER_` constants.
    """
    # Bilinear sampling looks at four pixels only; a face much larger than the crop is averaged
    # down to about twice the crop first.
    reduction = int(1 / (2 * math.hypot(matrix[0, 0], matrix[1, 0])))
    if reduction > 1:
        height, width = (max(1, side // reduction) for side in region.shape[:2])
        scale_xy = np.array([region.shape[1] / width, region.shape[0] / height])
        reduced = cv2.resize(region, (width, height), interpolation=cv2.INTER_AREA)
        region = np.asarray(reduced, np.uint8)
        # A reduced pixel's centre lies in the middle of the pixels that it replaces.
        matrix = matrix.copy()
        matrix[:, 2] += matrix[:, :2] @ ((scale_xy - 1) / 2)
        matrix[:, :2] *= scale_xy
    crop = cv2.warpAffine(
        region, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=border_mode
    )
    return np.asarray(crop, dtype=np.uint8)
