"""The emotion node and publishers of every quality of service."""

import time
from collections.abc import Callable, Iterator
from itertools import product

import pytest
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from fake_camera import BLACK
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from ros_peer import RosPeer, spinning
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from deepfer.msg import EmotionArray
from deepfer_ros.emotion_node import EmotionNode
from deepfer_ros.messages import to_image

MakeNode = Callable[..., EmotionNode]
RELIABILITIES = ("best_effort", "reliable")
DURABILITIES = ("volatile", "transient_local")


def make_qos(reliability: str, durability: str) -> QoSProfile:
    return QoSProfile(
        depth=5,
        reliability=ReliabilityPolicy[reliability.upper()],
        durability=DurabilityPolicy[durability.upper()],
    )


def make_overrides(**policies: str) -> dict[str, str]:
    """Return the parameters that override the quality of service of the images."""
    return {
        f"qos_overrides./image_raw.subscription.{policy}": value
        for policy, value in policies.items()
    }


def combinations(*, compatible: bool) -> Iterator[object]:
    """Yield what a publisher offers and a subscription demands, if they fit or do not."""
    for combination in product(RELIABILITIES, DURABILITIES, RELIABILITIES, DURABILITIES):
        offered, demanded = combination[:2], combination[2:]
        fits = all(
            names.index(offer) >= names.index(demand)
            for names, offer, demand in zip(
                (RELIABILITIES, DURABILITIES), offered, demanded, strict=True
            )
        )
        if fits == compatible:
            name = f"{'+'.join(offered)}-for-{'+'.join(demanded)}"
            yield pytest.param(offered, demanded, id=name)


@pytest.mark.parametrize(("offered", "demanded"), combinations(compatible=True))
def test_images_arrive(
    make_node: MakeNode, peer: RosPeer, offered: tuple[str, str], demanded: tuple[str, str]
) -> None:
    overrides = make_overrides(reliability=demanded[0], durability=demanded[1])
    node = make_node(**overrides)
    node.start()
    with spinning(node):
        results = peer.listen(EmotionArray, "emotions")
        publisher = peer.advertise(Image, "image_raw", make_qos(*offered))
        message = to_image(BLACK, Header(frame_id="camera"))
        peer.wait_until(
            lambda: publisher.publish(message) or peer.spin_for(0.05) or results, "a result"
        )
        assert results[0].header.frame_id == "camera"


@pytest.mark.parametrize(("offered", "demanded"), combinations(compatible=False))
def test_publishers_that_do_not_fit_are_named_at_once(
    make_node: MakeNode,
    peer: RosPeer,
    capfd: pytest.CaptureFixture[str],
    offered: tuple[str, str],
    demanded: tuple[str, str],
) -> None:
    # ROS goes on for a while to list the publishers of a process that a test has killed.
    peer.wait_until(
        lambda: not peer.node.get_publishers_info_by_topic("/image_raw"),
        "earlier publishers to be forgotten",
        timeout_s=60,
    )
    overrides = make_overrides(reliability=demanded[0], durability=demanded[1])
    # There is no need to wait for the image that never comes.
    node = make_node(image_timeout_s=0.0, **overrides)
    node.start()
    with spinning(node):
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
        peer.node.create_publisher(Image, "image_raw", make_qos(*offered))
        peer.wait_until(
            lambda: diagnostics and diagnostics[-1].status[1].level == DiagnosticStatus.WARN,
            "a warning",
        )
        message = diagnostics[-1].status[1].message
    named = f"/image_raw is published by /peer ({', '.join(offered)}), which is incompatible"
    assert named in message
    log = capfd.readouterr().err
    assert "A publisher's quality of service is incompatible." in log
    assert named in log


def test_one_publisher_that_fits_is_enough(make_node: MakeNode, peer: RosPeer) -> None:
    node = make_node(image_timeout_s=0.0, **make_overrides(reliability="reliable"))
    node.start()
    with spinning(node):
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
        results = peer.listen(EmotionArray, "emotions")
        peer.node.create_publisher(Image, "image_raw", make_qos("best_effort", "volatile"))
        peer.wait_until(
            lambda: diagnostics and diagnostics[-1].status[1].level == DiagnosticStatus.WARN,
            "a warning",
        )
        publisher = peer.advertise(Image, "image_raw", make_qos("reliable", "volatile"))
        message = to_image(BLACK, Header())
        peer.wait_until(
            lambda: publisher.publish(message) or peer.spin_for(0.05) or results, "a result"
        )
        peer.wait_until(
            lambda: diagnostics[-1].status[1].level == DiagnosticStatus.OK, "the all-clear"
        )


def test_latched_image_reaches_a_node_that_starts_later(
    make_node: MakeNode, peer: RosPeer
) -> None:
    latched = make_qos("reliable", "transient_local")
    publisher = peer.node.create_publisher(Image, "image_raw", latched)
    publisher.publish(to_image(BLACK, Header(frame_id="once")))
    node = make_node(
        autostart=False,
        **make_overrides(reliability="reliable", durability="transient_local"),
    )
    node.trigger_configure()
    with spinning(node):
        results = peer.listen(EmotionArray, "emotions")
        node.trigger_activate()
        peer.wait_until(lambda: results, "the result")
        assert results[0].header.frame_id == "once"


@pytest.mark.parametrize(
    ("message_type", "fault"),
    [
        pytest.param(None, "Nobody publishes /image_raw.", id="nobody"),
        pytest.param(Image, "/peer (reliable, volatile), which is compatible", id="silent"),
        pytest.param(
            CompressedImage,
            "/peer (reliable, volatile), but as sensor_msgs/msg/CompressedImage where",
            id="another_type",
        ),
    ],
)
def test_silence_is_explained(
    make_node: MakeNode,
    peer: RosPeer,
    capfd: pytest.CaptureFixture[str],
    message_type: type | None,
    fault: str,
) -> None:
    node = make_node(image_timeout_s=0.5)
    if message_type is not None:
        peer.node.create_publisher(message_type, "image_raw", 10)
        peer.wait_until(lambda: node.count_publishers("image_raw"), "the publisher")
    node.start()
    with spinning(node):
        diagnostics = peer.listen(DiagnosticArray, "/diagnostics")
        peer.wait_until(
            lambda: diagnostics and fault in diagnostics[-1].status[1].message, "the fault"
        )
        assert diagnostics[-1].status[1].level == DiagnosticStatus.WARN
    assert fault in capfd.readouterr().err


def test_subscriber_that_demands_too_much_is_told(
    make_node: MakeNode, peer: RosPeer, capfd: pytest.CaptureFixture[str]
) -> None:
    node = make_node()
    node.start()
    log = ""

    def is_told() -> bool:
        nonlocal log
        log += capfd.readouterr().err
        return "New subscription discovered on topic 'emotions', requesting incompatible" in log

    def demand_too_much() -> bool:
        """Subscribe, and return whether the node says within seconds that it does not fit."""
        subscription = peer.node.create_subscription(
            EmotionArray, "emotions", lambda message: None, make_qos("reliable", "transient_local")
        )
        end_s = time.monotonic() + 5
        while not is_told() and time.monotonic() < end_s:
            peer.spin_for(0.05)
        peer.node.destroy_subscription(subscription)
        return is_told()

    with spinning(node):
        # On a busy machine the event may come before the executor waits for it, and is lost.
        assert any(demand_too_much() for _ in range(5))


def test_every_topic_can_be_overridden(make_node: MakeNode) -> None:
    node = make_node(cameras=["", "front"])
    node.start()
    names = set(node.get_parameters_by_prefix("qos_overrides"))
    topics = {
        f"{prefix}/emotions{topic}.publisher"
        for prefix in ("", "/front")
        for topic in ("", "/detections", "/image", "/image/compressed", "/labels")
    }
    topics |= {"/image_raw.subscription", "/front/image_raw.subscription"}
    topics |= {"/diagnostics.publisher"}
    policies = ("history", "depth", "reliability", "durability")
    assert names >= {f"{topic}.{policy}" for topic in topics for policy in policies}
