"""Several cameras in one node, and several nodes with a camera each."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fake_camera import BLACK, FakeCamera
from fake_recognition import FakeLoader
from flood import flooded
from node_process import running
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from ros_peer import RosPeer, spinning
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from deepfer.msg import EmotionArray
from deepfer_ros.emotion_node import EmotionNode
from deepfer_ros.messages import to_image

MakeNode = Callable[..., EmotionNode]
CAMERAS = ["front", "rear", "side"]


@pytest.fixture
def node(make_node: MakeNode) -> EmotionNode:
    """Return a node with three cameras; it is neither started nor spun yet."""
    return make_node(cameras=CAMERAS)


def status_of(diagnostics: list[DiagnosticArray], camera: str) -> DiagnosticStatus | None:
    """Return the latest status of a camera."""
    for array in reversed(diagnostics):
        for status in array.status:
            if status.name.endswith(f"camera {camera}"):
                return status
    return None


def values(status: DiagnosticStatus | None) -> dict[str, str]:
    return {entry.key: entry.value for entry in status.values} if status else {}


def check_that_every_image_is_answered(camera: FakeCamera, count: int = 30) -> None:
    """Send images one after the other, each as soon as the one before has its result."""
    camera.send_until_received()
    sent = [camera.send_and_receive().header.frame_id for _ in range(count)]
    assert [result.header.frame_id for result in camera.results[-count:]] == sent


# --- a dead and a flooding camera ---


def test_dead_and_flooding_cameras_harm_no_other(
    node: EmotionNode, peer: RosPeer, loader: FakeLoader
) -> None:
    # 100 images a second at most, where one camera alone sends 200.
    loader.stream_detector.seconds = 0.01
    node.start()
    with spinning(node), flooded("front/image_raw"):
        flood = peer.listen(EmotionArray, "front/emotions")
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
        side = FakeCamera(peer, prefix="side/")
        check_that_every_image_is_answered(side)
        assert len({result.emotions[0].face_id for result in side.results}) == 1
        assert {result.header.frame_id for result in flood} == {"flood"}
        stamps = [(stamp.sec, stamp.nanosec) for stamp in (entry.header.stamp for entry in flood)]
        assert stamps == sorted(stamps)
        peer.wait_until(
            lambda: int(values(status_of(diagnostics, "front")).get("frames dropped", 0)) > 0,
            "dropped frames",
        )
        assert values(status_of(diagnostics, "side"))["frames dropped"] == "0"
        assert values(status_of(diagnostics, "rear"))["frames received"] == "0"


def test_namespaced_nodes_are_on_their_own(make_node: MakeNode, peer: RosPeer) -> None:
    with ExitStack() as stack:
        for name in CAMERAS:
            node = make_node(namespace=name)
            node.start()
            stack.enter_context(spinning(node))
        stack.enter_context(flooded("front/image_raw"))
        flood = peer.listen(EmotionArray, "front/emotions")
        check_that_every_image_is_answered(FakeCamera(peer, prefix="side/"))
        peer.wait_until(lambda: flood, "results of the flood")
        assert {result.header.frame_id for result in flood} == {"flood"}


def test_namespaced_processes_are_on_their_own(peer: RosPeer, tmp_path: Path) -> None:
    program = ["-m", "deepfer_ros.emotion_node", "--ros-args", "-r"]
    with ExitStack() as stack:
        for name in CAMERAS:
            stack.enter_context(running([*program, f"__ns:=/{name}"], tmp_path / name))
        stack.enter_context(flooded("front/image_raw"))
        check_that_every_image_is_answered(FakeCamera(peer, prefix="side/"))


# --- rounds ---


def test_faces_of_all_cameras_are_classified_together(
    node: EmotionNode, peer: RosPeer, loader: FakeLoader
) -> None:
    node.start()
    with spinning(node):
        cameras = [FakeCamera(peer, prefix=f"{name}/") for name in CAMERAS]
        for camera in cameras:
            camera.send_until_received()
        wait_for_a_quiet_node(peer, node)
        frame_ids = send_while_busy(peer, node, loader, cameras)
        for camera, frame_id in zip(cameras, frame_ids, strict=True):
            peer.wait_until(
                lambda camera=camera, frame_id=frame_id: (
                    camera.results[-1].header.frame_id == frame_id
                ),
                "the result",
            )
        # First the one that kept the node busy, then the three that came meanwhile.
        assert loader.classifier.batch_sizes[-2:] == [1, 3]
        # An id belongs to one face, whichever camera sees it.
        assert len({camera.results[-1].emotions[0].face_id for camera in cameras}) == 3


def test_bad_image_of_one_camera_harms_no_other(
    node: EmotionNode, peer: RosPeer, loader: FakeLoader, capfd: pytest.CaptureFixture[str]
) -> None:
    node.start()
    with spinning(node):
        cameras = [FakeCamera(peer, prefix=f"{name}/") for name in CAMERAS]
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
        for camera in cameras:
            camera.send_until_received()
        wait_for_a_quiet_node(peer, node)
        bad = to_image(BLACK, Header())
        bad.encoding = "blue9"
        _, frame_id, last_id = send_while_busy(peer, node, loader, cameras, {0: bad})
        peer.wait_until(
            lambda: (
                cameras[1].results[-1].header.frame_id == frame_id
                and cameras[2].results[-1].header.frame_id == last_id
            ),
            "the results of the others",
        )
        assert loader.classifier.batch_sizes[-2:] == [1, 2]
        cameras[0].send_and_receive()
        peer.wait_until(
            lambda: values(status_of(diagnostics, "front")).get("frames bad") == "1", "the count"
        )
        assert "blue9" in values(status_of(diagnostics, "front"))["last error"]
        assert values(status_of(diagnostics, "rear"))["frames bad"] == "0"
    assert "Image on /front/image_raw dropped: " in capfd.readouterr().err


def wait_for_a_quiet_node(peer: RosPeer, node: EmotionNode) -> None:
    def is_quiet() -> bool:
        reports = [camera._statistics.report() for camera in node._cameras]
        return all(report.received == report.processed + report.dropped for report in reports)

    peer.wait_until(is_quiet, "a quiet node")


def send_while_busy(
    peer: RosPeer,
    node: EmotionNode,
    loader: FakeLoader,
    cameras: list[FakeCamera],
    messages: dict[int, Image] | None = None,
) -> list[str]:
    """Send one image from every camera while the node works on one of the last; return their ids.

    Args:
        peer: Spins meanwhile.
        node: The node.
        loader: Its recognizers.
        cameras: One for each of the node's.
        messages: What a camera sends, by its index, if not a black image.
    """
    done = len(loader.stream_detector.images)
    received = [camera._statistics.report().received for camera in node._cameras]
    loader.stream_detector.gate.clear()
    cameras[-1].send()
    peer.wait_until(lambda: len(loader.stream_detector.images) > done, "the node to be busy")
    received[-1] += 1
    frame_ids = []
    for index, camera in enumerate(cameras):
        frame_ids.append(camera.send((messages or {}).get(index)))
        stream, count = node._cameras[index], received[index] + 1
        peer.wait_until(
            lambda stream=stream, count=count: stream._statistics.report().received == count,
            "the image",
        )
    loader.stream_detector.gate.set()
    return frame_ids


# --- names, switches, supervision ---


def test_topics_and_services_bear_the_names_of_the_cameras(make_node: MakeNode) -> None:
    node = make_node(cameras=["", "arm/left"], namespace="robot")
    node.start()
    assert {entry.topic_name for entry in node.subscriptions} >= {
        "/robot/image_raw",
        "/robot/arm/left/image_raw",
    }
    assert {entry.topic_name for entry in node.publishers} >= {
        "/robot/emotions",
        "/robot/emotions/image",
        "/robot/arm/left/emotions",
        "/robot/arm/left/emotions/detections",
        "/robot/arm/left/emotions/image",
        "/robot/arm/left/emotions/image/compressed",
    }
    services = [service.srv_name for service in node.services]
    assert [name for name in services if name.endswith("enable")] == ["enable", "arm/left/enable"]


def test_every_camera_keeps_the_rate_of_its_own(make_node: MakeNode, peer: RosPeer) -> None:
    node = make_node(cameras=["front", "rear"], max_rate_hz=0.01)
    node.start()
    with spinning(node):
        # The first image of the one takes no turn of the other.
        for name in ("front", "rear"):
            FakeCamera(peer, prefix=f"{name}/", node=node).send_until_received()
        assert [camera._statistics.report().processed for camera in node._cameras] == [1, 1]


def test_each_camera_can_be_switched_off_and_on(node: EmotionNode, peer: RosPeer) -> None:
    node.start()
    with spinning(node):
        front, rear = (FakeCamera(peer, prefix=f"{name}/") for name in ("front", "rear"))
        answer = peer.call(SetBool, "front/enable", SetBool.Request(data=False))
        assert answer.success
        assert answer.message == (
            "Paused: no image is received on /front/image_raw until it is enabled again."
        )
        topics = {entry.topic_name for entry in node.subscriptions}
        assert "/front/image_raw" not in topics
        assert "/rear/image_raw" in topics
        rear.send_until_received()
        assert peer.call(SetBool, "front/enable", SetBool.Request(data=True)).success
        front.send_until_received()
        answer = peer.call(SetBool, "enable", SetBool.Request(data=False))
        assert answer.message.count("Paused") == 3
        assert not [entry for entry in node.subscriptions if "image_raw" in entry.topic_name]
        assert peer.call(SetBool, "enable", SetBool.Request(data=True)).success
        rear.send_until_received()


def test_switch_of_a_camera_needs_an_active_node(node: EmotionNode, peer: RosPeer) -> None:
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    with spinning(node):
        answer = peer.call(SetBool, "front/enable", SetBool.Request(data=True))
        assert not answer.success
        assert answer.message == "The node is inactive; activate it first."


def test_silence_is_a_fault_of_cameras_that_should_not_be_silent(
    make_node: MakeNode, peer: RosPeer, capfd: pytest.CaptureFixture[str]
) -> None:
    node = make_node(cameras=CAMERAS, on_demand_cameras=["side"], image_timeout_s=2.5)
    node.start()
    with spinning(node):
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
        front = FakeCamera(peer, prefix="front/")

        def is_told() -> bool:
            front.send()
            rear = status_of(diagnostics, "rear")
            return rear is not None and rear.level == DiagnosticStatus.WARN

        peer.wait_until(is_told, "the silence")
        levels = [status_of(diagnostics, name).level for name in CAMERAS]
        assert levels == [DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.OK]
        assert "Nobody publishes /rear/image_raw." in status_of(diagnostics, "rear").message
        assert "comes and goes" in status_of(diagnostics, "side").message
    log = capfd.readouterr().err
    assert "Nobody publishes /rear/image_raw." in log
    assert "Nobody publishes /side/image_raw." not in log


def test_camera_on_demand_that_is_no_camera_is_told(
    make_node: MakeNode, capfd: pytest.CaptureFixture[str]
) -> None:
    node = make_node(cameras=["front"], on_demand_cameras=["browser"], autostart=False)
    assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
    assert "names 'browser', which is none of the cameras (front)" in capfd.readouterr().err


def test_cameras_can_be_changed_between_two_configurations(
    node: EmotionNode, peer: RosPeer
) -> None:
    node.start()
    assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
    assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
    node.set_parameters([Parameter("cameras", value=["top"])])
    node.start()
    with spinning(node):
        FakeCamera(peer, prefix="top/").send_until_received()
        topics = [entry.topic_name for entry in node.subscriptions]
        assert [name for name in topics if name.endswith("image_raw")] == ["/top/image_raw"]
