import csv
import json
import sys
from pathlib import Path

import pytest
from fake_extraction import make_face, numbered_picture
from fake_recognition import LABELS

from deepfer_ros.bag import table_writers
from deepfer_ros.bag.errors import BagError
from deepfer_ros.bag.recording import RecordedImage
from deepfer_ros.bag.table_writers import CsvFile, JsonLinesFile, ParquetFile, TableWriter

COLUMNS = [
    "time_s",
    "stamp_ns",
    "topic",
    "frame_id",
    "frame",
    "face_id",
    "x",
    "y",
    "width",
    "height",
    "detection_confidence",
    "emotion",
    "confidence",
    *LABELS,
]
VALUES = [
    0.123456789,
    1_700_000_000_123_456_789,
    "/front, rear",
    'head "1"',
    7,
    "face1",
    10.26,
    20.5,
    30.1,
    40.9,
    0.876543,
    "happy",
    0.4,
    *(0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1),
]
IMAGE = RecordedImage(
    "/front, rear", 7, 5, 0.123456789, VALUES[1], 'head "1"', lambda: numbered_picture(0)
)


def write(writer: TableWriter, faces: int) -> None:
    writer.write(IMAGE, tuple(make_face() for _ in range(faces)))
    writer.finish()
    writer.abort()


@pytest.mark.parametrize("faces", [0, 1, 2])
def test_csv(tmp_path: Path, faces: int) -> None:
    write(TableWriter(CsvFile(tmp_path / "a.csv", LABELS)), faces)
    with open(tmp_path / "a.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [COLUMNS] + [[str(value) for value in VALUES]] * faces


@pytest.mark.parametrize("faces", [0, 1, 2])
def test_json_lines(tmp_path: Path, faces: int) -> None:
    write(TableWriter(JsonLinesFile(tmp_path / "a.jsonl")), faces)
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert rows == [dict(zip(COLUMNS, VALUES, strict=True))] * faces
    assert [list(row) for row in rows] == [COLUMNS] * faces


@pytest.mark.parametrize("faces", [0, 1, 5])
def test_parquet(tmp_path: Path, faces: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow.parquet

    monkeypatch.setattr(table_writers, "_ROWS_AT_ONCE", 2)
    write(TableWriter(ParquetFile(tmp_path / "a.parquet", LABELS)), faces)
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet")
    assert table.column_names == COLUMNS
    assert str(table.schema.field("stamp_ns").type) == "int64"
    assert table.to_pylist() == [dict(zip(COLUMNS, VALUES, strict=True))] * faces


@pytest.mark.parametrize(
    ("numpy_version", "wanted"), [("1.26.4", '"pyarrow<26"'), ("2.0.0", "pyarrow")]
)
def test_parquet_without_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, numpy_version: str, wanted: str
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setattr("numpy.__version__", numpy_version)
    with pytest.raises(BagError, match=rf"'pip install {wanted}', or write \.csv or"):
        ParquetFile(tmp_path / "a.parquet", LABELS)


def test_files_that_exist_are_not_touched(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    for open_file in (
        lambda p: CsvFile(p, LABELS),
        JsonLinesFile,
        lambda p: ParquetFile(p, LABELS),
    ):
        with pytest.raises(FileExistsError):
            open_file(tmp_path / "a")
