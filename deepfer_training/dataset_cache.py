"""A cache of parsed data sets, because reading 35,887 faces from text takes long.

Reading FER-2013 the first time takes ten seconds and more; the second time takes about one. What
is cached is found by the content of the file, so a changed file is never mistaken for the old one.
"""

import dataclasses
import hashlib
import logging
import os
from pathlib import Path

import numpy as np

from deepfer_training.archives import check_is_stored, list_files
from deepfer_training.array_cache import cache_folder, read_arrays, write_arrays
from deepfer_training.errors import DatasetError
from deepfer_training.face_sources import SOURCE_HELP, read_source
from deepfer_training.fer2013 import SPLITS, FaceDataset, FaceSource, read_ferplus_votes

CACHE_KIND = "datasets"
"""Name of the folder within the cache."""

# Goes up when the layout of a cached file changes, or what is read from the same data, so that
# old ones are no longer found.
_LAYOUT = 5

_logger = logging.getLogger(__name__)


def load_faces(path: Path, ferplus_path: Path | None = None) -> FaceDataset:
    """Read labelled faces and optionally FER+ votes, from the cache if they were read before.

    How the data were understood, where that is not plain, is logged; who wants to tell it in
    another way takes `load_source` and its `notes`.

    Args:
        path: See `face_sources.SOURCE_HELP`.
        ferplus_path: File `fer2013new.csv` with the votes, in the row order of `fer2013.csv`.

    Raises:
        DatasetError: See `face_sources.read_source`; or there are votes for a folder of pictures,
            which has no row order.
    """
    source = load_source(path, ferplus_path)
    for note in source.notes:
        _logger.info("%s: %s", path, note)
    return source.faces


def load_source(path: Path, ferplus_path: Path | None = None) -> FaceSource:
    """Do the same as `load_faces`, and return what is known about the pictures' origin, too.

    Logs no notes: they are in what it returns, whether that comes from the cache or not.
    """
    cached = cache_folder(CACHE_KIND) / f"faces-{_content_sha256(path)}-v{_LAYOUT}"
    source = _read_cached(cached, name=str(path))
    if source is None:
        source = read_source(path)
        _write_cached(cached, source)
    if ferplus_path is None:
        return source
    if source.form != "table":
        raise DatasetError(
            f"{path} is a folder of pictures, but {ferplus_path} has votes in the row order of "
            "fer2013.csv; give that file, or leave the votes out."
        )
    # The votes are small: they are read anew every time.
    votes = read_ferplus_votes(ferplus_path, source.faces)
    return dataclasses.replace(source, faces=dataclasses.replace(source.faces, votes=votes))


def _content_sha256(path: Path) -> str:
    """Return what names the content of a file, or of all files of a folder with their names."""
    check_is_stored(path)
    digest = hashlib.sha256()
    try:
        if path.is_dir():
            for file in list_files(path):
                content = hashlib.sha256()
                _update(content, file)
                # The name of a file is bytes, and need not be UTF-8.
                name = os.fsencode(file.relative_to(path).as_posix())
                digest.update(name + f"\0{content.hexdigest()}\n".encode())
        else:
            # The name tells how the content is read.
            digest.update(os.fsencode("".join(path.suffixes[-2:])))
            _update(digest, path)
    except OSError as err:
        raise DatasetError(
            f"Cannot read {err.filename or path}: {err.strerror}; expected {SOURCE_HELP}."
        ) from err
    return digest.hexdigest()


def _update(digest: "hashlib._Hash", path: Path) -> None:
    with path.open("rb") as data:
        while chunk := data.read(1 << 20):
            digest.update(chunk)


def _read_cached(path: Path, name: str) -> FaceSource | None:
    """Return a cached data set, or None if there is none or it is damaged."""
    arrays = read_arrays(path, f"the data set {name}")
    if arrays is None:
        return None
    faces = FaceDataset(
        arrays["images"],
        arrays["labels"].astype(np.int64),
        np.array(SPLITS)[arrays["splits"]],
        source=name,
    )
    form = str(arrays["form"])
    return FaceSource(
        faces,
        form,
        arrays["sizes_hw"],
        tuple(arrays["notes"].tolist()),
        None if form == "table" else arrays["places"],
    )


def _write_cached(path: Path, source: FaceSource) -> None:
    split_numbers = {name: number for number, name in enumerate(SPLITS)}
    faces = source.faces
    write_arrays(
        path,
        f"the data set {faces.source}",
        images=faces.images,
        labels=faces.labels.astype(np.uint8),
        splits=np.array([split_numbers[name] for name in faces.splits.tolist()], np.uint8),
        form=np.array(source.form),
        sizes_hw=source.sizes_hw,
        notes=np.array(source.notes, np.str_),
        places=np.array([], np.str_) if source.places is None else source.places,
    )
