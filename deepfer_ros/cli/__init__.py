"""The command line `deepfer`. Each command's module is loaded when it is asked for."""

import errno
import importlib
import io
import os
import sys
from typing import NoReturn, TextIO

import click

from deepfer_ros import __version__

_COMMANDS = {
    "demo": "deepfer_ros.cli.demo:demo",
    "camera": "deepfer_ros.cli.camera:camera",
    "web": "deepfer_ros.cli.web:web",
    "classify": "deepfer_ros.cli.classify:classify",
    "bench": "deepfer_ros.cli.bench:bench",
    "bag": "deepfer_ros.cli.bag:bag",
    "doctor": "deepfer_ros.cli.doctor:doctor",
    "fetch-detector": "deepfer_ros.cli.fetch_detector:fetch_detector",
    "crop": "deepfer_ros.cli.crop:crop",
    "data": "deepfer_training.data_command:data",
    "train": "deepfer_training.commands:train",
    "evaluate": "deepfer_training.commands:evaluate",
    "export": "deepfer_training.commands:export",
}
"""Commands in the order of the help text, and where each is."""

_TRAINING_ADVICE = (
    "Install what training needs: pip install 'deepfer[training]', or scripts/setup.sh --test in "
    "the repository."
)
_ROS_ADVICE = (
    "Source ROS 2 and the workspace that deepfer was built in (. install/setup.bash), or use "
    "'. scripts/env.sh' in the repository after 'make setup'."
)
_BAG_ADVICE = "Install it with 'pip install rosbags'."
_WEB_ADVICE = (
    "Install what the page needs: pip install 'deepfer[web]', or 'make setup' in the repository."
)
_ADVICE = {
    "fastapi": _WEB_ADVICE,
    "pydantic": _WEB_ADVICE,
    "uvicorn": _WEB_ADVICE,
    "websockets": _WEB_ADVICE,
    "rosbags": _BAG_ADVICE,
    "apsw": _BAG_ADVICE,
    "backports": _BAG_ADVICE,
    "keras": _TRAINING_ADVICE,
    "tensorflow": _TRAINING_ADVICE,
    "jax": "Install it with 'pip install jax', or unset KERAS_BACKEND.",
    "torch": "Install it with 'pip install torch', or unset KERAS_BACKEND.",
    "sklearn": _TRAINING_ADVICE,
    "rclpy": _ROS_ADVICE,
    "deepfer": _ROS_ADVICE,
    "sensor_msgs": _ROS_ADVICE,
    "vision_msgs": _ROS_ADVICE,
    "cv2": "Install it with 'pip install opencv-python-headless'.",
    "numpy": "Install it with 'pip install numpy'.",
    "PIL": "Install it with 'pip install pillow'.",
    "yaml": "Install it with 'pip install pyyaml'.",
}
"""What to do when a package is missing that a command needs."""


class _LazyGroup(click.Group):
    """A group whose commands are imported one by one, when they are run or described."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module_name, _, attribute = _COMMANDS[cmd_name].partition(":")
        command = getattr(importlib.import_module(module_name), attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ImportError as err:
            package = (err.name or "").partition(".")[0]
            if package not in _ADVICE:
                raise
            raise click.ClickException(
                f"The package {package} cannot be used: {err}. {_ADVICE[package]} "
                "'deepfer doctor' shows everything that is missing."
            ) from err


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="deepfer", message="%(prog)s %(version)s")
def deepfer() -> None:
    """Read facial expressions in pictures and camera streams.

    Try 'deepfer demo' first. Every command has its own --help.
    """


def main(args: list[str] | None = None) -> NoReturn:
    """Run the command line, and end the process with the command's exit status."""
    for stream in (sys.stdout, sys.stderr):
        # File names may hold bytes that are no text, and not every terminal knows every letter.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    try:
        _run(args)
    except OSError as err:
        # With the name of a file, it is not about standard output.
        if err.filename is not None or not _is_broken(sys.stdout):
            raise
        # Nobody reads any more, which the one who stopped reading knows.
        if err.errno != errno.EPIPE:
            click.echo(f"Error: The output cannot be written: {err.strerror}.", err=True)
        # What is left unwritten would fail once more at the end of the process.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _run(args: list[str] | None) -> NoReturn:
    try:
        deepfer.main(args, prog_name="deepfer")
    except SystemExit:
        # None if standard output was closed from the beginning.
        if sys.stdout is not None:
            sys.stdout.flush()
        raise


def _is_broken(stream: TextIO | None) -> bool:
    """Tell whether a stream takes nothing more, not even an empty line."""
    try:
        print(file=stream, flush=True)
    except OSError:
        return True
    return False
