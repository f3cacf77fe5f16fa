"""Say in words who publishes a topic, and why nothing arrives."""

from collections.abc import Sequence

from rclpy.qos import QoSCompatibility, QoSProfile, qos_check_compatible
from rclpy.topic_endpoint_info import TopicEndpointInfo


def explain_silence(
    topic: str,
    message_class: type,
    subscription_qos: QoSProfile,
    publishers: Sequence[TopicEndpointInfo],
) -> str:
    """Return why no message may have arrived on a topic.

    Args:
        topic: Fully qualified name of the topic.
        message_class: What the subscription takes.
        subscription_qos: Quality of service that the subscription asks for.
        publishers: Everybody who publishes the topic.
    """
    if not publishers:
        return (
            f"Nobody publishes {topic}. Is the camera running, and is the topic remapped to its "
            "name? 'ros2 topic list' shows all topics."
        )
    # The class sensor_msgs.msg._image.Image is the type sensor_msgs/msg/Image.
    message_type = f"{message_class.__module__.split('.')[0]}/msg/{message_class.__name__}"
    reports = [_describe(info, message_type, subscription_qos) for info in publishers]
    return f"{topic} is published by {'; '.join(reports)}."


def _describe(
    publisher: TopicEndpointInfo, message_type: str, subscription_qos: QoSProfile
) -> str:
    node = f"{publisher.node_namespace.rstrip('/')}/{publisher.node_name}"
    offered = publisher.qos_profile
    text = f"{node} ({_name(offered.reliability)}, {_name(offered.durability)})"
    if publisher.topic_type != message_type:
        return f"{text}, but as {publisher.topic_type} where {message_type} is expected"
    compatibility, reason = qos_check_compatible(offered, subscription_qos)
    if compatibility == QoSCompatibility.ERROR:
        return f"{text}, which is incompatible with this node's subscription: {reason.rstrip()}"
    return f"{text}, which is compatible but sends nothing that arrives"


def _name(policy: object) -> str:
    """Return how a policy is written in commands and files, for example best_effort."""
    return str(getattr(policy, "name", policy)).lower()
