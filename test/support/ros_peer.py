"""The other side of a node under test: publishes, listens, calls, and waits for conditions."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rclpy.client import Client
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile
from rclpy.task import Future

TIMEOUT_S = 20.0
"""Longest wait for anything: the machine may be busy, and discovery takes seconds at times."""

REPEAT_S = 6.0
"""Time after which an answer is taken for lost."""

_T = TypeVar("_T")


class RosPeer:
    """A node in a context of its own, spun only while it waits."""

    def __init__(self, name: str = "peer") -> None:
        self.context = Context()
        self.context.init()
        self.node = Node(name, context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._clients: dict[str, Client] = {}

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.shutdown()

    def wait_until(
        self, condition: Callable[[], object], what: str, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Spin until a condition holds, and fail the test if it never does."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, f"waited {timeout_s} s in vain for {what}"
            self._executor.spin_once(timeout_sec=0.05)

    def spin_for(self, seconds: float) -> None:
        """Spin for a while, to see that something does not happen."""
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self._executor.spin_once(timeout_sec=0.02)

    def listen(self, message_type: type[_T], topic: str, qos: QoSProfile | int = 10) -> list[_T]:
        """Return a list that grows with every message, once a publisher is matched."""
        received: list[_T] = []
        subscription = self.node.create_subscription(message_type, topic, received.append, qos)
        self.wait_until(
            lambda: self.node.count_publishers(subscription.topic_name), f"a publisher of {topic}"
        )
        return received

    def advertise(self, message_type: type, topic: str, qos: QoSProfile | int = 10) -> Publisher:
        """Return a publisher, once a subscription is matched."""
        publisher = self.node.create_publisher(message_type, topic, qos)
        self.wait_until(publisher.get_subscription_count, f"a subscription to {topic}")
        return publisher

    def call(self, service_type: type, service: str, request: object) -> object:
        """Call a service until it answers, and return the answer.

        An answer gets lost if the service finds its client later than the client the service, as
        may happen on a busy machine. So the call is repeated: a second one must do no more than
        the first.
        """
        end_s = time.monotonic() + TIMEOUT_S
        while True:
            pending = self.start_call(service_type, service, request)
            tries_on = time.monotonic() + REPEAT_S < end_s
            try:
                self.wait_until(
                    pending.done, f"an answer of {service}", REPEAT_S if tries_on else TIMEOUT_S
                )
            except AssertionError:
                if not tries_on:
                    raise
            else:
                return pending.result()

    def start_call(self, service_type: type, service: str, request: object) -> Future:
        """Call a service and return the future of its answer.

        The answer may get lost, as `call` says, unless the service has answered this peer before.
        """
        if service not in self._clients:
            self._clients[service] = self.node.create_client(service_type, service)
        self.wait_until(self._clients[service].service_is_ready, f"the service {service}")
        return self._clients[service].call_async(request)


@contextmanager
def spinning(node: Node) -> Iterator[Node]:
    """Spin a node in a thread, as its own process would."""
    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)

    def spin() -> None:
        try:
            executor.spin()
        except ExternalShutdownException:
            pass

    thread = threading.Thread(target=spin)
    thread.start()
    try:
        yield node
    finally:
        executor.shutdown()
        thread.join()
        node.destroy_node()
