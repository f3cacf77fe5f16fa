"""Tests of the measurement between processes: short runs of the real nodes."""

import pytest

from deepfer_ros.bench.errors import BenchError
from deepfer_ros.bench.node_speed import NodeLoad, NodeUnderLoad

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
    assert speed.faces_found == (1, 1)
    assert 0 < speed.latency.min_ms <= speed.latency.median_ms
    assert (speed.image_latency is not None) == load.annotated
    assert 0 < speed.cpu_s_per_s
    assert 20 < speed.rss_mib < 2000
    assert 0 < speed.start_s < 30


def test_a_node_that_cannot_start() -> None:
    with pytest.raises(BenchError, match="'nonsense' is neither a bundle"):
        NodeUnderLoad(NodeLoad(320, 240), {"model": "nonsense"})
