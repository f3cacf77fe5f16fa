"""Tests of `deepfer crop`."""

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from deepfer_ros.cli import crop_run, deepfer
from deepfer_ros.cli.crop_run import Cropper
from deepfer_ros.recognition.model_bundle import ModelBundle
from deepfer_ros.recognition.types import FaceDetections

if TYPE_CHECKING:
    from conftest import Run

BUNDLE = ModelBundle("fake48", ("angry", "happy"), 48, 0.1, Path("fake.tflite"))


class TwoFacesDetector:
    """Finds a small face and, in the right half of a picture, a large one; none if it is plain."""

    name = "fake"

    def detect(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        if image_bgr.std() == 0:
            return FaceDetections.empty()
        boxes = np.array([[0, 0, 30, 30], [100, 20, 60, 60]], np.float32)
        landmarks = np.full((2, 5, 2), np.nan, np.float32)
        return FaceDetections(boxes, landmarks, np.array([0.9, 0.8], np.float32))


@pytest.fixture
def cropper(monkeypatch: pytest.MonkeyPatch) -> Cropper:
    """Replace detector and model by fakes."""
    cropper = Cropper(TwoFacesDetector(), BUNDLE)
    monkeypatch.setattr(crop_run, "_load_cropper", lambda *_: cropper)
    return cropper


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of photographs: two with faces, a plain one, one that is no picture."""
    folder = tmp_path / "photos"
    picture = np.zeros((100, 200, 3), np.uint8)
    picture[:, 100:] = 200
    for name in ("test/happy/a.png", "train/sad/b.tiff", "train/sad/plain.png"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.zeros_like(picture) if "plain" in name else picture)
    (folder / "test" / "happy" / "notes.txt").write_text("no picture")
    (folder / "test" / "happy" / ".hidden.png").write_bytes(b"no picture")
    return folder


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(deepfer, ["crop", *map(str, arguments)])


def files_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.usefixtures("cropper")
class TestCrop:
    def test_the_largest_face_goes_to_the_same_place(self, photos: Path, tmp_path: Path) -> None:
        crops = tmp_path / "crops"

        result = invoke(photos, "-o", crops)

        assert result.exit_code == 0
        assert files_below(crops) == ["test/happy/a.png.png", "train/sad/b.tiff.png"]
        crop = cv2.imread(str(crops / "test/happy/a.png.png"), cv2.IMREAD_UNCHANGED)
        assert crop.shape == (48, 48)
        # Only the large face lies in the bright half, all but its border of a tenth.
        assert np.all(crop[:, 10:] == 200)
        assert "2 of 3 images show a face" in result.stdout
        assert "2 show several: the largest was taken" in result.stdout
        assert result.stderr == f"{photos}/train/sad/plain.png: no face was found.\n"

    def test_the_others_go_on_after_a_bad_file(self, photos: Path, tmp_path: Path) -> None:
        (photos / "train" / "sad" / "bad.jpg").write_bytes(b"no picture")
        (photos / "train" / "sad" / "gone.jpg").symlink_to("nowhere.jpg")

        result = invoke(photos, "-o", tmp_path / "crops")

        assert result.exit_code == 1
        assert len(files_below(tmp_path / "crops")) == 2
        assert "bad.jpg is not a picture of a known format" in result.stderr
        assert "gone.jpg" in result.stderr
        assert result.stderr.endswith("2 could not be read.\n")

    def test_links_are_followed(self, photos: Path, tmp_path: Path) -> None:
        linked = tmp_path / "linked"
        linked.mkdir()
        (linked / "mine").symlink_to(photos)
        (photos / "around").symlink_to(photos)

        assert invoke(linked, "-o", tmp_path / "crops").exit_code == 0
        assert files_below(tmp_path / "crops") == [
            "mine/test/happy/a.png.png",
            "mine/train/sad/b.tiff.png",
        ]

    def test_folders_that_link_to_each_other_are_read_once_for_each_link(
        self, photos: Path, tmp_path: Path
    ) -> None:
        people = [tmp_path / "people" / str(number) for number in range(12)]
        for person in people:
            person.mkdir(parents=True)
        for person in people:
            for other in people:
                if other != person:
                    (person / f"friend{other.name}").symlink_to(other)
        (people[3] / "a.png").write_bytes((photos / "test/happy/a.png").read_bytes())

        assert invoke(tmp_path / "people", "-o", tmp_path / "crops").exit_code == 0

        found = files_below(tmp_path / "crops")
        assert found[0] == "0/friend1/friend3/a.png.png"
        assert {"0/friend3/a.png.png", "3/a.png.png"} < set(found)
        # Once by itself, and once for each of the 11 x 12 links but those in the folder itself.
        assert len(found) == 1 + 11 * 11

    def test_without_any_face_nothing_is_left(self, photos: Path, tmp_path: Path) -> None:
        before = set(tmp_path.iterdir())
        (photos / "test/happy/a.png").unlink()
        (photos / "train/sad/b.tiff").unlink()

        result = invoke(photos, "-o", tmp_path / "crops")

        assert result.exit_code == 1
        assert "No face was found in the 1 images" in result.stderr
        assert set(tmp_path.iterdir()) == before

    @pytest.mark.parametrize(
        ("output", "reason"),
        [
            pytest.param("there", "there exists already; choose another name", id="exists"),
            pytest.param("photos/crops", "lies in", id="among the photographs"),
            pytest.param("missing/crops", "missing does not exist", id="no folder"),
        ],
    )
    def test_other_outputs_are_refused(
        self, photos: Path, tmp_path: Path, output: str, reason: str
    ) -> None:
        (tmp_path / "there").mkdir()

        result = invoke(photos, "-o", tmp_path / output)

        assert result.exit_code == 1
        assert result.stderr.startswith("Error: ")
        assert reason in result.stderr
        assert list((tmp_path / "there").iterdir()) == []

    def test_a_folder_without_images_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "empty").mkdir()

        result = invoke(tmp_path / "empty", "-o", tmp_path / "crops")

        assert result.exit_code == 1
        assert "empty holds no image, nor does a folder in it (.bmp" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        pytest.param(["--model", "nothing"], "Model 'nothing' is neither", id="model"),
        pytest.param(["--detector", "magic"], "Unknown detector 'magic'", id="detector"),
    ],
)
def test_what_cannot_be_loaded_is_named(
    pictures: Path, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    result = invoke(pictures, "-o", tmp_path / "crops", *arguments)
    assert result.exit_code == 1
    assert reason in result.stderr
    assert not (tmp_path / "crops").exists()


def test_the_real_command_says_nothing_else(run: "Run", pictures: Path, tmp_path: Path) -> None:
    done = run("crop", pictures, "-o", tmp_path / "crops")
    assert (done.returncode, done.stderr) == (0, f"{pictures}/b.jpg: no face was found.\n")
    assert files_below(tmp_path / "crops") == ["a.png.png", "c.png.png"]
