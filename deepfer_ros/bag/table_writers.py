"""Write results as tables, one face a row: CSV, JSON lines, Parquet."""

import contextlib
import csv
import json
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from deepfer_ros.bag.errors import BagError
from deepfer_ros.bag.recording import RecordedImage
from deepfer_ros.recognition.types import FaceEmotion

_ROWS_AT_ONCE = 10_000
_TIME_DECIMALS = 9
_PIXEL_DECIMALS = 2
_DECIMALS = 6

_Row = dict[str, Any]


class RowFile(Protocol):
    """A file of rows in some format."""

    def add(self, row: _Row) -> None:
        """Write a row."""

    def finish(self) -> None:
        """Complete and close the file."""

    def abort(self) -> None:
        """Close the file, incomplete as it is; may follow `finish`."""


class TableWriter:
    """Writes one face a row. See `ResultWriter`.

    Args:
        file: Where the rows go.
    """

    def __init__(self, file: RowFile) -> None:
        self._file = file
        self.finish = file.finish
        self.abort = file.abort

    def write(self, image: RecordedImage, faces: tuple[FaceEmotion, ...]) -> None:
        """See `ResultWriter.write`."""
        for face in faces:
            self._file.add(to_row(image, face))


def column_types(labels: tuple[str, ...]) -> dict[str, type]:
    """Return the columns in their order, with the type of each."""
    return {
        "time_s": float,
        "stamp_ns": int,
        "topic": str,
        "frame_id": str,
        "frame": int,
        "face_id": str,
        **dict.fromkeys(("x", "y", "width", "height", "detection_confidence"), float),
        "emotion": str,
        "confidence": float,
        **dict.fromkeys(labels, float),
    }


def to_row(image: RecordedImage, face: FaceEmotion) -> _Row:
    """Return a face as a row: column names and values, in the order of `column_types`."""
    row: _Row = {
        "time_s": round(image.elapsed_s, _TIME_DECIMALS),
        "stamp_ns": image.stamp_ns,
        "topic": image.topic,
        "frame_id": image.frame_id,
        "frame": image.index,
        "face_id": face.face_id,
    }
    for name, value in zip(("x", "y", "width", "height"), face.box_xywh, strict=True):
        row[name] = round(float(value), _PIXEL_DECIMALS)
    row["detection_confidence"] = round(face.detection_confidence, _DECIMALS)
    row["emotion"] = face.emotion
    row["confidence"] = round(face.confidence, _DECIMALS)
    for name, value in zip(face.labels, face.probabilities, strict=True):
        row[name] = round(float(value), _DECIMALS)
    return row


def import_pyarrow() -> Any:  # noqa: ANN401 - a module
    """Return the package that Parquet files need.

    Raises:
        BagError: It is not installed, or does not work with the NumPy that is there.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as err:
        # ROS up to Kilted needs NumPy 1, which pyarrow has dropped. Its wheels do not tell pip so.
        wanted = '"pyarrow<26"' if np.__version__.startswith("1.") else "pyarrow"
        raise BagError(
            f"Parquet files need the package pyarrow, which cannot be used ({err}); install it "
            f"with 'pip install {wanted}', or write .csv or .jsonl."
        ) from err
    return pyarrow


class CsvFile:
    """Comma-separated values below a line of column names, UTF-8. See `RowFile`.

    Args:
        path: A file that does not exist.
        labels: The model's labels.
    """

    def __init__(self, path: Path, labels: tuple[str, ...]) -> None:
        self._file = path.open("x", encoding="utf-8", newline="")
        self._rows = csv.DictWriter(self._file, list(column_types(labels)), lineterminator="\n")
        self._rows.writeheader()

    def add(self, row: _Row) -> None:
        """See `RowFile.add`."""
        self._rows.writerow(row)

    def finish(self) -> None:
        """See `RowFile.finish`."""
        self._file.close()

    def abort(self) -> None:
        """See `RowFile.abort`."""
        # What a full disk could not take fails a second time.
        with contextlib.suppress(OSError):
            self._file.close()


class JsonLinesFile:
    """One JSON object a line. See `RowFile`.

    Args:
        path: A file that does not exist.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("x", encoding="utf-8")

    def add(self, row: _Row) -> None:
        """See `RowFile.add`."""
        self._file.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")

    def finish(self) -> None:
        """See `RowFile.finish`."""
        self._file.close()

    def abort(self) -> None:
        """See `RowFile.abort`."""
        with contextlib.suppress(OSError):
            self._file.close()


class ParquetFile:
    """Apache Parquet, through pyarrow. See `RowFile`.

    Args:
        path: A file that does not exist.
        labels: The model's labels.

    Raises:
        BagError: pyarrow is not installed.
    """

    def __init__(self, path: Path, labels: tuple[str, ...]) -> None:
        pyarrow = import_pyarrow()
        kinds = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64()}
        self._to_table = pyarrow.Table.from_pylist
        self._schema = pyarrow.schema(
            [(name, kinds[kind]) for name, kind in column_types(labels).items()]
        )
        self._file = path.open("xb")
        self._writer = pyarrow.parquet.ParquetWriter(self._file, self._schema)
        self._rows: list[_Row] = []

    def add(self, row: _Row) -> None:
        """See `RowFile.add`."""
        self._rows.append(row)
        if len(self._rows) >= _ROWS_AT_ONCE:
            self._flush()

    def finish(self) -> None:
        """See `RowFile.finish`."""
        self._flush()
        self._writer.close()
        self._file.close()

    def abort(self) -> None:
        """See `RowFile.abort`."""
        with contextlib.suppress(OSError):
            self._writer.close()
        with contextlib.suppress(OSError):
            self._file.close()

    def _flush(self) -> None:
        self._writer.write_table(self._to_table(self._rows, schema=self._schema))
        self._rows = []
