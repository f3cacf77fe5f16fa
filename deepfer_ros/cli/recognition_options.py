"""Options of the commands that recognize without a node."""

import click

model_option = click.option(
    "--model",
    default="deepfer48",
    show_default=True,
    help="Name of a model that comes with deepfer, or path of a bundle folder or model file.",
)
detector_option = click.option(
    "--detector",
    default="auto",
    show_default=True,
    help="yunet, libfacedetection, haar or auto: the best that is installed.",
)
