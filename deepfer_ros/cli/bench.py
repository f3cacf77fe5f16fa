"""`deepfer bench`: how fast deepfer is on this machine."""

from pathlib import Path

import click

from deepfer_ros.bench.sections import SECTIONS
from deepfer_ros.cli.finite_range import FiniteRange
from deepfer_ros.cli.recognition_options import detector_option, model_option


@click.command()
@click.option(
    "--only",
    "sections",
    multiple=True,
    type=click.Choice(SECTIONS),
    metavar="SECTION",
    help=f"Measure this section only; may be repeated: {', '.join(SECTIONS)}.  "
    "[default: all but soak]",
)
@click.option("--quick", is_flag=True, help="Small frames only, and not for long: rough figures.")
@click.option(
    "--soak-s",
    "soak_seconds",
    type=FiniteRange(min=5, max=86400),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="How long the section soak lasts.",
)
@model_option
@detector_option
@click.option(
    "--chart",
    "chart_path",
    type=click.Path(dir_okay=False, writable=True, path_type=Path),
    metavar="FILE.svg",
    help="Draw the cost against faces, pixels and cameras too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def bench(
    sections: tuple[str, ...],
    quick: bool,
    soak_seconds: float,
    model: str,
    detector: str,
    chart_path: Path | None,
    as_json: bool,
) -> None:
    """Measure how fast deepfer is on this machine.

    \b
    import     import deepfer_ros, in new processes
    stages     each stage of recognition, beside the least time that this machine allows
    messages   conversions from and to ROS messages
    recognize  a whole frame, by size and number of faces
    reach      time and smallest face found, by the parameter detection_max_side_px
    node       the emotion node over topics between processes, at 30 images a second
    cameras    the same for one to four cameras of one node
    flood      one camera at up to 400 images a second: the highest rate that it sustains
    soak       120 images a second for long: neither latency nor memory may grow

    Other programs on the machine disturb the figures; end them first. Everything takes about
    four minutes.
    """  # noqa: D301 - click knows the end of wrapping by this character
    # OpenCV, LiteRT and ROS take a moment to import; --help and wrong options must not wait.
    from deepfer_ros.cli.bench_run import run

    run(
        sections,
        quick=quick,
        soak_seconds=soak_seconds,
        model=model,
        detector=detector,
        chart_path=chart_path,
        as_json=as_json,
    )
