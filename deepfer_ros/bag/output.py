"""Where a result goes: its name, its format, and the folder where it grows until it is whole."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from deepfer_ros.bag.errors import BagError

TABLE_FORMATS = ("csv", "jsonl", "parquet")
BAG_FORMATS = ("mcap", "sqlite3")
FORMATS = (*TABLE_FORMATS, *BAG_FORMATS)

_FORMAT_OF_SUFFIX = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".mcap": "mcap",
    ".db3": "sqlite3",
}
_BAG_FILES = ("metadata.yaml", "*.mcap", "*.db3", "*.zstd")


@dataclass(frozen=True, slots=True)
class Output:
    """Where a result goes.

    Attributes:
        path: The file, or the folder of a bag.
        format: One of `FORMATS`.
    """

    path: Path
    format: str

    @property
    def is_bag(self) -> bool:
        """Whether it is a bag, not a table."""
        return self.format in BAG_FORMATS

    @property
    def is_file(self) -> bool:
        """Whether it is one file, not the folder of a bag."""
        return not self.is_bag or self.path.suffix.lower() in _FORMAT_OF_SUFFIX


def choose_output(path: Path | None, name: str, source: Path, bag_format: str) -> Output:
    """Return where a result goes.

    Args:
        path: As the user gave it; None for a name like that of the source in the current folder.
        name: Format that the user asks for; empty to tell it by the suffix.
        source: The recording.
        bag_format: Format of a bag if nothing says another.

    Raises:
        BagError: The path has no name, or its suffix is unknown or contradicts the format.
    """
    if path is None:
        resolved = source.resolve()
        stem = resolved.name if resolved.is_dir() else resolved.stem
        suffix = f".{name}" if name in TABLE_FORMATS else ""
        return Output(Path(f"{stem}_emotions{suffix}"), name or bag_format)
    if path.name in ("", ".."):
        raise BagError(f"{path} cannot be the result; name a file, or a folder for a bag.")
    known = _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if name:
        if known is not None and known != name:
            raise BagError(f"--format {name} does not fit the suffix of {path}.")
        return Output(path, name)
    if known is not None:
        return Output(path, known)
    if path.suffix:
        raise BagError(
            f"The suffix of {path} is unknown; use {' '.join(_FORMAT_OF_SUFFIX)}, a name without "
            "a suffix for the folder of a bag, or --format."
        )
    return Output(path, bag_format)


def is_complete(output: Output) -> bool:
    """Tell whether a result is there and no unfinished one beside it."""
    # Unlike Path.exists, this raises nothing for a path that may not be looked at.
    return os.path.exists(output.path) and not os.path.exists(_unfinished(output))


class Workplace:
    """The folder in which a result grows, beside the place where it will be.

    Making one only checks; `open` makes the folder. From then until `close`, no other program
    works in it.

    Args:
        output: Where the result goes.
        source: The recording, which must not be overwritten.
        resume: Complete an unfinished result, if there is one.
        overwrite: Replace a finished result, and begin anew where one is unfinished.

    Raises:
        BagError: There is something that was not to be touched, or that cannot be written.
    """

    def __init__(self, output: Output, source: Path, *, resume: bool, overwrite: bool) -> None:
        self._output = output
        self._resume = resume
        self._lock: BinaryIO | None = None
        self.folder = _unfinished(output)
        try:
            self._check(source, overwrite=overwrite)
        except OSError as err:
            raise BagError(f"{output.path} cannot be written: {err.strerror}.") from err

    def _check(self, source: Path, *, overwrite: bool) -> None:
        """Refuse to touch what was not to be touched.

        Raises:
            BagError: There is such a thing.
            OSError: Something may not be looked at.
        """
        path = self._output.path
        if _contains(path, source):
            raise BagError(f"The result {path} would replace its own source {source}.")
        if path.exists() and not overwrite:
            raise BagError(f"{path} exists already; choose another name, or --overwrite it.")
        if path.exists():
            _check_replaceable(path)
        if self.folder.is_symlink():
            raise BagError(f"{self.folder} is a link; remove it, the result grows there.")
        if self.folder.exists() and not self._resume and not overwrite:
            raise BagError(
                f"{self.folder} holds an unfinished result; --resume completes it, --overwrite "
                "begins anew."
            )
        if not path.parent.is_dir():
            raise BagError(f"The folder {path.parent} does not exist; create it first.")

    def open(self) -> None:
        """Make the folder, or take the one of the unfinished result.

        Raises:
            BagError: It cannot be made, or another program is at work in it.
        """
        try:
            self._lock = self._take_lock()
            if not self._resume:
                self._clear()
        except BlockingIOError as err:
            raise BagError(
                f"Another program is at work in {self.folder}; wait for it, or choose another "
                "name."
            ) from err
        except OSError as err:
            self.close()
            raise BagError(f"{self.folder} cannot be written: {err.strerror}.") from err

    def close(self) -> None:
        """Let other programs have the folder. May be called more than once."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    @property
    def journal_path(self) -> Path:
        """The file for what was recognized."""
        return self.folder / "journal.jsonl"

    @property
    def result_path(self) -> Path:
        """Where the unfinished result is; a bag is always a folder here."""
        path = self._output.path
        return self.folder / (path.stem if self._output.is_file and self._is_bag else path.name)

    def clear_result(self) -> None:
        """Remove what an earlier run has left; the journal stays."""
        if self.result_path.is_dir():
            shutil.rmtree(self.result_path)
        else:
            self.result_path.unlink(missing_ok=True)

    def publish(self) -> None:
        """Put the finished result to its place.

        Raises:
            BagError: Somebody has removed or replaced the folder.
            OSError: The result cannot be moved.
        """
        if self._lock is None or not self._is_in_place(self._lock):
            raise BagError(
                f"{self.folder} was removed or replaced while this program worked in it, so there "
                "is no result; run it again."
            )
        path, result = self._output.path, self.result_path
        if self._output.is_file and self._is_bag:
            (result,) = (*result.glob("*.mcap"), *result.glob("*.db3"))
        if path.is_dir():
            shutil.rmtree(path)
        elif result.is_dir():
            # A folder takes the place of a folder only.
            path.unlink(missing_ok=True)
        os.replace(result, path)
        self.remove()

    def remove(self) -> None:
        """Remove the folder with all that is in it, unless it is another one by now."""
        if self._lock is not None and self._is_in_place(self._lock):
            shutil.rmtree(self.folder)

    def _take_lock(self) -> BinaryIO:
        """Make the folder if it is missing, and lock it.

        Raises:
            BlockingIOError: Another program has locked it.
            OSError: It cannot be made or locked.
        """
        while True:
            self.folder.mkdir(exist_ok=True)
            try:
                lock = self._lock_path.open("ab")
            except FileNotFoundError:  # the program that was at work has just removed the folder
                continue
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                lock.close()
                raise
            if self._is_in_place(lock):
                return lock
            lock.close()

    def _is_in_place(self, lock: BinaryIO) -> bool:
        """Tell whether a lock is that of the folder, not of one that was there before."""
        try:
            return os.path.samestat(os.fstat(lock.fileno()), self._lock_path.stat())
        except OSError:
            return False

    def _clear(self) -> None:
        """Remove all that is in the folder but the lock."""
        for entry in self.folder.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            elif entry != self._lock_path:
                entry.unlink()

    @property
    def _lock_path(self) -> Path:
        return self.folder / "journal.lock"

    @property
    def _is_bag(self) -> bool:
        return self._output.is_bag


def _unfinished(output: Output) -> Path:
    return output.path.with_name(f"{output.path.name}.unfinished")


def _contains(path: Path, source: Path) -> bool:
    """Tell whether replacing a path would remove a source."""
    # Unlike Path.resolve, this takes a link to itself as it is.
    target, source = Path(os.path.realpath(path)), Path(os.path.realpath(source))
    return target == source or target in source.parents


def _check_replaceable(path: Path) -> None:
    """Refuse to replace a folder that is no bag, a link to one, or what is no file either.

    Raises:
        BagError: It is such.
    """
    if path.is_dir():
        if path.is_symlink():
            raise BagError(
                f"{path} is a link to a folder; it is not overwritten. Name the folder itself: "
                f"{os.path.realpath(path)}"
            )
        others = [
            entry.name
            for entry in path.iterdir()
            if not any(entry.match(pattern) for pattern in _BAG_FILES)
        ]
        if others:
            raise BagError(
                f"{path} is a folder that holds more than a bag ({', '.join(sorted(others)[:3])}"
                "); it is not overwritten."
            )
    elif not path.is_file():
        raise BagError(f"{path} is no regular file; it is not overwritten.")
