"""Run a node in a process of its own: from its command line to its exit status."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import (
    SignalHandlerOptions,
    install_signal_handlers,
    uninstall_signal_handlers,
)

from deepfer_ros.transport import prepare_transport

_LONGEST_WAIT_S = 0.5


class StartableNode(Protocol):
    """What `run_node` needs of a node, beside being one."""

    def start(self) -> None:
        """Begin to work; what may take long belongs here and not into the constructor."""

    def destroy_node(self) -> None:
        """Stop all threads and free everything."""


def run_node(
    name: str,
    make_node: Callable[[], StartableNode],
    *,
    args: list[str] | None = None,
    errors: tuple[type[Exception], ...] = (),
) -> int:
    """Run a node until it is told to stop.

    Args:
        name: What it is called in messages.
        make_node: Makes the node.
        args: Command line; that of the process if None.
        errors: What making and starting the node may raise on purpose.

    Returns:
        The exit status: 0 after an ordinary end, 1 if the node could not start; one line on
        standard error says why.
    """
    prepare_transport()
    try:
        return _run(name, make_node, args, errors)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except errors as err:
        return _refuse(name, err)
    finally:
        rclpy.try_shutdown()


def _run(
    name: str,
    make_node: Callable[[], StartableNode],
    args: list[str] | None,
    errors: tuple[type[Exception], ...],
) -> int:
    # ROS's own answer to a signal would shut ROS down below a node that is half made.
    with _signals_as_exceptions():
        try:
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        # rclpy's own errors are RuntimeErrors; this one is a wrong argument or parameter file.
        except RuntimeError as err:
            return _refuse(name, err)
        try:
            node = make_node()
        except ParameterException as err:
            return _refuse(name, err)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
    install_signal_handlers(SignalHandlerOptions.ALL)
    try:
        node.start()
        # With executor.spin() a signal just before its first wait is lost, and it waits for ever.
        while rclpy.ok():
            executor.spin_once(timeout_sec=_LONGEST_WAIT_S)
    finally:
        _end_signals()
        executor.shutdown()
        node.destroy_node()
    return 0


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM too, inside the block."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end_signals() -> None:
    """Let no signal disturb the end, which has begun.

    rclpy answers signals in a thread that wakes the executors; one that is being freed meanwhile
    would crash the process. Uninstalling ends that thread and brings Python's handlers back, under
    which a second Ctrl-C would break off the end.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    uninstall_signal_handlers()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def _refuse(name: str, err: Exception) -> int:
    print(f"{name} cannot start: {err}", file=sys.stderr)
    return 1
