"""Open tables and pictures wherever they lie: in files, folders, compressed files and archives."""

import contextlib
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

_TABLES = ("fer2013.csv", "icml_face_data.csv", "fer2013new.csv")
# Of these, the compressed ones hold one file each.
_OPENERS: dict[str, Callable[..., Any]] = {".xz": lzma.open, ".gz": gzip.open}
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
def open_table(path: Path) -> Iterator[IO[str]]:
    """Open a CSV file, plain, compressed, or as the only one of its kind in an archive or folder.

    Raises:
        DatasetError: There is no such file, or it is damaged.
    """
    try:
        with _open_bytes(path) as data, io.TextIOWrapper(data, "utf-8", newline="") as text:
            yield text
    except (*_DAMAGE, UnicodeDecodeError) as err:
        raise DatasetError(f"Cannot read {path}: {_reason(err)}.") from err


def find_table(path: Path) -> str | None:
    """Return the name of the table in a folder or archive, or None if it holds pictures instead.

    Raises:
        DatasetError: It cannot be read, or holds several tables of which none is known.
    """
    names = _list_names(path)
    tables = [name for name in names if name.suffix.lower() == ".csv"]
    for known in _TABLES:
        for name in tables:
            if name.name == known:
                return str(name)
    # Many data sets of pictures have a table of labels, too.
    if any(name.suffix.lower() in PICTURE_SUFFIXES for name in names):
        return None
    if len(tables) > 1:
        listed = ", ".join(str(name) for name in tables[:5])
        raise DatasetError(
            f"{path} holds several tables ({listed}); unpack it and name one, or name it "
            f"{' or '.join(_TABLES[:2])}."
        )
    return str(tables[0]) if tables else None


def read_pictures(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the name inside a folder or archive, and the content, of each picture.

    Hidden files are left out.

    Raises:
        DatasetError: It cannot be read.
    """
    try:
        for name, read in _list_files(path):
            if name.suffix.lower() in PICTURE_SUFFIXES and not _is_hidden(name):
                yield name, read()
    except _DAMAGE as err:
        raise DatasetError(f"Cannot read {path}: {_reason(err)}.") from err


@contextlib.contextmanager
def _open_bytes(path: Path) -> Iterator[IO[bytes]]:
    if not (path.is_dir() or is_archive(path)):
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            yield file
        return
    wanted = find_table(path)
    if wanted is None:
        raise DatasetError(f"{path} holds no .csv file.")
    for name, read in _list_files(path):
        if str(name) == wanted:
            with io.BytesIO(read()) as file:
                yield file
            return


def _list_names(path: Path) -> list[PurePosixPath]:
    try:
        return [name for name, _ in _list_files(path) if not _is_hidden(name)]
    except _DAMAGE as err:
        raise DatasetError(f"Cannot read {path}: {_reason(err)}.") from err


def _list_files(path: Path) -> Iterator[tuple[PurePosixPath, Callable[[], bytes]]]:
    """Yield each file's name, and a function that reads it before the next one is asked for."""
    if path.is_dir():
        for file in sorted(entry for entry in path.rglob("*") if entry.is_file()):
            yield PurePosixPath(file.relative_to(path).as_posix()), file.read_bytes
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            for info in sorted(archive.infolist(), key=lambda info: info.filename):
                if not info.is_dir():
                    yield PurePosixPath(info.filename), lambda info=info: archive.read(info)  # type: ignore[misc]
    else:
        with tarfile.open(path) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield PurePosixPath(member.name), content.read


def _is_tar(path: Path) -> bool:
    return path.name.endswith((".tar", ".tar.gz", ".tgz", ".tar.xz"))


def _is_hidden(name: PurePosixPath) -> bool:
    """Tell whether a file is one that systems leave behind, as .DS_Store and __MACOSX/."""
    return any(part.startswith((".", "__MACOSX")) for part in name.parts)


def _reason(err: BaseException) -> str:
    if isinstance(err, OSError) and err.strerror:
        return err.strerror
    return str(err).rstrip(".") or type(err).__name__
