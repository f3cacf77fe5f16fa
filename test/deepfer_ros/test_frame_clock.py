"""Tests of the time of images."""

import numpy as np
import pytest

from deepfer_ros.frame_clock import FrameClock
from deepfer_ros.recognition.tracking import FaceTracker
from deepfer_ros.recognition.types import FaceDetections

ORIGIN_S = 500.0


def times_of(frames: list[tuple[float, float]]) -> list[float]:
    """Return the times of images, each given by stamp and arrival in seconds."""
    clock = FrameClock()
    return [
        clock.time_of(round(stamp_s * 1e9), round((ORIGIN_S + arrival_s) * 1e9))
        for stamp_s, arrival_s in frames
    ]


@pytest.mark.parametrize(
    ("frames", "expected_s"),
    [
        ([(7.0, 0.0), (7.1, 0.3), (7.3, 0.3), (9.0, 0.4)], [7.0, 7.1, 7.3, 9.0]),
        ([(9.0, 0.0), (9.1, 0.1), (3.0, 0.2), (3.1, 0.3)], [9.0, 9.1, 3.0, 3.1]),
        ([(9.0, 0.0), (8.9, 0.1), (9.1, 0.2)], [9.0, 8.9, 9.1]),
        ([(7.0, 0.0), (7.0, 0.1), (7.0, 0.3)], [7.0, 7.1, 7.3]),
        ([(7.0, 0.0), (7.0, 2.0), (7.1, 2.1), (7.2, 2.2)], [7.0, 9.0, 9.1, 9.2]),
        ([(7.0, 0.0), (7.0, 2.0), (7.1, 9.0), (7.2, 9.1)], [7.0, 9.0, 9.1, 9.2]),
        ([(7.0, 0.0), (7.0, 2.0), (7.1, 2.2), (7.2, 2.4)], [7.0, 9.0, 9.1, 9.2]),
        ([(7.0, 0.0), (7.0, 0.2), (7.2, 0.3), (7.4, 0.4), (7.6, 0.5)], [7, 7.2, 7.3, 7.4, 7.6]),
        ([(7.0, 0.0), (7.0, 2.0), (6.9, 2.1), (7.0, 2.2)], [7.0, 9.0, 8.9, 9.0]),
        ([(7.0, 0.0), (7.0, 2.0), (1.0, 2.1), (1.1, 2.2)], [7.0, 9.0, 3.0, 3.1]),
        ([(0.0, 0.0), (0.0, 0.1), (0.0, 0.3)], [0.0, 0.1, 0.3]),
        ([(0.0, 0.0), (0.0, 0.1), (12.0, 0.2), (12.1, 0.3)], [0.0, 0.1, 12.0, 12.1]),
        ([(12.0, 0.0), (0.0, 0.1), (12.2, 0.2), (12.3, 0.3)], [12.0, 12.1, 12.2, 12.3]),
    ],
    ids=[
        "moving",
        "again",
        "a_little_back",
        "standing",
        "paused",
        "paused_without_images",
        "slow_after_a_pause",
        "fast_after_a_pause",
        "a_little_back_after_a_pause",
        "again_after_a_pause",
        "none",
        "none_at_first",
        "none_in_between",
    ],
)
def test_times(frames: list[tuple[float, float]], expected_s: list[float]) -> None:
    assert times_of(frames) == pytest.approx(expected_s)


def test_stamps_come_out_as_they_are() -> None:
    """Whatever was counted between them."""
    stamps_ns = [1_700_000_000_123_456_789 + index * 33_333_333 for index in range(3)]
    clock = FrameClock()
    times_s = [clock.time_of(stamp_ns, 0) for stamp_ns in stamps_ns]
    clock.time_of(stamps_ns[-1], 7)
    times_s.append(clock.time_of(stamps_ns[-1] + 10**9, 10**9))
    assert times_s == [stamp_ns / 1e9 for stamp_ns in [*stamps_ns, stamps_ns[-1] + 10**9]]


@pytest.mark.parametrize("rate_hz", [4, 15, 30, 60])
@pytest.mark.parametrize("late_s", [0.0, 0.004])
def test_whole_seconds_run_at_the_speed_of_arrivals(rate_hz: int, late_s: float) -> None:
    """Some images come late, so that a second of stamps is not a second of arrivals."""
    frames = [
        (float(7 + index // rate_hz), index / rate_hz + late_s * (index % 3))
        for index in range(5 * rate_hz)
    ]
    steps_s = np.diff(times_of(frames))
    assert steps_s.min() > 0
    assert steps_s.max() <= 1 / rate_hz + 2 * late_s + 1e-6
    assert steps_s.sum() == pytest.approx(5 - 1 / rate_hz, abs=2 * late_s + 1e-6)


@pytest.mark.parametrize("rate_hz", [2, 15, 30, 60])
@pytest.mark.parametrize("pause_s", [0.5, 3.0, 20.0])
def test_faces_keep_their_ids_over_a_pause(rate_hz: int, pause_s: float) -> None:
    """Images come during the pause of a simulation, too."""
    moving = [1 + index / rate_hz for index in range(2 * rate_hz)]
    standing = [moving[-1]] * round(pause_s * rate_hz)
    stamps_s = [*moving, *standing, *(moving[-1] + time_s for time_s in moving)]
    times_s = times_of([(stamp_s, index / rate_hz) for index, stamp_s in enumerate(stamps_s)])
    tracker = FaceTracker(deterministic_ids=True)
    face = FaceDetections(
        np.array([[10, 10, 40, 40]], np.float32),
        np.full((1, 5, 2), np.nan, np.float32),
        np.array([0.9], np.float32),
    )
    row = np.full((1, 7), 1 / 7, np.float32)

    ids = {tracker.update(face, row, time_s)[0].face_id for time_s in times_s}

    assert ids == {"face1"}
