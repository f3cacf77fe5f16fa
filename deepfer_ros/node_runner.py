"""Run a node in a process of its own: from its command line to its exit status."""

import gc
import sys
from collections.abc import Callable
from itertools import takewhile
from typing import Protocol

import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions, uninstall_signal_handlers

from deepfer_ros.parameter_table import explain_parameters
from deepfer_ros.stop_signals import StopSignals
from deepfer_ros.transport import prepare_transport

_ROS_ARGS = "--ros-args"
# A signal is noticed after this time at the latest.
_LONGEST_WAIT_S = 0.2


class StartableNode(Protocol):
    """What `run_node` needs of a node, beside being one.

    A signal interrupts the constructor, but not `start`. So what waits for a device belongs into
    the constructor, and what starts a thread that has to be stopped into `start`.
    """

    def start(self) -> None:
        """Begin to work."""

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
        The exit status: 0 after an ordinary end, also one that a signal asked for while the node
        was starting; 1 if it could not start; 2 if the command line is not for ROS. One line on
        standard error says why.
    """
    own = list(takewhile(lambda arg: arg != _ROS_ARGS, sys.argv[1:] if args is None else args))
    if own:
        return _answer(name, own, parameters)
    prepare_transport()
    # rclpy's own answer to a signal shuts ROS down below a node that is half made or about to
    # publish, and wakes executors that are being freed: tracebacks and, now and then, a crash.
    with StopSignals() as stop:
        try:
            return _run(name, make_node, args, stop)
        except (KeyboardInterrupt, ExternalShutdownException):
            return 0
        except errors as err:
            return 0 if stop else _refuse(name, err)
        finally:
            # A node lies in reference cycles. What nobody collects now, the interpreter takes down
            # at its own end, in any order and with the middleware's threads still running.
            gc.collect()
            rclpy.try_shutdown()
            # Up to Jazzy, shutting down leaves the thread that rclpy has for signals.
            uninstall_signal_handlers()


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
    stop: StopSignals,
) -> int:
    with stop.interrupting():
        try:
            rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
        # rclpy's own errors are RuntimeErrors; this one is a wrong argument or parameter file.
        except RuntimeError as err:
            return _refuse(name, err)
        except UnicodeEncodeError as err:
            return _refuse(
                name,
                f"the argument '{err.object}' is not UTF-8, and ROS takes nothing else; write it "
                "in UTF-8, and rename a file whose name is not.",
            )
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
    return 0


def _refuse(name: str, reason: Exception | str) -> int:
    print(f"{name} cannot start: {reason}", file=sys.stderr)
    return 1
