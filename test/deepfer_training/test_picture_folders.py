import io
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from exif_samples import DAMAGED_EXIF, ORIENTATIONS
from numpy.typing import NDArray
from PIL import Image
from tiff_samples import RATIONAL, one_pixel_tiff

from deepfer_training import picture_folders
from deepfer_training.errors import DatasetError
from deepfer_training.face_sources import read_source
from deepfer_training.fer2013 import LABELS, FaceDataset, FaceSource
from deepfer_training.picture_folders import read_unlabelled


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


@pytest.mark.parametrize(
    ("folder", "missing_folder", "missing"),
    [("test", "validation", "PublicTest"), ("validation", "test", "PrivateTest")],
)
def test_pictures_of_one_folder_for_both_tests_are_halved_by_content(
    tmp_path: Path, folder: str, missing_folder: str, missing: str
) -> None:
    tests = [f"{folder}/{label}/{number}.png" for label in LABELS for number in range(20)]
    _write(tmp_path, *tests, "train/happy/a.png")

    source = read_source(tmp_path)

    splits = _splits(source)
    assert splits["train/happy/a.png"] == "Training"
    counts = [list(splits.values()).count(name) for name in ("PublicTest", "PrivateTest")]
    assert sum(counts) == 140
    assert min(counts) > 45
    (note,) = source.notes
    assert note == (
        f"There is no {missing_folder} folder: half of the {folder} pictures, chosen by content, "
        f"are taken as {missing}. These are not the official halves."
    )
    # The same picture is in the same part wherever it lies.
    moved = f"{folder}/angry/zzz.png"
    (tmp_path / tests[0]).rename(tmp_path / moved)
    assert _splits(read_source(tmp_path))[moved] == splits[tests[0]]
    # Whatever the folder is called.
    (tmp_path / folder).rename(tmp_path / missing_folder)
    renamed = _splits(read_source(tmp_path))
    assert renamed[moved.replace(folder, missing_folder)] == splits[tests[0]]


@pytest.mark.parametrize(
    ("folder", "split"), [("test", "PrivateTest"), ("validation", "PublicTest")]
)
def test_pictures_of_one_folder_alone_are_not_divided(
    tmp_path: Path, folder: str, split: str
) -> None:
    source = read_source(_write(tmp_path, f"{folder}/happy/1.png", f"{folder}/sad/2.png"))

    assert set(_splits(source).values()) == {split}
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


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("a.png", "<u2"), ("a.tif", "<u2"), ("a.tif", ">u2"), ("a.pgm", ">u2"), ("a.tif", "<i4")],
)
def test_16_bits_are_scaled_to_8(tmp_path: Path, name: str, dtype: str) -> None:
    expected = np.arange(48 * 48).reshape(48, 48) % 256
    path = tmp_path / "happy" / name
    path.parent.mkdir()
    values = (expected * 257).astype(dtype)
    if name == "a.pgm":
        path.write_bytes(b"P5 48 48 65535\n" + values.tobytes())
    elif dtype == ">u2":
        Image.frombytes("I;16B", (48, 48), values.tobytes()).save(path)
    else:
        Image.fromarray(values).save(path)
    with Image.open(path) as image:
        assert image.mode.startswith("I")

    np.testing.assert_array_equal(read_source(tmp_path).faces.images[0], expected)


def test_more_than_16_bits_are_scaled_to_the_brightest_value(tmp_path: Path) -> None:
    values = np.full((48, 48), 1_000_000, np.int32)
    values[0] = -5, *[500_000] * 47
    (tmp_path / "happy").mkdir()
    Image.fromarray(values).save(tmp_path / "happy/a.tif")

    (image,) = read_source(tmp_path).faces.images

    assert image[0].tolist() == [0, *[128] * 47]
    assert (image[1:] == 255).all()


def test_floating_point_pictures_are_refused(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    Image.fromarray(np.ones((48, 48), np.float32)).save(tmp_path / "happy/a.tif")

    with pytest.raises(DatasetError, match=r"happy/a\.tif has floating-point values.* 16 bits"):
        read_source(tmp_path)


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.tif"])
@pytest.mark.parametrize(("orientation", "quarter_turns", "is_mirrored"), ORIENTATIONS)
def test_pictures_are_turned_upright(
    tmp_path: Path, name: str, orientation: int, quarter_turns: int, is_mirrored: bool
) -> None:
    # Dark but for the upper left quarter.
    upright = np.zeros((64, 48), np.uint8)
    upright[:32, :24] = 255
    stored = np.rot90(upright[:, ::-1] if is_mirrored else upright, quarter_turns)
    exif = Image.Exif()
    exif[0x0112] = orientation
    (tmp_path / "happy").mkdir()
    Image.fromarray(stored.copy()).save(tmp_path / "happy" / name, exif=exif)

    source = read_source(tmp_path)

    assert source.sizes_hw.tolist() == [[64, 48]]
    (image,) = source.faces.images
    assert (image[:22, :22] > 240).all()
    assert (image[26:] < 15).all()
    assert (image[:, 26:] < 15).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize(("exif", "is_turned"), DAMAGED_EXIF)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_damaged_exif_does_not_spoil_a_picture(
    tmp_path: Path, name: str, exif: bytes, is_turned: bool
) -> None:
    picture = np.zeros((48, 48), np.uint8)
    picture[:24] = 255
    (tmp_path / "happy").mkdir()
    Image.fromarray(picture).save(tmp_path / "happy" / name, exif=exif)

    (image,) = read_source(tmp_path).faces.images

    expected = np.rot90(picture, -1) if is_turned else picture
    assert np.abs(image.astype(int) - expected).max() < 15


def test_16_bits_are_turned_upright_too(tmp_path: Path) -> None:
    upright = np.arange(48 * 48).reshape(48, 48) % 251
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "happy").mkdir()
    stored = Image.fromarray(np.rot90(upright * 257).astype(np.uint16))
    stored.save(tmp_path / "happy/a.png", exif=exif)

    np.testing.assert_array_equal(read_source(tmp_path).faces.images[0], upright)


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_pictures_are_in_the_order_of_their_names(tmp_path: Path, kind: str) -> None:
    # As text, "a-b" is before "a/b".
    names = ["a/happy/1.png", "a/sad/10.png", "a/sad/2.png", "a-b/happy/1.png"]
    folder = _write(tmp_path / "faces", *names)
    path = folder if kind == "folder" else tmp_path / f"faces.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in reversed(names):
                archive.write(folder / name, name)
    elif kind == "tar":
        with tarfile.open(path, "w") as tar:
            for name in reversed(names):
                tar.add(folder / name, name)

    source = read_source(path)

    assert [source.place(index) for index in range(4)] == names
    assert [LABELS[label] for label in source.faces.labels] == ["happy", "sad", "sad", "happy"]
    for image, name in zip(source.faces.images, names, strict=True):
        np.testing.assert_array_equal(image, np.asarray(Image.open(folder / name)))


def test_a_picture_is_decoded_before_the_next_one_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, decode = picture_folders.read_pictures, picture_folders._decode
    steps = []

    def read_and_note(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
        for name, data in read(path):
            steps.append("read")
            yield name, data

    def decode_and_note(data: bytes, name: str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        steps.append("decode")
        return decode(data, name)

    monkeypatch.setattr(picture_folders, "read_pictures", read_and_note)
    monkeypatch.setattr(picture_folders, "_decode", decode_and_note)

    read_source(_write(tmp_path, "happy/1.png", "happy/2.png"))

    assert steps == ["read", "decode"] * 2


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
        (one_pixel_tiff(RATIONAL), r"happy/1\.png cannot be read as a picture"),
    ],
    ids=["empty", "text", "cut", "tiff"],
)
def test_a_bad_picture_is_named(tmp_path: Path, content: bytes, complaint: str) -> None:
    _write(tmp_path, "happy/0.png")
    (tmp_path / "happy/1.png").write_bytes(content)

    with pytest.raises(DatasetError, match=complaint):
        read_source(tmp_path)


@pytest.mark.parametrize("mode", ["1", "I;16", "RGB"])
def test_a_picture_with_too_many_pixels_is_not_decoded(tmp_path: Path, mode: str) -> None:
    (tmp_path / "happy").mkdir()
    # As large as Pillow lets pass, and with little to store.
    Image.new(mode, (10_000, 5_001)).save(tmp_path / "happy/a.png")

    expected = r"happy/a\.png has 10000x5001 pixels, at most 50000000 pixels are allowed; save it"
    with pytest.raises(DatasetError, match=expected):
        read_source(tmp_path)


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["archive.zip"], "but archive.zip; give one of these files."),
        (["a/b.TAR.GZ", "c.zip"], "but a/b.TAR.GZ, c.zip; give one of these files."),
    ],
)
def test_a_folder_of_archives_is_told_from_an_empty_one(
    tmp_path: Path, names: list[str], text: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    with pytest.raises(DatasetError) as caught:
        read_source(tmp_path)

    assert str(caught.value) == f"{tmp_path} holds no picture in a folder of a class, {text}"


def test_an_archive_in_an_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "outer.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner.zip", b"")

    with pytest.raises(DatasetError, match=r"but inner\.zip; unpack it and give one of these\."):
        read_source(path)


def test_links_are_followed(tmp_path: Path) -> None:
    elsewhere = _write(tmp_path / "elsewhere", "angry/1.png", "happy/2.png")
    dataset = _write(tmp_path / "dataset", "train/sad/3.png")
    (dataset / "test").symlink_to(elsewhere)
    (dataset / "validation").symlink_to(elsewhere)
    (elsewhere / "around").symlink_to(elsewhere)

    assert _splits(read_source(dataset)) == {
        "test/angry/1.png": "PrivateTest",
        "test/happy/2.png": "PrivateTest",
        "train/sad/3.png": "Training",
        "validation/angry/1.png": "PublicTest",
        "validation/happy/2.png": "PublicTest",
    }


def test_unlabelled_pictures_lie_in_any_folders(tmp_path: Path) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 48, 48), np.uint8)
    for name, picture in zip(("b/2.png", "a/deep/down/1.png", "0.png"), pictures, strict=True):
        (tmp_path / "faces" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "faces" / name)
    known = FaceDataset(pictures[2:], np.array([0]), np.array(["PublicTest"]))
    copies = FaceDataset(pictures, np.array([0, 0, 0]), np.array(["PublicTest"] * 3))

    found = read_unlabelled(tmp_path / "faces", besides=known)

    # In the order of their names, without the one that is known.
    np.testing.assert_array_equal(found, pictures[[1, 0]])
    with pytest.raises(DatasetError, match="faces holds only copies of the labelled pictures"):
        read_unlabelled(tmp_path / "faces", besides=copies)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing", r"Cannot read .*missing: "),
        (
            "empty",
            r"empty holds no picture; expected a folder, \.zip or \.tar file with faces as ",
        ),
        ("broken", r"broken/a\.png is not a picture of a known format"),
    ],
)
def test_unlabelled_pictures_that_cannot_be_read_are_named(
    tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_bytes(b"no picture")
    known = FaceDataset(np.zeros((1, 48, 48), np.uint8), np.array([0]), np.array(["Training"]))
    with pytest.raises(DatasetError, match=message):
        read_unlabelled(tmp_path / name, besides=known)


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    dataset = _write(tmp_path, "angry/1.png")
    (dataset / "angry" / "2.png").symlink_to("gone.png")

    with pytest.raises(DatasetError, match=r"Cannot read .*/angry/2\.png: No such file"):
        read_source(dataset)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no picture in a folder of a class"):
        read_source(tmp_path)
    with pytest.raises(DatasetError, match=r"it does not exist; expected fer2013\.csv"):
        read_source(tmp_path / "none")


def test_a_table_beside_pictures_does_not_hide_them(tmp_path: Path) -> None:
    _write(tmp_path, "test/happy/1.png")
    (tmp_path / "labels.csv").write_text("name,label\n")

    assert len(read_source(tmp_path).faces) == 1


@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_votes_beside_pictures_do_not_hide_them(tmp_path: Path, kind: str) -> None:
    folder = _write(tmp_path / "faces", "test/happy/1.png")
    (folder / "fer2013new.csv").write_text("Usage,Image name,neutral\n")
    path = folder if kind == "folder" else tmp_path / "faces.zip"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.rglob("*.*"):
                archive.write(file, file.relative_to(folder))

    source = read_source(path)

    assert (source.form, len(source.faces)) == ("folders", 1)


def test_a_folder_with_the_table_of_fer2013_is_a_table(tmp_path: Path) -> None:
    pixels = " ".join(["7"] * 2304)
    (tmp_path / "fer2013.csv").write_text(f"emotion,pixels,Usage\n2,{pixels},Training\n")

    assert read_source(tmp_path).form == "table"
