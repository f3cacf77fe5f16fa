"""Arrays kept in the user's cache folder, because making them takes minutes.

A cached file may be deleted at any time. One that is damaged is not used, and a disk that is full
or cannot be written costs time, nothing else.
"""

import hashlib
import io
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

_logger = logging.getLogger(__name__)

# A cached file is the SHA-256 of what follows, and a NumPy archive.
_DIGEST_SIZE = hashlib.sha256().digest_size


def cache_folder(kind: str) -> Path:
    """Return the folder of what is cached of a kind, `~/.cache/deepfer/KIND` unless XDG says else.

    A user without a home folder, as in some containers, gets one that cannot be made: nothing is
    cached.

    Args:
        kind: Name of the folder.
    """
    return _base_folder() / "deepfer" / kind


def read_arrays(path: Path, what: str) -> dict[str, NDArray[Any]] | None:
    """Return cached arrays by their names, or None if there are none or they are damaged.

    Args:
        path: The cached file.
        what: What it holds, for messages.
    """
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as err:
        _logger.warning("Cannot read %s from the cache, making it anew: %s", what, err)
        return None
    digest, archive = content[:_DIGEST_SIZE], memoryview(content)[_DIGEST_SIZE:]
    if hashlib.sha256(archive).digest() != digest:
        _logger.warning("%s, the cached file of %s, is damaged; making it anew", path, what)
        return None
    with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
        return dict(arrays)


def write_arrays(path: Path, what: str, **arrays: NDArray[Any]) -> None:
    """Write a cached file in one step, readable by this user alone.

    Args:
        path: The cached file.
        what: What it holds, for messages.
        arrays: The arrays by their names.
    """
    archive = io.BytesIO()
    np.savez(archive, **arrays)  # type: ignore[arg-type]  # taken for its own options
    try:
        # These are people's faces, or what was found in them: other users of the machine may not
        # see them. mkstemp gives its file to the owner alone, too.
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.chmod(0o700)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".new")
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(hashlib.sha256(archive.getbuffer()).digest())
                file.write(archive.getbuffer())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as err:
        _logger.warning("Cannot keep %s for the next time: %s", what, err)


def _base_folder() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # The XDG base directory specification ignores relative paths.
    if root.is_absolute():
        return root
    try:
        return Path.home() / ".cache"
    except RuntimeError:
        return Path(os.devnull)
