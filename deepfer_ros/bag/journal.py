"""Keep what was recognized while a result is unfinished, so that a killed run can be completed.

The journal is a file of JSON lines: first what the results depend on, then one line an image.
Every line is flushed, so that only the last one can be incomplete after a kill. That one program
only writes to it is for the caller to see to; see `Workplace`.
"""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from deepfer_ros.bag.errors import BagError
from deepfer_ros.bag.recording import RecordedImage
from deepfer_ros.recognition.types import FaceEmotion


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one image.

    Attributes:
        faces: The faces found.
        error: Why the image was skipped; empty if it was not.
    """

    faces: tuple[FaceEmotion, ...] = ()
    error: str = ""


class Journal:
    """The outcomes of an unfinished run, in the order of the images.

    Args:
        path: The file; continued if it exists.
        settings: What the outcomes depend on, as JSON can hold it.
        labels: The model's labels.

    Raises:
        BagError: The file belongs to other settings.
        OSError: It cannot be written.
    """

    def __init__(
        self, path: Path, settings: Mapping[str, object], labels: tuple[str, ...]
    ) -> None:
        self._labels = labels
        # Unbuffered, so that nothing is left to be written when a full disk has refused a line.
        self._lines = path.open("ab", buffering=0)
        self._file = path.open("rb+")
        header = self._read_line()
        if header is None:
            self._append({"settings": settings})
        else:
            self._check(header.get("settings"), settings, path)

    def recall(self, image: RecordedImage) -> Outcome | None:
        """Return the next outcome, or None if there are no more; `image` must be its image.

        Raises:
            BagError: The outcome belongs to another image.
        """
        entry = self._read_line()
        if entry is None:
            return None
        if entry["key"] != _key(image):
            raise BagError(
                f"The recording is not the one that the unfinished result began with: expected "
                f"image {entry['key']}, found {_key(image)}. --overwrite begins anew."
            )
        faces = tuple(self._to_face(fields) for fields in entry["faces"])
        return Outcome(faces, entry["error"])

    def add(self, image: RecordedImage, outcome: Outcome) -> None:
        """Append an outcome.

        Raises:
            OSError: It cannot be written.
        """
        faces = [_to_fields(face) for face in outcome.faces]
        self._append({"key": _key(image), "error": outcome.error, "faces": faces})

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._lines.close()

    def _check(self, found: Any, expected: Mapping[str, object], path: Path) -> None:  # noqa: ANN401
        wanted = json.loads(json.dumps(expected))
        for name, value in wanted.items():
            began_with = found.get(name) if isinstance(found, dict) else None
            if began_with != value:
                self.close()
                raise BagError(
                    f"The unfinished result in {path.parent} began with another {name} "
                    f"({began_with}, now {value}). Complete it with the same options, or begin "
                    "anew with --overwrite."
                )

    def _read_line(self) -> dict[str, Any] | None:
        """Return the next whole line; from the first one that is none, the file is cut off."""
        start = self._file.tell()
        line = self._file.readline()
        try:
            if line.endswith(b"\n"):
                entry = json.loads(line)
                assert isinstance(entry, dict)
                return entry
        except ValueError:
            pass
        self._file.seek(start)
        self._file.truncate()
        return None

    def _append(self, entry: Mapping[str, object]) -> None:
        line = memoryview(json.dumps(entry).encode() + b"\n")
        while line:
            line = line[self._lines.write(line) :]
        self._file.seek(0, os.SEEK_END)

    def _to_face(self, fields: dict[str, Any]) -> FaceEmotion:
        values: dict[str, Any] = {
            name: np.array(value, np.float32) if isinstance(value, list) else value
            for name, value in fields.items()
        }
        return FaceEmotion(labels=self._labels, **values)


def _key(image: RecordedImage) -> list[object]:
    return [image.topic, image.index, image.time_ns]


def _to_fields(face: FaceEmotion) -> dict[str, object]:
    """Return the fields of a face as JSON can hold them; float32 survives the way through text."""
    fields = {}
    for field in dataclasses.fields(face):
        value = getattr(face, field.name)
        if field.name != "labels":
            fields[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
    return fields
