"""Classify image files one after another, and print each result as soon as it is there."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from deepfer_ros.camera_sources import IMAGE_SUFFIXES, list_images
from deepfer_ros.cli.quiet import quiet_libraries
from deepfer_ros.face_json import face_to_json
from deepfer_ros.recognition.classifier import load_classifier
from deepfer_ros.recognition.detection import load_detector
from deepfer_ros.recognition.drawing import draw_emotions
from deepfer_ros.recognition.errors import ImageError, RecognitionError
from deepfer_ros.recognition.images import check_suffix, encode_image, read_image
from deepfer_ros.recognition.model_bundle import load_bundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.types import FaceEmotion

# Small faces matter in photographs, and nobody waits for the next frame.
_DETECTION_MAX_SIDE_PX = 640
_NEXT_LIKELY = 2
# Of a table's row, all besides the path.
_OTHER_COLUMNS_WIDTH = len("  9999  surprise 100 %  surprise 100 %, surprise 100 %")
_MIN_PATH_WIDTH = 16


@dataclass(frozen=True, slots=True, eq=False)
class ImageResult:
    """What became of one path.

    Attributes:
        path: As the user gave it, or a file in a folder that was given.
        error: Why there is no result; empty if there is one.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
        faces: The faces found.
    """

    path: Path
    error: str = ""
    width: int = 0
    height: int = 0
    faces: tuple[FaceEmotion, ...] = ()


def run_classify(
    paths: Sequence[Path],
    *,
    as_json: bool,
    annotate_folder: Path | None,
    model: str,
    detector_name: str,
) -> None:
    """Classify files and print the results.

    Args:
        paths: Files, and folders that stand for the image files in them.
        as_json: Print JSON lines instead of a table.
        annotate_folder: Where to save annotated pictures.
        model: See `load_bundle`.
        detector_name: See `load_detector`.

    Raises:
        click.ClickException: Model, detector or folder cannot be used.
        click.exceptions.Exit: With status 1, because a file could not be read.
    """
    recognizer = _load_recognizer(model, detector_name)
    entries = list_entries(paths)
    annotations = (
        _Annotations(annotate_folder, [entry.path for entry in entries])
        if annotate_folder is not None
        else None
    )
    results = (_classify(entry, recognizer, annotations) for entry in entries)
    printer = _JsonPrinter() if as_json else _TablePrinter([entry.path for entry in entries])
    failed = 0
    for result in _with_progress(results, len(entries), printer.progress_console):
        failed += bool(result.error)
        printer.print(result)
    if failed:
        if len(entries) > 1 and not as_json:
            click.echo(f"{failed} of {len(entries)} could not be read.", err=True)
        raise click.exceptions.Exit(1)


def list_entries(paths: Iterable[Path]) -> list[ImageResult]:
    """Return what is to be done: a file each, with an error where that is clear already."""
    entries = []
    for path in paths:
        # Unlike Path.is_dir, this raises nothing for a path that may not be looked at.
        if not os.path.isdir(path):
            entries.append(ImageResult(path))
            continue
        try:
            files = list_images(path)
        except OSError as err:
            entries.append(ImageResult(path, f"The folder cannot be listed: {err.strerror}."))
            continue
        entries += [ImageResult(file) for file in files]
        if not files:
            wanted = " ".join(IMAGE_SUFFIXES)
            entries.append(ImageResult(path, f"The folder holds no image ({wanted})."))
    return entries


def to_json(result: ImageResult) -> str:
    """Return a result as one line of JSON; coordinates in pixels of the picture."""
    if result.error:
        return json.dumps({"path": str(result.path), "error": result.error})
    return json.dumps(
        {
            "path": str(result.path),
            "width": result.width,
            "height": result.height,
            "faces": [face_to_json(face) for face in result.faces],
        },
        allow_nan=False,
    )


def _load_recognizer(model: str, detector_name: str) -> EmotionRecognizer:
    try:
        with quiet_libraries():
            threads = os.cpu_count() or 1
            return EmotionRecognizer(
                load_detector(detector_name, max_side_px=_DETECTION_MAX_SIDE_PX, threads=threads),
                load_classifier(load_bundle(model), threads=threads),
            )
    except RecognitionError as err:
        raise click.ClickException(str(err)) from err


def _classify(
    entry: ImageResult, recognizer: EmotionRecognizer, annotations: "_Annotations | None"
) -> ImageResult:
    if entry.error:
        return entry
    try:
        image_bgr = read_image(entry.path)
        faces = recognizer.recognize(image_bgr)
        if annotations is not None:
            annotations.save(entry.path, draw_emotions(image_bgr, faces))
    except ImageError as err:
        return ImageResult(entry.path, str(err))
    height, width = image_bgr.shape[:2]
    return ImageResult(entry.path, "", width, height, faces)


class _Annotations:
    """Saves annotated pictures in a folder, never two under one name, and never over a source.

    Args:
        folder: Made if it is missing.
        sources: The pictures that are read.

    Raises:
        click.ClickException: The folder cannot be made or written to.
    """

    def __init__(self, folder: Path, sources: Iterable[Path]) -> None:
        self._folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as err:
            raise click.ClickException(
                f"The folder {folder} cannot be made: {err.strerror}."
            ) from err
        if not os.access(folder, os.W_OK):
            raise click.ClickException(f"The folder {folder} may not be written to.")
        target = folder.resolve()
        # A source that is a link is both: the link and what it leads to.
        places = {
            place
            for path in sources
            for place in (path.parent.resolve() / path.name, path.resolve())
        }
        self._used = {place.name for place in places if place.parent == target}

    def save(self, path: Path, image_bgr: NDArray[np.uint8]) -> None:
        """Save the annotated copy of the picture at `path`.

        Raises:
            ImageError: It cannot be written.
        """
        suffix = path.suffix.lower()
        try:
            check_suffix(suffix)
        except ImageError:
            suffix = ".jpg"
        data = encode_image(image_bgr, suffix)
        target = self._folder / self._free_name(path.stem, suffix)
        try:
            target.write_bytes(data)
        except OSError as err:
            raise ImageError(f"{target} cannot be written: {err.strerror}.") from err

    def _free_name(self, stem: str, suffix: str) -> str:
        """Return a name that this run neither reads nor has used for another folder's picture."""
        name, count = f"{stem}_emotions{suffix}", 1
        while name in self._used:
            count += 1
            name = f"{stem}_emotions_{count}{suffix}"
        self._used.add(name)
        return name


class _JsonPrinter:
    """Prints one JSON object a line.

    Attributes:
        progress_console: Where progress may be shown; None if nowhere. Not on the terminal that
            the lines go to.
    """

    def __init__(self) -> None:
        is_free = not Console().is_terminal and Console(stderr=True).is_terminal
        self.progress_console = Console(stderr=True) if is_free else None

    def print(self, result: ImageResult) -> None:
        """Print a result at once."""
        click.echo(to_json(result))


class _TablePrinter:
    """Prints rows of a table as they come, so that thousands of files need no memory.

    Args:
        paths: All that will come; they decide how wide the first column is.

    Attributes:
        progress_console: Where progress may be shown; None if nobody looks.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._rows = Console()
        self._errors = Console(stderr=True)
        if self._rows.is_terminal and self._errors.is_terminal:
            # One console for one terminal, so that progress and lines do not mix.
            self._errors = self._rows
        terminals = [entry for entry in (self._rows, self._errors) if entry.is_terminal]
        self.progress_console = terminals[0] if terminals else None
        widest = max((cell_len(_name(path)) for path in paths), default=0)
        self._path_width = max(widest, len("image"))
        if self._rows.is_terminal:
            room = max(self._rows.width - _OTHER_COLUMNS_WIDTH, _MIN_PATH_WIDTH)
            self._path_width = min(self._path_width, room)
        self._is_first = True

    def print(self, result: ImageResult) -> None:
        """Print the rows of a result at once."""
        if result.error:
            name = _name(result.path)
            text = result.error if name in result.error else f"{name}: {result.error}"
            self._errors.print(text, style="red", markup=False, highlight=False, soft_wrap=True)
            return
        if self._is_first:
            self._is_first = False
            self._print_row("image", "face", "emotion", "", "next likely", style="bold")
        if not result.faces:
            self._print_row(_name(result.path), "", "no face", "", "", style="dim")
        for index, face in enumerate(result.faces):
            name = _name(result.path) if index == 0 else ""
            self._print_row(
                name, face.face_id, face.emotion, _percent(face.confidence), _next_likely(face)
            )

    def _print_row(
        self, path: str, face: str, emotion: str, share: str, others: str, *, style: str = ""
    ) -> None:
        row = Text(_shorten(path, self._path_width), style=style)
        row.append(f"  {face:>4}  ")
        row.append(f"{emotion:<8} {share:>5}", style=style or "bold green")
        row.append(f"  {others}", style=style or "dim")
        row.rstrip()
        # A terminal gets what fits into its width, a file everything.
        if self._rows.is_terminal:
            self._rows.print(row, no_wrap=True, overflow="ellipsis")
        else:
            self._rows.print(row, soft_wrap=True)


def _with_progress(
    results: Iterable[ImageResult], count: int, console: Console | None
) -> Iterator[ImageResult]:
    """Show how far it is, if that takes a while and somebody looks."""
    if count < 2 or console is None:
        yield from results
        return
    with Progress(
        TextColumn("Classifying"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        redirect_stdout=False,
        redirect_stderr=False,
    ) as progress:
        yield from progress.track(results, total=count)


def _next_likely(face: FaceEmotion) -> str:
    """Return the emotions that come after the most probable one, with their probabilities."""
    order = np.argsort(-face.probabilities, kind="stable")[1 : 1 + _NEXT_LIKELY]
    return ", ".join(
        f"{face.labels[index]} {_percent(float(face.probabilities[index]))}" for index in order
    )


def _name(path: Path) -> str:
    """Return a path as text that can be printed, whatever bytes it has."""
    return click.format_filename(path)


def _shorten(text: str, width: int) -> str:
    """Return a text with just this width; of a path that is too long, the end says more."""
    while cell_len(text) > width:
        text = f"…{text[2:]}"
    return set_cell_size(text, width)


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"
