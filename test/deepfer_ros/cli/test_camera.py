"""Tests of `deepfer camera`: what the launch file does, without `ros2 launch`."""

import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from deepfer_ros.cli import deepfer, node_processes

pytest.importorskip("rclpy")

from rclpy.utilities import remove_ros_args

from deepfer.msg import EmotionArray

if TYPE_CHECKING:
    from conftest import Run
    from ros_peer import RosPeer

CAMERA, EMOTION = node_processes.CAMERA_MODULE, node_processes.EMOTION_MODULE


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Return what would be started: the ROS arguments of each node."""
    nodes: dict[str, list[str]] = {}
    monkeypatch.setattr(node_processes, "run_nodes", nodes.update)
    return nodes


def invoke(*arguments: str) -> None:
    result = CliRunner().invoke(deepfer, ["camera", *arguments])
    assert result.exit_code == 0, result.output


def check_by_ros(arguments: list[str]) -> None:
    """Raise RuntimeError if ROS does not take these arguments."""
    # This parses them all. A context would set up this process' log by them, too.
    remove_ros_args(["program", "--ros-args", *arguments])


class TestArguments:
    def test_without_options_the_defaults_of_the_nodes_hold(
        self, started: dict[str, list[str]]
    ) -> None:
        invoke()
        assert started == {CAMERA: [], EMOTION: []}

    def test_go_to_the_node_that_they_concern(self, started: dict[str, list[str]]) -> None:
        invoke("--source", "0", "--rate", "5", "--model", "m", "--detector", "haar")
        assert started == {
            CAMERA: ["-p", 'source:="0"', "-p", "rate_hz:=5.0"],
            EMOTION: ["-p", 'model:="m"', "-p", 'detector:="haar"'],
        }

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--namespace", "robot/"], ["-r", "__ns:=/robot"]),
            (["--namespace", "/a/_b2"], ["-r", "__ns:=/a/_b2"]),
            (["--image-topic", "/cam/image"], ["-r", "image_raw:=/cam/image"]),
            (["--image-topic", "cam/image_"], ["-r", "image_raw:=cam/image_"]),
            (["--log-level", "debug"], ["--log-level", "debug"]),
            (["--use-sim-time"], ["-p", "use_sim_time:=true"]),
            (
                ["--ros-args", "-p", "x:=1", "--log-level", "warn"],
                ["-p", "x:=1", "--log-level", "warn"],
            ),
        ],
    )
    def test_common_ones_go_to_both(
        self, started: dict[str, list[str]], arguments: list[str], expected: list[str]
    ) -> None:
        invoke(*arguments)
        assert started == {CAMERA: expected, EMOTION: expected}
        check_by_ros(expected)

    def test_options_win_over_the_parameter_file(
        self, started: dict[str, list[str]], tmp_path: Path
    ) -> None:
        path = tmp_path / "parameters.yaml"
        path.touch()
        invoke("--params-file", str(path), "--source", "sample", "--ros-args", "-p", "a:=1")
        assert started[CAMERA] == [
            *("--params-file", str(path), "-p", 'source:="sample"', "-p", "a:=1")
        ]

    def test_without_a_camera(self, started: dict[str, list[str]]) -> None:
        invoke("--source", "none", "--image-topic", "/usb_cam/image_raw")
        assert started == {EMOTION: ["-r", "image_raw:=/usb_cam/image_raw"]}

    @pytest.mark.parametrize(
        ("option", "remapped", "names"),
        [
            ("--image-topic", "image_raw:=", ["foo/", "~", "~foo", "//foo", "a//b", "a__b"]),
            ("--namespace", "__ns:=/", ["~/x", "~", "a/~/b", "a/__b"]),
        ],
    )
    def test_names_that_ros_refuses_are_refused(
        self, started: dict[str, list[str]], option: str, remapped: str, names: list[str]
    ) -> None:
        for name in names:
            with pytest.raises(RuntimeError, match="parse remap rule"):
                check_by_ros(["-r", remapped + name])
            result = CliRunner().invoke(deepfer, ["camera", option, name])
            assert result.exit_code == 2, name
            assert f"'{name}' is no ROS name" in result.output
        assert not started

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--namespace", "two words"], "'two words' is no ROS name"),
            (["--image-topic", "9lives"], "'9lives' is no ROS name"),
            (["--image-topic", "~/image"], "'~/image' is no ROS name for both nodes"),
            (["--params-file", "/nowhere.yaml"], "'/nowhere.yaml' does not exist"),
            (["--sorce", "sample"], "No such option"),
            (["--rate", "-1"], "not in the range"),
            (["sample"], "unexpected extra argument"),
        ],
    )
    def test_wrong_ones_are_refused(
        self, started: dict[str, list[str]], arguments: list[str], expected: str
    ) -> None:
        result = CliRunner().invoke(deepfer, ["camera", *arguments])
        assert result.exit_code == 2
        assert expected in result.output
        assert not started


class TestProcess:
    def test_publishes_emotions_until_it_is_told_to_end(
        self, peer: "RosPeer", command: list[str], model: str
    ) -> None:
        process = subprocess.Popen(
            [
                *(*command, "camera", "--source", "sample", "--model", model),
                *("--namespace", "robot", "--image-topic", "cam/image"),
                *("--ros-args", "-p", "frame_id:=head", "-p", "deterministic_ids:=true"),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            messages = peer.listen(EmotionArray, "/robot/emotions")
            peer.wait_until(lambda: messages and messages[-1].emotions, "a face")
        finally:
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=60)
        assert process.returncode == 0, log
        assert "Traceback" not in log
        assert "on /robot/cam/image" in log
        assert messages[-1].header.frame_id == "head"
        assert messages[-1].emotions[0].emotion == "happy"

    def test_ends_when_a_node_ends(self, ros_environment: None, run: "Run") -> None:
        done = run("camera", "--source", "/nowhere.mp4")
        assert done.returncode == 1
        assert "camera_node cannot start: Source '/nowhere.mp4' does not exist" in done.stderr
        assert "camera_node has ended with status 1" in done.stderr
        assert "Traceback" not in done.stderr
