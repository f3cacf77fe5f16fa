"""Tests of running a node as a process: exit status, error lines and signals."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from deepfer_ros import emotion_node

PROGRAM = """
import os, signal, sys
from rclpy.node import Node
from deepfer_ros.node_runner import run_node

class Mine(Node):
    def __init__(self):
        {before}
        super().__init__("mine")
        {making}

    def start(self):
        {starting}

    def destroy_node(self):
        print("destroyed", flush=True)
        super().destroy_node()

sys.exit(run_node("mine", Mine, errors=(ZeroDivisionError,)))
"""


def run(
    *arguments: str, before: str = "pass", making: str = "pass", starting: str = "pass"
) -> "subprocess.CompletedProcess[str]":
    code = textwrap.dedent(PROGRAM).format(before=before, making=making, starting=starting)
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
