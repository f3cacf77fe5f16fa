"""Tests of the figures that the demo shows."""

import pytest

from deepfer_ros.cli.emotion_log import EmotionLog, FaceReading

LABELS = ("angry", "happy")


def face(face_id: str = "a", emotion: str = "happy") -> FaceReading:
    return FaceReading(face_id, emotion, 0.9, (0.1, 0.9))


def add(log: EmotionLog, *faces: FaceReading, now_s: float, latency_s: float = 0.02) -> None:
    log.add(faces, model="test48", latency_s=latency_s, now_s=now_s)


def test_empty() -> None:
    log = EmotionLog(LABELS)
    assert (log.frames, log.faces, log.duration_s, log.mean_rate_hz) == (0, (), 0.0, 0.0)
    assert log.rate_hz(5.0) == 0.0
    assert log.recent_latency_s(5.0) is None
    assert log.median_latency_s is None
    assert not log.is_stale(100.0)


def test_rate_and_latency() -> None:
    log = EmotionLog(LABELS)
    for index in range(101):
        add(log, face(), now_s=index / 10, latency_s=0.01 if index < 95 else 0.03)
    assert log.frames == 101
    assert log.mean_rate_hz == pytest.approx(10)
    assert log.rate_hz(10.0) == pytest.approx(10)
    assert log.median_latency_s == pytest.approx(0.01)
    assert log.recent_latency_s(10.0) == pytest.approx(0.01)
    assert log.recent_latency_s(11.5) == pytest.approx(0.03)
    assert log.model == "test48"


def test_rate_falls_when_nothing_comes() -> None:
    log = EmotionLog(LABELS)
    for index in range(30):
        add(log, now_s=index / 30)
    assert log.rate_hz(1.0) == pytest.approx(29)
    assert log.rate_hz(20.0) < 0.1
    assert not log.is_stale(5.0)
    assert log.is_stale(7.0)


def test_slow_streams_have_a_rate_too() -> None:
    log = EmotionLog(LABELS)
    for index in range(5):
        add(log, now_s=index * 10.0)
    assert log.rate_hz(40.0) == pytest.approx(0.1)
    assert not log.is_stale(55.0)
    assert log.is_stale(75.0)


def test_emotions_are_counted() -> None:
    log = EmotionLog(LABELS)
    add(log, face("a"), face("b", "angry"), now_s=0)
    add(log, now_s=1)
    add(log, face("a"), now_s=2)
    assert log.seen == {"happy": 2, "angry": 1}


def test_faces_keep_their_place() -> None:
    log = EmotionLog(LABELS)
    add(log, face("x"), now_s=0)
    add(log, face("a"), face("x"), now_s=1)
    assert [entry.face_id for entry in log.faces] == ["x", "a"]
    add(log, face("x"), face("b"), face("a"), now_s=2)
    assert [entry.face_id for entry in log.faces] == ["x", "a", "b"]
    add(log, now_s=3)
    assert log.faces == ()
