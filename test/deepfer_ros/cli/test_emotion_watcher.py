"""Tests of what collects results for `deepfer demo`."""

from collections.abc import Iterator

import pytest

pytest.importorskip("rclpy")

from builtin_interfaces.msg import Time
from ros_peer import RosPeer
from std_msgs.msg import Header

from deepfer.msg import Emotion, EmotionArray
from deepfer_ros.cli.emotion_watcher import EmotionWatcher


@pytest.fixture
def watcher(ros_environment: None) -> Iterator[EmotionWatcher]:
    watcher = EmotionWatcher(wants_images=True)
    yield watcher
    watcher.close()


@pytest.mark.parametrize("sec", [100, 0, -5], ids=["stamp", "no stamp", "before 1970"])
def test_results_of_any_time_are_taken(watcher: EmotionWatcher, peer: RosPeer, sec: int) -> None:
    publisher = peer.advertise(EmotionArray, "emotions")
    face = Emotion(face_id="a", emotion="happy", confidence=0.9, probabilities=[0.0] * 7)
    publisher.publish(EmotionArray(header=Header(stamp=Time(sec=sec)), emotions=[face]))
    for _ in range(100):
        watcher.spin_for(0.1)
        if watcher.log.frames:
            break
    assert watcher.log.frames == 1
