"""Open tables and pictures wherever they lie: in files, folders, compressed files and archives."""

import contextlib
import functools
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from deepfer_training.errors import DatasetError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".pgm", ".tif", ".tiff")
"""What pictures in folders and archives are called, in lower case."""

FACE_TABLES = ("fer2013.csv", "icml_face_data.csv")
"""What tables of pictures are called."""

VOTE_TABLES = ("fer2013new.csv",)
"""What tables of FER+ votes are called."""

# What is compressed like this holds one file.
_OPENERS: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open}
# Bit 0 of a member's flags; APPNOTE.TXT of the .zip format, section 4.4.4.
_ENCRYPTED = 0x1
_DAMAGE = (
    OSError,
    EOFError,
    lzma.LZMAError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
    NotImplementedError,  # a compression that zipfile does not know
)


def is_archive(path: Path) -> bool:
    """Tell by its name whether a file is an archive of several files."""
    return path.suffix == ".zip" or _is_tar(path)


@contextlib.contextmanager
def open_table(path: Path, known: tuple[str, ...]) -> Iterator[IO[str]]:
    """Open a CSV file, plain, compressed, or as the only one of its kind in an archive or folder.

    Args:
        path: The file, archive or folder.
        known: What such tables are called, `FACE_TABLES` or `VOTE_TABLES`.

    Raises:
        DatasetError: There is no such file, it is damaged, or it needs a password.
    """
    try:
        # Spreadsheets write a byte-order mark first; "utf-8" would make it a part of the header.
        with (
            _open_bytes(path, known) as data,
            io.TextIOWrapper(data, "utf-8-sig", newline="") as text,
        ):
            yield text
    except (*_DAMAGE, UnicodeDecodeError) as err:
        raise _cannot_read(path, err) from err


def find_table(path: Path, known: tuple[str, ...]) -> str | None:
    """Return the name of the table in a folder or archive, or None if there is none of its kind.

    Beside pictures only a table with a known name counts.

    Args:
        path: The folder or archive.
        known: What such tables are called, `FACE_TABLES` or `VOTE_TABLES`.

    Raises:
        DatasetError: It cannot be read, or holds several tables of which none is known.
    """
    names = _list_names(path)
    tables = [name for name in names if name.suffix.lower() == ".csv"]
    for known_name in known:
        for name in tables:
            if name.name == known_name:
                return str(name)
    # Votes are no pictures, and pictures no votes.
    tables = [name for name in tables if name.name not in FACE_TABLES + VOTE_TABLES]
    # Many data sets of pictures have a table of labels, too.
    if any(name.suffix.lower() in PICTURE_SUFFIXES for name in names):
        return None
    if len(tables) > 1:
        listed = ", ".join(str(name) for name in tables[:5])
        raise DatasetError(
            f"{path} holds several tables ({listed}); unpack it and name one, or name it "
            f"{' or '.join(known)}."
        )
    return str(tables[0]) if tables else None


def read_pictures(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the name inside a folder or archive, and the content, of each picture.

    Hidden files are left out. Each picture is read when it is asked for. They come in the order
    of their names, but those of a .tar file, which would have to be searched for each, in its own.

    Raises:
        DatasetError: It cannot be read, or needs a password.
    """
    try:
        for name, read in _list_files(path):
            if name.suffix.lower() in PICTURE_SUFFIXES and not _is_hidden(name):
                yield name, read()
    except _DAMAGE as err:
        raise _cannot_read(path, err) from err


def list_files(folder: Path) -> list[Path]:
    """Return all files below a folder, in the order of their names.

    Links are followed; one that leads back to a folder that it lies in is left out. A link that
    leads nowhere counts as a file, so that it is missed when it is read.

    Raises:
        OSError: A folder cannot be read.
    """
    return sorted(_walk(folder, frozenset()))


@contextlib.contextmanager
def _open_bytes(path: Path, known: tuple[str, ...]) -> Iterator[IO[bytes]]:
    if not (path.is_dir() or is_archive(path)):
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            yield file
        return
    wanted = find_table(path, known)
    if wanted is None:
        raise DatasetError(f"{path} holds no .csv file that may be {' or '.join(known)}.")
    for name, read in _list_files(path):
        if str(name) == wanted:
            with io.BytesIO(read()) as file:
                yield file
            return


def _list_names(path: Path) -> list[PurePosixPath]:
    try:
        return [name for name, _ in _list_files(path) if not _is_hidden(name)]
    except _DAMAGE as err:
        raise _cannot_read(path, err) from err


def _list_files(path: Path) -> Iterator[tuple[PurePosixPath, Callable[[], bytes]]]:
    """Yield each file's name, and a function that reads it before the next one is asked for."""
    if path.is_dir():
        for file in list_files(path):
            yield PurePosixPath(file.relative_to(path).as_posix()), file.read_bytes
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for info in sorted(archive.infolist(), key=lambda info: PurePosixPath(info.filename)):
                if not info.is_dir():
                    read = functools.partial(_read_member, archive, info, path)
                    yield PurePosixPath(info.filename), read
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield PurePosixPath(member.name), content.read


def _walk(folder: Path, around: frozenset[Path]) -> Iterator[Path]:
    place = folder.resolve()
    if place in around:
        return
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(entry, around | {place})
        elif entry.is_file() or not entry.exists():
            yield entry


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    if info.flag_bits & _ENCRYPTED:
        raise DatasetError(
            f"Cannot read {path}: {info.filename} in it needs a password; unpack it with the "
            "password and give what comes out."
        )
    return archive.read(info)


def _is_tar(path: Path) -> bool:
    return path.name.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz"))


def _is_hidden(name: PurePosixPath) -> bool:
    """Tell whether a file is one that systems leave behind, as .DS_Store and __MACOSX/."""
    return any(part.startswith((".", "__MACOSX")) for part in name.parts)


def _cannot_read(path: Path, err: BaseException) -> DatasetError:
    """Return what says that a data set, or one file of it, cannot be read, and why."""
    if isinstance(err, OSError) and err.strerror:
        return DatasetError(f"Cannot read {err.filename or path}: {err.strerror}.")
    return DatasetError(f"Cannot read {path}: {str(err).rstrip('.') or type(err).__name__}.")
