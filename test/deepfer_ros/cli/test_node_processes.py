"""Tests of the child processes of the command line, with small programs instead of nodes."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest

from deepfer_ros.cli import node_processes
from deepfer_ros.cli.node_processes import (
    LogLine,
    NodeGroup,
    parameter_arguments,
    run_nodes,
)
from deepfer_ros.stop_signals import StopSignals

TIMEOUT_S = 20.0


def wait_until(condition: Callable[[], object], what: str) -> None:
    end_s = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end_s, f"waited in vain for {what}"
        time.sleep(0.02)


@pytest.fixture
def write_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Return a function that writes a Python module and returns its name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(name: str, code: str) -> str:
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code))
        return name

    return write


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(") ")[1].startswith("Z")
    except FileNotFoundError:
        return True


SLEEPER = "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEPER


class TestNodeGroup:
    def test_reads_what_nodes_write(self, write_program: Callable[..., str]) -> None:
        module = write_program(
            "talker",
            """
            import sys
            print("[INFO] Hello.")
            print("[WARN] Look: [ERROR] is only a word.", file=sys.stderr)
            print("[ERROR] It broke.", file=sys.stderr)
            print("chatter \\udcff".encode(errors="surrogateescape"))
            sys.exit(3)
            """,
        )
        with NodeGroup({module: []}, captured=True) as group:
            wait_until(lambda: group.ended, "the end")
            ended = group.ended
            assert ended is not None
            assert ended.returncode == 3
            assert ended.first_error == "It broke."
            assert "chatter" in ended.last_words
            assert group.drain_lines()[:3] == [
                LogLine("talker", "INFO", "Hello."),
                LogLine("talker", "WARN", "Look: [ERROR] is only a word."),
                LogLine("talker", "ERROR", "It broke."),
            ]
            assert group.drain_lines() == []

    def test_passes_arguments_on(self, write_program: Callable[..., str]) -> None:
        module = write_program("echo", "import sys\nprint(sys.argv[1:])")
        with NodeGroup({module: ["-p", "a:=1"]}, captured=True) as group:
            wait_until(lambda: group.ended, "the end")
            assert group.nodes[0].last_words == "['--ros-args', '-p', 'a:=1']"

    @pytest.mark.parametrize("code", [SLEEPER, STUBBORN], ids=["polite", "stubborn"])
    def test_ends_every_node(
        self, write_program: Callable[..., str], monkeypatch: pytest.MonkeyPatch, code: str
    ) -> None:
        monkeypatch.setattr(
            node_processes, "_ENDING", ((signal.SIGTERM, 0.5), (signal.SIGKILL, TIMEOUT_S))
        )
        modules = [write_program(name, code) for name in ("one", "two")]
        with NodeGroup({module: [] for module in modules}, captured=True) as group:
            wait_until(lambda: len(group.drain_lines()) or 0, "the programs")
            nodes = list(group.nodes)
        assert all(node.returncode is not None for node in nodes)

    @pytest.mark.parametrize("is_reachable", [True, False], ids=["reachable", "unreachable"])
    def test_children_of_a_node_that_has_ended_hold_nothing_up(
        self, write_program: Callable[..., str], is_reachable: bool
    ) -> None:
        module = write_program(
            "leaving",
            f"""
            import subprocess
            child = subprocess.Popen(["sleep", "60"], start_new_session={not is_reachable})
            print(child.pid, flush=True)
            """,
        )
        with NodeGroup({module: []}, captured=True) as group:
            wait_until(lambda: group.ended, "the end")
            pid = int(group.nodes[0].last_words)
            start_s = time.monotonic()
            group.end()
            assert time.monotonic() - start_s < TIMEOUT_S
        if is_reachable:
            wait_until(lambda: is_gone(pid), "the end of the child")
        else:
            os.kill(pid, signal.SIGKILL)

    def test_a_module_in_the_current_folder_is_not_taken(
        self,
        write_program: Callable[..., str],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if sys.version_info < (3, 11):
            pytest.skip("Python 3.10 always looks into the current folder")
        module = write_program("importer", "import json\nprint(json.dumps(1))")
        other = tmp_path / "other"
        other.mkdir()
        (other / "json.py").write_text("raise SystemExit('the wrong json')")
        monkeypatch.chdir(other)
        with NodeGroup({module: []}, captured=True) as group:
            wait_until(lambda: group.ended, "the end")
            assert group.nodes[0].last_words == "1"

    def test_children_do_not_outlive_a_parent_that_is_killed(
        self, write_program: Callable[..., str], tmp_path: Path
    ) -> None:
        write_program(
            "child",
            f"import os\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))\n" + SLEEPER,
        )
        parent = subprocess.Popen(
            [
                *(sys.executable, "-c"),
                "import time; from deepfer_ros.cli.node_processes import NodeGroup; "
                "group = NodeGroup({'child': []}); time.sleep(60)",
            ],
            stdout=subprocess.DEVNULL,
        )
        wait_until(
            lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), "the child"
        )
        pid = int((tmp_path / "pid").read_text())
        parent.kill()
        parent.wait()
        wait_until(lambda: is_gone(pid), "the end of the child")


class TestRunNodes:
    def test_a_node_that_ends_takes_the_others_with_it(
        self, write_program: Callable[..., str]
    ) -> None:
        modules = (
            write_program("sleeper", SLEEPER),
            write_program("failing", "raise SystemExit(4)"),
        )
        with pytest.raises(click.ClickException, match="failing has ended with status 4"):
            run_nodes({module: [] for module in modules})

    @pytest.mark.parametrize("number", StopSignals._NUMBERS)
    def test_a_signal_ends_everything_without_an_error(
        self, write_program: Callable[..., str], number: signal.Signals
    ) -> None:
        module = write_program(
            "signaller",
            f"""
            import os, time
            os.kill(os.getppid(), {int(number)})
            time.sleep(60)
            """,
        )
        before = signal.getsignal(number)
        run_nodes({module: []})
        assert signal.getsignal(number) is before


def test_stop_signals() -> None:
    with StopSignals() as stop:
        assert not stop
        os.kill(os.getpid(), signal.SIGTERM)
        wait_until(lambda: stop, "the signal")


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, []),
        ({"source": None}, []),
        ({"source": "0"}, ["-p", 'source:="0"']),
        ({"source": 'a "b" ü.png'}, ["-p", 'source:="a \\"b\\" ü.png"']),
        ({"rate_hz": 5.0, "loop": False}, ["-p", "rate_hz:=5.0", "-p", "loop:=false"]),
    ],
)
def test_parameter_arguments(
    parameters: dict[str, str | float | bool | None], expected: list[str]
) -> None:
    assert parameter_arguments(parameters) == expected
