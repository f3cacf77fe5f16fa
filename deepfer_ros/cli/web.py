"""`deepfer web`: the page in the browser."""

from pathlib import Path

import click

from deepfer_ros.cli.node_options import detector_option, model_option

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--host",
    metavar="ADDRESS",
    help="Address to listen on. 0.0.0.0 lets other machines look, and asks them for a token.  "
    "[default: 127.0.0.1, this machine alone]",
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 takes any that is free.  [default: 8080]",
)
@click.option(
    "--token-file",
    type=_FILE,
    metavar="FILE",
    help="File that holds the token that visitors must show. Otherwise the variable "
    "DEEPFER_WEB_TOKEN counts; without both a token is made where one is needed.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="A further name under which browsers reach this machine. May be repeated.",
)
@click.option("--certificate", type=_FILE, metavar="FILE", help="Certificate (PEM), for https.")
@click.option("--private-key", type=_FILE, metavar="FILE", help="Its private key (PEM).")
@click.option(
    "--browser-camera/--no-browser-camera",
    default=None,
    help="Whether a visitor's browser may be a camera.  [default: it may]",
)
@click.option(
    "--source",
    metavar="FILE|FOLDER|DEVICE|sample|auto",
    help="Start a camera too: see 'deepfer camera'. Without it, the camera is that of the "
    "visitor's browser, or whatever publishes image_raw.",
)
@click.option(
    "--attach",
    is_flag=True,
    help="Start the page alone, and show the emotion nodes that run already.",
)
@model_option
@detector_option
@click.option("--use-sim-time", is_flag=True, help="Take the time from the topic /clock.")
def web(
    host: str | None,
    port: int | None,
    token_file: Path | None,
    allowed_hosts: tuple[str, ...],
    certificate: Path | None,
    private_key: Path | None,
    browser_camera: bool | None,
    source: str | None,
    attach: bool,
    model: str | None,
    detector: str | None,
    use_sim_time: bool,
) -> None:
    """Serve a page with the live view, uploads, and the browser as a camera.

    Runs web_node and an emotion_node of its own until Ctrl-C.
    """
    if attach and source is not None:
        raise click.UsageError(
            "--attach shows what runs already, so there is no --source; leave out one of the two."
        )
    # The nodes are processes of their own; what they lack shall be said here.
    import fastapi  # noqa: F401
    import uvicorn  # noqa: F401

    from deepfer_ros.cli.node_processes import (
        CAMERA_MODULE,
        EMOTION_MODULE,
        WEB_MODULE,
        parameter_arguments,
        run_nodes,
    )
    from deepfer_ros.transport import prepare_transport
    from deepfer_ros.web.emotion_cameras import EMOTION_CAMERAS

    nodes = {
        WEB_MODULE: parameter_arguments(
            {
                "host": host,
                "port": port,
                "token_file": _absolute(token_file),
                "allowed_hosts": list(allowed_hosts) or None,
                "certificate": _absolute(certificate),
                "private_key": _absolute(private_key),
                "browser_camera": browser_camera,
                "model": model,
                "detector": detector,
            }
        )
    }
    if not attach:
        nodes[EMOTION_MODULE] = parameter_arguments(
            {
                **EMOTION_CAMERAS,
                "model": model,
                "detector": detector,
                # Without a camera of its own, silence is nothing to warn about.
                "image_timeout_s": 0.0 if source is None else None,
            }
        )
    if source is not None:
        nodes[CAMERA_MODULE] = parameter_arguments({"source": source})
    prepare_transport()
    common = parameter_arguments({"use_sim_time": use_sim_time or None})
    run_nodes({module: [*common, *own] for module, own in nodes.items()})


def _absolute(path: Path | None) -> str | None:
    return None if path is None else str(path.absolute())
