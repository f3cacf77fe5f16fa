"""Read folders of face pictures, one folder a class: train/angry/*.jpg, or just angry/*.jpg.

Which part of the data a picture belongs to is told by the folder around the class. Where no
folder tells it, the content of the picture does, so that a picture is always in the same part
and copies of it never are in different ones.
"""

import io
import struct
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from deepfer_training.archives import (
    PICTURE_SUFFIXES,
    check_is_stored,
    find_archives,
    read_pictures,
)
from deepfer_training.errors import DatasetError
from deepfer_training.fer2013 import (
    IMAGE_SIZE_PX,
    LABELS,
    SPLITS,
    FaceDataset,
    FaceSource,
    content_number,
)

# Largest picture that is decoded, as at run time; a small file can hold one that fills the memory.
_MOST_PIXELS = 50_000_000
_CLASS_NAMES = {
    "angry": ("angry", "anger"),
    "disgust": ("disgust", "disgusted"),
    "fear": ("fear", "fearful", "afraid", "scared"),
    "happy": ("happy", "happiness"),
    "sad": ("sad", "sadness"),
    "surprise": ("surprise", "surprised"),
    "neutral": ("neutral",),
}
_LABEL_OF_FOLDER = {
    name: LABELS.index(label) for label, names in _CLASS_NAMES.items() for name in names
}
# Other data sets have it; the seven classes have no place for it.
_LEFT_OUT = "contempt"
_TRAINING, _PUBLIC, _PRIVATE = SPLITS
_SPLIT_OF_FOLDER = {
    **dict.fromkeys(("train", "training"), _TRAINING),
    **dict.fromkeys(("val", "valid", "validation", "publictest"), _PUBLIC),
    **dict.fromkeys(("test", "testing", "privatetest"), _PRIVATE),
}
# EXIF 2.3, section 4.6.4: the orientation, and what turns a picture that has it.
_ORIENTATION_TAG = 0x0112
_UPRIGHT = 1
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow raises for EXIF data and for pictures that are cut off or contradict themselves.
_BAD_EXIF = (SyntaxError, ValueError, TypeError, LookupError, ArithmeticError, struct.error)
_BAD_PICTURE = (
    *_BAD_EXIF,
    OSError,
    EOFError,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,  # where warnings are errors
)
# Of ten parts by content: where nothing else tells the part of a picture.
_PUBLIC_TENTH, _PRIVATE_TENTH = 0, 1


def read_picture_folders(path: Path) -> FaceSource:
    """Read a folder, .zip or .tar file with a folder for each class.

    Pictures are turned upright by their EXIF orientation and made grey; those of another size are
    cut to a square around their middle and scaled to 48x48.

    Raises:
        DatasetError: There are no pictures, one cannot be read, or a folder is no class; the text
            names the file and what was expected.
    """
    rows: list[tuple[PurePosixPath, int, NDArray[np.uint8], tuple[int, int]]] = []
    left_out = 0
    # Encoded pictures may be large: only one at a time is in memory.
    for name, data in read_pictures(path):
        label = _label_of(name, path)
        if label is None:
            left_out += 1
        else:
            rows.append((name, label, *_decode(data, f"{path}/{name}")))
    if not rows:
        raise _no_pictures(path)
    # A .tar file has an order of its own.
    names, labels, images, sizes = zip(*sorted(rows, key=lambda row: row[0]), strict=True)
    pictures = np.stack(images)
    splits, notes = _complete_splits([_split_of(name) for name in names], pictures)
    if left_out:
        notes.append(f"{left_out} pictures of {_LEFT_OUT} were left out.")
    faces = FaceDataset(pictures, np.array(labels, np.int64), splits, source=str(path))
    places = np.array([str(name) for name in names])
    return FaceSource(faces, "folders", np.array(sizes, np.int64), tuple(notes), places)


def read_unlabelled(path: Path, *, besides: FaceDataset) -> NDArray[np.uint8]:
    """Read the face pictures in a folder, .zip or .tar file, whatever its folders are called.

    Args:
        path: The folder or archive.
        besides: Labelled pictures; copies of them are left out, so that nothing is learned from
            a picture that is tested on.

    Returns:
        uint8 (N, 48, 48), grey, in the order of their names; made as `read_picture_folders` does.

    Raises:
        DatasetError: There are no other pictures, or one cannot be read.
    """
    check_is_stored(path)
    rows = [(name, _decode(data, f"{path}/{name}")[0]) for name, data in read_pictures(path)]
    known = {image.tobytes() for image in besides.images}
    images = [image for _, image in sorted(rows, key=lambda row: row[0])]
    images = [image for image in images if image.tobytes() not in known]
    if not images:
        found = "only copies of the labelled pictures" if rows else "no picture"
        raise DatasetError(
            f"{path} holds {found}; expected a folder, .zip or .tar file with faces as "
            f"{' '.join(PICTURE_SUFFIXES)}."
        )
    return np.stack(images)


def _no_pictures(path: Path) -> DatasetError:
    archives = find_archives(path)
    if archives:
        advice = "give one of these files" if path.is_dir() else "unpack it and give one of these"
        return DatasetError(
            f"{path} holds no picture in a folder of a class, but {', '.join(archives[:5])}; "
            f"{advice}."
        )
    return DatasetError(
        f"{path} holds no picture in a folder of a class; expected for example train/angry/1.jpg "
        f"or angry/1.jpg, as {' '.join(PICTURE_SUFFIXES)}."
    )


def _label_of(name: PurePosixPath, path: Path) -> int | None:
    """Return the class that the folder of a picture stands for, None if it is left out."""
    folder = name.parent.name
    if folder.lower() == _LEFT_OUT:
        return None
    if folder.lower() not in _LABEL_OF_FOLDER:
        where = f"the folder '{folder}'" if folder else "no folder"
        raise DatasetError(
            f"{path}/{name} lies in {where}; expected a folder with the name of a class: "
            f"{', '.join(LABELS)}."
        )
    return _LABEL_OF_FOLDER[folder.lower()]


def _split_of(name: PurePosixPath) -> str:
    """Return the split that the folders around a class stand for; empty if none does."""
    for folder in reversed(name.parts[:-2]):
        split = _SPLIT_OF_FOLDER.get(folder.lower())
        if split is not None:
            return split
    return ""


def _complete_splits(
    splits: list[str], pictures: NDArray[np.uint8]
) -> tuple[NDArray[np.str_], list[str]]:
    """Return the split of each picture, and notes about those that no folder tells.

    FER-2013 as folders has its two test splits in one folder, called test or validation: half of
    it, chosen by content, takes the place of each. Pictures without any split are divided
    8 : 1 : 1.
    """
    notes = []
    counts = Counter(splits)
    completed = list(splits)
    for folder, given, missing_folder, missing in (
        ("test", _PRIVATE, "validation", _PUBLIC),
        ("validation", _PUBLIC, "test", _PRIVATE),
    ):
        if counts[_TRAINING] and counts[given] and not counts[missing]:
            notes.append(
                f"There is no {missing_folder} folder: half of the {folder} pictures, chosen by "
                f"content, are taken as {missing}. These are not the official halves."
            )
            for index, split in enumerate(splits):
                if split == given:
                    completed[index] = _PUBLIC if _tenth(pictures[index]) < 5 else _PRIVATE
    if counts[""]:
        notes.append(
            f"{counts['']} pictures lie in no folder of a split (train, validation, test): by "
            f"content, 8 of 10 are taken as {_TRAINING}, 1 as {_PUBLIC}, 1 as {_PRIVATE}."
        )
        for index, split in enumerate(splits):
            if not split:
                tenth = _tenth(pictures[index])
                completed[index] = {_PUBLIC_TENTH: _PUBLIC, _PRIVATE_TENTH: _PRIVATE}.get(
                    tenth, _TRAINING
                )
    return np.array(completed), notes


def _tenth(picture: NDArray[np.uint8]) -> int:
    """Return a number from 0 to 9 that depends on the content of a picture alone."""
    return content_number(picture) % 10


def _decode(data: bytes, name: str) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Return a picture as uint8 (48, 48), and its original height and width when upright."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            if image.width * image.height > _MOST_PIXELS:
                raise DatasetError(
                    f"{name} has {image.width}x{image.height} pixels, at most {_MOST_PIXELS} "
                    "pixels are allowed; save it smaller."
                )
            image.load()
            grey = _turn_upright(_to_grey(image, name), _orientation(image))
    except UnidentifiedImageError as err:
        raise DatasetError(f"{name} is not a picture of a known format.") from err
    except _BAD_PICTURE as err:
        raise DatasetError(f"{name} cannot be read as a picture: {err}.") from err
    size_hw = (grey.height, grey.width)
    if size_hw != (IMAGE_SIZE_PX, IMAGE_SIZE_PX):
        shrinks = min(size_hw) > IMAGE_SIZE_PX
        method = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
        grey = ImageOps.fit(grey, (IMAGE_SIZE_PX, IMAGE_SIZE_PX), method)
    return np.asarray(grey, np.uint8), size_hw


def _to_grey(image: Image.Image, name: str) -> Image.Image:
    """Return a picture with one channel of 8 bits."""
    if image.mode == "F":
        raise DatasetError(
            f"{name} has floating-point values, of which nobody knows what is white; save it with "
            "8 or 16 bits."
        )
    if not image.mode.startswith("I"):
        return image.convert("L")
    # 16 bits, which Pillow would cut off at 255 instead of scaling. It calls some of them 32 bits;
    # what needs these is scaled to its brightest value, as the runtime does.
    values = np.array(image, np.float64)
    # In place: the array may be large.
    values *= 255 / max(65535.0, values.max())
    np.rint(values, out=values).clip(0, 255, out=values)
    return Image.fromarray(values.astype(np.uint8))


def _orientation(image: Image.Image) -> object:
    """Return the EXIF orientation of a picture that has been loaded, whatever stands there."""
    # Pillow turns a TIFF itself, and up to version 9 leaves the orientation in it.
    if image.format == "TIFF":
        return _UPRIGHT
    try:
        return image.getexif().get(_ORIENTATION_TAG, _UPRIGHT)
    except _BAD_EXIF:
        # The picture itself is whole: viewers show it as it is stored.
        return _UPRIGHT


def _turn_upright(image: Image.Image, orientation: object) -> Image.Image:
    # Not by ImageOps.exif_transpose: that writes all tags anew, and fails where one is odd.
    turn = _TURNS.get(orientation) if isinstance(orientation, int) else None
    return image if turn is None else image.transpose(turn)
