"""The topics of ROS4HRI of an emotion node in this process, read as libhri reads them."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("rclpy", reason="needs ROS")
pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs")

from builtin_interfaces.msg import Time
from fake_camera import FakeCamera
from fake_recognition import FACE_XYWH, FakeLoader
from hri_msgs import msg as hri_msgs
from rclpy.lifecycle import TransitionCallbackReturn
from ros_peer import RosPeer, spinning
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import Image
from vision_msgs.msg import LabelInfo

if TYPE_CHECKING:
    from deepfer_ros.emotion_node import EmotionNode

MakeNode = Callable[..., "EmotionNode"]
TRACKED = "/humans/faces/tracked"
TOPICS = {
    "roi": hri_msgs.NormalizedRegionOfInterest2D,
    "landmarks": hri_msgs.FacialLandmarks,
    "expression": hri_msgs.Expression,
    "cropped": Image,
    "aligned": Image,
}


def face_topics(node: "EmotionNode") -> set[str]:
    return {
        publisher.topic_name
        for publisher in node.publishers
        if publisher.topic_name.startswith("/humans/faces/") and publisher.topic_name != TRACKED
    }


def wait_for_faces(peer: RosPeer, camera: FakeCamera, tracked: list[Any], count: int) -> list[str]:
    """Send images until so many faces are tracked, and return their ids."""

    def has_come() -> bool:
        camera.send()
        peer.spin_for(0.05)
        return bool(tracked) and len(tracked[-1].ids) == count

    peer.wait_until(has_come, f"{count} tracked faces")
    return list(tracked[-1].ids)


def test_a_face_has_the_topics_that_libhri_reads(make_node: MakeNode, peer: RosPeer) -> None:
    with spinning(make_node(publish_ros4hri=True)) as node:
        node.start()
        camera = FakeCamera(peer)
        tracked = peer.listen(hri_msgs.IdsList, TRACKED)
        (face_id,) = wait_for_faces(peer, camera, tracked, 1)
        assert face_id == camera.results[-1].emotions[0].face_id
        assert tracked[-1].header.frame_id.startswith("camera")
        assert face_topics(node) == {f"/humans/faces/{face_id}/{name}" for name in TOPICS}

        received = {
            name: peer.listen(message_type, f"/humans/faces/{face_id}/{name}")
            for name, message_type in TOPICS.items()
        }
        peer.wait_until(
            lambda: camera.send() and peer.spin_for(0.05) is None and all(received.values()),
            "a message on every topic of the face",
        )
    for messages in received.values():
        assert messages[-1].header.frame_id.startswith("camera")
        assert messages[-1].header.stamp.sec > 0
    roi = received["roi"][-1]
    # The images of the test have 64 x 72 pixels.
    assert roi.xmin == pytest.approx(FACE_XYWH[0] / 64)
    assert roi.ymax == pytest.approx((FACE_XYWH[1] + FACE_XYWH[3]) / 72)
    assert received["expression"][-1].expression == "happy"
    assert received["expression"][-1].valence > 0.4
    crop = received["cropped"][-1]
    assert (crop.encoding, crop.width, crop.height) == ("bgr8", 128, 128)


def test_topics_go_when_a_face_has_been_away_for_long(
    make_node: MakeNode, peer: RosPeer, loader: FakeLoader
) -> None:
    with spinning(make_node(publish_ros4hri=True)) as node:
        node.start()
        camera = FakeCamera(peer)
        tracked = peer.listen(hri_msgs.IdsList, TRACKED)
        (face_id,) = wait_for_faces(peer, camera, tracked, 1)
        topics = face_topics(node)
        loader.stream_detector.boxes_xywh = ()
        camera.send_and_receive()
        peer.wait_until(lambda: tracked[-1].header == camera.results[-1].header, "the ids")
        assert list(tracked[-1].ids) == [face_id], "a moment is not long"
        assert face_topics(node) == topics
        wait_for_faces(peer, camera, tracked, 0)
        assert face_topics(node) == set()


def test_a_face_that_is_seen_once_gets_no_topics(
    make_node: MakeNode, peer: RosPeer, loader: FakeLoader
) -> None:
    loader.stream_detector.boxes_xywh = ()
    with spinning(make_node(publish_ros4hri=True)) as node:
        node.start()
        camera = FakeCamera(peer)
        camera.send_until_received()
        loader.stream_detector.boxes_xywh = (FACE_XYWH,)
        assert len(camera.send_and_receive().emotions) == 1
        loader.stream_detector.boxes_xywh = ()
        camera.send_and_receive()
        assert face_topics(node) == set()


def test_a_silent_camera_loses_its_faces(make_node: MakeNode, peer: RosPeer) -> None:
    with spinning(make_node(publish_ros4hri=True)) as node:
        node.start()
        tracked = peer.listen(hri_msgs.IdsList, TRACKED)
        wait_for_faces(peer, FakeCamera(peer), tracked, 1)
        peer.wait_until(lambda: not tracked[-1].ids, "an empty list, though no image came")
        # The list comes first, so that nobody subscribes to a topic that goes.
        peer.wait_until(lambda: not face_topics(node), "the topics to go")


def test_faces_go_after_simulated_time_has_jumped_back(make_node: MakeNode, peer: RosPeer) -> None:
    with spinning(make_node(publish_ros4hri=True, use_sim_time=True)) as node:
        clock = peer.advertise(Clock, "/clock")

        def set_time(seconds: int) -> None:
            def is_set() -> bool:
                clock.publish(Clock(clock=Time(sec=seconds)))
                return node.get_clock().now().nanoseconds == seconds * 10**9

            peer.wait_until(is_set, f"the time {seconds} s")

        node.start()
        tracked = peer.listen(hri_msgs.IdsList, TRACKED)
        set_time(1000)
        wait_for_faces(peer, FakeCamera(peer), tracked, 1)
        set_time(10)
        # The face is taken as of now by the timer, whatever it sees first.
        peer.spin_for(2.0)
        set_time(20)
        peer.wait_until(lambda: not tracked[-1].ids, "an empty list")


def test_deactivating_removes_all_and_says_so(make_node: MakeNode, peer: RosPeer) -> None:
    node = make_node(publish_ros4hri=True)
    with spinning(node):
        node.start()
        tracked = peer.listen(hri_msgs.IdsList, TRACKED)
        wait_for_faces(peer, FakeCamera(peer), tracked, 1)
        assert node.trigger_deactivate() == TransitionCallbackReturn.SUCCESS
        peer.wait_until(lambda: not tracked[-1].ids, "an empty list")
        assert face_topics(node) == set()
        assert node.trigger_cleanup() == TransitionCallbackReturn.SUCCESS
        assert TRACKED not in {publisher.topic_name for publisher in node.publishers}


def test_the_faces_of_all_cameras_have_different_ids(make_node: MakeNode, peer: RosPeer) -> None:
    with spinning(make_node(publish_ros4hri=True, cameras=["front", "rear"])) as node:
        node.start()
        tracked = peer.listen(hri_msgs.IdsList, TRACKED)
        front, rear = FakeCamera(peer, prefix="front/"), FakeCamera(peer, prefix="rear/")

        def both_are_tracked() -> bool:
            front.send()
            rear.send()
            peer.spin_for(0.05)
            return bool(tracked) and len(set(tracked[-1].ids)) == 2

        peer.wait_until(both_are_tracked, "a face of either camera")
        # The list always holds both, whichever camera's frame it comes with.
        seen = len(tracked)
        for camera in (front, rear, front):
            camera.send_and_receive()
        peer.wait_until(lambda: len(tracked) >= seen + 3, "three more lists")
        assert all(len(message.ids) == 2 for message in tracked[seen:])
        assert len(face_topics(node)) == 2 * len(TOPICS)


def test_without_the_parameter_there_is_nothing(make_node: MakeNode, peer: RosPeer) -> None:
    with spinning(make_node()) as node:
        node.start()
        camera = FakeCamera(peer)
        for _ in range(3):
            camera.send_until_received()
        assert not any("/humans" in publisher.topic_name for publisher in node.publishers)


def test_without_hri_msgs_configuring_fails_and_says_what_to_install(
    make_node: MakeNode, monkeypatch: pytest.MonkeyPatch
) -> None:
    import deepfer_ros

    for name in [name for name in sys.modules if name.split(".")[0] == "hri_msgs"]:
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "deepfer_ros.ros4hri_messages", raising=False)
    monkeypatch.delattr(deepfer_ros, "ros4hri_messages", raising=False)
    logged: list[str] = []
    node = make_node(autostart=False, publish_ros4hri=True)
    monkeypatch.setattr(node.get_logger(), "error", logged.append, raising=False)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "install ros-$ROS_DISTRO-hri-msgs" in node._failure
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE


@pytest.mark.parametrize("prefix", ["", "front/"], ids=["one camera", "a named camera"])
def test_the_labels_are_latched(make_node: MakeNode, peer: RosPeer, prefix: str) -> None:
    from rclpy.qos import DurabilityPolicy, QoSProfile

    cameras = [prefix.rstrip("/")]
    with spinning(make_node(autostart=False, cameras=cameras)) as node:
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        infos = peer.listen(LabelInfo, f"{prefix}emotions/labels", latched)
        peer.wait_until(lambda: infos, "the labels")
    names = {entry.class_id: entry.class_name for entry in infos[0].class_map}
    assert names == dict(enumerate(FakeLoader().labels))
    assert infos[0].header.stamp.sec > 0
