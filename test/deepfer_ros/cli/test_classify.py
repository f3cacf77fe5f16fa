"""Tests of `deepfer classify`."""

import json
import math
import os
import shlex
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from deepfer_ros.cli import classify_run, deepfer
from deepfer_ros.cli.classify_run import ImageResult, list_entries, to_json
from deepfer_ros.recognition.images import read_image
from deepfer_ros.recognition.model_bundle import ModelBundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.types import FaceDetections, FaceEmotion

if TYPE_CHECKING:
    from conftest import Run

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
PROBABILITIES = (0.05, 0.0, 0.05, 0.7, 0.05, 0.05, 0.1)
LANDMARKS = [[float(index), 2.5 * index] for index in range(5)]


class OneFaceDetector:
    """Finds one face in every picture that is not plain."""

    name = "fake"

    def __init__(self, landmarks: object = LANDMARKS) -> None:
        self.landmarks = landmarks

    def detect(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        if image_bgr.std() == 0:
            return FaceDetections.empty()
        return FaceDetections(
            np.array([[1.25, 2.5, 30, 40]], np.float32),
            np.array([self.landmarks], np.float32),
            np.array([0.9], np.float32),
        )


class FixedClassifier:
    """Gives every face the same probabilities."""

    bundle = ModelBundle("fake48", LABELS, 48, 0.1, Path("fake.tflite"))

    def classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.tile(np.array(PROBABILITIES, np.float32), (len(crops), 1))


@pytest.fixture
def recognizer(monkeypatch: pytest.MonkeyPatch) -> EmotionRecognizer:
    """Replace model and detector by fakes."""
    recognizer = EmotionRecognizer(OneFaceDetector(), FixedClassifier())
    monkeypatch.setattr(classify_run, "_load_recognizer", lambda *_: recognizer)
    return recognizer


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(deepfer, ["classify", *map(str, arguments)])


def objects(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.usefixtures("recognizer")
class TestJson:
    def test_is_the_contract(self, pictures: Path) -> None:
        result = invoke(pictures / "a.png", "--json")
        assert result.exit_code == 0
        assert result.stderr == ""
        assert objects(result) == [
            {
                "path": str(pictures / "a.png"),
                "width": 512,
                "height": 512,
                "faces": [
                    {
                        "box_xywh": [1.25, 2.5, 30.0, 40.0],
                        "landmarks": LANDMARKS,
                        "detection_confidence": pytest.approx(0.9, abs=1e-5),
                        "emotion": "happy",
                        "confidence": pytest.approx(0.7, abs=1e-5),
                        "probabilities": pytest.approx(
                            dict(zip(LABELS, PROBABILITIES, strict=True)), abs=1e-5
                        ),
                    }
                ],
            }
        ]

    def test_a_folder_stands_for_its_images(self, pictures: Path) -> None:
        found = objects(invoke(pictures, "--json"))
        assert [Path(entry["path"]).name for entry in found] == ["a.png", "b.jpg", "c.png"]
        assert [len(entry["faces"]) for entry in found] == [1, 0, 1]

    def test_errors_are_objects_and_the_others_go_on(self, pictures: Path) -> None:
        damaged = pictures / "damaged.png"
        damaged.write_bytes((pictures / "a.png").read_bytes()[:1000])
        result = invoke(
            "missing.jpg", pictures / "notes.txt", damaged, pictures / "b.jpg", "--json"
        )
        assert result.exit_code == 1
        found = objects(result)
        assert [set(entry) for entry in found[:3]] == [{"path", "error"}] * 3
        assert "does not exist" in found[0]["error"]
        assert "not a picture" in found[1]["error"]
        assert "damaged" in found[2]["error"]
        assert found[3] == {
            "path": str(pictures / "b.jpg"),
            "width": 160,
            "height": 120,
            "faces": [],
        }

    def test_a_path_that_may_not_be_looked_at_is_an_error(self, pictures: Path) -> None:
        # A name of over 255 bytes raises as a folder without permission does, for everybody.
        path = Path("x" * 300) / "a.jpg"
        result = invoke(path, pictures / "b.jpg", "--json")
        assert result.exit_code == 1
        bad, good = objects(result)
        assert bad["path"] == str(path)
        assert "cannot be opened" in bad["error"]
        assert good["faces"] == []

    def test_an_empty_folder_is_an_error(self, tmp_path: Path) -> None:
        result = invoke(tmp_path, "--json")
        assert result.exit_code == 1
        assert objects(result) == [
            {
                "path": str(tmp_path),
                "error": "The folder holds no image (.bmp .jpeg .jpg .png .webp).",
            }
        ]

    def test_names_that_are_no_text(self, tmp_path: Path, pictures: Path) -> None:
        name = os.fsdecode(b"\xff\xc3\xa4.png")
        (tmp_path / name).write_bytes((pictures / "b.jpg").read_bytes())
        found = objects(invoke(tmp_path / name, "--json"))
        assert found[0]["path"] == str(tmp_path / name)

    def test_without_landmarks(self, recognizer: EmotionRecognizer, pictures: Path) -> None:
        recognizer.detector = OneFaceDetector(np.full((5, 2), math.nan))
        assert objects(invoke(pictures / "a.png", "--json"))[0]["faces"][0]["landmarks"] is None


@pytest.mark.usefixtures("recognizer")
class TestTable:
    def test_one_row_for_each_face(self, pictures: Path) -> None:
        result = invoke(pictures / "a.png", pictures / "b.jpg")
        rows = [line.split() for line in result.stdout.splitlines()]
        assert result.exit_code == 0
        assert rows[0] == ["image", "face", "emotion", "next", "likely"]
        assert rows[1][:5] == [str(pictures / "a.png"), "0", "happy", "70", "%"]
        assert "neutral 10 %" in result.stdout
        assert rows[2] == [str(pictures / "b.jpg"), "no", "face"]

    def test_errors_go_to_standard_error(self, pictures: Path) -> None:
        result = invoke(pictures / "a.png", "missing.jpg")
        assert result.exit_code == 1
        assert "missing.jpg does not exist." in result.stderr
        assert "1 of 2 could not be read." in result.stderr
        assert "missing" not in result.stdout

    def test_square_brackets_are_no_markup(self, pictures: Path) -> None:
        path = (pictures / "b.jpg").rename(pictures / "[red]x.jpg")
        assert str(path) in invoke(path).stdout


@pytest.mark.usefixtures("recognizer")
class TestAnnotate:
    def test_saves_a_picture_for_each(self, pictures: Path, tmp_path: Path) -> None:
        folder = tmp_path / "new" / "folder"
        before = (pictures / "a.png").read_bytes()
        assert invoke(pictures, "--annotate", folder).exit_code == 0
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["a_emotions.png", "b_emotions.jpg", "c_emotions.png"]
        annotated = read_image(folder / "a_emotions.png")
        original = read_image(pictures / "a.png")
        assert annotated.shape == original.shape
        assert (annotated != original).any()
        assert (pictures / "a.png").read_bytes() == before

    def test_equal_names_do_not_overwrite_each_other(self, pictures: Path, tmp_path: Path) -> None:
        other = tmp_path / "other"
        other.mkdir()
        (other / "a.png").write_bytes((pictures / "c.png").read_bytes())
        invoke(pictures / "a.png", other / "a.png", "--annotate", tmp_path / "out")
        widths = [
            read_image(tmp_path / "out" / name).shape[1]
            for name in ("a_emotions.png", "a_emotions_2.png")
        ]
        assert widths == [512, 1024]

    @pytest.mark.parametrize("is_link", [False, True])
    def test_pictures_that_are_read_are_not_replaced(
        self, pictures: Path, tmp_path: Path, is_link: bool
    ) -> None:
        data = (pictures / "c.png").read_bytes()
        source = pictures / "a_emotions.png"
        if is_link:
            original = tmp_path / "original.png"
            original.write_bytes(data)
            source.symlink_to(original)
        else:
            source.write_bytes(data)

        result = invoke(pictures / "a.png", source, "--annotate", pictures)

        assert result.exit_code == 0
        assert source.read_bytes() == data
        widths = [
            read_image(pictures / f"{name}.png").shape[1]
            for name in ("a_emotions_2", "a_emotions_emotions")
        ]
        assert widths == [512, 1024]

    def test_a_file_is_no_folder(self, pictures: Path) -> None:
        result = invoke(pictures / "a.png", "--annotate", pictures / "notes.txt")
        assert result.exit_code == 2
        assert "is a file" in result.stderr

    def test_a_folder_that_cannot_be_made(self, pictures: Path) -> None:
        result = invoke(pictures / "a.png", "--annotate", pictures / "notes.txt" / "below")
        assert result.exit_code == 1
        assert "cannot be made" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model", "/nowhere"], "Model '/nowhere' is neither"),
        (["--detector", "eyes"], "Unknown detector 'eyes'; choose one of auto"),
    ],
)
def test_wrong_model_or_detector(arguments: list[str], expected: str, pictures: Path) -> None:
    result = invoke(pictures / "a.png", *arguments)
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: ")
    assert expected in result.stderr
    assert result.stderr.count("\n") == 1


def test_list_entries_reports_a_folder_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(folder: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(classify_run, "list_images", fail)
    assert [entry.error for entry in list_entries([tmp_path])] == [
        "The folder cannot be listed: Permission denied."
    ]


def test_json_of_a_result_is_one_line() -> None:
    face = FaceEmotion(
        "0",
        np.array([1, 2, 3, 4], np.float32),
        np.zeros((5, 2), np.float32),
        1.0,
        "happy",
        0.7,
        LABELS,
        np.array(PROBABILITIES, np.float32),
        np.array(PROBABILITIES, np.float32),
    )
    line = to_json(ImageResult(Path("a\nb.png"), "", 10, 20, (face,)))
    assert "\n" not in line
    assert json.loads(line)["path"] == "a\nb.png"


class TestProcess:
    """The installed command with the real model."""

    def test_finds_the_face_in_a_photograph(self, run: "Run", pictures: Path, model: str) -> None:
        done = run("classify", pictures / "a.png", pictures / "c.png", "--json", "--model", model)
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        one, two = (json.loads(line) for line in done.stdout.splitlines())
        face = one["faces"][0]
        assert face["emotion"] == "happy"
        left, top, width, height = face["box_xywh"]
        assert 170 < left < left + width < 280
        assert 55 < top < top + height < 190
        assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert len(two["faces"]) == 2

    def test_needs_no_ros(self, pictures: Path, model: str) -> None:
        code = (
            "import sys; sys.modules['rclpy'] = None; sys.modules['deepfer'] = None\n"
            f"from deepfer_ros.cli import main; main(['classify', '--model', {model!r}, "
            f"{str(pictures / 'a.png')!r}])"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "happy" in done.stdout

    def test_prints_each_line_at_once(
        self, command: list[str], pictures: Path, model: str
    ) -> None:
        os.mkfifo(pictures / "d.png")
        paths = [str(pictures / "b.jpg")] * 3
        process = subprocess.Popen(
            [*command, "classify", "--json", "--model", model, *paths],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        # A line that were kept back would not be here before the others are read.
        timer = threading.Timer(60, process.kill)
        timer.start()
        assert json.loads(process.stdout.readline())["faces"] == []
        process.communicate()
        timer.cancel()
        assert process.returncode == 0

    def test_a_reader_that_leaves_is_no_reason_for_a_traceback(
        self, command: list[str], pictures: Path, model: str
    ) -> None:
        paths = " ".join([str(pictures / "b.jpg")] * 30)
        done = subprocess.run(
            f"{shlex.join(command)} classify --json --model {model} {paths} | head -1",
            shell=True,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.stdout.count("\n") == 1
        assert "Traceback" not in done.stderr
        assert "BrokenPipe" not in done.stderr

    @pytest.mark.parametrize(
        "environment",
        [
            pytest.param({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, id="C"),
            pytest.param({"PYTHONIOENCODING": "ascii"}, id="ascii"),
            pytest.param({"NO_COLOR": "1", "COLUMNS": "60"}, id="60 columns, no colour"),
        ],
    )
    def test_every_terminal(
        self, run: "Run", pictures: Path, model: str, environment: dict[str, str]
    ) -> None:
        path = (pictures / "a.png").rename(pictures / "Grüße 你好.png")
        done = run("classify", path, "--model", model, env=os.environ | environment)
        assert done.returncode == 0, done.stderr
        assert "happy" in done.stdout
        assert "\x1b[" not in done.stdout


def test_annotated_picture_is_read_by_opencv(
    recognizer: EmotionRecognizer, pictures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "photo.tiff"
    cv2.imwrite(str(path), cv2.imread(str(pictures / "a.png")))
    assert invoke(path, "--annotate", tmp_path / "out").exit_code == 0
    assert cv2.imread(str(tmp_path / "out" / "photo_emotions.jpg")).shape == (512, 512, 3)
