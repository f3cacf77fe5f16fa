"""Draw faces and their emotions into a copy of a picture."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.images import check_image
from deepfer_ros.recognition.types import UNKNOWN_EMOTION, FaceEmotion

# Okabe & Ito's palette (2008): distinguishable with every kind of colour blindness. A label is
# always written beside its colour; colour alone never carries the meaning.
_PALETTE_BGR = (
    (0, 94, 213),  # vermillion
    (115, 158, 0),  # bluish green
    (167, 121, 204),  # reddish purple
    (66, 228, 240),  # yellow
    (178, 114, 0),  # blue
    (0, 159, 230),  # orange
    (233, 180, 86),  # sky blue
)
_GREY_BGR = (190, 190, 190)
_WHITE_BGR = (255, 255, 255)
_PANEL_BGR = (30, 30, 30)
_PANEL_OPACITY = 0.65
_FONT = cv2.FONT_HERSHEY_SIMPLEX
# Sizes below are for a picture with this many rows, and grow and shrink with it.
_REFERENCE_HEIGHT_PX = 480
_MIN_SCALE = 0.75


def draw_emotions(image_bgr: NDArray[np.uint8], faces: Sequence[FaceEmotion]) -> NDArray[np.uint8]:
    """Return a copy of a picture with boxes, labels and a small bar chart for each face.

    Args:
        image_bgr: uint8 (H, W, 3), BGR. Not changed.
        faces: The faces of this picture.

    Raises:
        ImageError: It is not such a picture.
    """
    check_image(image_bgr)
    canvas = image_bgr.copy()
    scale = max(_MIN_SCALE, canvas.shape[0] / _REFERENCE_HEIGHT_PX)
    for face in faces:
        _draw_box(canvas, face, scale)
    for face in faces:
        _draw_label(canvas, face, scale)
        _draw_chart(canvas, face, scale)
    return canvas


def emotion_colour_bgr(face: FaceEmotion) -> tuple[int, int, int]:
    """Return the colour of a face's emotion, BGR."""
    if face.emotion == UNKNOWN_EMOTION:
        return _GREY_BGR
    return _label_colour_bgr(face.labels.index(face.emotion))


def _label_colour_bgr(index: int) -> tuple[int, int, int]:
    return _PALETTE_BGR[index % len(_PALETTE_BGR)]


def _draw_box(canvas: NDArray[np.uint8], face: FaceEmotion, scale: float) -> None:
    left, top, right, bottom = _corners(face)
    thickness = max(1, round(2 * scale))
    # A dark line on either side keeps the box visible on any background.
    cv2.rectangle(canvas, (left, top), (right, bottom), _PANEL_BGR, thickness + 2)
    cv2.rectangle(canvas, (left, top), (right, bottom), emotion_colour_bgr(face), thickness)
    for x, y in face.landmarks[np.isfinite(face.landmarks).all(axis=1)]:
        centre = (round(float(x)), round(float(y)))
        cv2.circle(canvas, centre, max(1, round(1.5 * scale)), _WHITE_BGR, -1, cv2.LINE_AA)


def _draw_label(canvas: NDArray[np.uint8], face: FaceEmotion, scale: float) -> None:
    """Write emotion and confidence on a panel above the box, or inside where there is no room."""
    left, top, _, _ = _corners(face)
    text = f"{face.emotion} {face.confidence:.0%}"
    font_scale, padding = 0.55 * scale, round(4 * scale)
    (width, height), baseline = cv2.getTextSize(text, _FONT, font_scale, max(1, round(scale)))
    panel_height = height + baseline + padding
    panel_top = top - panel_height if top >= panel_height else top
    panel_left = max(0, min(left, canvas.shape[1] - width - 2 * padding))
    _draw_panel(canvas, panel_left, panel_top, width + 2 * padding, panel_height)
    origin = (panel_left + padding, panel_top + height + padding // 2)
    _write(canvas, text, origin, font_scale, emotion_colour_bgr(face))


def _draw_chart(canvas: NDArray[np.uint8], face: FaceEmotion, scale: float) -> None:
    """Draw one bar a class beside the box, on the side that has room."""
    left, top, right, _ = _corners(face)
    row_height, bar_width, gap = round(13 * scale), round(52 * scale), round(5 * scale)
    font_scale = 0.36 * scale
    text_width = max(cv2.getTextSize(label, _FONT, font_scale, 1)[0][0] for label in face.labels)
    width = text_width + bar_width + 3 * gap
    height = row_height * len(face.labels) + gap
    if right + gap + width <= canvas.shape[1]:
        chart_left = right + gap
    elif left - gap - width >= 0:
        chart_left = left - gap - width
    else:
        return  # The box fills the picture: the label has to do.
    chart_top = max(0, min(top, canvas.shape[0] - height))
    _draw_panel(canvas, chart_left, chart_top, width, height)
    for row, (label, probability) in enumerate(zip(face.labels, face.probabilities, strict=True)):
        baseline = chart_top + (row + 1) * row_height - round(2 * scale)
        _write(canvas, label, (chart_left + gap, baseline), font_scale, _WHITE_BGR)
        bar_left = chart_left + text_width + 2 * gap
        bar_right = bar_left + round(bar_width * float(probability))
        bar_top = baseline - round(8 * scale)
        cv2.rectangle(
            canvas, (bar_left, bar_top), (bar_right, baseline), _label_colour_bgr(row), -1
        )


def _draw_panel(canvas: NDArray[np.uint8], left: int, top: int, width: int, height: int) -> None:
    """Darken a rectangle in place, so that text on it is legible on any background."""
    region = canvas[max(0, top) : top + height, max(0, left) : left + width]
    panel = np.full_like(region, _PANEL_BGR)
    cv2.addWeighted(panel, _PANEL_OPACITY, region, 1 - _PANEL_OPACITY, 0, dst=region)


def _write(
    canvas: NDArray[np.uint8],
    text: str,
    origin: tuple[int, int],
    font_scale: float,
    colour_bgr: tuple[int, int, int],
) -> None:
    thickness = max(1, round(1.6 * font_scale))
    cv2.putText(canvas, text, origin, _FONT, font_scale, colour_bgr, thickness, cv2.LINE_AA)


def _corners(face: FaceEmotion) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom in whole pixels."""
    left, top, width, height = (float(value) for value in face.box_xywh)
    return round(left), round(top), round(left + width), round(top + height)
