"""Tests of `deepfer demo`: the whole chain through the real command, and what it refuses."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from deepfer_ros.cli import deepfer
from deepfer_ros.recognition.images import read_image

pytest.importorskip("rclpy")

if TYPE_CHECKING:
    from conftest import Run
    from ros_peer import RosPeer

TIMEOUT_S = 90.0


@pytest.fixture(autouse=True)
def no_process_is_left_behind(ros_environment: None) -> Iterator[None]:
    yield
    end_s = time.monotonic() + TIMEOUT_S
    while left := node_processes():
        assert time.monotonic() < end_s, f"processes left behind: {left}"
        time.sleep(0.1)


def node_processes() -> list[str]:
    """Return the nodes that run in the ROS domain of this test."""
    domain = f"ROS_DOMAIN_ID={os.environ['ROS_DOMAIN_ID']}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().split(b"\0")
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        is_node = any(part.startswith(b"deepfer_ros.") for part in command)
        if is_node and domain in environment:
            found.append(b" ".join(command).decode(errors="replace"))
    return found


class TestWholeChain:
    def test_sample_with_snapshot(self, run: "Run", tmp_path: Path, model: str) -> None:
        snapshot = tmp_path / "out.png"
        done = run(
            *("demo", "--source", "sample", "--duration", "5", "--model", model),
            *("--snapshot", snapshot),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        lines = done.stdout.splitlines()
        results = [line for line in lines if " Hz  " in line]
        assert 3 <= len(results) <= 7
        assert "happy" in results[-1]
        assert "emotions seen: happy" in lines[-2]
        assert lines[-1] == f"Snapshot with 1 face: {snapshot}"
        annotated = read_image(snapshot)
        assert annotated.shape == (480, 640, 3)

    def test_a_single_image(self, run: "Run", astronaut_path: Path, model: str) -> None:
        done = run("demo", "--source", astronaut_path, "--duration", "2", "--model", model)
        assert done.returncode == 0, done.stdout + done.stderr
        assert f"Publishing the image {astronaut_path} on /image_raw." in done.stdout
        assert "happy" in done.stdout

    def test_a_picture_without_a_face(self, run: "Run", tmp_path: Path, model: str) -> None:
        plain = tmp_path / "plain.png"
        cv2.imwrite(str(plain), np.full((120, 160, 3), 90, np.uint8))
        snapshot = tmp_path / "out.jpg"
        done = run(
            *("demo", "--source", plain, "--duration", "2", "--model", model),
            *("--snapshot", snapshot),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert "no face in the picture" in done.stdout
        assert "emotions seen: none" in done.stdout
        assert "Snapshot without a face" in done.stdout
        assert read_image(snapshot).shape == (120, 160, 3)

    def test_rate(self, run: "Run", model: str) -> None:
        done = run(
            *("demo", "--source", "sample", "--duration", "4", "--model", model, "--rate", "2")
        )
        assert done.returncode == 0, done.stdout + done.stderr
        frames = int(done.stdout.splitlines()[-1].split(" frames")[0])
        assert 2 <= frames <= 10

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_signals_end_it_cleanly(
        self, command: list[str], model: str, number: signal.Signals
    ) -> None:
        process = self.start(command, model)
        process.send_signal(number)
        output, _ = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0
        assert "Traceback" not in output
        assert "frames in" in output

    def test_nothing_outlives_a_kill(self, command: list[str], model: str) -> None:
        process = self.start(command, model)
        assert node_processes()
        process.kill()
        process.communicate(timeout=TIMEOUT_S)

    def test_dies_with_its_nodes(self, command: list[str], model: str, tmp_path: Path) -> None:
        process = self.start(command, model)
        for entry in Path("/proc").iterdir():
            try:
                is_child = (
                    int((entry / "stat").read_text().split(") ")[1].split()[1]) == process.pid
                )
            except (OSError, IndexError, ValueError):
                continue
            if is_child:
                os.kill(int(entry.name), signal.SIGKILL)
                break
        output, _ = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 1
        assert "has ended" in output

    def test_a_reader_that_leaves(self, command: list[str], model: str) -> None:
        process = self.start(command, model)
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(TIMEOUT_S) == 1

    @staticmethod
    def start(command: list[str], model: str) -> "subprocess.Popen[str]":
        """Start the demo and wait until results come."""
        process = subprocess.Popen(
            [*command, "demo", "--source", "sample", "--model", model],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if " Hz  " in line:
                return process
        raise AssertionError("the demo ended before it had a result")

    def test_warns_about_a_second_camera(self, run: "Run", model: str, peer: "RosPeer") -> None:
        from sensor_msgs.msg import Image

        peer.node.create_publisher(Image, "image_raw", 1)
        done = run("demo", "--source", "sample", "--duration", "6", "--model", model)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Warning: /image_raw has 2 publishers (camera_node, peer)" in done.stdout
        assert "ROS_DOMAIN_ID" in done.stdout


class TestWrongInput:
    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--source", "/nowhere.mp4"], "camera_node cannot start: Source '/nowhere.mp4' does"),
            (["--source", "97"], "Webcam /dev/video97 does not exist"),
            (["--source", ""], "The source is empty"),
            (["--source", "sample", "--model", "/nowhere"], "Model '/nowhere' is neither"),
            (["--source", "sample", "--detector", "eyes"], "detector must be one of auto"),
        ],
    )
    def test_is_one_clear_line(
        self, run: "Run", arguments: list[str], expected: str, model: str
    ) -> None:
        done = run("demo", "--model", model, *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ")
        assert expected in done.stderr
        assert done.stderr.count("\n") == 1

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            (["--duration", "0"], "not in the range"),
            (["--duration", "-1"], "not in the range"),
            (["--duration", "long"], "'long' is not a valid float"),
            (["--rate", "0"], "not in the range"),
            (["--snapshot", "out.gif"], "'out.gif' must end in one of .png .jpg"),
            (["--snapshot", "out"], "'out' must end in one of .png .jpg"),
            (["--snapshot", "/nowhere/out.png"], "'/nowhere' does not exist"),
            (["extra"], "unexpected extra argument"),
        ],
    )
    def test_is_refused_at_the_start(self, arguments: list[str], expected: str) -> None:
        result = CliRunner().invoke(deepfer, ["demo", *arguments])
        assert result.exit_code == 2
        assert expected in result.output

    def test_a_folder_is_no_snapshot(self, tmp_path: Path) -> None:
        (tmp_path / "folder.png").mkdir()
        result = CliRunner().invoke(deepfer, ["demo", "--snapshot", str(tmp_path / "folder.png")])
        assert result.exit_code == 2
        assert "is a folder" in result.output

    def test_a_snapshot_that_may_not_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(os, "access", lambda *_: False)
        path = tmp_path / "out.png"
        result = CliRunner().invoke(deepfer, ["demo", "--snapshot", str(path)])
        assert result.exit_code == 2
        assert "may not be written" in result.output
