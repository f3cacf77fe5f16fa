"""`deepfer camera`: what the launch file does, where there is no `ros2 launch`."""

import re
from functools import partial
from pathlib import Path

import click

from deepfer_ros.cli.node_options import detector_option, model_option, rate_option

_ROS_ARGS = "--ros-args"
_NO_CAMERA = "none"
# As ROS reads them in remap rules, where "__" begins words of its own.
_PARTS = r"(?!.*__)[A-Za-z_]\w*(/[A-Za-z_]\w*)*"
# Not "~/": both nodes would put a name of their own there, and would not meet.
_TOPIC = re.compile(f"/?{_PARTS}", re.ASCII)
# A "/" at its end is taken away.
_NAMESPACE = re.compile(f"/?{_PARTS}/?", re.ASCII)


class _RosCommand(click.Command):
    """A command that leaves everything from `--ros-args` on to ROS."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        position = args.index(_ROS_ARGS) if _ROS_ARGS in args else len(args)
        ctx.obj = args[position + 1 :]
        return super().parse_args(ctx, args[:position])

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        return [*super().collect_usage_pieces(ctx), f"[{_ROS_ARGS} …]"]


def _check_name(
    allowed: re.Pattern[str], ctx: click.Context, parameter: click.Parameter, value: str | None
) -> str | None:
    """Refuse what ROS would refuse in words that say less."""
    if value and not allowed.fullmatch(value):
        raise click.BadParameter(
            f"'{value}' is no ROS name for both nodes; its parts, with '/' between them, may have "
            "letters, digits and single '_', and none may begin with a digit. It may begin with "
            "'/', but not with '~', which stands for another name in each node.",
            ctx,
            parameter,
        )
    return value or None


@click.command(cls=_RosCommand)
@click.option(
    "--source",
    metavar="FILE|FOLDER|DEVICE|sample|auto|none",
    help="A video, an image, a folder of images, a webcam (0, /dev/video1), the built-in sample, "
    "or auto: the first webcam that works, else the sample. none starts no camera, because "
    "another node publishes the images.  [default: auto]",
)
@rate_option
@click.option(
    "--image-topic",
    callback=partial(_check_name, _TOPIC),
    metavar="TOPIC",
    help="Name of the camera's topic instead of image_raw.",
)
@click.option(
    "--params-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="ROS parameters for both nodes (YAML).",
)
@click.option(
    "--namespace",
    callback=partial(_check_name, _NAMESPACE),
    metavar="NAME",
    help="Put both nodes and their topics into a namespace.",
)
@model_option
@detector_option
@click.option("--use-sim-time", is_flag=True, help="Take the time from the topic /clock.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warn", "error", "fatal"], case_sensitive=False),
    help="How much the nodes say.  [default: info]",
)
@click.pass_obj
def camera(
    ros_args: list[str],
    source: str | None,
    rate_hz: float | None,
    image_topic: str | None,
    params_file: Path | None,
    namespace: str | None,
    model: str | None,
    detector: str | None,
    use_sim_time: bool,
    log_level: str | None,
) -> None:
    """Run camera_node and emotion_node until Ctrl-C.

    Does what 'ros2 launch deepfer camera.launch.py' does. Whatever follows --ros-args goes to
    both nodes, for example: deepfer camera --ros-args -p smoothing_s:=0.5 -r emotions:=faces
    """
    from deepfer_ros.cli.node_processes import (
        CAMERA_MODULE,
        EMOTION_MODULE,
        parameter_arguments,
        run_nodes,
    )
    from deepfer_ros.transport import prepare_transport

    common = []
    if params_file is not None:
        common += ["--params-file", str(params_file)]
    if namespace is not None:
        common += ["-r", f"__ns:=/{namespace.strip('/')}"]
    if image_topic is not None:
        common += ["-r", f"image_raw:={image_topic}"]
    if log_level is not None:
        common += ["--log-level", log_level]
    common += parameter_arguments({"use_sim_time": use_sim_time or None})
    nodes = {
        EMOTION_MODULE: parameter_arguments({"model": model, "detector": detector}),
        CAMERA_MODULE: parameter_arguments({"source": source, "rate_hz": rate_hz}),
    }
    if source == _NO_CAMERA:
        del nodes[CAMERA_MODULE]
    prepare_transport()
    # The command line has the last word over the file.
    run_nodes({module: [*common, *own, *ros_args] for module, own in nodes.items()})
