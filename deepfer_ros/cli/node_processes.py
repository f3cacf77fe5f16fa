"""Start ROS nodes as child processes, listen to what they say, and end them all again."""

import contextlib
import ctypes
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType

import click

from deepfer_ros.stop_signals import StopSignals

CAMERA_MODULE = "deepfer_ros.camera_node"
EMOTION_MODULE = "deepfer_ros.emotion_node"
WEB_MODULE = "deepfer_ros.web.web_node"

NodeParameters = Mapping[str, str | float | bool | list[str] | None]
"""Parameters of a node by name; None leaves the node's own default."""

_KEPT_LINES = 50
# First politely; a node that does not listen is ended by force. Not SIGINT: a node that is still
# importing would answer it with a traceback. A camera node may wait 6 s for a webcam that hangs.
_ENDING = ((signal.SIGTERM, 7.0), (signal.SIGKILL, 3.0))
_PR_SET_PDEATHSIG = 1
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that a node has written.

    Attributes:
        node: Who wrote it.
        severity: `INFO`, `WARN`, `ERROR`, … or empty if it did not come from ROS's log.
        text: What it says.
    """

    node: str
    severity: str
    text: str


class NodeProcess:
    """A node of this package in a child process, in a process group of its own.

    A group of its own keeps Ctrl-C in the terminal from reaching it before its parent; should the
    parent be killed, the kernel ends it.

    Args:
        module: Module whose `main` runs the node.
        ros_arguments: What follows `--ros-args`.
        captured: Whether its output is kept for `lines`; otherwise it goes to the terminal.
    """

    def __init__(
        self, module: str, ros_arguments: Sequence[str], *, captured: bool = False
    ) -> None:
        self.name = module.rpartition(".")[2]
        self.lines: queue.SimpleQueue[LogLine] = queue.SimpleQueue()
        self._last_lines: deque[str] = deque(maxlen=_KEPT_LINES)
        # No module of the same name in the current folder shall be taken instead.
        environment = os.environ | {"PYTHONSAFEPATH": "1", "PYTHONUNBUFFERED": "1"}
        if captured:
            environment |= {
                "RCUTILS_CONSOLE_OUTPUT_FORMAT": "[{severity}] {message}",
                "RCUTILS_COLORIZED_OUTPUT": "0",
            }
        output = subprocess.PIPE if captured else None
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "--ros-args", *ros_arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if captured else None,
            env=environment,
            start_new_session=True,
            preexec_fn=_end_with_parent(),
            encoding="utf-8",
            errors="replace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)

    def listen(self) -> None:
        """Start to read the output; to be called when all processes have been started.

        A thread that runs while another child is forked could leave locks behind in that child.
        """
        if self._process.stdout is not None:
            self._reader.start()

    @property
    def pid(self) -> int:
        """Number of the process."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit status, or None while it runs."""
        return self._process.poll()

    @property
    def last_words(self) -> str:
        """The last line that it wrote, which is where errors are."""
        self._join_reader()
        return self._last_lines[-1] if self._last_lines else "it wrote nothing"

    @property
    def first_error(self) -> str:
        """The first error that it logged, or an empty string."""
        for line in list(self._last_lines):
            entry = _parse(self.name, line)
            if entry.severity in ("ERROR", "FATAL"):
                return entry.text
        return ""

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group of the process."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the end; return whether it came in time."""
        try:
            self._process.wait(max(timeout_s, 0.0))
        except subprocess.TimeoutExpired:
            return False
        return True

    def close(self) -> None:
        """Free what is left after the end."""
        self._join_reader()
        # A child of the node's may have its output still; closing would wait until that ends.
        if self._process.stdout is not None and not self._reader.is_alive():
            self._process.stdout.close()

    def _join_reader(self) -> None:
        """Wait a moment for the rest of the output of a process that has ended."""
        if self._reader.is_alive() and self.returncode is not None:
            self._reader.join(1.0)

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            text = line.rstrip()
            if text:
                self._last_lines.append(text)
                self.lines.put(_parse(self.name, text))


class NodeGroup:
    """Several nodes that end together, at the latest when the `with` block is left.

    Args:
        ros_arguments: For each node's module what follows `--ros-args`.
        captured: See `NodeProcess`.

    Raises:
        OSError: No process can be started.
    """

    def __init__(
        self, ros_arguments: Mapping[str, Sequence[str]], *, captured: bool = False
    ) -> None:
        self.nodes: list[NodeProcess] = []
        try:
            for module, arguments in ros_arguments.items():
                self.nodes.append(NodeProcess(module, arguments, captured=captured))
        except OSError:
            self.end()
            raise
        for node in self.nodes:
            node.listen()

    def __enter__(self) -> "NodeGroup":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def ended(self) -> NodeProcess | None:
        """A node that has ended, or None while all run."""
        return next((node for node in self.nodes if node.returncode is not None), None)

    def drain_lines(self) -> list[LogLine]:
        """Return what the nodes have written since the last call."""
        lines = []
        for node in self.nodes:
            with contextlib.suppress(queue.Empty):
                while True:
                    lines.append(node.lines.get_nowait())
        return lines

    def end(self) -> None:
        """End all nodes, by force if need be. May be called again."""
        for number, timeout_s in _ENDING:
            # Also to those that have ended: they may have left children behind.
            for node in self.nodes:
                node.send(number)
            end_s = time.monotonic() + timeout_s
            if all([node.wait(end_s - time.monotonic()) for node in self.nodes]):
                break
        for node in self.nodes:
            node.close()


def run_nodes(ros_arguments: Mapping[str, Sequence[str]]) -> None:
    """Run nodes with their output on the terminal, until a signal comes or one of them ends.

    Raises:
        click.ClickException: A node ended by itself.
    """
    with StopSignals() as stop, NodeGroup(ros_arguments) as nodes:
        while not stop and nodes.ended is None:
            time.sleep(_POLL_S)
        ended = nodes.ended
        if not stop and ended is not None:
            raise click.ClickException(
                f"{ended.name} has ended with status {ended.returncode}, so everything ends."
            )


def parameter_arguments(parameters: NodeParameters) -> list[str]:
    """Return the ROS arguments that set parameters; those that are None are left out.

    Texts are quoted so that ROS, which reads YAML, takes "0" or "yes" for a text.
    """
    arguments = []
    for name, value in parameters.items():
        if value is not None:
            arguments += ["-p", f"{name}:={json.dumps(value, ensure_ascii=False)}"]
    return arguments


def _end_with_parent() -> Callable[[], None]:
    """Return what a child has to do first so that it does not outlive a parent that is killed."""
    # Found before the fork: a forked child must do as little as possible.
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    parent = os.getpid()

    def end_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return end_with_parent


def _parse(node: str, line: str) -> LogLine:
    """Split a line of ROS's log, written in the format that `NodeProcess` sets."""
    if line.startswith("["):
        severity, bracket, text = line[1:].partition("] ")
        if bracket and severity in ("DEBUG", "INFO", "WARN", "ERROR", "FATAL"):
            return LogLine(node, severity, text)
    return LogLine(node, "", line)
