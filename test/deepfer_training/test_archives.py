import re
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deepfer_training.archives import (
    FACE_TABLES,
    VOTE_TABLES,
    find_table,
    open_table,
    read_pictures,
)
from deepfer_training.errors import DatasetError


def _write_encrypted(path: Path, name: str) -> Path:
    """Write an archive that says of its only member that it needs a password."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, "content")
    content = bytearray(path.read_bytes())
    for signature, flags_at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + flags_at] |= 1
    path.write_bytes(content)
    return path


def test_a_table_with_a_password_is_named(tmp_path: Path) -> None:
    path = _write_encrypted(tmp_path / "a.zip", "fer2013/fer2013.csv")

    expected = re.escape(f"Cannot read {path}: fer2013/fer2013.csv in it needs a password; unpack")
    with pytest.raises(DatasetError, match=expected), open_table(path, FACE_TABLES):
        pass


def test_a_picture_with_a_password_is_named(tmp_path: Path) -> None:
    path = _write_encrypted(tmp_path / "a.zip", "train/happy/1.png")

    with pytest.raises(DatasetError, match=r"a\.zip: train/happy/1\.png in it needs a password"):
        list(read_pictures(path))


@pytest.mark.parametrize(
    ("names", "faces", "votes"),
    [
        (["fer2013new.csv", "fer2013.csv"], "fer2013.csv", "fer2013new.csv"),
        (["fer2013new.csv", "happy/1.png"], None, "fer2013new.csv"),
        (["fer2013.csv", "happy/1.png"], "fer2013.csv", None),
        (["fer2013new.csv"], None, "fer2013new.csv"),
        (["fer2013new.csv", "mine.csv"], "mine.csv", "fer2013new.csv"),
        (["mine.csv"], "mine.csv", "mine.csv"),
        (["mine.csv", "happy/1.png"], None, None),
        (["README.md"], None, None),
    ],
    ids=[
        "both tables",
        "votes and pictures",
        "table and pictures",
        "votes",
        "votes and another table",
        "another table",
        "another table and pictures",
        "nothing",
    ],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_votes_are_not_taken_for_pictures(
    tmp_path: Path, kind: str, names: list[str], faces: str | None, votes: str | None
) -> None:
    path = tmp_path / f"data.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, "")
    else:
        for name in names:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).touch()

    assert find_table(path, FACE_TABLES) == faces
    assert find_table(path, VOTE_TABLES) == votes


def test_a_folder_without_votes_is_named(tmp_path: Path) -> None:
    (tmp_path / "fer2013.csv").touch()

    expected = re.escape(f"{tmp_path} holds no .csv file that may be fer2013new.csv.")
    with pytest.raises(DatasetError, match=expected), open_table(tmp_path, VOTE_TABLES):
        pass


@pytest.mark.parametrize("kind", ["folder", "zip", "tar"])
def test_one_picture_at_a_time_is_in_memory(tmp_path: Path, kind: str) -> None:
    folder, size = tmp_path / "faces", 200_000
    (folder / "happy").mkdir(parents=True)
    for number in range(20):
        content = np.random.default_rng(number).bytes(size)
        (folder / "happy" / f"{number:02}.png").write_bytes(content)
    path = folder if kind == "folder" else tmp_path / f"faces.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for file in folder.rglob("*.png"):
                archive.write(file, file.relative_to(folder))
    elif kind == "tar":
        with tarfile.open(path, "w") as tar:
            tar.add(folder, ".")

    tracemalloc.start()
    try:
        count = sum(len(data) == size for _, data in read_pictures(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 20
    assert peak < 6 * size
