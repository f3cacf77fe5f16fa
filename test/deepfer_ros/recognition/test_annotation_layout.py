import itertools

import numpy as np
import pytest

from deepfer_ros.recognition.annotation_layout import FaceLayout, FaceText, Rectangle, lay_out

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
TEXT = FaceText("surprise 47%", "surprise", LABELS)
Box = tuple[float, float, float, float]


def layouts(size_wh: tuple[int, int], *boxes: Box) -> list[FaceLayout]:
    return lay_out(size_wh, [np.array(box, np.float32) for box in boxes], [TEXT] * len(boxes))


def crowd(size_wh: tuple[int, int], columns: int, rows: int) -> list[Box]:
    """Return a grid of faces that leaves as much room between them as they take."""
    width, height = size_wh[0] / columns, size_wh[1] / rows
    return [
        ((column + 0.25) * width, (row + 0.3) * height, 0.5 * width, 0.5 * height)
        for row, column in itertools.product(range(rows), range(columns))
    ]


SIZES = [(320, 240), (640, 480), (1920, 1080), (3840, 2160)]


@pytest.mark.parametrize("size_wh", SIZES, ids=str)
@pytest.mark.parametrize("grid", [(1, 1), (2, 1), (4, 2)], ids=["1 face", "2 faces", "8 faces"])
def test_nothing_hides_a_face_or_another_text(
    size_wh: tuple[int, int], grid: tuple[int, int]
) -> None:
    found = layouts(size_wh, *crowd(size_wh, *grid))
    panels: list[Rectangle] = []
    for layout in found:
        others = [other.box for other in found if other is not layout]
        for panel in (layout.tag, layout.chart):
            if panel is not None:
                assert panel.is_inside(*size_wh)
                assert not any(panel.meets(box) for box in others)
                panels.append(panel)
    assert not any(a.meets(b) for a, b in itertools.combinations(panels, 2))
    assert len(panels) == 2 * len(found)


@pytest.mark.parametrize("size_wh", SIZES, ids=str)
def test_sixteen_faces_all_have_a_legible_label(size_wh: tuple[int, int]) -> None:
    found = layouts(size_wh, *crowd(size_wh, 4, 4))
    assert all(layout.tag.is_inside(*size_wh) for layout in found)
    assert all(layout.text_px >= max(7, size_wh[1] / 80) for layout in found)
    assert not any(
        layout.tag.meets(other.tag) for layout, other in itertools.combinations(found, 2)
    )


@pytest.mark.parametrize("size_wh", SIZES, ids=str)
def test_one_face_has_a_chart_with_labels(size_wh: tuple[int, int]) -> None:
    (layout,) = layouts(
        size_wh, (0.3 * size_wh[0], 0.3 * size_wh[1], 0.2 * size_wh[0], 0.4 * size_wh[1])
    )
    assert layout.text == "surprise 47%"
    assert layout.chart is not None
    assert layout.chart_text_px >= 7
    assert layout.chart.left >= layout.box.right


def test_a_face_at_the_right_border_has_its_chart_on_the_left() -> None:
    (layout,) = layouts((640, 480), (520, 100, 120, 150))
    assert layout.chart is not None
    assert layout.chart.right <= layout.box.left


def test_where_there_is_no_room_the_chart_is_small_or_missing() -> None:
    size_wh = (320, 240)
    big, tiny = (30.0, 22.0, 260.0, 210.0), (0.0, 0.0, 20.0, 20.0)
    (layout,) = layouts(size_wh, big)
    assert layout.chart is not None
    assert layout.chart_text_px == 0
    assert [layout.chart for layout in layouts((24, 24), tiny)] == [None]


def test_larger_faces_have_larger_letters() -> None:
    near, far = layouts((1920, 1080), (100, 300, 300, 350), (1200, 300, 80, 90))
    assert near.text_px > 1.5 * far.text_px


def test_the_layout_is_that_of_the_order_of_the_faces() -> None:
    boxes: list[Box] = [(100, 300, 60, 70), (600, 300, 300, 350), (1200, 300, 80, 90)]
    found = layouts((1920, 1080), *boxes)
    assert [layout.box.left for layout in found] == [100, 600, 1200]


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (Rectangle(5, 5, 15, 15), True),
        (Rectangle(10, 0, 20, 10), False),
        (Rectangle(0, 10, 10, 20), False),
        (Rectangle(2, 2, 3, 3), True),
    ],
    ids=["corner", "beside", "below", "inside"],
)
def test_rectangles_that_touch_do_not_meet(other: Rectangle, expected: bool) -> None:
    one = Rectangle(0, 0, 10, 10)
    assert one.meets(other) is expected
    assert other.meets(one) is expected


def test_moving_inside() -> None:
    assert Rectangle(-5, 95, 15, 105).moved_inside(100, 100) == Rectangle(0, 90, 20, 100)
    assert Rectangle(3, 3, 203, 9).moved_inside(100, 100) == Rectangle(0, 3, 200, 9)
