"""A node in a process of its own."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TIMEOUT_S = 30.0
_ABORT_S = 5.0


class NodeProcess:
    """A running Python program, with everything that it prints in a file.

    Args:
        arguments: Python's command line, for example ["-m", "deepfer_ros.emotion_node"].
        log_path: File for what it prints.
    """

    def __init__(self, arguments: list[str], log_path: Path) -> None:
        self._log_path = log_path
        with open(log_path, "w") as log:
            self._process = subprocess.Popen(
                [sys.executable, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # For `wait`: where it stands is written when it is aborted.
                env=os.environ | {"PYTHONFAULTHANDLER": "1"},
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return self._log_path.read_text()

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> int:
        """Return the exit status of a process that ends by itself.

        Raises:
            AssertionError: It does not end in time; the message tells where it stands.
        """
        try:
            return self._process.wait(TIMEOUT_S)
        except subprocess.TimeoutExpired as err:
            self._process.send_signal(signal.SIGABRT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_ABORT_S)
            raise AssertionError(f"{err}; it wrote:\n{self.log}") from None

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and return the exit status; negative if it ended by a signal."""
        self._process.send_signal(number)
        return self.wait()

    def kill(self) -> None:
        """End the process, and those that it started, whatever they do."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def running(arguments: list[str], log_path: Path) -> Iterator[NodeProcess]:
    """Run a Python program until the end of the block, whatever happens in it."""
    process = NodeProcess(arguments, log_path)
    try:
        yield process
        if process.is_running:
            process.stop()
    finally:
        process.kill()
