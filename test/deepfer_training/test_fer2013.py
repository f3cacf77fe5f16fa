import bz2
import gzip
import io
import lzma
import re
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deepfer_training.errors import DatasetError
from deepfer_training.fer2013 import LABELS, FaceDataset, read_fer2013, read_ferplus_votes

_PIXELS = " ".join(["7"] * 2304)
_VOTE_HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
)


def _write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_read_pictures_labels_splits_and_votes(
    tiny_files: tuple[Path, Path], tiny_dataset: FaceDataset
) -> None:
    source = read_fer2013(tiny_files[0])

    dataset = source.faces
    np.testing.assert_array_equal(dataset.images, tiny_dataset.images)
    np.testing.assert_array_equal(dataset.labels, tiny_dataset.labels)
    np.testing.assert_array_equal(dataset.splits, tiny_dataset.splits)
    assert dataset.votes is None
    assert tiny_dataset.votes is not None
    votes = read_ferplus_votes(tiny_files[1], dataset)
    np.testing.assert_array_equal(votes, tiny_dataset.votes)
    assert dataset.source == str(tiny_files[0])
    assert (source.form, source.place(0), source.place(3)) == ("table", "line 2", "line 5")
    assert source.sizes_hw.tolist() == [[48, 48]] * len(dataset)


def _compress(path: Path, content: bytes, name: str = "fer2013/fer2013.csv") -> Path:
    """Write a table as the suffix of the path says."""
    suffix = path.suffix.lower()
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("README.md", "Read me")
            archive.writestr(name, content)
    elif suffix.startswith(".t") or ".tar." in path.name.lower():
        compression = {"gz": "gz", "xz": "xz"}.get(suffix[-2:], "bz2")
        with tarfile.open(path, f"w:{compression}") as tar:  # type: ignore[call-overload]
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    elif suffix == ".xz":
        path.write_bytes(lzma.compress(content))
    elif suffix == ".bz2":
        path.write_bytes(bz2.compress(content))
    else:
        path.write_bytes(gzip.compress(content))
    return path


@pytest.mark.parametrize(
    "name",
    [
        "a.csv.xz",
        "a.csv.gz",
        "a.csv.bz2",
        "a.zip",
        "a.tar.gz",
        "a.tar.bz2",
        "a.tar.xz",
        "a.tgz",
        "a.tbz",
        "a.tbz2",
        "a.txz",
        "A.CSV.XZ",
        "A.CSV.GZ",
        "A.ZIP",
        "A.TAR.GZ",
    ],
)
def test_read_compressed(tmp_path: Path, name: str) -> None:
    content = f"emotion,pixels,Usage\n3,{_PIXELS},Training\n".encode()

    dataset = read_fer2013(_compress(tmp_path / name, content)).faces

    assert dataset.labels.tolist() == [3]
    assert dataset.images.tolist() == np.full((1, 48, 48), 7).tolist()


def test_read_icml_face_data_with_its_blanks(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "icml_face_data.csv", "emotion, Usage, pixels", f"0, PublicTest, {_PIXELS}"
    )

    assert read_fer2013(path).faces.splits.tolist() == ["PublicTest"]


@pytest.mark.parametrize("name", ["fer2013.csv", "fer2013.csv.xz", "fer2013.zip"])
def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path, name: str) -> None:
    content = f"emotion,pixels,Usage\n3,{_PIXELS},Training\n".encode("utf-8-sig")
    path = tmp_path / name
    if name.endswith(".csv"):
        path.write_bytes(content)
    else:
        _compress(path, content)

    assert read_fer2013(path).faces.labels.tolist() == [3]


@pytest.mark.parametrize("end", ["", "\n", "\n\n\n", "\r\n\r\n", "\n  \n\n"])
def test_blank_lines_may_end_a_file(tmp_path: Path, end: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"emotion,pixels,Usage\n3,{_PIXELS},Training{end}".encode())

    assert read_fer2013(path).faces.labels.tolist() == [3]


def test_blank_lines_elsewhere_are_refused(tmp_path: Path) -> None:
    row = f"3,{_PIXELS},Training"
    path = _write(tmp_path / "a.csv", "emotion,pixels,Usage", row, "", " ", row, "")

    expected = f"{path}, line 3: 0 cells, expected 3; only the end of the file may be blank."
    with pytest.raises(DatasetError, match=re.escape(expected)):
        read_fer2013(path)


def test_the_known_table_of_an_archive_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "challenge.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train.csv", "emotion,pixels\n")
        archive.writestr("icml_face_data.csv", f"emotion, Usage, pixels\n1,Training,{_PIXELS}\n")

    assert read_fer2013(path).faces.labels.tolist() == [1]


def test_unknown_tables_of_an_archive_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.csv", "")
        archive.writestr("two.csv", "")

    with pytest.raises(DatasetError, match=r"several tables \(one\.csv, two\.csv\)"):
        read_fer2013(path)


def test_an_archive_without_a_table(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("README.md", "")

    with pytest.raises(DatasetError, match=r"a\.zip holds no \.csv file"):
        read_fer2013(path)


@pytest.mark.parametrize("suffix", [".xz", ".gz", ".bz2"])
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_a_compressed_table_in_a_folder_or_archive(tmp_path: Path, kind: str, suffix: str) -> None:
    content = f"emotion,pixels,Usage\n3,{_PIXELS},Training\n".encode()
    folder = tmp_path / "faces"
    folder.mkdir()
    table = _compress(folder / f"fer2013.csv{suffix}", content)
    path = folder
    if kind == "zip":
        path = tmp_path / "a.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(table, f"faces/{table.name}")

    assert read_fer2013(path).faces.labels.tolist() == [3]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (bytes(100_000_000), 1),
        (f"emotion,pixels,Usage\n3,{_PIXELS},Training\n3,".encode() + b"7 " * 50_000_000, 3),
        (b"emotion,pixels,Usage\n" + b'"\n",' * 10_000_000, 2),
    ],
    ids=["header", "line", "row of many lines"],
)
@pytest.mark.parametrize("name", ["fer2013.csv.xz", "fer2013.zip"])
def test_a_row_that_fills_the_memory_is_refused(
    tmp_path: Path, name: str, content: bytes, line: int
) -> None:
    path = tmp_path / name
    if name.endswith(".xz"):
        path.write_bytes(lzma.compress(content, preset=0))
    else:
        _compress(path, content)

    tracemalloc.start()
    try:
        with pytest.raises(DatasetError) as caught:
            read_fer2013(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert str(caught.value).startswith(f"{path}, line {line}: the row has more than 200000 char")
    assert peak < 30_000_000


def test_a_row_may_have_several_lines_and_long_cells(tmp_path: Path) -> None:
    text = f'"{"about " * 10_000}\n{"it " * 10_000}"'
    path = _write(
        tmp_path / "a.csv", "emotion,pixels,Usage,text", *[f"3,{_PIXELS},Training,{text}"] * 5
    )

    assert read_fer2013(path).faces.labels.tolist() == [3] * 5


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("emotion,pixels,Usage,emotion", "emotion"),
        ("emotion, pixels ,Usage,pixels,Usage", "pixels, Usage"),
    ],
)
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, header: str, names: str) -> None:
    path = _write(tmp_path / "bad.csv", header, f"3,{_PIXELS},Training,4")

    expected = f"{path}, line 1: columns {names} are there more than once; leave one of each."
    with pytest.raises(DatasetError, match=re.escape(expected)):
        read_fer2013(path)


def test_columns_that_are_not_wanted_may_be_there_twice(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.csv", "emotion,pixels,Usage,,", f"3,{_PIXELS},Training,,")

    assert read_fer2013(path).faces.labels.tolist() == [3]


def test_a_split_of_the_votes_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    row = "Training,fer0.png,10,0,0,0,0,0,0,0,0,0,Training"
    path = _write(tmp_path / "votes.csv", f"{_VOTE_HEADER},Usage", row)

    with pytest.raises(DatasetError, match="line 1: columns Usage are there more than once"):
        read_ferplus_votes(path, _faces("Training"))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (f"7,{_PIXELS},Training", "line 3: emotion is '7', expected 0 to 6."),
        (f"happy,{_PIXELS},Training", "line 3: emotion is 'happy', expected 0 to 6."),
        (f",{_PIXELS},Training", "line 3: emotion is '', expected 0 to 6."),
        (
            "0,1 2 3,Training",
            "line 3: pixels must be 2304 numbers from 0 to 255, got 3 numbers.",
        ),
        ("0,,Training", "line 3: pixels must be 2304 numbers from 0 to 255, got 0 numbers."),
        (f"0,{_PIXELS[:-1]}256,Training", "line 3: pixels must be 2304 numbers from 0 to 255"),
        (f"0,{_PIXELS[:-1]}-1,Training", "line 3: pixels must be 2304 numbers from 0 to 255"),
        (f"0,{_PIXELS[:-1]}x,Training", "line 3: pixels must be 2304 whole numbers"),
        (
            f"0,{_PIXELS[:-1]}99999999999999999999,Training",
            "line 3: pixels must be 2304 whole numbers from 0 to 255.",
        ),
        (
            f"0,{_PIXELS},Test",
            "line 3: Usage is 'Test', expected one of Training, PublicTest, PrivateTest.",
        ),
        (f"0,{_PIXELS}", "line 3: 2 cells, expected 3."),
        (f"0,{_PIXELS},Training,1", "line 3: 4 cells, expected 3."),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = _write(tmp_path / "bad.csv", "emotion,pixels,Usage", f"0,{_PIXELS},Training", row)

    with pytest.raises(DatasetError, match=re.escape(f"{path}, {message}")):
        read_fer2013(path)


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("label,pixels,Usage", "columns emotion are missing; found label, pixels, Usage."),
        ("emotion", "columns pixels, Usage are missing; found emotion."),
        ("", "columns emotion, pixels, Usage are missing; found nothing."),
    ],
)
def test_wrong_columns_are_named(tmp_path: Path, header: str, message: str) -> None:
    path = _write(tmp_path / "bad.csv", header)

    with pytest.raises(DatasetError, match=re.escape(f"{path}, line 1: {message}")):
        read_fer2013(path)


def test_a_file_without_rows_is_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "empty.csv", "emotion,pixels,Usage")

    with pytest.raises(DatasetError, match=re.escape(f"{path} holds no rows below its header.")):
        read_fer2013(path)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("missing.csv", None),
        ("broken.csv.xz", b"not xz"),
        ("cut.csv.xz", lzma.compress(b"emotion,pixels,Usage\n" * 500)[:60]),
        ("broken.csv.gz", b"not gzip"),
        ("broken.zip", b"not zip"),
        ("broken.tar.gz", b"not tar"),
        ("binary.csv", b"\xff\xfe\x00\x80"),
    ],
)
def test_an_unreadable_file_is_named(tmp_path: Path, name: str, content: bytes | None) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(DatasetError, match=re.escape(str(path))):
        read_fer2013(path)


def _faces(*splits: str) -> FaceDataset:
    count = len(splits)
    return FaceDataset(
        np.zeros((count, 48, 48), np.uint8),
        np.zeros(count, np.int64),
        np.array(splits),
        source="fer2013.csv",
    )


def test_votes_must_fit_the_pictures(tmp_path: Path) -> None:
    path = _write(tmp_path / "votes.csv", _VOTE_HEADER, "Training,fer0.png,4,0,0,1,3,2,0,0,0,0")

    votes = read_ferplus_votes(path, _faces("Training"))
    assert votes.tolist() == [[4, 0, 0, 1, 3, 2, 0, 0, 0, 0]]
    with pytest.raises(DatasetError, match=r"holds 1 rows, but there are 2 images"):
        read_ferplus_votes(path, _faces("Training", "Training"))


def test_votes_in_another_order_are_refused(tmp_path: Path) -> None:
    splits = ("Training", "Training", "PublicTest", "PrivateTest")
    rows = [f"{split},,10,0,0,0,0,0,0,0,0,0" for split in splits]
    path = _write(tmp_path / "votes.csv", _VOTE_HEADER, rows[0], *rows[:0:-1])

    with pytest.raises(DatasetError) as caught:
        read_ferplus_votes(path, _faces(*splits))

    assert str(caught.value) == (
        f"{path}, line 3: Usage is 'PrivateTest', expected 'Training' as in line 3 of "
        "fer2013.csv; FER+ votes must be in the row order of the images."
    )


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (_VOTE_HEADER.replace(",", ", "), "PublicTest , fer0.png, 1,2,3,4,0,0,0,0,0,0"),
        (_VOTE_HEADER.removeprefix("Usage,"), "fer0.png,1,2,3,4,0,0,0,0,0,0"),
        (
            _VOTE_HEADER.removeprefix("Usage,") + ",Usage",
            "fer0.png,1,2,3,4,0,0,0,0,0,0,PublicTest",
        ),
    ],
    ids=["blanks", "no Usage", "Usage last"],
)
def test_other_forms_of_the_votes(tmp_path: Path, header: str, row: str) -> None:
    path = _write(tmp_path / "votes.csv", header, row, "")

    votes = read_ferplus_votes(path, _faces("PublicTest"))

    assert votes.tolist() == [[1, 2, 3, 4, 0, 0, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("votes", "message"),
    [
        ("4,0,0,1,3,2,0,0,0,x", "votes must be whole numbers"),
        ("11,0,0,0,0,0,0,0,0,0", "votes must be from 0 to 10"),
        ("-1,0,0,0,0,0,0,0,0,0", "votes must be from 0 to 10"),
    ],
)
def test_wrong_votes_are_named(tmp_path: Path, votes: str, message: str) -> None:
    path = _write(tmp_path / "votes.csv", _VOTE_HEADER, f"Training,fer0.png,{votes}")

    with pytest.raises(DatasetError, match=re.escape(f"{path}, line 2: {message}")):
        read_ferplus_votes(path, _faces("Training"))


def test_votes_with_other_columns_are_refused(tmp_path: Path) -> None:
    path = _write(tmp_path / "votes.csv", "Usage,Image name,neutral", "Training,fer0.png,10")

    with pytest.raises(DatasetError, match=r"line 1: columns happiness, .* are missing"):
        read_ferplus_votes(path, _faces("Training"))


def _dataset(votes: list[list[int]], labels: list[int]) -> FaceDataset:
    return FaceDataset(
        np.zeros((len(labels), 48, 48), np.uint8),
        np.array(labels, np.int64),
        np.full(len(labels), "Training"),
        np.array(votes, np.int64),
    )


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ([10, 0, 0, 0, 0, 0, 0, 0, 0, 0], "neutral"),
        ([0, 10, 0, 0, 0, 0, 0, 0, 0, 0], "happy"),
        ([0, 0, 10, 0, 0, 0, 0, 0, 0, 0], "surprise"),
        ([0, 0, 0, 10, 0, 0, 0, 0, 0, 0], "sad"),
        ([0, 0, 0, 0, 10, 0, 0, 0, 0, 0], "angry"),
        ([0, 0, 0, 0, 0, 10, 0, 0, 0, 0], "disgust"),
        ([0, 0, 0, 0, 0, 0, 10, 0, 0, 0], "fear"),
        ([0, 5, 0, 5, 0, 0, 0, 0, 0, 0], "happy"),  # a tie: first in FER+ column order
        ([0, 4, 0, 0, 0, 0, 0, 3, 3, 0], "happy"),
        ([0, 5, 0, 0, 0, 0, 0, 5, 0, 0], None),
        ([1, 0, 0, 0, 0, 0, 0, 9, 0, 0], None),  # contempt
        ([1, 0, 0, 0, 0, 0, 0, 0, 9, 0], None),  # unknown
        ([1, 0, 0, 0, 0, 0, 0, 0, 0, 9], None),  # not a face
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], None),
    ],
)
def test_majority_of_the_votes(votes: list[int], label: str | None) -> None:
    expected = -1 if label is None else LABELS.index(label)

    assert _dataset([votes], [0]).majority_labels().tolist() == [expected]


@pytest.mark.parametrize(
    ("votes", "label"),
    [
        ([0, 10, 0, 0, 0, 0, 0, 0, 0, 0], "happy"),
        ([5, 5, 0, 0, 0, 0, 0, 0, 0, 0], None),
        ([4, 3, 3, 0, 0, 0, 0, 0, 0, 0], None),
        # Single votes are dropped: 4 of 6, and 3 of 6.
        ([4, 2, 1, 1, 1, 1, 0, 0, 0, 0], "neutral"),
        ([3, 3, 1, 1, 1, 1, 0, 0, 0, 0], None),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1, 1], None),
        ([2, 0, 0, 0, 0, 0, 0, 8, 0, 0], None),
        ([2, 0, 0, 0, 0, 0, 0, 0, 8, 0], None),
        ([2, 0, 0, 0, 0, 0, 0, 0, 0, 8], None),
        ([0, 0, 0, 0, 0, 0, 0, 0, 0, 0], None),
    ],
)
def test_strict_majority_of_the_votes(votes: list[int], label: str | None) -> None:
    expected = -1 if label is None else LABELS.index(label)

    assert _dataset([votes], [0]).strict_majority_labels().tolist() == [expected]


def test_targets_mix_labels_and_votes() -> None:
    votes = [[2, 6, 0, 0, 0, 0, 0, 2, 0, 0], [0, 0, 0, 0, 0, 0, 0, 0, 0, 10]]
    dataset = _dataset(votes, [LABELS.index("sad"), LABELS.index("fear")])

    targets = dataset.soft_targets(0.4)

    happy, sad, neutral = (LABELS.index(label) for label in ("happy", "sad", "neutral"))
    expected = np.zeros(7)
    expected[[sad, happy, neutral]] = [0.6, 0.4 * 6 / 8, 0.4 * 2 / 8]
    np.testing.assert_allclose(targets[0], expected, atol=1e-6)
    # Nobody voted for any of the seven: the label stays.
    np.testing.assert_allclose(targets[1], np.eye(7)[LABELS.index("fear")], atol=1e-6)
    assert targets.dtype == np.float32


def test_votes_are_asked_for_by_name() -> None:
    dataset = FaceDataset(np.zeros((1, 48, 48), np.uint8), np.zeros(1, np.int64), np.array(["x"]))

    with pytest.raises(DatasetError, match=r"votes_weight is 0\.5, but no FER\+ file"):
        dataset.soft_targets(0.5)
    with pytest.raises(DatasetError, match=r"give the file fer2013new\.csv"):
        dataset.majority_labels()
    np.testing.assert_array_equal(dataset.soft_targets(0.0), np.eye(7)[[0]])


def test_splits(tiny_dataset: FaceDataset) -> None:
    assert len(tiny_dataset.split("Training")) == 16 * 7
    assert set(tiny_dataset.split("PublicTest").splits) == {"PublicTest"}
    with pytest.raises(DatasetError, match="Unknown split 'Test'; choose one of Training, Pub"):
        tiny_dataset.split("Test")
    with pytest.raises(DatasetError, match=r"tiny\.csv has no row in split 'PublicTest'"):
        tiny_dataset.split("Training").split("PublicTest")


def test_a_share_of_public_test_is_learned_from(tiny_dataset: FaceDataset) -> None:
    def learned(share: float) -> set[int]:
        moved = tiny_dataset.learn_from_public_test(share)
        assert moved.images is tiny_dataset.images
        changed = np.flatnonzero(moved.splits != tiny_dataset.splits)
        assert set(tiny_dataset.splits[changed]) <= {"PublicTest"}
        assert set(moved.splits[changed]) <= {"Training"}
        return set(changed.tolist())

    assert learned(0.0) == set()
    # About so many of 42; a smaller share is a part of a larger one.
    assert 10 < len(learned(0.5)) < 32
    assert learned(0.2) < learned(0.5) < learned(0.8)


def test_copies_are_learned_from_together(tiny_dataset: FaceDataset) -> None:
    public = tiny_dataset.split("PublicTest")
    twice = FaceDataset(
        np.concatenate([public.images, public.images[::-1]]),
        np.concatenate([public.labels, public.labels[::-1]]),
        np.concatenate([public.splits, public.splits]),
    )

    splits = twice.learn_from_public_test(0.5).splits

    assert set(splits) == {"Training", "PublicTest"}
    np.testing.assert_array_equal(splits[: len(public)], splits[len(public) :][::-1])


def test_something_of_public_test_must_remain(tiny_dataset: FaceDataset) -> None:
    public = tiny_dataset.split("PublicTest")
    one = FaceDataset(public.images[:1], public.labels[:1], public.splits[:1], source="one.csv")

    with pytest.raises(DatasetError) as caught:
        one.learn_from_public_test(0.999999)

    assert str(caught.value) == (
        "one.csv has 1 rows in split 'PublicTest', and a public_test_share of 0.999999 leaves "
        "none of them; take a smaller share."
    )


def test_an_empty_class_is_named(tmp_path: Path) -> None:
    rows = [f"{label},{_PIXELS},Training" for label in range(7) if label not in (1, 4)]
    path = _write(tmp_path / "a.csv", "emotion,pixels,Usage", *rows)

    with pytest.raises(DatasetError) as caught:
        read_fer2013(path).faces.require_every_class()

    assert str(caught.value) == (
        f"{path} has no row of class disgust, sad in split 'Training'; every one of "
        "angry, disgust, fear, happy, sad, surprise, neutral needs at least one."
    )


def test_wrong_arrays_are_refused() -> None:
    with pytest.raises(
        DatasetError, match=r"Images must be uint8 \(2, 48, 48\), got uint8 \(2, 4"
    ):
        FaceDataset(np.zeros((2, 4, 4), np.uint8), np.zeros(2, np.int64), np.array(["a", "b"]))
    with pytest.raises(DatasetError, match=r"Splits must have shape \(2,\), got \(1,\)"):
        FaceDataset(np.zeros((2, 48, 48), np.uint8), np.zeros(2, np.int64), np.array(["a"]))
