"""Run a node in a process of its own: from its command line to its exit status."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import takewhile
from typing import Protocol

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

from deepfer_ros.parameter_table import explain_parameters
from deepfer_ros.stop_signals import StopSignals
from deepfer_ros.transport import prepare_transport

_ROS_ARGS = "--ros-args"
# A signal is noticed after this time at the latest.
_LONGEST_WAIT_S = 0.2


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
    parameters: type | None = None,
    args: list[str] | None = None,
    errors: tuple[type[Exception], ...] = (),
) -> int:
    """Run a node until it is told to stop.

    Args:
        name: What it is called in messages.
        make_node: Makes the node.
        parameters: Table of its parameters, for `--help`.
        args: Command line; that of the process if None.
        errors: What making and starting the node may raise on purpose.

    Returns:
        The exit status: 0 after an ordinary end, 1 if the node could not start; one line on
        standard error says why.
    """
    own = list(takewhile(lambda arg: arg != _ROS_ARGS, sys.argv[1:] if args is None else args))
    if own:
        return _answer(name, own, parameters)
    prepare_transport()
    try:
        return _run(name, make_node, args, errors)
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    except errors as err:
        return _refuse(name, err)
    finally:
        rclpy.try_shutdown()


def _answer(name: str, arguments: list[str], parameters: type | None) -> int:
    """Answer a command line with arguments that are not for ROS: help, or a refusal."""
    if not {"-h", "--help"} & set(arguments):
        print(
            f"{name} cannot start: it knows no argument '{arguments[0]}'; parameters and names "
            f"are given as {_ROS_ARGS} -p NAME:=VALUE -r OLD:=NEW.",
            file=sys.stderr,
        )
        return 2
    print(f"usage: {name} [{_ROS_ARGS} [-p NAME:=VALUE …] [-r OLD:=NEW …] [--params-file FILE]]")
    if parameters is not None:
        print(f"\nparameters:\n{explain_parameters(parameters)}")
    return 0


def _run(
    name: str,
    make_node: Callable[[], StartableNode],
    args: list[str] | None,
    errors: tuple[type[Exception], ...],
) -> int:
    # rclpy's own answer to a signal shuts ROS down below a node that is half made or about to
    # publish, and wakes executors that are being freed: tracebacks and, now and then, a crash.
    with StopSignals() as stop:
        with _signals_as_exceptions():
            try:
                rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
            # rclpy's own errors are RuntimeErrors; this one is a wrong argument or parameter file.
            except RuntimeError as err:
                return _refuse(name, err)
            try:
                node = make_node()
            # RuntimeError again: QoS overrides that rclpy cannot use, names that ROS cannot have.
            except (ParameterException, RuntimeError) as err:
                return _refuse(name, err)
            executor = SingleThreadedExecutor()
            executor.add_node(node)
        try:
            node.start()
            while not stop:
                executor.spin_once(timeout_sec=_LONGEST_WAIT_S)
        finally:
            executor.shutdown()
            node.destroy_node()
            rclpy.try_shutdown()
    return 0


@contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    """Raise KeyboardInterrupt inside the block: what waits for a device there must not go on."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, signal.default_int_handler) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _refuse(name: str, err: Exception) -> int:
    print(f"{name} cannot start: {err}", file=sys.stderr)
    return 1
