"""Tests of the time of images."""

import pytest
from builtin_interfaces.msg import Time
from std_msgs.msg import Header

from deepfer_ros import frame_clock
from deepfer_ros.frame_clock import FrameClock


def test_time_goes_on_whatever_the_stamps_say(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals_s = iter([500.0, 500.1, 500.2, 500.4, 500.5, 500.6])
    monkeypatch.setattr(frame_clock.time, "monotonic", lambda: next(arrivals_s))
    clock = FrameClock()

    times_s = [
        clock.time_of(Header(stamp=Time(sec=sec, nanosec=nanosec)))
        for sec, nanosec in (
            (7, 0),
            (7, 50_000_000),
            (7, 50_000_000),
            (7, 50_000_000),
            (9, 0),
            (3, 0),
        )
    ]

    assert times_s == pytest.approx([7.0, 7.05, 7.15, 7.35, 9.0, 3.0])


def test_without_stamps_arrivals_count(monkeypatch: pytest.MonkeyPatch) -> None:
    arrivals_s = iter([500.0, 500.1, 500.3])
    monkeypatch.setattr(frame_clock.time, "monotonic", lambda: next(arrivals_s))
    clock = FrameClock()

    first_s, second_s, third_s = (clock.time_of(Header()) for _ in range(3))

    assert (second_s - first_s, third_s - second_s) == pytest.approx((0.1, 0.2))
