"""Tests of the measurement between processes: short runs of the real nodes."""

import pytest

from deepfer_ros.bench.errors import BenchError
from deepfer_ros.bench.image_publisher import SentCounts, camera_names
from deepfer_ros.bench.node_speed import (
    CameraCount,
    NodeLoad,
    NodeUnderLoad,
    count_by_camera,
    select_arrivals,
)
from deepfer_ros.bench.result_listener import Arrival

pytestmark = pytest.mark.usefixtures("ros_environment")


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(NodeLoad(320, 240, rate_hz=20.0), id="raw"),
        pytest.param(NodeLoad(320, 240, rate_hz=20.0, annotated=True), id="annotated"),
        pytest.param(NodeLoad(320, 240, rate_hz=20.0, compressed=True), id="compressed"),
        pytest.param(NodeLoad(320, 240, rate_hz=10.0, cameras=2), id="two cameras"),
    ],
)
def test_a_node_under_load(load: NodeLoad) -> None:
    with NodeUnderLoad(load, {}) as node:
        speed = node.watch(2.0)
    assert speed.load == load
    assert 0 < speed.received <= speed.sent
    assert speed.dropped == speed.sent - speed.received
    assert speed.sent_per_s == pytest.approx(load.rate_hz * load.cameras, rel=0.3)
    assert tuple(count.camera for count in speed.by_camera) == camera_names(load.cameras)
    assert sum(count.sent for count in speed.by_camera) == speed.sent
    assert all(0 < count.received <= count.sent for count in speed.by_camera)
    assert speed.faces_found == (1, 1)
    assert 0 < speed.latency.min_ms <= speed.latency.median_ms
    assert (speed.image_latency is not None) == load.annotated
    assert 0 < speed.cpu_s_per_s
    assert 20 < speed.rss_mib < 2000
    assert 0 < speed.start_s < 30


def test_no_image_is_between_two_windows() -> None:
    with NodeUnderLoad(NodeLoad(320, 240, rate_hz=20.0), {}) as node:
        listener = node._listener
        node.watch(0.2)
        first = node._mark
        speeds = [node.watch(0.5) for _ in range(3)]
        last = node._mark
    assert first is not None
    assert last is not None
    assert sum(speed.sent for speed in speeds) == last.sent.counts[0] - first.sent.counts[0]
    assert sum(speed.seconds for speed in speeds) == pytest.approx(
        last.sent.time_s - first.sent.time_s
    )
    # What belongs to the next window is kept for it, and nothing else.
    assert all(arrival.number >= last.sent.counts[0] for arrival in listener.emotions)


class TestCounting:
    CAMERAS = camera_names(4)
    BEFORE = SentCounts(100.0, (50, 50, 50, 50))
    AFTER = SentCounts(110.0, (350, 350, 350, 350))

    def arrivals(self, camera: str, first: int, end: int) -> list[Arrival]:
        return [Arrival(camera, number, 0.01, 1) for number in range(first, end)]

    def test_cameras_that_stall_or_starve_count_as_dropped(self) -> None:
        arrivals = self.arrivals("camera3", 50, 110)
        counts = count_by_camera(arrivals, self.CAMERAS, self.BEFORE, self.AFTER)
        assert counts == (
            *(CameraCount(camera, 300, 0) for camera in self.CAMERAS[:3]),
            CameraCount("camera3", 300, 60),
        )

    def test_only_images_of_the_window_count(self) -> None:
        arrivals = self.arrivals("camera1", 48, 52) + self.arrivals("camera1", 349, 360)
        selected = select_arrivals(arrivals, self.CAMERAS, self.BEFORE, self.AFTER)
        assert [arrival.number for arrival in selected] == [50, 51, 349]

    def test_the_counts_survive_the_way_through_a_message(self) -> None:
        sent = SentCounts(1234.56789, (3, 0, 7))
        assert SentCounts.of_message(sent.to_message()) == sent


def test_a_node_that_cannot_start() -> None:
    with pytest.raises(BenchError, match="'nonsense' is neither a bundle"):
        NodeUnderLoad(NodeLoad(320, 240), {"model": "nonsense"})
