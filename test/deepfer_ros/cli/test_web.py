"""Tests of `deepfer web` and `deepfer demo --web`: what they start. test/web tests the rest."""

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from deepfer_ros.cli import deepfer, node_processes

pytest.importorskip("rclpy")

from deepfer_ros.cli import demo_run
from deepfer_ros.cli.node_processes import CAMERA_MODULE, EMOTION_MODULE, WEB_MODULE, LogLine

CAMERAS = ["-p", 'cameras:=["", "browser"]', "-p", 'on_demand_cameras:=["browser"]']


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return what would be started: the ROS arguments of each node."""
    nodes: dict[str, list[str]] = {}
    monkeypatch.setattr(node_processes, "run_nodes", nodes.update)
    return nodes


def invoke(*arguments: str | Path) -> None:
    result = CliRunner().invoke(deepfer, ["web", *map(str, arguments)])
    assert result.exit_code == 0, result.output


def test_it_starts_the_page_and_an_emotion_node(started: dict[str, list[str]]) -> None:
    invoke()
    # Without a camera, silence is nothing to warn about.
    assert started == {WEB_MODULE: [], EMOTION_MODULE: [*CAMERAS, "-p", "image_timeout_s:=0.0"]}


def test_with_a_source_it_starts_a_camera(started: dict[str, list[str]]) -> None:
    invoke("--source", "0")
    assert started[CAMERA_MODULE] == ["-p", 'source:="0"']
    assert started[EMOTION_MODULE] == CAMERAS


def test_all_nodes_take_the_simulated_time(started: dict[str, list[str]]) -> None:
    invoke("--source", "sample", "--use-sim-time")
    assert [arguments[:2] for arguments in started.values()] == [["-p", "use_sim_time:=true"]] * 3


def test_attached_it_starts_the_page_alone(started: dict[str, list[str]]) -> None:
    invoke("--attach")
    assert started == {WEB_MODULE: []}


def test_options_go_to_the_nodes_that_they_concern(
    started: dict[str, list[str]], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    invoke(
        *("--host", "0.0.0.0", "--port", "0", "--token-file", file),
        *("--allowed-host", "a.example", "--allowed-host", "b.example"),
        *("--certificate", file, "--private-key", file, "--no-browser-camera"),
        *("--model", "m", "--detector", "haar"),
    )
    assert started[WEB_MODULE] == [
        *("-p", 'host:="0.0.0.0"', "-p", "port:=0", "-p", f'token_file:="{file}"'),
        *("-p", 'allowed_hosts:=["a.example", "b.example"]'),
        *("-p", f'certificate:="{file}"', "-p", f'private_key:="{file}"'),
        *("-p", "browser_camera:=false", "-p", 'model:="m"', "-p", 'detector:="haar"'),
    ]
    assert started[EMOTION_MODULE][4:8] == ["-p", 'model:="m"', "-p", 'detector:="haar"']


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--attach", "--source", "0"], "leave out one of the two"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--port", "http"], "'http' is not a valid integer"),
        (["--token-file", "/missing"], "'/missing' does not exist"),
        (["--certificate", "/"], "is a directory"),
        (["page"], "unexpected extra argument"),
    ],
)
def test_wrong_options_are_refused(arguments: list[str], reason: str) -> None:
    result = CliRunner().invoke(deepfer, ["web", *arguments])
    assert result.exit_code == 2
    assert reason in re.sub(r"\s+", " ", result.output)


@pytest.mark.parametrize(
    ("line", "screen", "opened"),
    [
        (LogLine("web_node", "INFO", "Open http://127.0.0.1:8080/ in a browser."), True, True),
        (LogLine("web_node", "INFO", "Open http://127.0.0.1:8080/ in a browser."), False, False),
        (LogLine("web_node", "", "See https://example.org/ for more."), True, False),
        (LogLine("camera_node", "INFO", "Open http://127.0.0.1:8080/ in a browser."), True, False),
        (LogLine("web_node", "INFO", "Nothing."), True, False),
    ],
)
def test_the_demo_opens_the_page_where_there_is_a_screen(
    monkeypatch: pytest.MonkeyPatch, line: LogLine, screen: bool, opened: bool
) -> None:
    urls: list[str] = []
    monkeypatch.setattr(demo_run.webbrowser, "open", urls.append)
    for variable in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(variable, raising=False)
    if screen:
        monkeypatch.setenv("DISPLAY", ":0")
    demo_run._open_page(line)
    assert urls == (["http://127.0.0.1:8080/"] if opened else [])
