"""The ROS side of the live view, with a node that a test plays."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

pytest.importorskip("rclpy")

from rclpy.node import Node

from deepfer_ros import diagnostics
from deepfer_ros.web import ros_cameras
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.live import LiveHub
from deepfer_ros.web.ros_cameras import RosCameras, age_of

S = 10**9
NOW_NS = 1_795_640_000 * S


@pytest.mark.parametrize(
    ("stamp_ns", "age_s"),
    [
        pytest.param(NOW_NS - S // 2, 0.5, id="now"),
        pytest.param(NOW_NS - 60 * S, 60.0, id="old"),
        pytest.param(NOW_NS + S // 2, 0.0, id="a little ahead"),
        pytest.param(0, None, id="none"),
        pytest.param(12 * S, None, id="simulated"),
        pytest.param(NOW_NS - 61 * S, None, id="too old"),
        pytest.param(NOW_NS + 2 * S, None, id="far ahead"),
    ],
)
def test_ages_are_told_of_stamps_of_the_same_clock(stamp_ns: int, age_s: float | None) -> None:
    assert age_of(stamp_ns, NOW_NS) == age_s


def test_the_same_stamps_count_as_in_the_diagnostics() -> None:
    assert ros_cameras._MAX_AHEAD_S == diagnostics._MAX_AHEAD_S
    assert ros_cameras._MAX_AGE_S == diagnostics._MAX_LATENCY_S


@dataclass
class FakeNode:
    """A node in a graph of cameras that the test chooses."""

    cameras: list[str]
    warnings: list[str] = field(default_factory=list)

    def create_guard_condition(self, callback: object) -> None:
        """Take the callback and never call it."""

    def create_subscription(self, *arguments: object, callback_group: object) -> object:
        # rclpy's groups remember every entity that they ever had, so the node's own will not do.
        assert callback_group is not None
        return object()

    def destroy_subscription(self, subscription: object) -> None:
        """Forget it."""

    def get_namespace(self) -> str:
        return "/"

    def get_topic_names_and_types(self) -> list[tuple[str, list[str]]]:
        topics = [f"/{name}/emotions" for name in self.cameras]
        return [(topic, ["deepfer/msg/EmotionArray"]) for topic in ("/emotions", *topics)]

    def count_publishers(self, topic: str) -> int:
        return 1

    def get_logger(self) -> Any:  # noqa: ANN401
        return self

    def warning(self, text: str) -> None:
        self.warnings.append(text)


def test_too_many_cameras_are_told_once_and_main_stays() -> None:
    node, hub = FakeNode(["a", "b", "c", "d"]), LiveHub(WebLimits())
    cameras = RosCameras(cast(Node, node), ("happy",), lambda act: act(hub), limit=3)
    for _ in range(2):
        cameras.discover()
    assert [camera["name"] for camera in hub.cameras()] == ["a", "b", "main"]
    (warning,) = node.warnings
    assert "There are 5 cameras, and at most 3 are shown. Left out: c, d." in warning
    node.cameras.append("e")
    cameras.discover()
    assert len(node.warnings) == 2
    node.cameras = ["d"]
    cameras.discover()
    assert [camera["name"] for camera in hub.cameras()] == ["d", "main"]
    assert len(node.warnings) == 2
