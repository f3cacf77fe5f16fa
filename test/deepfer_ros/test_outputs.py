"""The topics of one camera, as viewers and operators meet them."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("rclpy", reason="needs ROS")

from fake_camera import FakeCamera
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_peer import RosPeer
from sensor_msgs.msg import CompressedImage, Image

if TYPE_CHECKING:
    from deepfer_ros.emotion_node import EmotionNode

MakeNode = Callable[..., "EmotionNode"]


@pytest.mark.parametrize("reliability", ["RELIABLE", "BEST_EFFORT"])
@pytest.mark.parametrize(
    ("message_type", "topic"),
    [(Image, "emotions/image"), (CompressedImage, "emotions/image/compressed")],
    ids=["raw", "compressed"],
)
def test_every_viewer_gets_the_annotated_images(
    node: "EmotionNode", peer: RosPeer, message_type: type, topic: str, reliability: str
) -> None:
    """RViz and rqt can be set to either quality of service."""
    camera = FakeCamera(peer)
    qos = QoSProfile(depth=1, reliability=ReliabilityPolicy[reliability])
    images = peer.listen(message_type, topic, qos)
    peer.wait_until(lambda: camera.send() and peer.spin_for(0.05) is None and images, topic)
    assert images[-1].header.frame_id.startswith("camera")


@pytest.mark.parametrize("value", ["perfect", 3], ids=["unknown value", "wrong type"])
@pytest.mark.parametrize("topic", ["emotions", "emotions/image/compressed", "emotions/labels"])
def test_a_wrong_override_leaves_no_publisher_behind(
    make_node: MakeNode, topic: str, value: object
) -> None:
    override = {f"qos_overrides./{topic}.publisher.reliability": value}
    node = make_node(autostart=False, **override)
    before = {publisher.topic_name for publisher in node.publishers}
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert {publisher.topic_name for publisher in node.publishers} == before
