"""Open tables and pictures wherever they lie: in files, folders, compressed files and archives."""

import bz2
import contextlib
import copy
import functools
import gzip
import io
import itertools
import lzma
import os
import posixpath
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Set
from pathlib import Path, PurePath, PurePosixPath
from typing import IO, Any

from deepfer_training.errors import DatasetError

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".pgm", ".tif", ".tiff")
"""What pictures in folders and archives are called, in lower case."""

FACE_TABLES = ("fer2013.csv", "icml_face_data.csv")
"""What tables of pictures are called."""

VOTE_TABLES = ("fer2013new.csv",)
"""What tables of FER+ votes are called."""

MAX_PICTURE_BYTES = 32 * 1024 * 1024
"""Largest encoded picture that is read, as at run time."""

# What is compressed like this holds one file.
_OPENERS: dict[str, Callable[..., Any]] = {
    ".xz": lzma.open,
    ".gz": gzip.open,
    ".bz2": bz2.open,
}
_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz", ".txz")
# A piece of a picture. zipfile decompresses at once what it reads of LZMA, so it gets little.
_PIECE_BYTES = 4096
# Bit 0 of a member's flags; APPNOTE.TXT of the .zip format, section 4.4.4.
_ENCRYPTED = 0x1
_DAMAGE = (
    OSError,
    EOFError,
    lzma.LZMAError,
    zlib.error,
    zipfile.BadZipFile,
    tarfile.TarError,
    UnicodeDecodeError,
    NotImplementedError,  # a compression that zipfile does not know
)
_Open = Callable[[], IO[bytes]]


def is_archive(path: PurePath) -> bool:
    """Tell by its name whether a file is an archive of several files."""
    return path.suffix.lower() == ".zip" or path.name.lower().endswith(_TAR_SUFFIXES)


def check_is_stored(path: Path) -> None:
    """Make sure that what is there can be read twice: first for the cache, then for the content.

    Raises:
        DatasetError: There is something else than a regular file or a folder.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise DatasetError(
            f"Cannot read {path}: it is neither a regular file nor a folder, but a pipe or a "
            "device; save what comes from it as a file and give that."
        )


@contextlib.contextmanager
def open_table(path: Path, known: tuple[str, ...]) -> Iterator[IO[str]]:
    """Open a CSV file, plain, compressed, or as the only one of its kind in an archive or folder.

    Args:
        path: The file, archive or folder.
        known: What such tables are called, `FACE_TABLES` or `VOTE_TABLES`.

    Raises:
        DatasetError: There is no such file, it is damaged, or it needs a password.
    """
    check_is_stored(path)
    try:
        # Spreadsheets write a byte-order mark first; "utf-8" would make it a part of the header.
        with (
            _open_bytes(path, known) as data,
            io.TextIOWrapper(data, "utf-8-sig", newline="") as text,
        ):
            yield text
    except _DAMAGE as err:
        raise _cannot_read(path, err) from err


def find_table(path: Path, known: tuple[str, ...]) -> str | None:
    """Return the name of the table in a folder or archive, or None if there is none of its kind.

    Beside pictures only a table with a known name counts. It may be compressed.

    Args:
        path: The folder or archive.
        known: What such tables are called, `FACE_TABLES` or `VOTE_TABLES`.

    Raises:
        DatasetError: It cannot be read, or holds several tables of which none is known.
    """
    names = _list_names(path)
    tables = [name for name in names if _is_table(name)]
    # A table may lie beside what it was unpacked from.
    tables.sort(key=lambda name: name.suffix.lower() in _OPENERS)
    for known_name in known:
        for name in tables:
            if _plain_name(name) == known_name:
                return str(name)
    # Votes are no pictures, and pictures no votes.
    tables = [name for name in tables if _plain_name(name) not in FACE_TABLES + VOTE_TABLES]
    # Many data sets of pictures have a table of labels, too.
    if any(_is_picture(name) for name in names):
        return None
    if len(tables) > 1:
        listed = ", ".join(str(name) for name in tables[:5])
        raise DatasetError(
            f"{path} holds several tables ({listed}); unpack it and name one, or name it "
            f"{' or '.join(known)}."
        )
    return str(tables[0]) if tables else None


def find_archives(path: Path) -> list[str]:
    """Return the names of the archives in a folder or archive. These are not looked into.

    Raises:
        DatasetError: It cannot be read.
    """
    return [str(name) for name in _list_names(path) if is_archive(name)]


def read_pictures(path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield the name inside a folder or archive, and the content, of each picture.

    Hidden files are left out. Each picture is read when it is asked for. They come in the order
    of their names, but those of a .tar file, which would have to be searched for each, in its own.

    Raises:
        DatasetError: It cannot be read, or needs a password; or a picture is larger than
            `MAX_PICTURE_BYTES`.
    """
    opened: _Open | None = None
    data = b""
    try:
        for name, open_file in _list_files(path):
            if not _is_picture(name) or _is_hidden(name):
                continue
            # The content of several names, which are links, is read once.
            if open_file is not opened:
                with open_file() as file:
                    data = _read_picture(file, f"{path}/{name}")
                opened = open_file
            yield name, data
    except _DAMAGE as err:
        raise _cannot_read(path, err) from err


def list_files(folder: Path) -> list[Path]:
    """Return all files below a folder, in the order of their names.

    Links are followed; one that leads back to a folder that it lies in is left out. Behind a
    link to a folder, further ones are followed to what has not been read behind it, and is no
    part of the folder itself: folders that link to each other are not read along every way.

    What may be a picture, a table or a folder, and is a link to nowhere, counts as a file, so that
    it is missed when it is read.

    Raises:
        OSError: A folder cannot be read.
    """
    files, links, own = _scan(folder, frozenset())
    for link in links:
        files += _follow(link, own)
    return sorted(file for file in files if file.exists() or _is_missed(file.relative_to(folder)))


@contextlib.contextmanager
def _open_bytes(path: Path, known: tuple[str, ...]) -> Iterator[IO[bytes]]:
    if not (path.is_dir() or is_archive(path)):
        with _open_file(path) as file, _decompress(file, path) as data:
            yield data
        return
    wanted = find_table(path, known)
    if wanted is None:
        raise DatasetError(f"{path} holds no .csv file that may be {' or '.join(known)}.")
    for name, open_file in _list_files(path):
        if str(name) == wanted:
            with open_file() as file, _decompress(file, name) as data:
                yield data
            return


def _decompress(file: IO[bytes], name: PurePath) -> contextlib.AbstractContextManager[IO[bytes]]:
    opener = _OPENERS.get(name.suffix.lower(), contextlib.nullcontext)
    decompressed: contextlib.AbstractContextManager[IO[bytes]] = opener(file)
    return decompressed


def _list_names(path: Path) -> list[PurePosixPath]:
    try:
        return [name for name, _ in _list_files(path) if not _is_hidden(name)]
    except _DAMAGE as err:
        raise _cannot_read(path, err) from err


def _list_files(path: Path) -> Iterator[tuple[PurePosixPath, _Open]]:
    """Yield each file's name, and a function that opens it before the next one is asked for.

    Names for one and the same content in an archive come together, with the same function.
    """
    if path.is_dir():
        for file in list_files(path):
            name = PurePosixPath(file.relative_to(path).as_posix())
            yield name, functools.partial(_open_file, file)
    elif path.suffix.lower() == ".zip":
        yield from _list_zip(path)
    else:
        yield from _list_tar(path)


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _list_zip(path: Path) -> Iterator[tuple[PurePosixPath, _Open]]:
    with zipfile.ZipFile(path) as archive:
        files = []
        for info in archive.infolist():
            # Some programs write the separator of Windows.
            windows = "/" not in info.filename
            name = info.filename.replace("\\", "/") if windows else info.filename
            if not name.endswith("/"):
                files.append((PurePosixPath(name), info))
        for path_inside, info in sorted(files, key=lambda file: file[0]):
            yield path_inside, functools.partial(_open_zip_member, archive, info, path)


def _open_zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> IO[bytes]:
    if info.flag_bits & _ENCRYPTED:
        raise DatasetError(
            f"Cannot read {path}: {info.filename} in it needs a password; unpack it with the "
            "password and give what comes out."
        )
    if info.compress_type != zipfile.ZIP_BZIP2:
        return archive.open(info)
    # zipfile decompresses at once what it reads, of which 4 kB can be 4 GB. So it is asked for the
    # compressed content, which has a checksum of its own.
    compressed = copy.copy(info)
    compressed.compress_type = zipfile.ZIP_STORED
    compressed.file_size = info.compress_size
    compressed.CRC = None  # type: ignore[assignment]
    return bz2.open(archive.open(compressed))


def _list_tar(path: Path) -> Iterator[tuple[PurePosixPath, _Open]]:
    try:
        tar = tarfile.open(path)
    except tarfile.ReadError as err:
        # What tarfile says has a line for each compression that it has tried.
        what = "is damaged, or no .tar file" if path.stat().st_size else "is empty"
        raise DatasetError(f"Cannot read {path}: it {what}.") from err
    with tar:
        files = _list_members(tar, path)
        _check_end(tar, path)
        # To go back in a compressed archive means to read it anew from its beginning.
        files.sort(key=lambda file: file[1].offset_data)
        for member, names in itertools.groupby(files, key=lambda file: file[1]):
            open_file = functools.partial(_open_tar_member, tar, member)
            for name, _ in names:
                yield name, open_file


def _open_tar_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = tar.extractfile(member)
    if content is None:
        raise tarfile.ReadError(f"{member.name} in it is no file")
    return content


def _list_members(tar: tarfile.TarFile, path: Path) -> list[tuple[PurePosixPath, tarfile.TarInfo]]:
    """Return the name of each file and link to a file, and the member that has its content.

    Raises:
        DatasetError: See `_resolve`.
    """
    files: list[tuple[PurePosixPath, tarfile.TarInfo]] = []
    contents: dict[str, tarfile.TarInfo] = {}
    links: dict[str, str] = {}
    for member in tar:
        name = posixpath.normpath(member.name)
        # A hard link names a file from the top of the archive, a symbolic one from its folder.
        folder = posixpath.dirname(member.name) if member.issym() else ""
        target = posixpath.normpath(posixpath.join(folder, member.linkname))
        # By POSIX, a member of a type that is not known is a file.
        if member.isreg() or member.type not in tarfile.SUPPORTED_TYPES:
            contents[name] = member
        elif member.islnk() and target in contents:
            contents[name] = contents[target]
        elif member.islnk() or member.issym():
            links[name] = target
            continue
        else:
            continue
        files.append((PurePosixPath(name), contents[name]))
    return files + _resolve(links, contents, path)


def _resolve(
    links: dict[str, str], contents: dict[str, tarfile.TarInfo], path: Path
) -> list[tuple[PurePosixPath, tarfile.TarInfo]]:
    """Return the links that lead to a file in an archive, and the member that has its content.

    Args:
        links: What each link leads to.
        contents: The member for each file.
        path: The archive.

    Raises:
        DatasetError: Another link is a picture or table, or leads to a folder in the archive.
    """
    found = []
    folders = {str(parent) for name in contents for parent in PurePosixPath(name).parents}
    for link, target in links.items():
        passed = {link}
        while target in links and target not in passed:
            passed.add(target)
            target = links[target]
        name = PurePosixPath(link)
        is_folder = target in folders
        if target in contents:
            found.append((name, contents[target]))
        elif is_folder and name.is_relative_to(target):
            continue  # it leads back to a folder that it lies in, which has nothing new
        elif _is_missed(name) or (is_folder and not _is_hidden(name)):
            raise DatasetError(
                f"Cannot read {path}: {link} in it is a link to {target}, which is no file in it; "
                "pack it again with what its links lead to (tar --dereference)."
            )
    return found


def _check_end(tar: tarfile.TarFile, path: Path) -> None:
    """Make sure that an archive whose members have been listed ends there.

    tarfile takes a header that is damaged or missing for the end.

    Raises:
        DatasetError: It does not end as archives do: with two blocks of zeros, and nothing after
            them but more of these. If it is compressed, reading to the end has its checksum
            compared, too.
    """
    data = tar.fileobj
    assert data is not None
    data.seek(tar.offset)
    rest = data.read(2 * tarfile.BLOCKSIZE)
    is_end = len(rest) == 2 * tarfile.BLOCKSIZE
    while rest and is_end:
        is_end = not rest.strip(b"\0")
        rest = data.read(1 << 20)
    if not is_end:
        raise DatasetError(
            f"Cannot read {path}: it is damaged or cut off behind byte {tar.offset} "
            f"({len(tar.getmembers())} files and folders are before it); fetch or pack it again."
        )


def _read_picture(file: IO[bytes], name: str) -> bytes:
    pieces, size = [], 0
    # What an archive says about the size need not be true.
    while piece := file.read(_PIECE_BYTES):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_PICTURE_BYTES:
            raise DatasetError(
                f"{name} has more than {MAX_PICTURE_BYTES} bytes, the most that a picture may "
                "have; save it smaller."
            )
    return b"".join(pieces)


def _scan(folder: Path, skipped: Set[Path]) -> tuple[list[Path], list[Path], set[Path]]:
    """Look through a folder and those in it without following links.

    Args:
        folder: The folder; may be a link to one.
        skipped: Folders in it that are left out, resolved.

    Returns:
        The files; the links to folders in the order of their names; and the folders, resolved.
    """
    files, links, places = [], [], set()
    for root, names, others in os.walk(folder, onerror=_raise):
        where = Path(root)
        places.add(where.resolve())
        links += [where / name for name in names if (where / name).is_symlink()]
        names[:] = [name for name in names if (where / name).resolve() not in skipped]
        paths = [where / name for name in others]
        files += [path for path in paths if path.is_file() or not path.exists()]
    return files, sorted(links), places


def _follow(link: Path, own: Set[Path]) -> list[Path]:
    """Return the files behind a link to a folder.

    Args:
        link: The link.
        own: The folders of the data set that can be reached without links, resolved.
    """
    place = link.resolve()
    if place in own and link.parent.resolve().is_relative_to(place):
        return []
    # A link within the data set gives a folder of it another name.
    files, links, read = _scan(link, frozenset() if place in own else own)
    read |= own
    while links:
        further = links.pop(0)
        if further.resolve() not in read:
            more_files, more_links, more_read = _scan(further, read)
            files += more_files
            links += more_links
            read |= more_read
    return files


def _raise(err: OSError) -> None:
    raise err


def _is_picture(name: PurePath) -> bool:
    return name.suffix.lower() in PICTURE_SUFFIXES


def _is_table(name: PurePath) -> bool:
    return _plain_name(name).endswith(".csv")


def _plain_name(name: PurePath) -> str:
    """Return the name that a file has when it is not compressed, in lower case."""
    return (name.stem if name.suffix.lower() in _OPENERS else name.name).lower()


def _is_missed(name: PurePath) -> bool:
    """Tell whether a link to nowhere, by its name in the data set, is one that is needed.

    Without a suffix it may be a folder, of a whole split even.
    """
    is_needed = _is_picture(name) or _is_table(name) or not name.suffix
    return is_needed and not _is_hidden(name)


def _is_hidden(name: PurePath) -> bool:
    """Tell whether a file is one that systems leave behind, as .DS_Store and __MACOSX/."""
    return any(part.startswith((".", "__MACOSX")) for part in name.parts)


def _cannot_read(path: Path, err: BaseException) -> DatasetError:
    """Return what says that a data set, or one file of it, cannot be read, and why."""
    if isinstance(err, OSError) and err.strerror:
        return DatasetError(f"Cannot read {err.filename or path}: {err.strerror}.")
    return DatasetError(f"Cannot read {path}: {str(err).rstrip('.') or type(err).__name__}.")
