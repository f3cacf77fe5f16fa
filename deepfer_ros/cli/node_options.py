"""Options of the commands that start the nodes. What is left out keeps the node's own default."""

import click

from deepfer_ros.cli.finite_range import FiniteRange

model_option = click.option(
    "--model", help="Name or path of a model.  [default: the one that deepfer ships]"
)
detector_option = click.option(
    "--detector", help="yunet, libfacedetection, haar or auto.  [default: auto]"
)
rate_option = click.option(
    "--rate",
    "rate_hz",
    type=FiniteRange(min=0.001, max=1000),
    metavar="HZ",
    help="Images a second.  [default: the source's own]",
)
