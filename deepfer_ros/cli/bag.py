"""`deepfer bag`: the expressions in a ROS 2 bag, a video or a folder of images, without ROS."""

from pathlib import Path

import click

from deepfer_ros.cli.finite_range import FiniteRange
from deepfer_ros.cli.recognition_options import detector_option, model_option


@click.command()
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="A table (.csv, .jsonl, .parquet), a bag in one file (.mcap, .db3), or the folder of a "
    "bag.  [default: the folder IN_emotions, here]",
)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(["csv", "jsonl", "parquet", "mcap", "sqlite3"]),
    help="Format of OUT.  [default: by its suffix; a bag as IN is one, else mcap]",
)
@click.option(
    "--topic",
    "topics",
    multiple=True,
    metavar="TOPIC",
    help="Image topic of a bag; may be given several times.  [default: all image topics]",
)
@click.option(
    "--start",
    "start_s",
    type=FiniteRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="Leave out what is before this time, counted from the beginning of the recording.",
)
@click.option(
    "--end",
    "end_s",
    type=FiniteRange(min=0),
    metavar="SECONDS",
    help="Leave out what is after this time.",
)
@click.option(
    "--every",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Recognize only every N-th image of each topic.",
)
@click.option(
    "--rate",
    "rate_hz",
    type=FiniteRange(min=0.001, max=1000),
    metavar="HZ",
    help="Images a second of a video or folder.  [default: the video's own times; 2 for a folder]",
)
@click.option(
    "--annotate",
    type=click.Choice(["raw", "compressed"]),
    help="Put the images with the results drawn in into the bag, as they are or as JPEG.",
)
@click.option("--copy", is_flag=True, help="Copy the messages of the bag IN into the bag OUT.")
@model_option
@detector_option
@click.option(
    "--detection-size",
    "detection_max_side_px",
    type=click.IntRange(64, 4096),
    default=320,
    show_default=True,
    metavar="PIXELS",
    help="Search faces in a copy of this size; more finds smaller faces and takes more time.",
)
@click.option(
    "--min-confidence",
    type=FiniteRange(0, 1),
    default=0.0,
    show_default=True,
    help="Report an emotion less probable than this as unknown.",
)
@click.option(
    "--smoothing",
    "smoothing_s",
    type=FiniteRange(0, 60),
    default=0.3,
    show_default=True,
    metavar="SECONDS",
    help="Time constant of the smoothing over a face's track, in time of the recording; 0 is off.",
)
@click.option("--resume", is_flag=True, help="Complete OUT where an earlier run was stopped.")
@click.option("--overwrite", is_flag=True, help="Replace OUT if it exists.")
def bag(
    source: Path,
    output: Path | None,
    format_name: str | None,
    topics: tuple[str, ...],
    start_s: float,
    end_s: float | None,
    every: int,
    rate_hz: float | None,
    annotate: str | None,
    copy: bool,
    model: str,
    detector: str,
    detection_max_side_px: int,
    min_confidence: float,
    smoothing_s: float,
    resume: bool,
    overwrite: bool,
) -> None:
    """Recognize the faces of a recording.

    IN is a ROS 2 bag (its folder, or a .mcap or .db3 file), a video, or a folder of images. Each
    image topic of a bag counts as a camera of its own. ROS is not needed.

    The result is a bag with the topics of emotion_node, or a table with one face a row. It grows
    in the folder OUT.unfinished; a run that was stopped is completed with --resume. The exit
    status is 1 if the recording is damaged and could not be read to its end.
    """
    # OpenCV, LiteRT and rosbags take a moment to import; --help and wrong options must not wait.
    from deepfer_ros.bag.recognizers import RecognitionOptions
    from deepfer_ros.bag.recording import Selection
    from deepfer_ros.cli.bag_run import run_bag

    if end_s is not None and end_s <= start_s:
        raise click.BadParameter(
            f"{end_s:g} must be after --start {start_s:g}.", param_hint="--end"
        )
    run_bag(
        source,
        output,
        format_name=format_name or "",
        selection=Selection(topics, start_s, end_s, every),
        options=RecognitionOptions(
            model=model,
            detector=detector,
            detection_max_side_px=detection_max_side_px,
            min_confidence=min_confidence,
            smoothing_s=smoothing_s,
        ),
        rate_hz=rate_hz,
        annotate=annotate or "",
        copy=copy,
        resume=resume,
        overwrite=overwrite,
    )
