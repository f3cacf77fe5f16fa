"""What may be overridden of the quality of service of the nodes' topics."""

from rclpy.qos import QoSPolicyKind
from rclpy.qos_overriding_options import QoSOverridingOptions

# rclpy's own choice and durability: some drivers latch their images, some viewers want that.
OVERRIDABLE_QOS = QoSOverridingOptions(
    (
        QoSPolicyKind.HISTORY,
        QoSPolicyKind.DEPTH,
        QoSPolicyKind.RELIABILITY,
        QoSPolicyKind.DURABILITY,
    )
)
"""For the argument `qos_overriding_options` of every publisher and subscription."""
