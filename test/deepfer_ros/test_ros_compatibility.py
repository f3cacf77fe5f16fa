"""The nodes behave alike on every distribution."""

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

pytest.importorskip("rclpy")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.context import Context
from rclpy.lifecycle import TransitionCallbackReturn
from ros_peer import RosPeer, spinning

from deepfer_ros import ros_compatibility
from deepfer_ros.ros_compatibility import ManagedNode


@pytest.fixture
def node(ros_environment: None) -> Iterator[ManagedNode]:
    context = Context()
    context.init()
    node = ManagedNode("managed", context=context)
    yield node
    node.destroy_node()
    context.shutdown()


class TestImpossibleTransitions:
    @pytest.mark.parametrize("name", ["activate", "deactivate", "cleanup"])
    def test_are_reported_as_an_error(self, node: ManagedNode, name: str) -> None:
        assert getattr(node, f"trigger_{name}")() == TransitionCallbackReturn.ERROR
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS

    @pytest.mark.parametrize(
        "transition",
        [
            Transition(id=Transition.TRANSITION_ACTIVATE),
            Transition(id=255),
            Transition(label="no such label"),
        ],
        ids=["of another state", "unknown number", "unknown label"],
    )
    def test_do_not_end_the_node(
        self, node: ManagedNode, peer: RosPeer, transition: Transition
    ) -> None:
        with spinning(node):
            request = ChangeState.Request(transition=transition)
            assert not peer.call(ChangeState, "/managed/change_state", request).success
            state = peer.call(GetState, "/managed/get_state", GetState.Request()).current_state
            assert state.label == "unconfigured"


@pytest.mark.parametrize(
    ("present", "absent"),
    [("rclpy.qos_event", "rclpy.event_handler"), ("rclpy.event_handler", "rclpy.qos_event")],
    ids=["Humble", "later"],
)
def test_the_classes_for_events_of_quality_of_service(
    monkeypatch: pytest.MonkeyPatch, present: str, absent: str
) -> None:
    module = ModuleType(present)
    module.SubscriptionEventCallbacks = object()  # type: ignore[attr-defined]
    module.PublisherEventCallbacks = object()  # type: ignore[attr-defined]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, present, module)
        patch.setitem(sys.modules, absent, None)
        importlib.reload(ros_compatibility)
        assert ros_compatibility.SubscriptionEventCallbacks is module.SubscriptionEventCallbacks
        assert ros_compatibility.PublisherEventCallbacks is module.PublisherEventCallbacks
    importlib.reload(ros_compatibility)
