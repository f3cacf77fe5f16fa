"""Tests of running a node as a process: exit status, error lines and signals."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from deepfer_ros import emotion_node

PROGRAM = """
import os, signal, sys, time
from pathlib import Path
import numpy  # Its threads shall not be counted.
from rclpy.lifecycle import LifecycleNode
from deepfer_ros.node_runner import run_node

class Mine(LifecycleNode):
    def __init__(self):
        {before}
        super().__init__("mine")
        {making}

    def start(self):
        {starting}

    def destroy_node(self):
        print("destroyed", flush=True)
        super().destroy_node()

{outset}

def threads():
    return set(Path("/proc/self/task").iterdir())

before = threads()
status = run_node("mine", Mine, errors=(ZeroDivisionError,))
end_s = time.monotonic() + 2
# The system lists one that has ended for a moment longer.
while len(threads() - before) > {lasting} and time.monotonic() < end_s:
    time.sleep(0.01)
for thread in threads() - before:
    print("left:", (thread / "comm").read_text().strip())
sys.exit(status)
"""
# Threads that last as long as the process: a watchdog of Fast DDS, and who flushes ROS's log.
LASTING_THREADS = 2


def run(
    *arguments: str,
    outset: str = "pass",
    before: str = "pass",
    making: str = "pass",
    starting: str = "pass",
) -> "subprocess.CompletedProcess[str]":
    code = textwrap.dedent(PROGRAM).format(
        outset=outset,
        before=before,
        making=making,
        starting=starting,
        lasting=LASTING_THREADS,
    )
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.usefixtures("ros_environment")
class TestSignals:
    @pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
    @pytest.mark.parametrize("moment", ["before", "making", "starting"])
    def test_end_it_cleanly_at_every_moment(self, number: str, moment: str) -> None:
        done = run(**{moment: f"os.kill(os.getpid(), signal.{number})"})
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        assert ("destroyed" in done.stdout) == (moment == "starting")

    def test_what_fails_once_it_is_told_to_stop_is_no_error(self) -> None:
        done = run(starting="os.kill(os.getpid(), signal.SIGTERM); 1 / 0")
        assert (done.returncode, done.stderr) == (0, "")

    @pytest.mark.parametrize(("ignored", "other"), [("SIGINT", "SIGTERM"), ("SIGTERM", "SIGINT")])
    def test_one_that_is_ignored_stays_so(self, ignored: str, other: str) -> None:
        """A shell has its background programs ignore SIGINT."""
        done = run(
            outset=f"signal.signal(signal.{ignored}, signal.SIG_IGN)",
            making=f"os.kill(os.getpid(), signal.{ignored})",
            starting=f"print('started'); os.kill(os.getpid(), signal.{other})",
        )
        assert done.returncode == 0, done.stderr
        assert "started" in done.stdout


@pytest.mark.usefixtures("ros_environment")
@pytest.mark.parametrize(
    ("moment", "event", "status"),
    [
        pytest.param("making", "1 / 0", 1, id="refused"),
        pytest.param("making", "raise RuntimeError('no such QoS')", 1, id="refused by ROS"),
        pytest.param("making", "os.kill(os.getpid(), signal.SIGTERM)", 0, id="stopped half made"),
        pytest.param("starting", "1 / 0", 1, id="not started"),
        pytest.param("starting", "os.kill(os.getpid(), signal.SIGTERM)", 0, id="ordinary end"),
    ],
)
def test_the_middleware_ends_before_the_interpreter(moment: str, event: str, status: int) -> None:
    done = run(**{moment: event})
    assert done.returncode == status, done.stderr
    left = [line for line in done.stdout.splitlines() if line.startswith("left: ")]
    assert len(left) <= LASTING_THREADS, left
    assert {line for line in left if "dds" in line} <= {"left: dds.shm.wdog"}


STOPPED_HALF_MADE = """
import os, runpy, signal
from rclpy.node import Node

make = Node.__init__
kept = []  # as something in ROS keeps it now and then

def make_and_stop(node, *arguments, **options):
    make(node, *arguments, **options)
    kept.append(node)
    os.kill(os.getpid(), signal.SIGTERM)

Node.__init__ = make_and_stop
runpy.run_module("{module}", run_name="__main__")
"""


@pytest.mark.usefixtures("ros_environment")
@pytest.mark.parametrize(
    "module", ["emotion_node", "camera_node", "web.web_node", "bench.image_publisher"]
)
def test_every_node_can_be_stopped_while_half_made(module: str) -> None:
    code = STOPPED_HALF_MADE.format(module=f"deepfer_ros.{module}")
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("ros_environment")
class TestRefusals:
    @pytest.mark.parametrize("moment", ["before", "making", "starting"])
    def test_a_foreseen_error_is_one_line(self, moment: str) -> None:
        done = run(**{moment: "1 / 0"})
        assert done.returncode == 1
        assert done.stderr == "mine cannot start: division by zero\n"

    def test_a_programming_error_is_not_hidden(self) -> None:
        done = run(starting="raise KeyError('lost')")
        assert done.returncode == 1
        assert "KeyError: 'lost'" in done.stderr
        assert "destroyed" in done.stdout

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--ros-args", "--params-file", "/nowhere.yaml"], "/nowhere.yaml"),
            (["--ros-args", "--wrong"], "--wrong"),
            (["--ros-args", "-p"], "-p"),
            (["--ros-args", "-p", "path:=caf\udce9"], r"'path:=caf\udce9' is not UTF-8, and ROS"),
        ],
    )
    def test_wrong_ros_arguments(self, arguments: list[str], expected: str) -> None:
        done = run(*arguments)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith("mine cannot start: ")
        assert expected in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


@pytest.mark.usefixtures("ros_environment")
@pytest.mark.parametrize(
    ("node", "parameter", "expected"),
    [
        (
            "emotion_node",
            "qos_overrides./diagnostics.publisher.reliability:=perfect",
            "reliability`: `perfect`",
        ),
        ("emotion_node", "qos_overrides./diagnostics.publisher.depth:=-3", "create publisher"),
        ("camera_node", "qos_overrides./image_raw.publisher.depth:=-3", "create publisher"),
        ("emotion_node", f"image_root:=/{'x' * 300}", "image_root must be empty or the absolute"),
    ],
)
def test_wrong_parameter_is_a_clear_line(node: str, parameter: str, expected: str) -> None:
    command = [sys.executable, "-m", f"deepfer_ros.{node}", "--ros-args", "-p", parameter]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    # Jazzy itself prints more about a wrong depth.
    line = done.stderr.splitlines()[-1]
    assert line.startswith(f"{node} cannot start: ")
    assert expected in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--help", "--ros-args", "-r", "a:=b"]])
def test_help_tells_the_parameters_and_starts_nothing(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert emotion_node.main(arguments) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: emotion_node [--ros-args [-p NAME:=VALUE …]")
    assert "  min_confidence (default: 0.0; 0.0 to 1.0)\n      An emotion less probable" in text
    assert '  cameras (default: [""])\n' in text
    assert max(len(line) for line in text.splitlines()) < 100


def test_arguments_that_are_not_for_ros_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert emotion_node.main(["min_confidence:=0.5", "--ros-args"]) == 2
    assert capsys.readouterr().err == (
        "emotion_node cannot start: it knows no argument 'min_confidence:=0.5'; parameters and "
        "names are given as --ros-args -p NAME:=VALUE -r OLD:=NEW.\n"
    )


def test_interrupt_while_everything_is_imported_is_no_traceback(tmp_path: Path) -> None:
    template = Path(__file__).parents[2] / "cmake" / "program.py.in"
    program = tmp_path / "program.py"
    program.write_text(template.read_text().replace("@module@", "heavy"))
    (tmp_path / "heavy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = subprocess.run(
        [sys.executable, program], check=False, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
