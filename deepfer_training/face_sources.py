"""Read labelled faces from whatever people have: tables, folders and archives of both."""

from pathlib import Path

from deepfer_training.archives import FACE_TABLES, check_is_stored, find_table, is_archive
from deepfer_training.errors import DatasetError
from deepfer_training.fer2013 import FaceSource, read_fer2013
from deepfer_training.picture_folders import read_picture_folders

SOURCE_HELP = (
    "fer2013.csv or icml_face_data.csv (plain, .xz, .gz, .bz2), a folder of classes "
    "(train/angry/*.jpg or angry/*.jpg), or a .zip or .tar file with one of these"
)
"""What may be given as data, for help texts."""


def read_source(path: Path) -> FaceSource:
    """Read labelled faces; see `SOURCE_HELP`.

    Raises:
        DatasetError: It does not exist, or is wrong; the text names file, row and what was
            expected.
    """
    if not path.exists():
        raise DatasetError(f"Cannot read {path}: it does not exist; expected {SOURCE_HELP}.")
    check_is_stored(path)
    if (path.is_dir() or is_archive(path)) and find_table(path, FACE_TABLES) is None:
        return read_picture_folders(path)
    return read_fer2013(path)
