"""Find room for what is written beside the faces of a picture.

Nothing may hide another face, and as little as possible another text. So there are several places
to try for everything, and a chart that has room nowhere is left out.
"""

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

FONT = cv2.FONT_HERSHEY_SIMPLEX

_CAPITAL_AT_SCALE_1_PX = 22.0
# Heights of capital letters: shares of the face's height, within limits that are shares of the
# picture's, and never below what can be read.
_TEXT_SHARE = 0.085
_TEXT_LIMITS = (1 / 80, 1 / 34)
_LEAST_TEXT_PX = 7
_CHART_TEXT_SHARE = 0.8
# The small chart: its height as a share of the face's, and its least width.
_SMALL_CHART_SHARE = 0.22
_LEAST_SMALL_CHART_PX = 21
# It needs a box this many letters high if it has to be inside.
_INSIDE_LETTERS = 9


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Whole pixels; right and bottom do not belong to it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """In pixels."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """In pixels."""
        return self.bottom - self.top

    def meets(self, other: "Rectangle") -> bool:
        """Say whether the two have a pixel in common."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def is_inside(self, width: int, height: int) -> bool:
        """Say whether it is wholly in a picture of this size."""
        return self.left >= 0 and self.top >= 0 and self.right <= width and self.bottom <= height

    def moved_inside(self, width: int, height: int) -> "Rectangle":
        """Return it moved, not cut, so that its top left is in a picture of this size."""
        left = max(0, min(self.left, width - self.width))
        top = max(0, min(self.top, height - self.height))
        return Rectangle(left, top, left + self.width, top + self.height)


@dataclass(frozen=True, slots=True)
class FaceText:
    """What can be written at a face.

    Attributes:
        long: Label and confidence.
        short: The label alone, where there is no room for more.
        labels: Those of the chart.
    """

    long: str
    short: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FaceLayout:
    """Where the parts of the drawing of one face go.

    Attributes:
        box: Around the face.
        tag: The panel of the label.
        text: What the label says.
        text_px: Height of its capital letters.
        chart: The panel of the chart, or None if there is no room.
        chart_text_px: Height of the capital letters in the chart; 0 for the small chart, which
            has bars alone.
    """

    box: Rectangle
    tag: Rectangle
    text: str
    text_px: int
    chart: Rectangle | None
    chart_text_px: int


def lay_out(
    size_wh: tuple[int, int],
    boxes_xywh: Sequence[NDArray[np.float32]],
    texts: Sequence[FaceText],
) -> list[FaceLayout]:
    """Return the layout of each face, in their order.

    Args:
        size_wh: Width and height of the picture in pixels.
        boxes_xywh: (4,) each, left, top, width, height in pixels.
        texts: One for each box.
    """
    boxes = [_outline(box) for box in boxes_xywh]
    taken: list[Rectangle] = []
    # The nearest face comes first: it is the one that people look at.
    order = sorted(range(len(boxes)), key=lambda index: -boxes[index].height)
    tags: dict[int, tuple[Rectangle, str, int]] = {}
    for index in order:
        others = boxes[:index] + boxes[index + 1 :]
        text_px = _text_px(boxes[index], size_wh[1])
        tags[index] = (
            *_place_tag(boxes[index], texts[index], text_px, others + taken, size_wh),
            text_px,
        )
        taken.append(tags[index][0])
    layouts: dict[int, FaceLayout] = {}
    for index in order:
        tag, text, text_px = tags[index]
        others = boxes[:index] + boxes[index + 1 :] + taken
        chart, chart_text_px = _place_chart(
            boxes[index], texts[index].labels, text_px, others, size_wh
        )
        if chart is not None:
            taken.append(chart)
        layouts[index] = FaceLayout(boxes[index], tag, text, text_px, chart, chart_text_px)
    return [layouts[index] for index in range(len(boxes))]


@functools.lru_cache(maxsize=256)
def text_width_px(text: str, text_px: int) -> int:
    """Return the width of a text whose capital letters have a height."""
    return int(cv2.getTextSize(text, FONT, font_scale(text_px), stroke_px(text_px))[0][0])


def font_scale(text_px: int) -> float:
    """Return what OpenCV wants to know for capital letters of a height."""
    return text_px / _CAPITAL_AT_SCALE_1_PX


def stroke_px(text_px: int) -> int:
    """Return how thick such letters are."""
    return max(1, round(text_px / 9))


def padding_px(text_px: int) -> int:
    """Return the space around a text."""
    return max(2, round(0.35 * text_px))


def row_px(text_px: int) -> int:
    """Return the height of a row of the chart."""
    return round(1.55 * text_px)


def bar_px(text_px: int) -> int:
    """Return the length of a bar of probability 1."""
    return round(5.5 * text_px)


def chart_size(labels: tuple[str, ...], text_px: int) -> tuple[int, int]:
    """Return width and height of the chart with labels."""
    padding = padding_px(text_px)
    text = max(text_width_px(label, text_px) for label in labels)
    return text + bar_px(text_px) + 3 * padding, len(labels) * row_px(text_px) + padding


def _outline(box_xywh: NDArray[np.float32]) -> Rectangle:
    left, top, width, height = (float(value) for value in box_xywh)
    return Rectangle(round(left), round(top), round(left + width), round(top + height))


def _text_px(box: Rectangle, picture_height: int) -> int:
    least, most = (share * picture_height for share in _TEXT_LIMITS)
    least = max(_LEAST_TEXT_PX, least)
    # In whole pixels, so that letters do not tremble with the box and can be kept for later.
    return round(min(max(_TEXT_SHARE * box.height, least), max(most, least)))


def _place_tag(
    box: Rectangle,
    text: FaceText,
    text_px: int,
    others: Sequence[Rectangle],
    size_wh: tuple[int, int],
) -> tuple[Rectangle, str]:
    padding = padding_px(text_px)
    height = text_px + 2 * padding + stroke_px(text_px)
    for words in (text.long, text.short):
        width = text_width_px(words, text_px) + 2 * padding
        for tag in _tag_places(box, width, height):
            if tag.is_inside(*size_wh) and not any(tag.meets(other) for other in others):
                return tag, words
    # There is room nowhere: the place above hides least of the face itself.
    width = text_width_px(text.short, text_px) + 2 * padding
    return next(_tag_places(box, width, height)).moved_inside(*size_wh), text.short


def _tag_places(box: Rectangle, width: int, height: int) -> Iterator[Rectangle]:
    for top in (box.top - height, box.bottom, box.top):
        middle = (box.left + box.right - width) // 2
        for left in (box.left, box.right - width, middle):
            yield Rectangle(left, top, left + width, top + height)


def _place_chart(
    box: Rectangle,
    labels: tuple[str, ...],
    text_px: int,
    others: Sequence[Rectangle],
    size_wh: tuple[int, int],
) -> tuple[Rectangle | None, int]:
    """Return where a chart goes and the height of its text; see `FaceLayout`."""
    least_px = min(text_px, max(_LEAST_TEXT_PX, _TEXT_LIMITS[0] * size_wh[1]))
    chart_text_px = round(max(least_px, _CHART_TEXT_SHARE * text_px))
    for place in _chart_places(box, *chart_size(labels, chart_text_px), padding_px(text_px)):
        if place.is_inside(*size_wh) and not any(place.meets(other) for other in others):
            return place, chart_text_px
    for place in _small_chart_places(box, text_px):
        if place.is_inside(*size_wh) and not any(place.meets(other) for other in others):
            return place, 0
    return None, 0


def _chart_places(box: Rectangle, width: int, height: int, gap: int) -> Iterator[Rectangle]:
    """Beside the box at the level of its top, its bottom or its middle; then below and above."""
    middle = (box.top + box.bottom - height) // 2
    for left in (box.right + gap, box.left - gap - width):
        for top in (box.top, box.bottom - height, middle):
            yield Rectangle(left, top, left + width, top + height)
    for top in (box.bottom + gap, box.top - gap - height):
        for left in (box.left, box.right - width):
            yield Rectangle(left, top, left + width, top + height)


def _small_chart_places(box: Rectangle, text_px: int) -> Iterator[Rectangle]:
    width = max(box.width, _LEAST_SMALL_CHART_PX)
    height = round(max(2.4 * text_px, _SMALL_CHART_SHARE * box.height))
    for top in (box.bottom + 1, box.top - height - 1):
        yield Rectangle(box.left, top, box.left + width, top + height)
    side = max(round(3.5 * text_px), _LEAST_SMALL_CHART_PX)
    for left in (box.right + 1, box.left - side - 1):
        for top in (box.bottom - height, box.top):
            yield Rectangle(left, top, left + side, top + height)
    if box.height >= _INSIDE_LETTERS * text_px:
        yield Rectangle(box.left, box.bottom - height, box.left + width, box.bottom)
