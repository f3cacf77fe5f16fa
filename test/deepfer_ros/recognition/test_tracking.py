import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_ros.recognition.face_ids import FaceIds
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
    return FaceTracker(ids=FaceIds(deterministic=True))


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


@pytest.mark.parametrize("rate_hz", [5, 15, 30, 60])
@pytest.mark.parametrize("offset_px", [0.0, 25.0], ids=["level", "one higher"])
def test_faces_that_cross_keep_their_ids(
    tracker: FaceTracker, rate_hz: int, offset_px: float
) -> None:
    """They walk past each other, and while they overlap, only the nearer one is found."""
    far, near = "face1", "face2"
    for frame in range(2 * rate_hz):
        way_px = frame / rate_hz * 150
        boxes = {far: (way_px, 0.0, 60.0, 60.0), near: (290 - 0.9 * way_px, offset_px, 66.0, 66.0)}
        if abs(boxes[far][0] - boxes[near][0]) < 40:
            del boxes[far]
        assert ids(update(tracker, boxes.values(), frame / rate_hz)) == list(boxes)


@pytest.mark.parametrize("speed", [0.0, 1.0, -2.0], ids=lambda value: f"{value} faces a second")
@pytest.mark.parametrize("rate_hz", [5, 10, 30, 60])
def test_a_face_hidden_for_a_moment_keeps_its_id(
    tracker: FaceTracker, rate_hz: int, speed: float
) -> None:
    """It walks on behind something for 0.8 s; another face stands by all the time."""
    for frame in range(3 * rate_hz):
        time_s = frame / rate_hz
        other, walking = (500.0, 250.0, 80.0, 80.0), (300 + speed * 60 * time_s, 90.0, 60.0, 60.0)
        if 1.5 < time_s <= 2.3:
            assert ids(update(tracker, [other], time_s)) == ["face1"]
            assert tracker.face_ids == ("face1", "face2")
        else:
            assert ids(update(tracker, [other, walking], time_s)) == ["face1", "face2"]


def test_a_fast_face_keeps_its_id_at_5_hz(tracker: FaceTracker) -> None:
    """Somebody walks past close by: one and a half face widths from frame to frame."""
    seen = [ids(update(tracker, [(frame * 90, 20, 60, 60)], frame / 5)) for frame in range(12)]
    assert seen == [["face1"]] * 12


@pytest.mark.parametrize("rate_hz", [5, 15, 30, 60])
def test_faces_before_a_shaking_camera_keep_their_ids(tracker: FaceTracker, rate_hz: int) -> None:
    """Three faces, half a face width apart, jump together by a sixth of a face each frame."""
    generator = np.random.default_rng(0)
    for frame in range(4 * rate_hz):
        dx, dy = generator.normal(0, 10, 2)
        boxes = [(100 + 90 * index + dx, 80 + dy, 60.0, 60.0) for index in range(3)]
        assert ids(update(tracker, boxes, frame / rate_hz)) == ["face1", "face2", "face3"]


def test_dropped_frames_and_missed_faces_change_no_id(tracker: FaceTracker) -> None:
    """Of 60 frames a second a third is dropped, and each face is missed in one frame of five."""
    generator = np.random.default_rng(1)
    boxes = {
        f"face{index + 1}": (100.0 * index, 50.0 * (index % 2), 60.0, 60.0) for index in range(16)
    }
    update(tracker, boxes.values(), 0.0)
    for frame in range(1, 240):
        if generator.random() < 0.33:
            continue
        seen = {
            face_id: (x + 30 * np.sin(frame / 20), y + generator.normal(0, 2), width, height)
            for face_id, (x, y, width, height) in boxes.items()
            if generator.random() < 0.8
        }
        assert ids(update(tracker, seen.values(), frame / 60)) == list(seen)


def test_a_vague_track_does_not_take_the_face_of_another(tracker: FaceTracker) -> None:
    """One of two neighbours has been away; the other moves towards its place."""
    left, right = (100.0, 100.0, 60.0, 60.0), (170.0, 100.0, 60.0, 60.0)
    for frame in range(15):
        update(tracker, [left, right], frame / 30)
    for frame in range(15, 40):
        step_px = frame - 14
        faces = update(tracker, [(100.0 + step_px, 100.0, 60.0, 60.0)], frame / 30)
        assert ids(faces) == ["face1"]


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


@pytest.mark.parametrize(
    ("period_s", "expected"),
    [
        pytest.param(2.0, ["face1"] * 5, id="a picture every two seconds"),
        pytest.param(6.0, ["face1", "face2", "face3", "face4", "face5"], id="every six seconds"),
    ],
)
def test_rare_pictures_are_no_reason_to_forget_a_face(
    tracker: FaceTracker, period_s: float, expected: list[str]
) -> None:
    boxes = [(100.0 + 10 * step, 100.0, 50.0, 50.0) for step in range(5)]
    seen = [ids(update(tracker, [box], step * period_s))[0] for step, box in enumerate(boxes)]
    assert seen == expected


def test_a_far_or_much_larger_face_is_another(tracker: FaceTracker) -> None:
    update(tracker, [(0, 0, 50, 50)], 0.0)
    assert ids(update(tracker, [(300, 0, 50, 50)], 0.1)) == ["face2"]
    assert ids(update(tracker, [(0, 0, 200, 200)], 0.2)) == ["face3"]


def test_time_that_goes_back_forgets_everything(tracker: FaceTracker) -> None:
    update(tracker, [(0, 0, 50, 50)], 100.0, HAPPY)
    faces = update(tracker, [(0, 0, 50, 50)], 5.0, SAD)
    assert ids(faces) == ["face2"]
    np.testing.assert_allclose(faces[0].probabilities, SAD)


def test_a_clock_that_is_corrected_forgets_nothing(tracker: FaceTracker) -> None:
    times_s = [100.0, 100.033, 100.032, 100.066, 100.02, 100.1]
    faces = [update(tracker, [(0, 0, 50, 50)], time_s, SAD)[0] for time_s in times_s]
    assert {face.face_id for face in faces} == {"face1"}
    # Smoothing goes on in the time that goes on.
    face = update(tracker, [(0, 0, 50, 50)], 104.0, HAPPY)[0]
    assert face.label_index == int(np.argmax(HAPPY))


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


class HungarianTracker(FaceTracker):
    """Takes the pairing that is the likeliest as a whole, instead of pair after pair."""

    def _match(self, boxes_xywh: NDArray[np.float32], time_s: float) -> dict[int, Any]:
        optimize = pytest.importorskip("scipy.optimize", reason="needs SciPy")
        if not self._tracks or not len(boxes_xywh):
            return {}
        misfit = self._misfit(boxes_xywh, time_s)
        # As many pairs as possible, then the likeliest ones.
        costs = np.where(np.isfinite(misfit), misfit, 1e6)
        pairs = zip(*optimize.linear_sum_assignment(costs), strict=True)
        return {int(i): self._tracks[j] for i, j in pairs if np.isfinite(misfit[i, j])}


def crowd(seed: int, rate_hz: int) -> Iterator[tuple[float, dict[int, tuple[float, ...]]]]:
    """Yield time and visible boxes of eight people who walk about for eight seconds.

    Whoever is behind somebody else is not found, and now and then somebody looks away.
    """
    generator = np.random.default_rng(seed)
    size = generator.uniform(50, 90, 8)
    place, speed = generator.uniform((100, 150), (1180, 550), (8, 2)), np.zeros((8, 2))
    away_until_s = np.zeros(8)
    for frame in range(8 * rate_hz):
        time_s = frame / rate_hz
        speed += generator.normal(0, 2.0, (8, 2)) / np.sqrt(rate_hz) - speed / rate_hz
        place = np.clip(place + speed * size[:, None] / rate_hz, (60, 100), (1220, 620))
        away = generator.random(8) < 0.3 / rate_hz
        away_until_s[away] = time_s + generator.uniform(0.1, 0.8, int(away.sum()))
        boxes: dict[int, tuple[float, ...]] = {}
        for person in np.argsort(-size).tolist():
            x, y = place[person] + generator.normal(0, 0.03, 2) * size[person]
            near = [(bx + s / 2 - x, by + s / 2 - y) for bx, by, s, _ in boxes.values()]
            hidden = any(np.hypot(dx, dy) < 0.55 * size[person] for dx, dy in near)
            if not hidden and time_s >= away_until_s[person]:
                side = size[person]
                boxes[person] = (x - side / 2, y - side / 2, side, side)
        yield time_s, boxes


def count_changes(tracker: FaceTracker, seed: int, rate_hz: int) -> int:
    """Return how often somebody in a crowd gets another id."""
    changes, last = 0, {}
    for time_s, boxes in crowd(seed, rate_hz):
        for person, face_id in zip(
            boxes, ids(update(tracker, boxes.values(), time_s)), strict=True
        ):
            changes += last.setdefault(person, face_id) != face_id
            last[person] = face_id
    return changes


@pytest.mark.parametrize("rate_hz", [5, 15])
def test_greedy_matching_is_as_good_as_the_hungarian_method(
    rate_hz: int,
) -> None:
    greedy = sum(count_changes(FaceTracker(), seed, rate_hz) for seed in range(4))
    hungarian = sum(count_changes(HungarianTracker(), seed, rate_hz) for seed in range(4))
    print(f"{rate_hz} Hz: changes of id of 32 people: greedy {greedy}, Hungarian {hungarian}")
    assert greedy <= 1.1 * hungarian + 2
