"""Tests of the command line as a whole: what it imports, shows and refuses."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import click
import pytest
from click.testing import CliRunner

import deepfer_ros
from deepfer_ros.cli import deepfer

COMMANDS = (
    "demo",
    "camera",
    "web",
    "classify",
    "bench",
    "bag",
    "doctor",
    "fetch-detector",
    "crop",
    "data",
    "train",
    "evaluate",
    "export",
)
HEAVY = ("cv2", "rclpy", "ai_edge_litert", "rosbags", "tensorflow", "keras", "deepfer")


def modules_after(code: str) -> set[str]:
    """Return the modules that a new Python has loaded after some code."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import deepfer_ros.cli", id="import"),
        *(
            pytest.param(
                "from click.testing import CliRunner\nfrom deepfer_ros.cli import deepfer\n"
                f"assert CliRunner().invoke(deepfer, {arguments}).exit_code == 0",
                id=" ".join(arguments),
            )
            for arguments in (["--help"], ["--version"], *([name, "--help"] for name in COMMANDS))
        ),
    ],
)
def test_help_loads_nothing_heavy(code: str) -> None:
    assert modules_after(code).isdisjoint(HEAVY)


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(deepfer, ["--help"])
    for name in COMMANDS:
        assert f"  {name} " in result.output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(name: str) -> None:
    result = CliRunner().invoke(deepfer, [name, "-h"])
    assert result.exit_code == 0
    assert f"deepfer {name}" in result.output.replace("Usage: deepfer", "deepfer")


def test_version() -> None:
    assert CliRunner().invoke(deepfer, ["--version"]).output == (
        f"deepfer {deepfer_ros.__version__}\n"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["classfy"], "No such command 'classfy'"),
        (["--wrong"], "No such option"),
        (["demo", "--wrong"], "No such option"),
        (["classify"], "Missing argument"),
        (["camera", "--log-level", "loud"], "'loud' is not one of"),
    ],
)
def test_wrong_usage(arguments: list[str], expected: str) -> None:
    result = CliRunner().invoke(deepfer, arguments)
    assert result.exit_code == 2
    assert expected in result.output
    assert "Traceback" not in result.output


class TestMissingPackages:
    @staticmethod
    def invoke_with_failing(
        monkeypatch: pytest.MonkeyPatch, error: ImportError
    ) -> "click.testing.Result":
        def fail() -> NoReturn:
            raise error

        command = click.Command("demo", callback=fail)
        monkeypatch.setattr(type(deepfer), "get_command", lambda *_: command)
        return CliRunner().invoke(deepfer, ["demo"])

    @pytest.mark.parametrize(
        ("module", "advice"),
        [
            ("keras", "pip install 'deepfer[training]'"),
            ("tensorflow.python", "scripts/setup.sh --test"),
            ("rclpy", "Source ROS 2"),
            ("deepfer.msg", "make setup"),
            ("cv2", "pip install opencv-python-headless"),
        ],
    )
    def test_says_what_to_install(
        self, monkeypatch: pytest.MonkeyPatch, module: str, advice: str
    ) -> None:
        error = ModuleNotFoundError(f"No module named '{module}'", name=module)
        result = self.invoke_with_failing(monkeypatch, error)
        assert result.exit_code == 1
        assert result.output.startswith(f"Error: The package {module.partition('.')[0]} cannot")
        assert advice in result.output
        assert "deepfer doctor" in result.output

    def test_programming_errors_are_not_hidden(self, monkeypatch: pytest.MonkeyPatch) -> None:
        error = ImportError("cannot import name 'x'", name="deepfer_ros.cli")
        assert self.invoke_with_failing(monkeypatch, error).exception is error


def test_training_without_keras_says_what_to_do(tmp_path: Path) -> None:
    """A folder that hides Keras and TensorFlow stands for a machine without them."""
    for name in ("keras", "tensorflow"):
        (tmp_path / f"{name}.py").write_text(
            f"raise ModuleNotFoundError('No module named {name}', name='{name}')"
        )
    done = subprocess.run(
        [
            *(sys.executable, "-c", "from deepfer_ros.cli import main; main()"),
            *("export", "run", "--output", "bundle", "--data", "missing.csv"),
        ],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ")


def run_with_output_to(place: str, code: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" -c "$1" {place}', sys.executable, code],
        check=False,
        capture_output=True,
        text=True,
    )


class TestOutputThatCannotBeWritten:
    @pytest.mark.parametrize(
        "write",
        [
            pytest.param("click.echo('result')", id="at once"),
            pytest.param("print('result')", id="at the end"),
            pytest.param("print('result' * 9999)", id="more than is kept"),
        ],
    )
    @pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
    def test_is_one_sentence(
        self, write: str, unbuffered: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
        code = (
            "import click; from deepfer_ros import cli; "
            f"command = click.Command('demo', callback=lambda: {write}); "
            "type(cli.deepfer).get_command = lambda *_: command; "
            "cli.main(['demo'])"
        )
        done = run_with_output_to("> /dev/full", code)
        assert done.stderr == "Error: The output cannot be written: No space left on device.\n"
        assert done.returncode == 1

    def test_a_reader_that_has_gone_is_told_nothing(self) -> None:
        code = "from deepfer_ros.cli import main; main(['--help'])"
        done = run_with_output_to("| true; echo", f"import time; time.sleep(0.3); {code}")
        assert done.stderr == ""

    def test_other_errors_are_not_hidden(self) -> None:
        code = (
            "import click; from deepfer_ros import cli; "
            "command = click.Command('demo', callback=lambda: open('/nonexistent/x')); "
            "type(cli.deepfer).get_command = lambda *_: command; "
            "cli.main(['demo'])"
        )
        done = run_with_output_to("", code)
        assert done.stderr.splitlines()[-1].startswith("FileNotFoundError")


def test_a_closed_standard_output_is_no_error() -> None:
    code = "from deepfer_ros.cli import main; main(['--help'])"
    done = subprocess.run(
        ["/bin/sh", "-c", 'exec "$0" -c "$1" >&-', sys.executable, code],
        check=False,
        capture_output=True,
        text=True,
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == 0
