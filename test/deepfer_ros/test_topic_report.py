import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo
from sensor_msgs.msg import Image

from deepfer_ros.topic_report import explain_silence

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(
    depth=1,
    reliability=ReliabilityPolicy.RELIABLE,
    durability=DurabilityPolicy.TRANSIENT_LOCAL,
)


def publisher(
    qos: QoSProfile, *, namespace: str = "/", message_type: str = "sensor_msgs/msg/Image"
) -> TopicEndpointInfo:
    return TopicEndpointInfo(
        node_name="camera", node_namespace=namespace, topic_type=message_type, qos_profile=qos
    )


def test_nobody_publishes() -> None:
    text = explain_silence("/robot/image_raw", Image, BEST_EFFORT, [])
    assert text.startswith("Nobody publishes /robot/image_raw. ")


@pytest.mark.parametrize(
    ("offered", "requested", "expected"),
    [
        pytest.param(
            BEST_EFFORT,
            BEST_EFFORT,
            "/camera (best_effort, volatile), which is compatible",
            id="best_effort",
        ),
        pytest.param(
            RELIABLE,
            BEST_EFFORT,
            "/camera (reliable, volatile), which is compatible",
            id="more_than_asked_for",
        ),
        pytest.param(
            BEST_EFFORT,
            RELIABLE,
            "/camera (best_effort, volatile), which is incompatible with this node's",
            id="reliability",
        ),
        pytest.param(
            RELIABLE,
            LATCHED,
            "/camera (reliable, volatile), which is incompatible with this node's",
            id="durability",
        ),
    ],
)
def test_quality_of_service(offered: QoSProfile, requested: QoSProfile, expected: str) -> None:
    text = explain_silence("/image_raw", Image, requested, [publisher(offered)])
    assert text.startswith(f"/image_raw is published by {expected}")


def test_other_type() -> None:
    other = publisher(RELIABLE, message_type="sensor_msgs/msg/CompressedImage")
    text = explain_silence("/image_raw", Image, BEST_EFFORT, [other])
    assert "but as sensor_msgs/msg/CompressedImage where sensor_msgs/msg/Image is" in text


def test_all_publishers_are_named() -> None:
    publishers = [publisher(RELIABLE, namespace=namespace) for namespace in ("/left", "/right")]
    text = explain_silence("/image_raw", Image, BEST_EFFORT, publishers)
    assert "/left/camera (reliable" in text
    assert "/right/camera (reliable" in text
