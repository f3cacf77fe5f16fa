"""The emotion node under simulated time: fast, standing still, jumping back, or not there."""

from collections.abc import Callable, Iterator

import pytest
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fake_camera import FakeCamera
from fake_recognition import FakeLoader
from ros_peer import RosPeer, spinning
from rosgraph_msgs.msg import Clock

from deepfer_ros.emotion_node import EmotionNode

MakeNode = Callable[..., EmotionNode]


class Simulation:
    """The clock of a simulation, for the node under test."""

    def __init__(self, peer: RosPeer, node: EmotionNode) -> None:
        self._peer = peer
        self._node = node
        self._publisher = peer.advertise(Clock, "/clock")

    def set(self, seconds: float) -> Time:
        """Set the node's clock, wait until it is set, and return the time."""
        time = to_time(seconds)
        expected_ns = time.sec * 10**9 + time.nanosec

        def is_set() -> bool:
            if self._node.get_clock().now().nanoseconds == expected_ns:
                return True
            self._publisher.publish(Clock(clock=time))
            return False

        self._peer.wait_until(is_set, f"the time {seconds} s")
        return time


def to_time(seconds: float) -> Time:
    nanoseconds = round(seconds * 1e9)
    return Time(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


@pytest.fixture
def node(make_node: MakeNode) -> Iterator[EmotionNode]:
    """Return the node under test, active and spinning in a thread, with simulated time."""
    node = make_node(use_sim_time=True)
    node.start()
    with spinning(node):
        yield node


def wait_for_status(
    peer: RosPeer,
    diagnostics: list[DiagnosticArray],
    condition: Callable[[DiagnosticStatus, dict[str, str]], bool],
) -> dict[str, str]:
    """Wait until the status of the camera meets a condition, and return its values."""

    def values() -> dict[str, str]:
        return {entry.key: entry.value for entry in diagnostics[-1].status[1].values}

    peer.wait_until(
        lambda: diagnostics and condition(diagnostics[-1].status[1], values()), "the status"
    )
    return values()


def test_faster_than_real_time(node: EmotionNode, peer: RosPeer, loader: FakeLoader) -> None:
    simulation = Simulation(peer, node)
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    camera = FakeCamera(peer)
    camera.send_until_received(stamp=simulation.set(100.0))
    face_ids = set()
    # Twenty seconds of simulation, with images that are 30 ms old when they are processed.
    for step in range(1, 101):
        now_s = 100 + step / 5
        simulation.set(now_s)
        stamp = to_time(now_s - 0.03)
        result = camera.send_and_receive(stamp=stamp)
        assert result.header.stamp == stamp
        face_ids.add(result.emotions[0].face_id)
        if step == 50:
            loader.classifier.probabilities = (1.0, 0, 0, 0, 0, 0, 0)
    # Smoothing has gone on in the time of the images: ten seconds are many time constants.
    assert result.emotions[0].emotion == "angry"
    assert result.emotions[0].probabilities[0] > 0.99
    assert len(face_ids) == 1
    values = wait_for_status(
        peer, diagnostics, lambda status, values: int(values["frames processed"]) >= 101
    )
    assert float(values["latency, median (ms)"]) == pytest.approx(30, abs=0.2)
    assert 0 <= float(values["latency, max (ms)"]) < 1000
    assert float(values["output rate (Hz)"]) > 0
    assert diagnostics[-1].status[1].level == DiagnosticStatus.OK


def test_clock_that_stands_still(node: EmotionNode, peer: RosPeer, loader: FakeLoader) -> None:
    simulation = Simulation(peer, node)
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    camera = FakeCamera(peer)
    now = simulation.set(50.0)
    camera.send_until_received(stamp=now)
    for _ in range(20):
        assert camera.send_and_receive(stamp=now).emotions[0].emotion == "happy"
    values = wait_for_status(
        peer, diagnostics, lambda status, values: float(values["output rate (Hz)"]) > 0
    )
    assert values["latency, max (ms)"] == "0.0"
    # Images count by their arrival then, and without a stamp, so that smoothing goes on.
    loader.classifier.probabilities = (1.0, 0, 0, 0, 0, 0, 0)
    peer.wait_until(
        lambda: camera.send_and_receive(stamp=now).emotions[0].emotion == "angry",
        "the smoothed change",
    )
    loader.classifier.probabilities = (0, 0, 0, 1.0, 0, 0, 0)
    peer.wait_until(
        lambda: camera.send_and_receive(stamp=Time()).emotions[0].emotion == "happy",
        "the smoothed change without stamps",
    )


def test_bag_that_starts_again(node: EmotionNode, peer: RosPeer) -> None:
    simulation = Simulation(peer, node)
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    camera = FakeCamera(peer)
    camera.send_until_received(stamp=simulation.set(1000.0))
    face_ids = []
    for _ in range(3):
        for step in range(10):
            now = simulation.set(1000 + step / 2)
            result = camera.send_and_receive(stamp=now)
            assert result.header.stamp == now
            face_ids.append(result.emotions[0].face_id)
        # The last image of a round is processed when the clock has jumped back already.
        simulation.set(1000.0)
        camera.send_and_receive(stamp=to_time(1005))
    rounds = [set(face_ids[index : index + 10]) for index in (0, 10, 20)]
    assert [len(ids) for ids in rounds] == [1, 1, 1]
    assert len(set.union(*rounds)) == 3
    values = wait_for_status(
        peer, diagnostics, lambda status, values: int(values["frames processed"]) >= 33
    )
    assert float(values["latency, median (ms)"]) >= 0
    assert float(values["latency, max (ms)"]) < 1000
    assert diagnostics[-1].status[1].level == DiagnosticStatus.OK


def test_clock_that_is_not_there_is_told(node: EmotionNode, peer: RosPeer) -> None:
    diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
    camera = FakeCamera(peer)
    # Results come all the same.
    camera.send_until_received()
    wait_for_status(
        peer, diagnostics, lambda status, values: "ahead of this node's clock" in status.message
    )
    status = diagnostics[-1].status[0]
    assert status.level == DiagnosticStatus.WARN
    assert "no time has come on /clock" in status.message
    values = wait_for_status(peer, diagnostics, lambda status, values: True)
    assert values["latency, median (ms)"] == values["latency, max (ms)"] == ""
    Simulation(peer, node).set(7.0)
    peer.wait_until(lambda: diagnostics[-1].status[0].message == "active", "the all-clear")


def test_bag_without_simulated_time_is_told(make_node: MakeNode, peer: RosPeer) -> None:
    node = make_node()
    node.start()
    with spinning(node):
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
        camera = FakeCamera(peer)
        result = camera.send_until_received(stamp=to_time(1_600_000_000.5))
        assert result.header.stamp == to_time(1_600_000_000.5)
        wait_for_status(
            peer, diagnostics, lambda status, values: "behind this node's clock" in status.message
        )
        assert "set use_sim_time" in diagnostics[-1].status[1].message
        assert diagnostics[-1].status[0].level == DiagnosticStatus.OK


def test_rate_is_limited_by_the_wall_clock(make_node: MakeNode, peer: RosPeer) -> None:
    node = make_node(use_sim_time=True, max_rate_hz=0.01)
    node.start()
    with spinning(node):
        simulation = Simulation(peer, node)
        camera = FakeCamera(peer, node=node)
        camera.send_until_received(stamp=simulation.set(1.0))
        for step in range(1, 6):
            # Each would be due by the simulated clock.
            camera.send(stamp=simulation.set(1 + 200.0 * step))
            peer.spin_for(0.05)
        assert node._cameras[0]._statistics.report().processed == 1
