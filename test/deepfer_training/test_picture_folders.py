import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepfer_training.errors import DatasetError
from deepfer_training.face_sources import read_source
from deepfer_training.fer2013 import LABELS, FaceSource


def _picture(number: int, size_wh: tuple[int, int] = (48, 48), mode: str = "L") -> bytes:
    """Return an encoded picture whose content depends on a number."""
    values = np.random.default_rng(number).integers(0, 256, (size_wh[1], size_wh[0]), np.uint8)
    data = io.BytesIO()
    Image.fromarray(values).convert(mode).save(data, "PNG")
    return data.getvalue()


def _write(root: Path, *names: str) -> Path:
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_picture(number))
    return root


def _splits(source: FaceSource) -> dict[str, str]:
    return {source.place(index): str(split) for index, split in enumerate(source.faces.splits)}


def test_classes_and_splits(tmp_path: Path) -> None:
    names = ["train/angry/1.png", "validation/fear/2.jpg", "test/sad/3.png", "test/Happy/4.PNG"]

    source = read_source(_write(tmp_path, *names))

    assert source.form == "folders"
    assert source.notes == ()
    assert _splits(source) == {
        "train/angry/1.png": "Training",
        "validation/fear/2.jpg": "PublicTest",
        "test/sad/3.png": "PrivateTest",
        "test/Happy/4.PNG": "PrivateTest",
    }
    labels = {source.place(i): LABELS[label] for i, label in enumerate(source.faces.labels)}
    assert labels == {
        "train/angry/1.png": "angry",
        "validation/fear/2.jpg": "fear",
        "test/sad/3.png": "sad",
        "test/Happy/4.PNG": "happy",
    }
    index = [source.place(i) for i in range(4)].index("train/angry/1.png")
    expected = np.asarray(Image.open(tmp_path / "train/angry/1.png"))
    np.testing.assert_array_equal(source.faces.images[index], expected)


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("anger", "angry"),
        ("disgusted", "disgust"),
        ("fearful", "fear"),
        ("scared", "fear"),
        ("Happiness", "happy"),
        ("SADNESS", "sad"),
        ("surprised", "surprise"),
        ("neutral", "neutral"),
    ],
)
def test_names_of_classes(tmp_path: Path, folder: str, label: str) -> None:
    faces = read_source(_write(tmp_path, f"{folder}/1.png")).faces

    assert [LABELS[index] for index in faces.labels] == [label]


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_archives(tmp_path: Path, kind: str) -> None:
    folder = _write(tmp_path / "faces", "train/happy/1.png", "test/sad/2.png")
    (folder / "__MACOSX/happy").mkdir(parents=True)
    (folder / "__MACOSX/happy/._1.png").write_bytes(b"left behind")
    path = tmp_path / f"archive.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.rglob("*"):
                archive.write(file, file.relative_to(tmp_path))
    else:
        with tarfile.open(path, "w:gz") as tar:
            tar.add(folder, "faces")

    source, expected = read_source(path), read_source(folder)

    np.testing.assert_array_equal(source.faces.images, expected.faces.images)
    np.testing.assert_array_equal(source.faces.labels, expected.faces.labels)
    assert len(source.faces) == 2


def test_without_validation_the_test_pictures_are_halved_by_content(tmp_path: Path) -> None:
    tests = [f"test/{label}/{number}.png" for label in LABELS for number in range(20)]
    _write(tmp_path, *tests, "train/happy/a.png")

    source = read_source(tmp_path)

    splits = _splits(source)
    assert splits["train/happy/a.png"] == "Training"
    counts = [list(splits.values()).count(name) for name in ("PublicTest", "PrivateTest")]
    assert sum(counts) == 140
    assert min(counts) > 45
    (note,) = source.notes
    assert "half of the test pictures" in note
    # The same picture is in the same part wherever it lies.
    (tmp_path / tests[0]).rename(tmp_path / "test/angry/zzz.png")
    assert _splits(read_source(tmp_path))["test/angry/zzz.png"] == splits[tests[0]]


def test_only_test_pictures_are_all_for_the_test(tmp_path: Path) -> None:
    source = read_source(_write(tmp_path, "test/happy/1.png", "test/sad/2.png"))

    assert set(_splits(source).values()) == {"PrivateTest"}
    assert source.notes == ()


def test_without_splits_pictures_are_divided_by_content(tmp_path: Path) -> None:
    _write(tmp_path, *(f"{label}/{number}.png" for label in LABELS for number in range(30)))

    source = read_source(tmp_path)

    counts = [
        list(source.faces.splits).count(n) for n in ("Training", "PublicTest", "PrivateTest")
    ]
    assert sum(counts) == 210
    assert counts[0] > 140
    assert min(counts[1:]) > 8
    assert "210 pictures lie in no folder of a split" in source.notes[0]


def test_other_sizes_and_modes(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    for name, size, mode in (
        ("a", (48, 48), "RGB"),
        ("b", (96, 96), "RGBA"),
        ("c", (20, 40), "P"),
    ):
        (tmp_path / f"happy/{name}.png").write_bytes(_picture(1, size, mode))

    source = read_source(tmp_path)

    assert source.faces.images.shape == (3, 48, 48)
    assert source.sizes_hw.tolist() == [[48, 48], [96, 96], [40, 20]]


def test_a_large_picture_is_averaged_around_its_middle(tmp_path: Path) -> None:
    picture = np.zeros((96, 136), np.uint8)
    picture[:, 20:116] = np.indices((96, 96)).sum(axis=0) % 2 * 200
    (tmp_path / "happy").mkdir()
    Image.fromarray(picture).save(tmp_path / "happy/a.png")

    np.testing.assert_array_equal(read_source(tmp_path).faces.images, np.full((1, 48, 48), 100))


def test_contempt_is_left_out(tmp_path: Path) -> None:
    source = read_source(_write(tmp_path, "test/happy/1.png", "test/contempt/2.png"))

    assert len(source.faces) == 1
    assert source.notes == ("1 pictures of contempt were left out.",)


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        (
            "train/confused/1.png",
            r"confused/1\.png lies in the folder 'confused'; expected a fold",
        ),
        ("train/3/1.png", r"lies in the folder '3'; expected a folder with the name of a class: "),
        ("1.png", r"1\.png lies in no folder; expected"),
    ],
)
def test_other_folders_are_named(tmp_path: Path, name: str, complaint: str) -> None:
    with pytest.raises(DatasetError, match=complaint):
        read_source(_write(tmp_path, "train/happy/0.png", name))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", r"happy/1\.png is not a picture"),
        (b"text", r"happy/1\.png is not a picture"),
        (_picture(0)[:200], r"happy/1\.png cannot be read as a picture"),
    ],
    ids=["empty", "text", "cut"],
)
def test_a_bad_picture_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    _write(tmp_path, "happy/0.png")
    (tmp_path / "happy/1.png").write_bytes(content)

    with pytest.raises(DatasetError, match=complaint):
        read_source(tmp_path)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no picture in a folder of a class"):
        read_source(tmp_path)
    with pytest.raises(DatasetError, match=r"it does not exist; expected fer2013\.csv"):
        read_source(tmp_path / "none")


def test_a_table_beside_pictures_does_not_hide_them(tmp_path: Path) -> None:
    _write(tmp_path, "test/happy/1.png")
    (tmp_path / "labels.csv").write_text("name,label\n")

    assert len(read_source(tmp_path).faces) == 1


def test_a_folder_with_the_table_of_fer2013_is_a_table(tmp_path: Path) -> None:
    pixels = " ".join(["7"] * 2304)
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n2,{pixels},Training\n")

    assert read_source(tmp_path).form == "table"
