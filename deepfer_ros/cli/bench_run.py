"""Run the benchmark for `deepfer bench` and print what it measured."""

import json
import tempfile
from pathlib import Path

import click
from rich.console import Console

from deepfer_ros.bench.chart import CHARTED_SECTIONS, draw_chart
from deepfer_ros.bench.errors import BenchError
from deepfer_ros.bench.report import print_report
from deepfer_ros.bench.run import plan_bench, run_bench
from deepfer_ros.camera_sources import CameraError
from deepfer_ros.recognition.errors import RecognitionError
from deepfer_ros.transport import prepare_transport


def run(
    sections: tuple[str, ...],
    *,
    quick: bool,
    soak_seconds: float,
    model: str,
    detector: str,
    chart_path: Path | None,
    as_json: bool,
) -> None:
    """Measure and print; see the options of `deepfer bench`.

    Raises:
        click.ClickException: Something that is needed is missing or does not work.
    """
    plan = plan_bench(
        sections, quick=quick, model=model, detector=detector, soak_seconds=soak_seconds
    )
    if not plan.sections:
        reasons = {f"{name}: {reason}" for name, reason in plan.left_out.items()}
        raise click.ClickException(f"Nothing can be measured ({'; '.join(sorted(reasons))}).")
    if chart_path is not None:
        _check_chart(chart_path, plan.sections)
    progress = Console(stderr=True)
    prepare_transport()
    try:
        with progress.status("Starting") as status:
            results = run_bench(plan, report=status.update)
    except (BenchError, CameraError, RecognitionError, OSError) as err:
        raise click.ClickException(str(err)) from err
    # First of all what took minutes: nothing that follows may lose it.
    if as_json:
        click.echo(json.dumps(results))
    else:
        print_report(results, Console())
    if chart_path is not None:
        try:
            chart_path.write_text(draw_chart(results), encoding="utf-8")
        except OSError as err:
            raise _refuse_chart(chart_path, err) from err


def _check_chart(path: Path, sections: tuple[str, ...]) -> None:
    """Refuse at the start what could not be drawn or written at the end.

    Raises:
        click.ClickException: There is nothing to draw, or no place for it.
    """
    if not set(CHARTED_SECTIONS) & set(sections):
        raise click.ClickException(
            f"--chart needs one of the sections {' and '.join(CHARTED_SECTIONS)}."
        )
    if not path.parent.is_dir():
        raise click.ClickException(
            f"The folder {path.parent} for the chart does not exist; create it first."
        )
    try:
        # Permissions do not tell it all: some folders take no file from anybody.
        if path.is_file():
            path.open("ab").close()
        else:
            tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as err:
        raise _refuse_chart(path, err) from err


def _refuse_chart(path: Path, err: OSError) -> click.ClickException:
    return click.ClickException(
        f"The chart {path} cannot be written: {err.strerror}. Choose another place for --chart."
    )
