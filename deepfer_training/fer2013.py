"""Readers for FER-2013 and its FER+ votes.

FER-2013: Goodfellow et al., "Challenges in Representation Learning", 2013, arXiv:1307.0414.
FER+: Barsoum et al., "Training Deep Networks for Facial Expression Recognition with
Crowd-Sourced Label Distribution", 2016, arXiv:1608.01041.
"""

import csv
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from deepfer_training.archives import FACE_TABLES, VOTE_TABLES, open_table
from deepfer_training.errors import DatasetError

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
"""The seven classes of FER-2013; the position is the number in the file."""

SPLITS = ("Training", "PublicTest", "PrivateTest")
FER2013_SIZES = {"Training": 28709, "PublicTest": 3589, "PrivateTest": 3589}
"""How many pictures each split of FER-2013 has."""

IMAGE_SIZE_PX = 48

# A row of FER-2013 has less than 10,000.
_MOST_ROW_CHARACTERS = 200_000
_SPLIT_COLUMN = "Usage"
_COLUMNS = ("emotion", "pixels", _SPLIT_COLUMN)
_VOTE_COLUMNS = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
_VOTE_COLUMN_OF_LABEL = {
    "angry": "anger",
    "disgust": "disgust",
    "fear": "fear",
    "happy": "happiness",
    "sad": "sadness",
    "surprise": "surprise",
    "neutral": "neutral",
}
_LABEL_VOTE_INDICES = [_VOTE_COLUMNS.index(_VOTE_COLUMN_OF_LABEL[label]) for label in LABELS]


@dataclass(frozen=True, slots=True, eq=False)
class FaceDataset:
    """Labelled grey face pictures.

    Attributes:
        images: uint8 (N, 48, 48), grey, 0 black to 255 white.
        labels: int64 (N,), index into `LABELS`.
        splits: str (N,), one of `SPLITS`.
        votes: int64 (N, 10) votes in FER+ column order, or None without FER+.
        source: Where the pictures come from, for messages.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    splits: NDArray[np.str_]
    votes: NDArray[np.int64] | None = None
    source: str = "The data set"

    def __post_init__(self) -> None:
        count = len(self.labels)
        expected = (count, IMAGE_SIZE_PX, IMAGE_SIZE_PX)
        if self.images.shape != expected or self.images.dtype != np.uint8:
            raise DatasetError(
                f"Images must be uint8 {expected}, got {self.images.dtype} {self.images.shape}."
            )
        if self.splits.shape != (count,):
            raise DatasetError(f"Splits must have shape ({count},), got {self.splits.shape}.")
        if self.votes is not None and self.votes.shape != (count, len(_VOTE_COLUMNS)):
            raise DatasetError(
                f"Votes must have shape ({count}, {len(_VOTE_COLUMNS)}), got {self.votes.shape}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    def split_sizes(self) -> dict[str, int]:
        """Return how many rows each split has."""
        return {name: int(np.sum(self.splits == name)) for name in SPLITS}

    def split(self, name: str) -> "FaceDataset":
        """Return the rows of one split.

        Raises:
            DatasetError: The split is unknown or empty.
        """
        if name not in SPLITS:
            raise DatasetError(f"Unknown split '{name}'; choose one of {', '.join(SPLITS)}.")
        rows = self.splits == name
        if not rows.any():
            raise DatasetError(f"{self.source} has no row in split '{name}'.")
        votes = None if self.votes is None else self.votes[rows]
        return FaceDataset(
            self.images[rows], self.labels[rows], self.splits[rows], votes, self.source
        )

    def learn_from_public_test(self, share: float) -> "FaceDataset":
        """Return the data set with a share of PublicTest counted as Training.

        The content of a picture decides whether it is one of them, so that copies stay together,
        and a smaller share is a part of a larger one.

        Args:
            share: About which part of PublicTest is to be learned from, 0 to below 1.

        Raises:
            DatasetError: Nothing of PublicTest would remain.
        """
        if share == 0.0:
            return self
        rows = np.flatnonzero(self.splits == "PublicTest")
        learned = [row for row in rows if content_number(self.images[row]) < share * 2**64]
        if len(learned) == len(rows) > 0:
            raise DatasetError(
                f"{self.source} has {len(rows)} rows in split 'PublicTest', and a "
                f"public_test_share of {share} leaves none of them; take a smaller share."
            )
        splits = self.splits.copy()
        splits[learned] = "Training"
        return replace(self, splits=splits)

    def require_every_class(self) -> None:
        """Check that every class has a picture.

        Raises:
            DatasetError: A class has none.
        """
        counts = np.bincount(self.labels, minlength=len(LABELS))
        empty = [label for label, count in zip(LABELS, counts, strict=True) if count == 0]
        if empty:
            splits = ", ".join(f"'{name}'" for name in sorted(set(self.splits.tolist())))
            raise DatasetError(
                f"{self.source} has no row of class {', '.join(empty)} in split {splits}; "
                f"every one of {', '.join(LABELS)} needs at least one."
            )

    def majority_labels(self) -> NDArray[np.int64]:
        """Return the FER+ majority as an index into `LABELS`, shape (N,).

        A row gets -1 unless one of the seven classes has more votes than each of contempt,
        unknown and not a face. Of tied classes the first in FER+ column order wins.

        Raises:
            DatasetError: The data set has no FER+ votes.
        """
        return majority_of_votes(self._require_votes())

    def strict_majority_labels(self) -> NDArray[np.int64]:
        """Return the FER+ majority by the rules of its authors; see `strict_majority_of_votes`.

        Raises:
            DatasetError: The data set has no FER+ votes.
        """
        return strict_majority_of_votes(self._require_votes())

    def _require_votes(self) -> NDArray[np.int64]:
        if self.votes is None:
            raise DatasetError("FER+ votes are needed; give the file fer2013new.csv.")
        return self.votes

    def soft_targets(self, votes_weight: float) -> NDArray[np.float32]:
        """Return training targets, float32 (N, 7), rows sum to 1.

        Each is a mix of the original label (one-hot) and the share of FER+ voters for each of
        the seven classes. Rows without a vote for any of the seven keep the original label.

        Args:
            votes_weight: Share of the votes, 0 (labels only) to 1 (votes only).

        Raises:
            DatasetError: Votes are asked for, but the data set has none.
        """
        one_hot = np.eye(len(LABELS), dtype=np.float32)[self.labels]
        if votes_weight == 0.0:
            return one_hot
        if self.votes is None:
            raise DatasetError(
                f"votes_weight is {votes_weight}, but no FER+ file was given; "
                "give fer2013new.csv or set votes_weight to 0."
            )
        votes = self.votes[:, _LABEL_VOTE_INDICES].astype(np.float32)
        totals = votes.sum(axis=1, keepdims=True)
        distribution = np.where(totals > 0, votes / np.maximum(totals, 1), one_hot)
        return np.asarray((1 - votes_weight) * one_hot + votes_weight * distribution, np.float32)


def content_number(picture: NDArray[np.uint8]) -> int:
    """Return a number from 0 to 2**64 - 1 that depends on the content of a picture alone.

    Args:
        picture: uint8, of any shape.
    """
    return int.from_bytes(hashlib.sha256(picture.tobytes()).digest()[:8], "big")


def majority_of_votes(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class with the most votes as an index into `LABELS`, int64 (N,).

    See `FaceDataset.majority_labels`.

    Args:
        votes: int64 (N, 10), in FER+ column order.
    """
    label_of_column = np.full(len(_VOTE_COLUMNS), -1, dtype=np.int64)
    label_of_column[_LABEL_VOTE_INDICES] = np.arange(len(LABELS))
    majority = label_of_column[votes.argmax(axis=1)]
    other_votes = np.delete(votes, _LABEL_VOTE_INDICES, axis=1)
    majority[other_votes.max(axis=1) >= votes.max(axis=1)] = -1
    return majority


def strict_majority_of_votes(votes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the class with more than half of the votes as an index into `LABELS`, int64 (N,).

    The rules of FER+'s authors (Barsoum et al. 2016, "majority voting"): single votes for a class
    are dropped first, and a picture counts only if one class has more than half of what remains.
    A row gets -1 where none has, or where it is contempt, unknown or not a face.

    Args:
        votes: int64 (N, 10), in FER+ column order.
    """
    kept = np.where(votes > 1, votes, 0)
    majority = majority_of_votes(kept)
    majority[2 * kept.max(axis=1) <= kept.sum(axis=1)] = -1
    return majority


@dataclass(frozen=True, slots=True, eq=False)
class FaceSource:
    """Labelled faces, and what a report needs to know about where they come from.

    Attributes:
        faces: The faces.
        form: "table" or "folders".
        sizes_hw: int64 (N, 2), height and width that the pictures had, in pixels.
        notes: How the data were understood where that is not plain, a sentence each.
        places: str (N,), the file of each picture; None for a table, where it is a line.
    """

    faces: FaceDataset
    form: str
    sizes_hw: NDArray[np.int64]
    notes: tuple[str, ...] = ()
    places: NDArray[np.str_] | None = None

    def place(self, index: int) -> str:
        """Return where a picture is: the name of its file, or its line."""
        return f"line {index + 2}" if self.places is None else str(self.places[index])


def read_fer2013(path: Path) -> FaceSource:
    """Read `fer2013.csv` or `icml_face_data.csv`, plain, compressed or in an archive.

    Args:
        path: File with the columns emotion, pixels, Usage.

    Raises:
        DatasetError: A file is missing or unreadable, or a row is wrong; the text names file,
            row and what was expected.
    """
    images: list[NDArray[np.uint8]] = []
    labels: list[int] = []
    splits: list[str] = []
    for line, (emotion, pixels, usage) in _read_rows(path, FACE_TABLES, _COLUMNS):
        images.append(_parse_pixels(pixels, path, line))
        labels.append(_parse_label(emotion, path, line))
        if usage not in SPLITS:
            raise DatasetError(
                f"{path}, line {line}: Usage is '{usage}', expected one of {', '.join(SPLITS)}."
            )
        splits.append(usage)
    if not labels:
        raise DatasetError(f"{path} holds no rows below its header.")
    faces = FaceDataset(
        np.stack(images), np.array(labels, np.int64), np.array(splits), source=str(path)
    )
    return FaceSource(faces, "table", np.full((len(faces), 2), IMAGE_SIZE_PX, np.int64))


def read_ferplus_votes(path: Path, faces: FaceDataset) -> NDArray[np.int64]:
    """Read the ten FER+ votes of every image, int64 (N, 10).

    Args:
        path: `fer2013new.csv`. If it has a column Usage, this must tell the splits of the faces.
        faces: The images that the votes are for.

    Raises:
        DatasetError: The file is missing, a vote is not a whole number from 0 to 10, or the
            rows are not those of the images: there are more or fewer, or a split differs.
    """
    votes: list[list[int]] = []
    splits: list[str] = []
    optional = (_SPLIT_COLUMN,)
    for line, cells in _read_rows(path, VOTE_TABLES, _VOTE_COLUMNS, optional):
        vote_cells = cells[: len(_VOTE_COLUMNS)]
        splits.extend(cells[len(_VOTE_COLUMNS) :])
        try:
            row = [int(cell) for cell in vote_cells]
        except ValueError as err:
            raise DatasetError(
                f"{path}, line {line}: votes must be whole numbers, got {vote_cells}."
            ) from err
        if min(row) < 0 or max(row) > 10:
            raise DatasetError(f"{path}, line {line}: votes must be from 0 to 10, got {row}.")
        votes.append(row)
    if len(votes) != len(faces):
        raise DatasetError(
            f"{path} holds {len(votes)} rows, but there are {len(faces)} images; "
            "FER+ votes must be in the row order of the images."
        )
    if splits:
        _check_same_splits(splits, faces, path)
    return np.array(votes, np.int64)


def _check_same_splits(splits: list[str], faces: FaceDataset, path: Path) -> None:
    pairs = zip(splits, faces.splits.tolist(), strict=True)
    for line, (split, expected) in enumerate(pairs, start=2):
        if split != expected:
            raise DatasetError(
                f"{path}, line {line}: {_SPLIT_COLUMN} is '{split}', expected '{expected}' as in "
                f"line {line} of {faces.source}; FER+ votes must be in the row order of the "
                "images."
            )


def _read_rows(
    path: Path, known: tuple[str, ...], columns: tuple[str, ...], optional: tuple[str, ...] = ()
) -> Iterable[tuple[int, list[str]]]:
    """Yield (line number, cells) for each row below the header; blank lines may end the file.

    Args:
        path: The table, or where it is.
        known: What such tables are called in folders and archives.
        columns: The columns whose cells are wanted.
        optional: More of these, left out of the cells if the table does not have them.
    """
    with open_table(path, known) as file:
        lines = _RowLines(file, path)
        reader = csv.reader(lines)
        try:
            header = [name.strip() for name in next(reader, [])]
            lines.start_row()
            missing = [name for name in columns if name not in header]
            if missing:
                raise DatasetError(
                    f"{path}, line 1: columns {', '.join(missing)} are missing; "
                    f"found {', '.join(header) or 'nothing'}."
                )
            repeated = [name for name in (*columns, *optional) if header.count(name) > 1]
            if repeated:
                raise DatasetError(
                    f"{path}, line 1: columns {', '.join(repeated)} are there more than once; "
                    "leave one of each."
                )
            present = (*columns, *(name for name in optional if name in header))
            indices = [header.index(name) for name in present]
            blank_line: int | None = None
            for line, row in enumerate(reader, start=2):
                lines.start_row()
                if len(row) < 2 and not "".join(row).strip():
                    blank_line = line if blank_line is None else blank_line
                    continue
                if blank_line is not None:
                    raise DatasetError(
                        f"{path}, line {blank_line}: 0 cells, expected {len(header)}; only the "
                        "end of the file may be blank."
                    )
                if len(row) != len(header):
                    raise DatasetError(
                        f"{path}, line {line}: {len(row)} cells, expected {len(header)}."
                    )
                yield line, [row[index].strip() for index in indices]
        except csv.Error as err:
            raise DatasetError(f"{path}, line {reader.line_num}: {err}.") from err


class _RowLines(Iterator[str]):
    """The lines of a table, as csv.reader takes them, without a row that fills the memory.

    A compressed file of some kilobytes can hold one of gigabytes. Quotes let a row go on over
    many lines, so a limit for each line would not do.
    """

    def __init__(self, file: IO[str], path: Path) -> None:
        self._file = file
        self._path = path
        self._row = 1
        self._left = _MOST_ROW_CHARACTERS

    def __next__(self) -> str:
        line = self._file.readline(self._left + 1)
        self._left -= len(line)
        if self._left < 0:
            raise DatasetError(
                f"{self._path}, line {self._row}: the row has more than {_MOST_ROW_CHARACTERS} "
                "characters; expected the few numbers of one picture in each."
            )
        if not line:
            raise StopIteration
        return line

    def start_row(self) -> None:
        """Count from here, as a row has come to its end."""
        self._row += 1
        self._left = _MOST_ROW_CHARACTERS


def _parse_label(text: str, path: Path, line: int) -> int:
    if text not in {str(index) for index in range(len(LABELS))}:
        raise DatasetError(
            f"{path}, line {line}: emotion is '{text}', expected 0 to {len(LABELS) - 1}."
        )
    return int(text)


def _parse_pixels(text: str, path: Path, line: int) -> NDArray[np.uint8]:
    expected = IMAGE_SIZE_PX * IMAGE_SIZE_PX
    try:
        pixels = np.array(text.split(), dtype=np.int64)
    except (ValueError, OverflowError) as err:
        raise DatasetError(
            f"{path}, line {line}: pixels must be {expected} whole numbers from 0 to 255."
        ) from err
    if pixels.size != expected or pixels.min() < 0 or pixels.max() > 255:
        raise DatasetError(
            f"{path}, line {line}: pixels must be {expected} numbers from 0 to 255, "
            f"got {pixels.size} numbers."
        )
    return pixels.astype(np.uint8).reshape(IMAGE_SIZE_PX, IMAGE_SIZE_PX)
