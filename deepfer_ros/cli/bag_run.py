"""Run `deepfer bag`: check what was asked, show the progress, and say what came out."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from deepfer_ros.bag.errors import BagError
from deepfer_ros.bag.extraction import Progress as ProgressCallback
from deepfer_ros.bag.extraction import Summary, extract, open_recording
from deepfer_ros.bag.output import Output, Workplace, choose_output, is_complete
from deepfer_ros.bag.recognizers import RecognitionOptions, load_recognizers
from deepfer_ros.bag.recording import RecordedImage, Recording, Selection
from deepfer_ros.bag.table_writers import import_pyarrow
from deepfer_ros.cli.quiet import quiet_libraries
from deepfer_ros.recognition.errors import RecognitionError

_MOST_REASONS = 3


def run_bag(
    source: Path,
    output_path: Path | None,
    *,
    format_name: str,
    selection: Selection,
    options: RecognitionOptions,
    rate_hz: float | None,
    annotate: str,
    copy: bool,
    resume: bool,
    overwrite: bool,
) -> None:
    """Recognize a recording. The arguments are those of the command.

    Raises:
        click.ClickException: Something cannot be read, written or loaded.
        click.exceptions.Exit: With status 1, because the recording is damaged.
    """
    try:
        recording = open_recording(source, selection, rate_hz=rate_hz, copy=copy)
        with contextlib.closing(recording):
            output = choose_output(output_path, format_name, source, _bag_format(source))
            _check(output, annotate=annotate, copy=copy)
            if resume and not overwrite and is_complete(output):
                click.echo(f"{output.path} is complete already.")
                return
            workplace = Workplace(output, source, resume=resume, overwrite=overwrite)
            _announce(recording)
            with quiet_libraries():
                recognizers = load_recognizers(recording.topics, options)
            with _progress(recording, selection) as progress:
                summary = extract(
                    recording,
                    recognizers,
                    output,
                    workplace,
                    selection=selection,
                    annotate=annotate,
                    progress=progress,
                )
    except (BagError, RecognitionError) as err:
        raise click.ClickException(str(err)) from err
    except KeyboardInterrupt:
        click.echo("\nStopped; the same command with --resume goes on from here.", err=True)
        raise click.exceptions.Exit(130) from None
    _report(summary, output)
    if summary.damage:
        raise click.exceptions.Exit(1)


def _bag_format(source: Path) -> str:
    """Return the format of a bag if nothing says another: that of the source, or MCAP."""
    files = list(source.iterdir()) if source.is_dir() else [source]
    return "sqlite3" if any(".db3" in file.suffixes for file in files) else "mcap"


def _check(output: Output, *, annotate: str, copy: bool) -> None:
    """Refuse what cannot be written.

    Raises:
        BagError: A table is to hold what only a bag can, or needs a package that is not there.
    """
    option = "--annotate" if annotate else "--copy" if copy else ""
    if option and not output.is_bag:
        raise BagError(
            f"{option} needs a bag as OUT, but {output.path} is a {output.format} file."
        )
    if output.format == "parquet":
        import_pyarrow()


def _announce(recording: Recording) -> None:
    count = len(recording.topics)
    topics = f"{count} image topics" if count > 1 else "1 image topic"
    click.echo(f"Reading {topics} of the {recording.description}: {', '.join(recording.topics)}")
    for note in recording.notes:
        click.echo(note)


@contextlib.contextmanager
def _progress(recording: Recording, selection: Selection) -> Iterator[ProgressCallback]:
    """Show how far it is, in seconds of the recording, if somebody looks."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda image: None
        return
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[seconds]}"),
        BarColumn(),
        TextColumn("{task.fields[images]} images"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    ) as progress:
        yield _ProgressLine(progress, recording.duration_s, selection.start_s)


class _ProgressLine:
    """Told about each image, moves the bar."""

    def __init__(self, progress: Progress, duration_s: float | None, start_s: float) -> None:
        self._progress = progress
        self._duration_s = duration_s
        self._start_s = start_s
        self._images = 0
        self._task: TaskID = progress.add_task("", total=duration_s, seconds="", images=0)

    def __call__(self, image: RecordedImage) -> None:
        """Show that an image is done."""
        self._images += 1
        elapsed_s = image.elapsed_s - self._start_s
        whole = "" if self._duration_s is None else f" of {self._duration_s:.1f}"
        self._progress.update(
            self._task,
            completed=elapsed_s,
            seconds=f"{elapsed_s:.1f}{whole} s",
            images=self._images,
        )


def _report(summary: Summary, output: Output) -> None:
    for name, topic in summary.topics.items():
        skipped = topic.skipped.total()
        text = f"{name}: {topic.images} images, {topic.faces} faces in {topic.with_faces} of them"
        click.echo(f"{text}, {skipped} skipped" if skipped else text)
        for reason, count in topic.skipped.most_common(_MOST_REASONS):
            click.echo(f"  {count} skipped: {reason}", err=True)
    for note in summary.notes:
        click.echo(note)
    click.echo(f"Wrote {output.path}")
    if summary.damage:
        click.echo(f"Error: {summary.damage}", err=True)
