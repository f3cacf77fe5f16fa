"""Draw faces and their emotions into a copy of a picture."""

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.annotation_layout import (
    FONT,
    FaceLayout,
    FaceText,
    Rectangle,
    bar_px,
    font_scale,
    lay_out,
    padding_px,
    row_px,
    stroke_px,
    text_width_px,
)
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
_BLACK_BGR = (0, 0, 0)
_PANEL_GREY = 30
_PANEL_OPACITY = 0.7
# Weights of blue, green and red in the brightness of a colour (ITU-R BT.709), and the brightness
# from which black letters are easier to read than white ones.
_BRIGHTNESS_BGR = (0.0722, 0.7152, 0.2126)
_BLACK_ABOVE = 0.18
# The line of a box, as a share of the face's height and of the picture's.
_LINE_SHARES = (1 / 40, 1 / 300)
# Landmarks of smaller faces would hide more than they show.
_LANDMARKS_ABOVE_PX = 60
_LANDMARK_SHARE = 1 / 70


def draw_emotions(image_bgr: NDArray[np.uint8], faces: Sequence[FaceEmotion]) -> NDArray[np.uint8]:
    """Return a copy of a picture with a box, a label and a small bar chart for each face.

    Everything grows and shrinks with the picture and the face. Where faces are many or small, a
    chart becomes bars without labels (in the model's order), or is left out.

    Args:
        image_bgr: uint8 (H, W, 3), BGR. Not changed.
        faces: The faces of this picture.

    Raises:
        ImageError: It is not such a picture.
    """
    check_image(image_bgr)
    canvas = image_bgr.copy()
    size_wh = canvas.shape[1], canvas.shape[0]
    texts = [
        FaceText(f"{face.emotion} {face.confidence:.0%}", face.emotion, face.labels)
        for face in faces
    ]
    layouts = lay_out(size_wh, [face.box_xywh for face in faces], texts)
    for face, layout in zip(faces, layouts, strict=True):
        _draw_box(canvas, face, layout.box)
    for face, layout in zip(faces, layouts, strict=True):
        if layout.chart is not None and layout.chart_text_px:
            _draw_chart(canvas, face, layout.chart, layout.chart_text_px)
        elif layout.chart is not None:
            _draw_small_chart(canvas, face, layout.chart)
        _draw_tag(canvas, face, layout)
    return canvas


def emotion_colour_bgr(face: FaceEmotion) -> tuple[int, int, int]:
    """Return the colour of a face's emotion, BGR."""
    if face.emotion == UNKNOWN_EMOTION:
        return _GREY_BGR
    return _label_colour_bgr(face.labels.index(face.emotion))


def _label_colour_bgr(index: int) -> tuple[int, int, int]:
    return _PALETTE_BGR[index % len(_PALETTE_BGR)]


def _draw_box(canvas: NDArray[np.uint8], face: FaceEmotion, box: Rectangle) -> None:
    line = max(1, round(min(_LINE_SHARES[0] * box.height, _LINE_SHARES[1] * canvas.shape[0])))
    corners = (box.left, box.top), (box.right, box.bottom)
    # A dark line on either side keeps the box visible on any background.
    cv2.rectangle(canvas, *corners, (_PANEL_GREY,) * 3, line + 2 * max(1, line // 3))
    cv2.rectangle(canvas, *corners, emotion_colour_bgr(face), line)
    if box.height < _LANDMARKS_ABOVE_PX:
        return
    radius = max(1, round(_LANDMARK_SHARE * box.height))
    for x, y in face.landmarks[np.isfinite(face.landmarks).all(axis=1)]:
        centre = (round(float(x)), round(float(y)))
        cv2.circle(canvas, centre, radius, _WHITE_BGR, -1, cv2.LINE_AA)


def _draw_tag(canvas: NDArray[np.uint8], face: FaceEmotion, layout: FaceLayout) -> None:
    """Write the label on a panel of the emotion's colour."""
    tag = layout.tag
    region = canvas[tag.top : tag.bottom, tag.left : tag.right]
    panel = _tag_panel(
        layout.text, layout.text_px, emotion_colour_bgr(face), (tag.height, tag.width)
    )
    # A picture can be smaller than a tag.
    region[:] = panel[: region.shape[0], : region.shape[1]]


@functools.lru_cache(maxsize=128)
def _tag_panel(
    text: str, text_px: int, colour_bgr: tuple[int, int, int], size_hw: tuple[int, int]
) -> NDArray[np.uint8]:
    """Return a tag; writing takes longer than all the rest, and most tags come again."""
    panel = np.full((*size_hw, 3), colour_bgr, np.uint8)
    padding = padding_px(text_px)
    _write(panel, text, (padding, padding + text_px), text_px, _letters_bgr(colour_bgr))
    panel.flags.writeable = False
    return panel


def _letters_bgr(panel_bgr: tuple[int, int, int]) -> tuple[int, int, int]:
    """Return black or white, whichever is easier to read on a colour."""
    linear = (np.array(panel_bgr) / 255) ** 2.2
    return _BLACK_BGR if float(linear @ _BRIGHTNESS_BGR) > _BLACK_ABOVE else _WHITE_BGR


def _draw_chart(
    canvas: NDArray[np.uint8], face: FaceEmotion, chart: Rectangle, text_px: int
) -> None:
    """Draw one row a class, a label and a bar."""
    region = canvas[chart.top : chart.bottom, chart.left : chart.right]
    _darken(region)
    letters = _chart_letters(face.labels, text_px, region.shape[0])
    part = region[:, : letters.shape[1]]
    np.maximum(part, letters, out=part)
    bar_left, padding = letters.shape[1], padding_px(text_px)
    for index, probability in enumerate(face.probabilities.tolist()):
        top = padding + index * row_px(text_px)
        bottom = top + max(2, round(1.1 * text_px))
        length = max(1, round(bar_px(text_px) * probability))
        region[top:bottom, bar_left : bar_left + length] = _label_colour_bgr(index)


@functools.lru_cache(maxsize=32)
def _chart_letters(labels: tuple[str, ...], text_px: int, height_px: int) -> NDArray[np.uint8]:
    """Return the column of labels, white on black; it is the same for all faces of a size."""
    padding = padding_px(text_px)
    width = max(text_width_px(label, text_px) for label in labels) + 2 * padding
    column = np.zeros((height_px, width, 3), np.uint8)
    for index, label in enumerate(labels):
        baseline = padding + index * row_px(text_px) + text_px
        _write(column, label, (padding, baseline), text_px, _WHITE_BGR)
    column.flags.writeable = False
    return column


def _draw_small_chart(canvas: NDArray[np.uint8], face: FaceEmotion, chart: Rectangle) -> None:
    """Draw one upright bar a class."""
    region = canvas[chart.top : chart.bottom, chart.left : chart.right]
    _darken(region)
    height, width = region.shape[:2]
    edges = np.linspace(1, width - 1, len(face.labels) + 1).round().astype(int).tolist()
    for index, probability in enumerate(face.probabilities.tolist()):
        top = height - 1 - max(1, round((height - 2) * probability))
        region[top : height - 1, edges[index] : max(edges[index] + 1, edges[index + 1] - 1)] = (
            _label_colour_bgr(index)
        )


def _darken(region: NDArray[np.uint8]) -> None:
    """Darken a part of the picture in place, so that what is drawn on it is legible."""
    region[:] = cv2.convertScaleAbs(
        region, alpha=1 - _PANEL_OPACITY, beta=_PANEL_OPACITY * _PANEL_GREY
    )


def _write(
    canvas: NDArray[np.uint8],
    text: str,
    origin: tuple[int, int],
    text_px: int,
    colour_bgr: tuple[int, int, int],
) -> None:
    scale, stroke = font_scale(text_px), stroke_px(text_px)
    cv2.putText(canvas, text, origin, FONT, scale, colour_bgr, stroke, cv2.LINE_AA)
