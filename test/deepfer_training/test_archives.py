import gzip
import io
import os
import re
import shutil
import subprocess
import tarfile
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from deepfer_training import archives
from deepfer_training.archives import (
    FACE_TABLES,
    VOTE_TABLES,
    find_table,
    list_files,
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


_COMPRESSIONS = ["", "gz", "bz2", "xz"]


def _content(number: int) -> bytes:
    return f"picture {number} ".encode() * 100


def _write_tar(path: Path, count: int, tar_format: int = tarfile.PAX_FORMAT) -> list[int]:
    """Write pictures in a tar file, and return where the header of each and the end is."""
    headers = []
    compression = path.suffix.removeprefix(".").removeprefix("tar")
    with tarfile.open(path, f"w:{compression}", format=tar_format) as tar:  # type: ignore[call-overload]
        for number in range(count):
            # Names with more than 100 characters have a header of their own.
            folder = "long" * 30 if number % 2 else "short"
            info = tarfile.TarInfo(f"{folder}/happy/{number}.png")
            info.size = len(_content(number))
            headers.append(tar.offset)
            tar.addfile(info, io.BytesIO(_content(number)))
        return [*headers, tar.offset]


def _compress(path: Path, content: bytes) -> None:
    with archives._OPENERS.get(path.suffix, open)(path, "wb") as file:
        file.write(content)


@pytest.mark.parametrize("tar_format", ["USTAR", "GNU", "PAX"])
@pytest.mark.parametrize("compression", _COMPRESSIONS)
@pytest.mark.parametrize("padding", [0, 512, 9216, 1 << 20])
def test_whole_tar_files_are_read(
    tmp_path: Path, compression: str, tar_format: str, padding: int
) -> None:
    plain = tmp_path / "plain.tar"
    end = _write_tar(plain, 20, getattr(tarfile, f"{tar_format}_FORMAT"))[-1]
    path = tmp_path / f"faces.tar.{compression}".rstrip(".")
    # Programs fill the last record with zeros up to different sizes.
    _compress(path, plain.read_bytes()[:end] + bytes(1024 + padding))

    found = [data for _, data in read_pictures(path)]

    assert found == [_content(number) for number in range(20)]


@pytest.mark.skipif(shutil.which("tar") is None, reason="needs the program tar")
@pytest.mark.parametrize(
    "options", ["-b1", "-b20", "-b20 --format=pax", "--format=v7", "-z", "-J"]
)
def test_tar_files_of_the_program_tar_are_read(tmp_path: Path, options: str) -> None:
    folder = tmp_path / "faces" / "happy"
    folder.mkdir(parents=True)
    for number in range(20):
        (folder / f"{number:02}.png").write_bytes(_content(number))
    os.link(folder / "03.png", folder / "20.png")
    command = ["tar", "-c", *options.split(), "-f", "faces.tar", "faces"]
    subprocess.run(command, cwd=tmp_path, check=True)

    found = sorted((name.name, data) for name, data in read_pictures(tmp_path / "faces.tar"))

    expected = [(f"{number:02}.png", _content(number)) for number in range(20)]
    assert found == [*expected, ("20.png", _content(3))]


@pytest.mark.parametrize(
    "compression", [0, 8, 12, 14], ids=["stored", "deflated", "bzip2", "lzma"]
)
def test_damaged_pictures_in_zip_files_are_refused(tmp_path: Path, compression: int) -> None:
    content = np.random.default_rng(1).bytes(5000)
    path = _write_one(tmp_path / "a.zip", "happy/1.png", content, compression)
    assert [data for _, data in read_pictures(path)] == [content]
    damaged = bytearray(path.read_bytes())
    damaged[3000] ^= 1
    path.write_bytes(damaged)

    with pytest.raises(DatasetError, match=rf"Cannot read {re.escape(str(path))}: "):
        list(read_pictures(path))


@pytest.mark.parametrize("damage", ["flipped", "cut before", "cut within", "cut behind", "zeros"])
@pytest.mark.parametrize("compression", _COMPRESSIONS)
def test_damaged_tar_files_are_refused(tmp_path: Path, compression: str, damage: str) -> None:
    plain = tmp_path / "plain.tar"
    headers = _write_tar(plain, 140, tarfile.GNU_FORMAT)
    header = headers[60]
    content = bytearray(plain.read_bytes())
    flipped = content.copy()
    flipped[header + 5] ^= 1
    damaged = {
        "flipped": flipped,
        "cut before": content[:header],
        "cut within": content[: header + 100],
        # One of two blocks of zeros.
        "cut behind": content[: headers[-1] + 512],
        "zeros": content[:header] + bytes(1024) + content[header + 1024 :],
    }
    path = tmp_path / f"faces.tar.{compression}".rstrip(".")
    _compress(path, damaged[damage])

    with pytest.raises(DatasetError, match=rf"Cannot read {re.escape(str(path))}: .*damaged or"):
        list(read_pictures(path))
    with pytest.raises(DatasetError, match="damaged or cut off"):
        find_table(path, FACE_TABLES)


def test_the_checksum_of_a_compressed_tar_file_is_compared(tmp_path: Path) -> None:
    path = tmp_path / "faces.tar.gz"
    _write_tar(path, 5)
    content = bytearray(path.read_bytes())
    content[-8] ^= 1
    path.write_bytes(content)

    with pytest.raises(DatasetError, match="CRC check failed"):
        list(read_pictures(path))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is empty."),
        (b"<html>" * 500, "it is damaged, or no .tar file."),
        (b"<html>", "it is damaged, or no .tar file."),
    ],
    ids=["empty", "another file", "a short one"],
)
@pytest.mark.parametrize("name", ["a.tar", "a.tar.gz"])
def test_what_is_no_tar_file_is_told_in_short(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(DatasetError) as caught:
        list(read_pictures(path))

    assert str(caught.value) == f"Cannot read {path}: {complaint}"


def _write_links(path: Path, *links: tuple[str, str, bytes]) -> Path:
    """Write a tar file with happy/1.png, happy/2.png and links (name, target, type)."""
    with tarfile.open(path, "w:gz") as tar:
        for number in (1, 2):
            info = tarfile.TarInfo(f"./happy/{number}.png")
            info.size = len(_content(number))
            tar.addfile(info, io.BytesIO(_content(number)))
        for name, target, kind in links:
            info = tarfile.TarInfo(name)
            info.linkname, info.type = target, kind
            tar.addfile(info)
    return path


def test_links_in_tar_files_are_pictures(tmp_path: Path) -> None:
    path = _write_links(
        tmp_path / "a.tgz",
        ("sad/3.png", "happy/1.png", tarfile.LNKTYPE),
        ("sad/4.png", "../happy/2.png", tarfile.SYMTYPE),
        ("sad/5.png", "4.png", tarfile.SYMTYPE),
        ("sad/6.png", "sad/5.png", tarfile.LNKTYPE),
    )

    found = {str(name): data for name, data in read_pictures(path)}

    assert found == {
        "happy/1.png": _content(1),
        "happy/2.png": _content(2),
        "sad/3.png": _content(1),
        "sad/4.png": _content(2),
        "sad/5.png": _content(2),
        "sad/6.png": _content(2),
    }


def test_many_links_do_not_read_an_archive_many_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    links = [(f"sad/{n}.png", f"happy/{n % 2 + 1}.png", tarfile.LNKTYPE) for n in range(50)]
    path = _write_links(tmp_path / "a.tgz", *links)
    rewinds = []
    rewind = gzip._GzipReader._rewind  # type: ignore[attr-defined]

    def counted(reader: object) -> None:
        rewinds.append(reader)
        rewind(reader)

    monkeypatch.setattr(gzip._GzipReader, "_rewind", counted)  # type: ignore[attr-defined]

    assert len(list(read_pictures(path))) == 52
    assert len(rewinds) <= 2


@pytest.mark.parametrize(
    ("name", "target", "kind"),
    [
        ("sad/3.png", "happy/gone.png", tarfile.LNKTYPE),
        ("sad/3.png", "../gone.png", tarfile.SYMTYPE),
        ("sad/3.png", "/somewhere/1.png", tarfile.SYMTYPE),
        ("sad/3.png", "3.png", tarfile.SYMTYPE),
        ("fer2013.csv", "gone.csv", tarfile.SYMTYPE),
        ("validation", "happy", tarfile.SYMTYPE),
    ],
    ids=["hard", "symbolic", "outside", "itself", "table", "folder"],
)
def test_links_in_tar_files_that_lead_to_no_file_are_refused(
    tmp_path: Path, name: str, target: str, kind: bytes
) -> None:
    path = _write_links(tmp_path / "a.tgz", (name, target, kind))

    with pytest.raises(DatasetError, match=rf"{name} in it is a link to .*--dereference"):
        list(read_pictures(path))


def test_links_in_tar_files_that_are_not_needed_are_left_out(tmp_path: Path) -> None:
    path = _write_links(
        tmp_path / "a.tgz",
        ("README.md", "gone.md", tarfile.SYMTYPE),
        (".#3.png", "somebody@1:2", tarfile.SYMTYPE),
        ("happy/around", "../happy", tarfile.SYMTYPE),
    )

    assert [str(name) for name, _ in read_pictures(path)] == ["happy/1.png", "happy/2.png"]


def _write_one(path: Path, name: str, content: bytes, compression: int) -> Path:
    """Write a folder or archive, as the suffix says, with one file."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", compression) as archive:
            archive.writestr(name, content)
    elif path.suffix == ".tgz":
        with tarfile.open(path, "w:gz") as tar:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    else:
        (path / name).parent.mkdir(parents=True)
        (path / name).write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("kind", "compression"),
    [
        ("faces", zipfile.ZIP_STORED),
        ("faces.tgz", zipfile.ZIP_STORED),
        ("faces.zip", zipfile.ZIP_DEFLATED),
        ("faces.zip", zipfile.ZIP_BZIP2),
        ("faces.zip", zipfile.ZIP_LZMA),
    ],
    ids=["folder", "tar", "deflated", "bzip2", "lzma"],
)
def test_large_pictures_are_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, compression: int
) -> None:
    monkeypatch.setattr(archives, "MAX_PICTURE_BYTES", 1_000_000)
    path = _write_one(tmp_path / kind, "happy/1.png", bytes(20_000_000), compression)

    tracemalloc.start()
    try:
        with pytest.raises(DatasetError) as caught:
            list(read_pictures(path))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert str(caught.value) == (
        f"{path}/happy/1.png has more than 1000000 bytes, the most that a picture may have; save "
        "it smaller."
    )
    # zipfile decompresses at once what it reads of LZMA, here all.
    assert compression == zipfile.ZIP_LZMA or peak < 6_000_000


def test_the_largest_picture_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_PICTURE_BYTES", 10_000)
    path = _write_one(tmp_path / "a.zip", "happy/1.png", bytes(10_000), zipfile.ZIP_DEFLATED)

    assert [data for _, data in read_pictures(path)] == [bytes(10_000)]


@pytest.mark.parametrize("name", ["a.zip", "a.tgz", "folder"])
@pytest.mark.parametrize("table", ["fer2013.csv", "fer2013.csv.gz"])
def test_a_table_is_read_row_by_row(tmp_path: Path, name: str, table: str) -> None:
    content = b"some,cells\n" * 2_000_000
    content = gzip.compress(content, 1) if table.endswith(".gz") else content
    path = _write_one(tmp_path / name, table, content, zipfile.ZIP_DEFLATED)

    tracemalloc.start()
    try:
        with open_table(path, FACE_TABLES) as file:
            assert file.readline() == "some,cells\n"
            assert len(file.readline()) == 11
            count = sum(len(block) for block in iter(lambda: file.read(1 << 16), ""))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert count == 11 * 1_999_998
    assert peak < 2_000_000


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["fer2013.csv.xz"], "fer2013.csv.xz"),
        (["fer2013.csv.gz", "happy/1.png"], "fer2013.csv.gz"),
        (["fer2013.csv.bz2", "fer2013.csv"], "fer2013.csv"),
        (["mine.csv.xz"], "mine.csv.xz"),
        (["labels.csv.xz", "happy/1.png"], None),
        (["FER2013.CSV", "happy/1.png"], "FER2013.CSV"),
        (["archive.zip", "fer2013.csv.zip"], None),
    ],
)
def test_tables_in_a_folder_may_be_compressed(
    tmp_path: Path, names: list[str], found: str | None
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()

    assert find_table(tmp_path, FACE_TABLES) == found


def test_the_separator_of_windows_in_a_zip_file(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("train\\angry\\", b"")
        archive.writestr("train\\angry\\1.png", b"one")
        # A name may have it elsewhere.
        archive.writestr("train/angry/2\\3.png", b"two")

    found = {str(name): data for name, data in read_pictures(path)}

    assert found == {"train/angry/1.png": b"one", "train/angry/2\\3.png": b"two"}


def test_names_in_a_zip_file_that_are_not_utf_8_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("happy/\u00e9.png", b"one")
    path.write_bytes(path.read_bytes().replace("\u00e9".encode(), b"\xff\xff"))

    with pytest.raises(DatasetError, match=r"Cannot read .*a\.zip: 'utf-8' codec can't decode"):
        find_table(path, FACE_TABLES)


def _names(folder: Path) -> list[str]:
    return [file.relative_to(folder).as_posix() for file in list_files(folder)]


def test_folders_that_link_to_each_other_are_read_once_for_each_link(tmp_path: Path) -> None:
    folders = [tmp_path / f"faces{number}" for number in range(8)]
    for folder in folders:
        folder.mkdir()
    for folder in folders:
        for other in folders:
            if other != folder:
                (folder / other.name).symlink_to(other)
    (folders[0] / "1.png").touch()

    expected = ["faces0/1.png", *(f"faces{number}/faces0/1.png" for number in range(1, 8))]
    assert _names(tmp_path) == expected


def test_folders_elsewhere_that_link_to_each_other_are_read_once_for_each_link(
    tmp_path: Path,
) -> None:
    folders = [tmp_path / f"elsewhere/{number}" for number in range(8)]
    dataset = tmp_path / "dataset"
    for folder in (dataset, *folders):
        folder.mkdir(parents=True)
        (folder / "1.png").touch()
    for folder in folders:
        for other in folders:
            (folder / f"link{other.name}").symlink_to(other)
    (dataset / "test").symlink_to(folders[0])
    (dataset / "validation").symlink_to(folders[0])

    names = _names(dataset)

    assert len(names) == 1 + 2 * 8
    assert "test/1.png" in names
    assert "validation/link7/1.png" in names


def test_links_to_folders_of_links_are_followed(tmp_path: Path) -> None:
    for name in ("store/angry", "store/sad", ".hidden/fear", "dataset/train/happy"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "1.png").touch()
    dataset = tmp_path / "dataset"
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "angry").symlink_to(tmp_path / "store" / "angry")
    (tmp_path / "links" / "sad").symlink_to(tmp_path / "store" / "sad")
    (dataset / "train" / "fear").symlink_to(tmp_path / ".hidden" / "fear")
    (dataset / "test").symlink_to(tmp_path / "links")
    # Of two links to the same pictures in a data set, both count: so they have two splits.
    (dataset / "validation").symlink_to("train")
    # Nothing but a way back.
    (dataset / "train" / "around").symlink_to(dataset)

    assert _names(dataset) == [
        "test/angry/1.png",
        "test/sad/1.png",
        "train/fear/1.png",
        "train/happy/1.png",
        "validation/fear/1.png",
        "validation/happy/1.png",
    ]


def test_a_link_to_a_folder_around_does_not_read_the_folder_again(tmp_path: Path) -> None:
    (tmp_path / "around/dataset/happy").mkdir(parents=True)
    (tmp_path / "around/dataset/happy/1.png").touch()
    (tmp_path / "around/sad").mkdir()
    (tmp_path / "around/sad/2.png").touch()
    (tmp_path / "around/dataset/more").symlink_to(tmp_path / "around")

    assert _names(tmp_path / "around/dataset") == ["happy/1.png", "more/sad/2.png"]


@pytest.mark.parametrize(
    ("name", "is_listed"),
    [
        ("1.png", True),
        ("happy/2.JPG", True),
        ("fer2013.csv", True),
        ("fer2013.csv.xz", True),
        ("README.md", False),
        # It may be the folder of a split.
        ("test", True),
        (".#notes.txt", False),
        (".#1.png", False),
        (".git/1.png", False),
    ],
)
def test_links_to_nowhere_count_where_data_is_missed(
    tmp_path: Path, name: str, is_listed: bool
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).symlink_to("somebody@somewhere.1:2")

    assert _names(tmp_path) == ([name] if is_listed else [])


def test_a_pipe_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "votes.csv")

    with (
        pytest.raises(
            DatasetError, match=r"votes\.csv: it is neither a regular file nor a folder"
        ),
        open_table(tmp_path / "votes.csv", VOTE_TABLES),
    ):
        pass
