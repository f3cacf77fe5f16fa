"""Results of uploads as CSV, one row a face."""

import csv
import io
from collections.abc import Sequence
from typing import Any

_COLUMNS = (
    "path",
    "time_s",
    "face",
    "face_id",
    "x",
    "y",
    "width",
    "height",
    "detection_confidence",
    "emotion",
    "confidence",
)
# A spreadsheet would take a text that begins like this for a formula.
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def to_csv(result: dict[str, Any], labels: Sequence[str]) -> str:
    """Return the result for a picture or a video as a table with a head.

    Args:
        result: As the JSON of the interface holds it.
        labels: The model's, which name the last columns.
    """
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow([*_COLUMNS, *labels])
    frames = result.get("frames", [{"time_s": "", "faces": result.get("faces", [])}])
    for frame in frames:
        for index, face in enumerate(frame["faces"]):
            writer.writerow(
                [
                    _as_text(result["path"]),
                    frame["time_s"],
                    index,
                    face["face_id"] or "",
                    *face["box_xywh"],
                    face["detection_confidence"],
                    face["emotion"],
                    face["confidence"],
                    *(face["probabilities"][label] for label in labels),
                ]
            )
    return file.getvalue()


def _as_text(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text
