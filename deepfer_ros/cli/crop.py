"""`deepfer crop`: the faces of photographs, as pictures to train and evaluate with."""

from pathlib import Path

import click

from deepfer_ros.cli.recognition_options import detector_option, model_option


@click.command()
@click.argument("photos", type=click.Path(file_okay=False, path_type=Path), metavar="PHOTOS")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder to make for the crops.",
)
@model_option
@detector_option
def crop(photos: Path, output: Path, model: str, detector: str) -> None:
    """Cut the faces out of photographs, as the model sees them.

    Takes every image file below the folder PHOTOS, and saves the crop of its largest face in the
    same place below DIR: PHOTOS/test/happy/a.jpg becomes DIR/test/happy/a.jpg.png. 'deepfer
    evaluate' and 'deepfer train' take a DIR whose folders are classes.

    Photographs without a face are named and left out. A file that cannot be read is reported and
    the others go on; the exit status is then 1.
    """
    # OpenCV and LiteRT take a moment to import; --help and wrong options must not wait for it.
    from deepfer_ros.cli.crop_run import run_crop

    run_crop(photos, output, model=model, detector_name=detector)
