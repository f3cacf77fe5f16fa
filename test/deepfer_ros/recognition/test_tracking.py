import itertools
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_ros.recognition.tracking import FaceTracker, TrackedFace
from deepfer_ros.recognition.types import FaceDetections

HAPPY, SAD = [0.9, 0.1], [0.1, 0.9]


def detections(boxes_xywh: Iterable[tuple[float, float, float, float]]) -> FaceDetections:
    boxes = np.array(list(boxes_xywh), np.float32).reshape(-1, 4)
    return FaceDetections(
        boxes,
        np.full((len(boxes), 5, 2), np.nan, np.float32),
        np.ones(len(boxes), np.float32),
    )


def update(
    tracker: FaceTracker,
    boxes_xywh: Iterable[tuple[float, float, float, float]],
    time_s: float,
    probabilities: list[float] = HAPPY,
) -> tuple[TrackedFace, ...]:
    found = detections(boxes_xywh)
    return tracker.update(found, np.tile(np.float32(probabilities), (len(found), 1)), time_s)


def ids(faces: tuple[TrackedFace, ...]) -> list[str]:
    return [face.face_id for face in faces]


@pytest.fixture
def tracker() -> FaceTracker:
    return FaceTracker(deterministic_ids=True)


def test_no_faces(tracker: FaceTracker) -> None:
    assert update(tracker, [], 0.0) == ()


def test_ids_follow_faces_whatever_their_order(tracker: FaceTracker) -> None:
    left, right = (0.0, 0.0, 50.0, 50.0), (200.0, 0.0, 50.0, 50.0)
    assert ids(update(tracker, [left, right], 0.0)) == ["face1", "face2"]
    assert ids(update(tracker, [right, left], 0.1)) == ["face2", "face1"]
    assert ids(update(tracker, [right], 0.2)) == ["face2"]


@pytest.mark.parametrize("step_px", [0, 5, 30, 45], ids=lambda value: f"{value} px a frame")
def test_a_moving_face_keeps_its_id(tracker: FaceTracker, step_px: float) -> None:
    seen = [
        ids(update(tracker, [(frame * step_px, 20, 50, 50)], frame / 10)) for frame in range(20)
    ]
    assert seen == [["face1"]] * 20


def test_a_growing_face_keeps_its_id(tracker: FaceTracker) -> None:
    seen = [
        ids(update(tracker, [(200 - side / 2, 200 - side / 2, side, side)], side / 100))
        for side in (40, 50, 62, 78, 98, 122)
    ]
    assert seen == [["face1"]] * 6


def test_faces_that_cross_keep_their_ids(tracker: FaceTracker) -> None:
    """They walk past each other in opposite directions, one a little higher."""
    for frame in range(30):
        faces = update(
            tracker, [(frame * 10, 0, 60, 60), (290 - frame * 10, 25, 60, 60)], frame / 15
        )
        assert ids(faces) == ["face1", "face2"]


@pytest.mark.parametrize(
    ("gap_s", "expected"),
    [
        pytest.param(0.9, "face1", id="back within a second"),
        pytest.param(1.1, "face2", id="gone for longer"),
    ],
)
def test_a_face_that_turned_away(tracker: FaceTracker, gap_s: float, expected: str) -> None:
    box = (100.0, 100.0, 50.0, 50.0)
    update(tracker, [box], 10.0)
    update(tracker, [], 10.0 + gap_s / 2)
    assert ids(update(tracker, [box], 10.0 + gap_s)) == [expected]


def test_a_far_or_much_larger_face_is_another(tracker: FaceTracker) -> None:
    update(tracker, [(0, 0, 50, 50)], 0.0)
    assert ids(update(tracker, [(300, 0, 50, 50)], 0.1)) == ["face2"]
    assert ids(update(tracker, [(0, 0, 200, 200)], 0.2)) == ["face3"]


def test_time_that_goes_back_forgets_everything(tracker: FaceTracker) -> None:
    update(tracker, [(0, 0, 50, 50)], 100.0, HAPPY)
    faces = update(tracker, [(0, 0, 50, 50)], 5.0, SAD)
    assert ids(faces) == ["face2"]
    np.testing.assert_allclose(faces[0].probabilities, SAD)


def test_the_same_time_twice_changes_nothing(tracker: FaceTracker) -> None:
    update(tracker, [(0, 0, 50, 50)], 1.0, HAPPY)
    faces = update(tracker, [(0, 0, 50, 50)], 1.0, SAD)
    assert ids(faces) == ["face1"]
    np.testing.assert_allclose(faces[0].probabilities, HAPPY)


@pytest.mark.parametrize("rate_hz", [5, 30, 200])
def test_smoothing_does_not_depend_on_the_frame_rate(rate_hz: int) -> None:
    """After one time constant, a step has gone 63 % of its way (1 - 1/e)."""
    tracker = FaceTracker(smoothing_s=0.4)
    box = (0.0, 0.0, 50.0, 50.0)
    update(tracker, [box], 0.0, [1.0, 0.0])
    frames = round(0.4 * rate_hz)
    smoothed: NDArray[np.float32] = np.zeros(2, np.float32)
    for frame in range(1, frames + 1):
        smoothed = update(tracker, [box], frame / rate_hz, [0.0, 1.0])[0].probabilities
    assert smoothed[1] == pytest.approx(1 - np.exp(-1), abs=1e-5)
    assert smoothed.sum() == pytest.approx(1, abs=1e-6)


def test_smoothing_can_be_switched_off() -> None:
    tracker = FaceTracker(smoothing_s=0.0)
    update(tracker, [(0, 0, 50, 50)], 0.0, HAPPY)
    np.testing.assert_allclose(
        update(tracker, [(0, 0, 50, 50)], 0.01, SAD)[0].probabilities, SAD, atol=1e-6
    )


def test_earlier_results_are_not_changed_later(tracker: FaceTracker) -> None:
    first = update(tracker, [(0, 0, 50, 50)], 0.0, HAPPY)[0].probabilities
    update(tracker, [(0, 0, 50, 50)], 5 * 0.1, SAD)
    np.testing.assert_allclose(first, HAPPY)


def test_random_ids_are_short_and_different() -> None:
    tracker = FaceTracker()
    boxes = [(x * 100.0, y * 100.0, 50.0, 50.0) for x, y in itertools.product(range(10), repeat=2)]
    names = ids(update(tracker, boxes, 0.0))
    assert len(set(names)) == 100
    assert all(len(name) == 5 and name.islower() and name.isalpha() for name in names)
