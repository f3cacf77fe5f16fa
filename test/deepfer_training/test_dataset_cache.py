import logging
import os
import pwd
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepfer_training import dataset_cache
from deepfer_training.array_cache import cache_folder
from deepfer_training.dataset_cache import CACHE_KIND, load_faces, load_source
from deepfer_training.errors import DatasetError
from deepfer_training.fer2013 import FaceSource


def _count_reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    reads = []
    read = dataset_cache.read_source

    def counted(path: Path) -> FaceSource:
        reads.append(path)
        return read(path)

    monkeypatch.setattr(dataset_cache, "read_source", counted)
    return reads


def test_the_second_time_comes_from_the_cache(
    tiny_files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = _count_reads(monkeypatch)

    first, second = load_faces(*tiny_files), load_faces(*tiny_files)

    assert reads == [tiny_files[0]]
    for name in ("images", "labels", "splits", "votes"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
        assert getattr(first, name).dtype == getattr(second, name).dtype
    assert second.source == str(tiny_files[0])


def test_equal_content_is_found_under_another_name(
    tiny_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = _count_reads(monkeypatch)
    load_faces(tiny_files[0])
    copy = tmp_path / "copy.csv"
    copy.write_bytes(tiny_files[0].read_bytes())

    assert load_faces(copy).source == str(copy)
    assert reads == [tiny_files[0]]


def test_a_changed_file_is_read_anew(tiny_files: tuple[Path, Path], tmp_path: Path) -> None:
    path = tmp_path / "fer2013.csv"
    lines = tiny_files[0].read_text().splitlines(keepends=True)
    path.write_text("".join(lines))
    whole = load_faces(path)
    path.write_text("".join(lines[:-1]))

    assert len(load_faces(path)) == len(whole) - 1


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_cache_is_made_anew(
    tiny_files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    damage: str,
) -> None:
    first = load_faces(tiny_files[0])
    (cached,) = cache_folder(CACHE_KIND).iterdir()
    content = bytearray(cached.read_bytes())
    content[5000] ^= 255
    cached.write_bytes({"cut": content[:9000], "flipped": content, "empty": b""}[damage])
    reads = _count_reads(monkeypatch)

    with caplog.at_level(logging.WARNING):
        second, third = load_faces(tiny_files[0]), load_faces(tiny_files[0])

    assert reads == [tiny_files[0]]
    assert f"{cached}, the cached file of the data set {tiny_files[0]}, is damaged" in caplog.text
    np.testing.assert_array_equal(second.images, first.images)
    np.testing.assert_array_equal(third.images, first.images)


@pytest.mark.parametrize("form", ["csv", "zip", "folder"])
def test_everything_that_is_known_comes_back(
    tiny_files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    path = tiny_files[0]
    if form == "zip":
        path = tmp_path / "archive.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tiny_files[0], "fer2013/fer2013.csv")
    elif form == "folder":
        path = tmp_path / "faces"
        (path / "happy").mkdir(parents=True)
        for size in (48, 64):
            picture = Image.fromarray(np.arange(size * size, dtype=np.uint8).reshape(size, size))
            picture.save(path / "happy" / f"{size}.png")
    reads = _count_reads(monkeypatch)

    first, second = load_source(path), load_source(path)

    assert reads == [path]
    np.testing.assert_array_equal(first.faces.images, second.faces.images)
    np.testing.assert_array_equal(first.faces.splits, second.faces.splits)
    np.testing.assert_array_equal(first.sizes_hw, second.sizes_hw)
    assert first.form == second.form == ("folders" if form == "folder" else "table")
    assert first.notes == second.notes
    assert bool(second.notes) == (form == "folder")
    assert [first.place(i) for i in range(2)] == [second.place(i) for i in range(2)]


def test_notes_are_logged_whether_they_come_from_the_cache_or_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "faces"
    (folder / "happy").mkdir(parents=True)
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(folder / "happy/a.png")
    reads = _count_reads(monkeypatch)

    for _ in range(2):
        caplog.clear()
        with caplog.at_level(logging.INFO, logger="deepfer_training"):
            load_faces(folder)
        (message,) = caplog.messages
        assert message.startswith(f"{folder}: 1 pictures lie in no folder of a split")
    assert reads == [folder]


def test_votes_in_another_order_are_refused(tiny_files: tuple[Path, Path], tmp_path: Path) -> None:
    header, *rows = tiny_files[1].read_text().splitlines(keepends=True)
    votes = tmp_path / "fer2013new.csv"
    votes.write_text("".join([header, *reversed(rows)]))

    # The first time the pictures come from the file, the second time from the cache.
    for _ in range(2):
        with pytest.raises(DatasetError, match=r"line 2: Usage is 'PrivateTest', expected 'Tra"):
            load_faces(tiny_files[0], votes)


@pytest.mark.parametrize("change", ["content", "name", "added"])
def test_a_changed_folder_is_read_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    folder = tmp_path / "faces"
    (folder / "happy").mkdir(parents=True)
    (folder / "sad").mkdir()
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(folder / "happy/a.png")
    reads = _count_reads(monkeypatch)
    load_faces(folder)
    if change == "content":
        Image.fromarray(np.ones((48, 48), np.uint8)).save(folder / "happy/a.png")
    elif change == "name":
        (folder / "happy/a.png").rename(folder / "sad/a.png")
    else:
        Image.fromarray(np.ones((48, 48), np.uint8)).save(folder / "sad/b.png")

    faces = load_faces(folder)

    assert len(reads) == 2
    assert faces.labels.tolist() == {"content": [3], "name": [4], "added": [3, 4]}[change]


def test_votes_do_not_fit_pictures_in_folders(
    tiny_files: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "happy").mkdir()
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(tmp_path / "happy/a.png")

    with pytest.raises(DatasetError, match=r"is a folder of pictures, but .* row order of"):
        load_faces(tmp_path, tiny_files[1])


def test_only_the_owner_may_read_faces(tiny_files: tuple[Path, Path]) -> None:
    load_faces(tiny_files[0])

    (cached,) = cache_folder(CACHE_KIND).iterdir()
    assert cached.stat().st_mode & 0o777 == 0o600
    assert cache_folder(CACHE_KIND).stat().st_mode & 0o777 == 0o700


def test_a_cache_that_cannot_be_written_is_no_error(
    tiny_files: tuple[Path, Path], own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (own_cache / "deepfer").write_text("a file where the folder should be")

    with caplog.at_level(logging.WARNING):
        assert len(load_faces(tiny_files[0])) == 196
    assert f"Cannot keep the data set {tiny_files[0]} for the next time" in caplog.text


def test_bad_data_is_not_cached(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("emotion,pixels,Usage\n0,1 2 3,Training\n")

    for _ in range(2):
        with pytest.raises(DatasetError, match="line 2"):
            load_faces(path)
    assert not cache_folder(CACHE_KIND).exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"Cannot read .*missing\.csv"):
        load_faces(tmp_path / "missing.csv")


def test_a_relative_cache_folder_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "here")

    assert cache_folder(CACHE_KIND) == Path.home() / ".cache" / "deepfer" / "datasets"


def test_without_a_home_folder_nothing_is_cached(
    tiny_files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def no_user(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(pwd, "getpwuid", no_user)

    with caplog.at_level(logging.WARNING):
        assert len(load_faces(tiny_files[0])) == 196
    (message,) = caplog.messages
    assert message.startswith(f"Cannot keep the data set {tiny_files[0]} for the next time")


def test_names_that_are_not_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    (tmp_path / "happy").mkdir()
    try:
        Image.fromarray(np.zeros((48, 48), np.uint8)).save(tmp_path / "happy" / name)
    except OSError:
        pytest.skip("this file system has no such names")
    reads = _count_reads(monkeypatch)

    sources = [load_source(tmp_path) for _ in range(2)]

    assert len(reads) == 1
    assert [source.place(0) for source in sources] == [f"happy/{name}"] * 2


@pytest.mark.parametrize("name", ["fer2013.csv", "faces.zip", "faces.tar"])
def test_a_pipe_is_refused(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)

    with pytest.raises(DatasetError, match=rf"{name}: it is neither a regular file nor a folder"):
        load_faces(tmp_path / name)


def test_a_device_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"/dev/null: it is neither .*; save what comes from"):
        load_faces(Path("/dev/null"))


def test_links_to_nowhere_that_are_no_data_do_no_harm(tmp_path: Path) -> None:
    (tmp_path / "happy").mkdir()
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(tmp_path / "happy/a.png")
    (tmp_path / "happy" / ".#notes.txt").symlink_to("somebody@somewhere.1:2")
    (tmp_path / "README.md").symlink_to("gone")

    assert len(load_faces(tmp_path)) == 1
