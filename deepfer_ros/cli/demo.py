"""`deepfer demo`: camera and emotion node on real ROS topics, and the result in the terminal."""

import os
from pathlib import Path

import click

from deepfer_ros.cli.finite_range import FiniteRange
from deepfer_ros.cli.node_options import detector_option, model_option, rate_option

_SNAPSHOT_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def _check_snapshot(
    ctx: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    """Refuse at the start what could not be written at the end."""
    if path is None:
        return None
    if path.suffix.lower() not in _SNAPSHOT_SUFFIXES:
        raise click.BadParameter(
            f"'{path}' must end in one of {' '.join(_SNAPSHOT_SUFFIXES)}.", ctx, parameter
        )
    if path.is_dir():
        raise click.BadParameter(f"'{path}' is a folder; name a file.", ctx, parameter)
    if not path.parent.is_dir():
        raise click.BadParameter(
            f"the folder '{path.parent}' does not exist; create it first.", ctx, parameter
        )
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise click.BadParameter(f"'{path}' may not be written.", ctx, parameter)
    return path


@click.command()
@click.option(
    "--source",
    default="auto",
    show_default=True,
    metavar="FILE|FOLDER|DEVICE|sample|auto",
    help="A video, an image, a folder of images, a webcam (0, /dev/video1), the built-in sample, "
    "or auto: the first webcam that works, else the sample.",
)
@click.option(
    "--duration",
    type=FiniteRange(min=0, min_open=True),
    metavar="SECONDS",
    help="End so long after the first result. Without it, Ctrl-C ends.",
)
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path),
    callback=_check_snapshot,
    metavar="FILE",
    help="Save an annotated picture at the end: .png, .jpg, .webp or .bmp.",
)
@click.option("--web", is_flag=True, help="Serve the page in the browser too; see 'deepfer web'.")
@model_option
@detector_option
@rate_option
def demo(
    source: str,
    duration: float | None,
    snapshot: Path | None,
    web: bool,
    model: str | None,
    detector: str | None,
    rate_hz: float | None,
) -> None:
    """Show the expressions in a camera stream, live.

    Starts camera_node and emotion_node and listens to their ROS topics: image_raw, emotions and
    emotions/image can be watched from other programs at the same time.
    """
    # ROS takes a second to import; --help and wrong options must not wait for it.
    from deepfer_ros.cli.demo_run import run_demo

    run_demo(
        camera_parameters={"source": source, "rate_hz": rate_hz},
        emotion_parameters={"model": model, "detector": detector},
        duration_s=duration,
        snapshot_path=snapshot,
        has_web=web,
    )
