"""Tests of how the demo judges its nodes and saves the snapshot, without nodes."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import click
import numpy as np
import pytest

pytest.importorskip("rclpy")

from deepfer_ros.cli.demo_run import _check_nodes, _save_snapshot, _show
from deepfer_ros.cli.emotion_watcher import EmotionWatcher, Snapshot, emotion_labels
from deepfer_ros.cli.node_processes import LogLine, NodeGroup
from deepfer_ros.recognition.images import read_image


@dataclass
class FakeNode:
    name: str
    returncode: int | None = None
    first_error: str = ""
    last_words: str = "it wrote nothing"


class FakeGroup:
    def __init__(self, *nodes: FakeNode) -> None:
        self.nodes = nodes

    @property
    def ended(self) -> FakeNode | None:
        return next((node for node in self.nodes if node.returncode is not None), None)


@dataclass
class FakeDisplay:
    said: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        self.said.append(text)

    def update(self, log: object) -> None:
        raise AssertionError


class FakeWatcher:
    def __init__(self, snapshot: Snapshot | None) -> None:
        self._snapshot = snapshot

    def snapshot(self) -> Snapshot | None:
        return self._snapshot


def check(*nodes: FakeNode, has_results: bool = False, waited_s: float = 1.0) -> None:
    group = cast(NodeGroup, FakeGroup(*nodes))
    _check_nodes(group, has_results=has_results, waited_s=waited_s)


class TestCheckNodes:
    @pytest.mark.parametrize("waited_s", [0.0, 29.0])
    def test_waits(self, waited_s: float) -> None:
        check(FakeNode("camera_node"), FakeNode("emotion_node"), waited_s=waited_s)

    def test_gives_up(self) -> None:
        with pytest.raises(click.ClickException) as caught:
            check(
                FakeNode("camera_node", last_words="[INFO] Publishing."),
                FakeNode("emotion_node"),
                waited_s=31.0,
            )
        assert "within 30 s" in caught.value.message
        assert "camera_node: [INFO] Publishing.; emotion_node: it wrote" in caught.value.message
        assert "deepfer doctor" in caught.value.message

    def test_never_gives_up_when_results_have_come(self) -> None:
        node = FakeNode("emotion_node", first_error="One bad frame.")
        check(node, has_results=True, waited_s=1000.0)

    def test_an_error_before_the_first_result(self) -> None:
        with pytest.raises(click.ClickException, match="emotion_node does not work: No model"):
            check(FakeNode("camera_node"), FakeNode("emotion_node", first_error="No model."))

    @pytest.mark.parametrize("has_results", [False, True])
    @pytest.mark.parametrize(
        ("words", "expected"),
        [
            ("camera_node cannot start: No source.", "camera_node cannot start: No source."),
            ("ImportError: no cv2", "camera_node has ended: ImportError: no cv2"),
        ],
    )
    def test_a_node_that_has_ended(self, has_results: bool, words: str, expected: str) -> None:
        with pytest.raises(click.ClickException) as caught:
            check(FakeNode("camera_node", 1, last_words=words), has_results=has_results)
        assert caught.value.message == expected


@pytest.mark.parametrize(
    ("severity", "expected"),
    [
        ("INFO", ["camera_node: Hello."]),
        ("WARN", ["camera_node: Warn: Hello."]),
        ("DEBUG", []),
        ("", []),
    ],
)
def test_what_is_shown_of_the_log(severity: str, expected: list[str]) -> None:
    display = FakeDisplay()
    _show(LogLine("camera_node", severity, "Hello."), display)
    assert display.said == expected


def test_an_address_with_a_token_is_shown_though_it_is_not_logged() -> None:
    display = FakeDisplay()
    text = "Open http://127.0.0.1:8080/?token=secret in a browser."
    _show(LogLine("web_node", "", text), display)
    _show(LogLine("web_node", "", "DeprecationWarning: see https://example.org/"), display)
    assert display.said == [f"web_node: {text}"]


class TestSaveSnapshot:
    @pytest.mark.parametrize(
        ("faces", "expected"),
        [(0, "without a face"), (1, "with 1 face:"), (3, "with 3 faces:")],
    )
    def test_says_what_it_shows(self, tmp_path: Path, faces: int, expected: str) -> None:
        image_bgr = np.full((6, 8, 3), 7, np.uint8)
        text = self.save(Snapshot(image_bgr, faces), tmp_path / "out.png")
        assert expected in text
        assert (read_image(tmp_path / "out.png") == image_bgr).all()

    def test_nothing_arrived(self, tmp_path: Path) -> None:
        with pytest.raises(click.ClickException, match="no annotated picture arrived"):
            self.save(None, tmp_path / "out.png")

    def test_the_folder_is_gone(self, tmp_path: Path) -> None:
        snapshot = Snapshot(np.zeros((6, 8, 3), np.uint8), 1)
        with pytest.raises(click.ClickException, match="could not be written"):
            self.save(snapshot, tmp_path / "gone" / "out.png")

    @staticmethod
    def save(snapshot: Snapshot | None, path: Path) -> str:
        return _save_snapshot(cast(EmotionWatcher, FakeWatcher(snapshot)), path)


def test_labels_come_from_the_message() -> None:
    assert emotion_labels() == ["angry", "disgust", "fear", "happy", "sad", "surprise", "neutral"]
