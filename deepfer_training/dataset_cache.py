"""A cache of parsed data sets, because reading 35,887 faces from text takes long.

Reading FER-2013 the first time takes ten seconds and more; the second time takes about one. What
is cached is found by the content of the file, so a changed file is never mistaken for the old one.
"""

import dataclasses
import hashlib
import io
import logging
import os
import tempfile
from pathlib import Path

import numpy as np

from deepfer_training.errors import DatasetError
from deepfer_training.fer2013 import SPLITS, FaceDataset, read_fer2013, read_ferplus_votes

_logger = logging.getLogger(__name__)

# Goes up when the layout of a cached file changes, so that old ones are no longer found.
_LAYOUT = 1
# A cached file is the SHA-256 of what follows, and a NumPy archive.
_DIGEST_SIZE = hashlib.sha256().digest_size


def load_fer2013(path: Path, ferplus_path: Path | None = None) -> FaceDataset:
    """Read FER-2013 and optionally the FER+ votes, from the cache if they were read before.

    Args:
        path: See `fer2013.read_fer2013`.
        ferplus_path: See `fer2013.read_fer2013`.

    Raises:
        DatasetError: See `fer2013.read_fer2013`.
    """
    faces = _load_faces(path)
    # The votes are small: they are read anew every time.
    votes = None if ferplus_path is None else read_ferplus_votes(ferplus_path, len(faces))
    return dataclasses.replace(faces, votes=votes)


def cache_folder() -> Path:
    """Return the folder of cached data sets, `~/.cache/deepfer/datasets` unless XDG says else."""
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification ignores relative paths.
    base = Path(root) if Path(root).is_absolute() else Path.home() / ".cache"
    return base / "deepfer" / "datasets"


def _load_faces(path: Path) -> FaceDataset:
    cached = cache_folder() / f"fer2013-{_content_sha256(path)}-v{_LAYOUT}"
    dataset = _read_cached(cached, source=str(path))
    if dataset is None:
        dataset = read_fer2013(path)
        _write_cached(cached, dataset)
    return dataset


def _content_sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as err:
        raise DatasetError(f"Cannot read {path}: {err}.") from err
    return digest.hexdigest()


def _read_cached(path: Path, source: str) -> FaceDataset | None:
    """Return a cached data set, or None if there is none or it is damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as err:
        _logger.warning("Cannot read the cached data set, reading %s instead: %s", source, err)
        return None
    digest, archive = content[:_DIGEST_SIZE], memoryview(content)[_DIGEST_SIZE:]
    if hashlib.sha256(archive).digest() != digest:
        _logger.warning("The cached data set %s is damaged; reading %s instead", path, source)
        return None
    with np.load(io.BytesIO(archive), allow_pickle=False) as arrays:
        return FaceDataset(
            arrays["images"],
            arrays["labels"].astype(np.int64),
            np.array(SPLITS)[arrays["splits"]],
            source=source,
        )


def _write_cached(path: Path, dataset: FaceDataset) -> None:
    """Write a cached data set in one step; a full or read-only disk costs time, nothing else."""
    split_numbers = {name: number for number, name in enumerate(SPLITS)}
    archive = io.BytesIO()
    np.savez(
        archive,
        images=dataset.images,
        labels=dataset.labels.astype(np.uint8),
        splits=np.array([split_numbers[name] for name in dataset.splits.tolist()], np.uint8),
    )
    try:
        # These are people's faces: other users of the machine may not see them. mkstemp gives
        # its file to the owner alone, too.
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
        _logger.warning("Cannot keep the parsed data set for the next time: %s", err)
