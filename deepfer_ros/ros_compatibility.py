"""Where the ROS 2 distributions differ, and what the nodes take in place of each difference.

docs/distributions.md lists the differences that need no code.
"""

from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

__all__ = ["ManagedNode", "PublisherEventCallbacks", "SubscriptionEventCallbacks"]


class ManagedNode(LifecycleNode):
    """A lifecycle node that lives on when it is asked for a transition that its state lacks.

    rclpy of Humble and Jazzy raises an exception then. It would leave the executor, and whoever
    calls the service `change_state` with the wrong number would end the node. Since Kilted rclpy
    logs the fault and reports an error, as this class does everywhere.
    """

    # The name that rclpy gives to its private method: its callers find this one instead.
    def _LifecycleNodeMixin__change_state(  # noqa: N802
        self, transition_id: int
    ) -> TransitionCallbackReturn:
        try:
            return super()._LifecycleNodeMixin__change_state(transition_id)
        except rclpy_implementation.RCLError as err:
            self.get_logger().error(f"This transition is not possible now: {err}")
            return TransitionCallbackReturn.ERROR
