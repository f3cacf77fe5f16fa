"""The emotion node in this process, with recognizers that need no model."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fake_recognition import FakeLoader

    from deepfer_ros.emotion_node import EmotionNode


@pytest.fixture
def loader() -> "FakeLoader":
    from fake_recognition import FakeLoader

    return FakeLoader()


@pytest.fixture
def make_node(
    ros_environment: None, loader: "FakeLoader"
) -> "Iterator[Callable[..., EmotionNode]]":
    """Return a function that makes the node under test; it is spun by nobody yet."""
    from rclpy.context import Context
    from rclpy.parameter import Parameter

    from deepfer_ros.emotion_node import EmotionNode

    context = Context()
    context.init()
    nodes: list[EmotionNode] = []

    def make(
        load: Any = loader,  # noqa: ANN401
        namespace: str = "",
        remappings: tuple[str, ...] = (),
        **parameters: Any,  # noqa: ANN401
    ) -> EmotionNode:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        nodes.append(
            EmotionNode(
                load=load,
                context=context,
                namespace=namespace,
                parameter_overrides=overrides,
                cli_args=["--ros-args", *(word for rule in remappings for word in ("-r", rule))],
            )
        )
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()
    context.shutdown()


@pytest.fixture
def node(make_node: "Callable[..., EmotionNode]") -> "Iterator[EmotionNode]":
    """Return the node under test, active and spinning in a thread."""
    from ros_peer import spinning

    node = make_node()
    node.start()
    with spinning(node):
        yield node
