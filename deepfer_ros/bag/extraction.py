"""Go through a recording, recognize every image, and write the results."""

import sqlite3
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rosbags.rosbag2.errors import WriterError

from deepfer_ros.bag.bag_recording import BagRecording, is_bag
from deepfer_ros.bag.bag_writer import BagWriter
from deepfer_ros.bag.definitions import load_typestore
from deepfer_ros.bag.errors import BagError, DamagedRecordingError
from deepfer_ros.bag.journal import Journal, Outcome
from deepfer_ros.bag.output import Output, Workplace
from deepfer_ros.bag.picture_recording import PictureRecording
from deepfer_ros.bag.recognizers import CameraRecognizers
from deepfer_ros.bag.recording import RecordedImage, RecordedMessage, Recording, Selection
from deepfer_ros.bag.table_writers import CsvFile, JsonLinesFile, ParquetFile, TableWriter
from deepfer_ros.recognition.types import FaceEmotion


class ResultWriter(Protocol):
    """Writes the results of a recording, image by image."""

    def write(self, image: RecordedImage, faces: tuple[FaceEmotion, ...]) -> None:
        """Write the faces of one image."""

    def finish(self) -> None:
        """Complete the file."""

    def abort(self) -> None:
        """Close the file, incomplete as it is; may follow `finish`."""


@dataclass(slots=True)
class TopicSummary:
    """What came out of one topic.

    Attributes:
        images: How many were recognized.
        with_faces: In how many of them there was a face.
        faces: How many faces were found in all.
        skipped: How many images could not be used, by reason.
    """

    images: int = 0
    with_faces: int = 0
    faces: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Summary:
    """What came out of a recording.

    Attributes:
        topics: By topic.
        notes: What else people should know, a sentence each.
        damage: Why the recording could not be read to its end; empty if it could.
    """

    topics: dict[str, TopicSummary]
    notes: list[str] = field(default_factory=list)
    damage: str = ""

    def count(self, image: RecordedImage, outcome: Outcome) -> None:
        """Count one image."""
        topic = self.topics[image.topic]
        if outcome.error:
            topic.skipped[outcome.error] += 1
            return
        topic.images += 1
        topic.with_faces += bool(outcome.faces)
        topic.faces += len(outcome.faces)


Progress = Callable[[RecordedImage], None]
"""Told about each image that is done."""


def open_recording(
    path: Path, selection: Selection, *, rate_hz: float | None = None, copy: bool = False
) -> Recording:
    """Open a bag, a video, an image or a folder of images.

    Args:
        path: The file or folder.
        selection: Which images are wanted.
        rate_hz: Pictures a second of a video or folder; its own if None.
        copy: Whether the other messages of a bag are wanted too.

    Raises:
        BagError: It does not exist, is none of these, or cannot be read.
    """
    try:
        path.stat()
        looks_like_bag = is_bag(path)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise BagError(f"{path} does not exist.") from err
    except OSError as err:
        raise BagError(f"{path} cannot be read: {err.strerror}.") from err
    if path.suffix == ".bag":
        raise BagError(
            f"{path} is a bag of ROS 1; convert it first: rosbags-convert --src {path} "
            f"--dst {path.with_suffix('')}"
        )
    if looks_like_bag:
        if rate_hz is not None:
            raise BagError("--rate is for videos and folders; a bag has its own times.")
        return BagRecording(path, selection, load_typestore(), copy=copy)
    if copy:
        raise BagError(f"--copy is for bags; {path} is none.")
    return PictureRecording(path, selection, rate_hz=rate_hz)


def extract(
    recording: Recording,
    recognizers: CameraRecognizers,
    output: Output,
    workplace: Workplace,
    *,
    selection: Selection,
    annotate: str = "",
    progress: Progress = lambda image: None,
) -> Summary:
    """Recognize a recording and write the result; continue where an earlier run was stopped.

    Args:
        recording: The images.
        recognizers: For its topics.
        output: Where the result goes.
        workplace: Where it grows. It stays there when something stops this function.
        selection: Which images `recording` was asked for.
        annotate: See `BagWriter`.
        progress: Told about each image.

    Raises:
        BagError: The result cannot be written, or no image can be used, or another program is at
            work on the same result.
    """
    workplace.open()
    try:
        summary = _extract(
            recording, recognizers, output, workplace, selection, annotate, progress
        )
        if not any(topic.images for topic in summary.topics.values()):
            workplace.remove()
            raise BagError(_explain_nothing(recording, summary))
        workplace.publish()
    except (OSError, sqlite3.Error, WriterError) as err:
        reason = getattr(err, "strerror", None) or str(err)
        raise BagError(
            f"{output.path} cannot be written: {reason}. What was recognized is kept in "
            f"{workplace.folder}; --resume goes on from there."
        ) from err
    finally:
        workplace.close()
    return summary


def _extract(
    recording: Recording,
    recognizers: CameraRecognizers,
    output: Output,
    workplace: Workplace,
    selection: Selection,
    annotate: str,
    progress: Progress,
) -> Summary:
    settings = {
        "recording": recording.identity,
        "topics": recording.topics,
        "start": selection.start_s,
        "end": selection.end_s,
        "every": selection.every,
        **recognizers.settings,
    }
    journal = Journal(workplace.journal_path, settings, recognizers.bundle.labels)
    summary = Summary({topic: TopicSummary() for topic in recording.topics})
    writer: ResultWriter | None = None
    try:
        workplace.clear_result()
        writer = _open_writer(recording, recognizers, output, workplace.result_path, annotate)
        try:
            for entry in recording.entries():
                if isinstance(entry, RecordedMessage):
                    assert isinstance(writer, BagWriter)
                    writer.copy(entry)
                    continue
                outcome = _recognize(entry, recognizers, journal)
                summary.count(entry, outcome)
                if not outcome.error:
                    writer.write(entry, outcome.faces)
                progress(entry)
        except DamagedRecordingError as err:
            summary.damage = str(err)
        writer.finish()
        summary.notes += getattr(writer, "notes", [])
    finally:
        if writer is not None:
            writer.abort()
        journal.close()
    return summary


def _recognize(image: RecordedImage, recognizers: CameraRecognizers, journal: Journal) -> Outcome:
    """Return what is in an image, from the journal if an earlier run has come to it."""
    outcome = journal.recall(image)
    if outcome is not None:
        recognizers.replay(image, outcome)
        return outcome
    outcome = recognizers.recognize(image)
    journal.add(image, outcome)
    return outcome


def _open_writer(
    recording: Recording,
    recognizers: CameraRecognizers,
    output: Output,
    path: Path,
    annotate: str,
) -> ResultWriter:
    labels = recognizers.bundle.labels
    if output.format == "csv":
        return TableWriter(CsvFile(path, labels))
    if output.format == "jsonl":
        return TableWriter(JsonLinesFile(path))
    if output.format == "parquet":
        return TableWriter(ParquetFile(path, labels))
    return BagWriter(
        path,
        output.format,
        load_typestore(),
        recording.topics,
        recognizers.bundle.name,
        annotate=annotate,
        copied=recording.connections
        if isinstance(recording, BagRecording) and recording.copies
        else (),
    )


def _explain_nothing(recording: Recording, summary: Summary) -> str:
    if summary.damage:
        return summary.damage
    skipped = sum((topic.skipped for topic in summary.topics.values()), Counter[str]())
    if not skipped:
        return f"The {recording.description} has no image in the selected time."
    reason, _ = skipped.most_common(1)[0]
    return (
        f"None of the {skipped.total()} images of the {recording.description} can be used: "
        f"{reason}"
    )
