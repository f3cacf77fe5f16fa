"""`deepfer classify`: the expressions in image files, without ROS."""

from pathlib import Path

import click

from deepfer_ros.cli.recognition_options import detector_option, model_option


@click.command()
@click.argument(
    # Click would refuse all files where it may not read one of them.
    "paths",
    nargs=-1,
    required=True,
    metavar="FILE...",
    type=click.Path(readable=False, path_type=Path),
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object a line for each image."
)
@click.option(
    "--annotate",
    "annotate_folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Save each image with its result drawn in as DIR/NAME_emotions.jpg (or .png, …); the "
    "folder is made if it is missing.",
)
@model_option
@detector_option
def classify(
    paths: tuple[Path, ...],
    as_json: bool,
    annotate_folder: Path | None,
    model: str,
    detector: str,
) -> None:
    """Find the faces in image files and tell their expressions.

    A folder stands for the image files directly in it, in the order of their names. A file that
    cannot be read is reported and the others go on; the exit status is then 1.
    """
    # OpenCV and LiteRT take a moment to import; --help and wrong options must not wait for it.
    from deepfer_ros.cli.classify_run import run_classify

    run_classify(
        paths,
        as_json=as_json,
        annotate_folder=annotate_folder,
        model=model,
        detector_name=detector,
    )
