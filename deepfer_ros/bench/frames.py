"""The pictures that are measured: the sample photograph's face, tiled into frames.

Every frame shows one, four or sixteen faces and differs a little from the one before, as with a
camera. The same arguments always give the same frames.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.camera_sources import read_sample_photograph

FACE_COUNTS = (1, 4, 16)
"""Numbers of faces that frames can show: as many rows as columns."""

SIZES_WH = ((640, 480), (1280, 720), (1920, 1080))
"""Widths and heights that are measured, in pixels."""

FRAME_COUNT = 8
"""Different frames before they repeat."""

# The part of the 512x512 photograph that fills a tile: head and shoulders, the face about half as
# high as the tile. It moves to and fro by some pixels of the photograph.
_VIEW_HEIGHT_PX = 260
_HEAD_X_PX = 226
_MOVEMENT_PX = 6.0


@dataclass(frozen=True, slots=True, eq=False)
class FrameSet:
    """Frames of one size with one number of faces.

    Attributes:
        faces: How many faces each frame shows.
        images_bgr: `FRAME_COUNT` pictures, uint8 (H, W, 3).
    """

    faces: int
    images_bgr: tuple[NDArray[np.uint8], ...]

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.images_bgr[0].shape[:2]
        return width, height


def make_frames(size_wh: tuple[int, int], faces: int) -> FrameSet:
    """Draw the frames of one size.

    Args:
        size_wh: Width and height in pixels.
        faces: One of `FACE_COUNTS`.

    Raises:
        CameraError: The sample photograph is not installed.
    """
    if faces not in FACE_COUNTS:
        raise ValueError(f"faces must be one of {FACE_COUNTS}, got {faces}.")
    photograph = read_sample_photograph()
    return FrameSet(
        faces, tuple(_draw(photograph, size_wh, faces, index) for index in range(FRAME_COUNT))
    )


def _draw(
    photograph: NDArray[np.uint8], size_wh: tuple[int, int], faces: int, index: int
) -> NDArray[np.uint8]:
    width, height = size_wh
    columns = math.isqrt(faces)
    tile_width, tile_height = width // columns, height // columns
    zoom = tile_height / _VIEW_HEIGHT_PX
    shift = _MOVEMENT_PX * math.sin(2 * math.pi * index / FRAME_COUNT)
    left = _HEAD_X_PX + shift - tile_width / zoom / 2
    tile = cv2.warpAffine(
        photograph,
        np.array([[zoom, 0, -left * zoom], [0, zoom, 0]]),
        (tile_width, tile_height),
        flags=cv2.INTER_AREA if zoom < 1 else cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # What is left over where the size is no multiple stays black.
    frame = np.zeros((height, width, 3), np.uint8)
    frame[: tile_height * columns, : tile_width * columns] = np.tile(tile, (columns, columns, 1))
    return frame
