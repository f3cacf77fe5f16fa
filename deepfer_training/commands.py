"""The training commands of the `deepfer` command line: train, evaluate and export."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from deepfer_training.errors import TrainingError

if TYPE_CHECKING:
    from deepfer_training.fer2013 import FaceDataset

_FILE = click.Path(path_type=Path)
_data = click.option(
    "--data",
    required=True,
    type=_FILE,
    help="FER-2013: fer2013.csv, plain, .xz, .gz or .zip; or a folder with one for each class.",
)
_ferplus = click.option("--ferplus", type=_FILE, help="FER+ votes: fer2013new.csv.")


@click.command()
@click.argument("recipe", type=_FILE)
@_data
@_ferplus
@click.option("--output", required=True, type=_FILE, help="Run folder, made if missing.")
@click.option("--resume", is_flag=True, help="Go on with a broken run in the run folder.")
def train(recipe: Path, data: Path, ferplus: Path | None, output: Path, resume: bool) -> None:
    """Train a network by RECIPE, a YAML file; see config/training/."""
    console = _prepare()
    # Keras takes seconds to import; only the commands that need it pay for it.
    from deepfer_training import training
    from deepfer_training.config import load_config

    command = f"deepfer train {_shown(recipe)} {_data_options(data, ferplus)}"
    try:
        config = load_config(recipe)
        dataset = _read(data, ferplus, console)
        with _progress(console) as progress:
            task = progress.add_task("Training", total=0)
            paths = training.train(
                config,
                dataset,
                output,
                resume=resume,
                command=f"{command} --output {_shown(output)}",
                report=click.echo,
                on_step=lambda done, total: progress.update(task, completed=done, total=total),
            )
    except TrainingError as err:
        raise click.ClickException(str(err)) from err
    for path in paths:
        click.echo(f"Trained model: {path}")


@click.command()
@click.argument("model")
@_data
@_ferplus
@click.option(
    "--split",
    default="PrivateTest",
    show_default=True,
    type=click.Choice(["Training", "PublicTest", "PrivateTest"]),
    help="Part of the data to measure on.",
)
@click.option("--robustness", is_flag=True, help="Measure on changed pictures, too (slower).")
@click.option(
    "--compare", metavar="MODEL", help="Another file of the same model, to compare answers with."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of tables.")
def evaluate(
    model: str,
    data: Path,
    ferplus: Path | None,
    split: str,
    robustness: bool,
    compare: str | None,
    as_json: bool,
) -> None:
    """Measure MODEL on FER-2013.

    MODEL is the name of a bundle that comes with deepfer (deepfer48), a bundle folder, a run
    folder of 'deepfer train' with one model, or a .tflite or .keras file.
    """
    console = _prepare()
    from deepfer_training import evaluation
    from deepfer_training.evaluation_tables import print_evaluation
    from deepfer_training.inference import predict
    from deepfer_training.model_files import find_model

    try:
        model_file = find_model(model)
        other = None if compare is None else find_model(compare)
        faces = _read(data, ferplus, console).split(split)
        if model_file.labels is None:
            console.print(
                f"{model_file.path} has no bundle.json beside it: its outputs are taken for the "
                "seven classes of FER-2013, in their order.",
                soft_wrap=True,
            )
        total = evaluation.count_predictions(faces, robustness=robustness)
        with _progress(console) as progress:
            task = progress.add_task("Evaluating", total=total + (len(faces) if other else 0))
            reference = None
            if other is not None:
                reference = evaluation.Reference(
                    other.path.name,
                    predict(
                        evaluation.load_ordered_predictor(other),
                        faces.images,
                        on_progress=lambda count: progress.advance(task, count),
                    ),
                )
            result = evaluation.evaluate(
                model_file,
                faces,
                split,
                robustness=robustness,
                reference=reference,
                on_progress=lambda count: progress.advance(task, count),
            )
    except TrainingError as err:
        raise click.ClickException(str(err)) from err
    if as_json:
        click.echo(json.dumps(result.to_json()))
    else:
        print_evaluation(result, Console())


@click.command()
@click.argument("source", metavar="RUN_OR_MODEL", type=_FILE)
@click.option(
    "--output", required=True, type=_FILE, help="Folder of the bundle; its name is the model's."
)
@_data
@_ferplus
@click.option(
    "--calibrate",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "fer2013", "ferplus", "none"]),
    help="Labels for which the probabilities shall be right.",
)
@click.option("--replace", is_flag=True, help="Replace a bundle that is there already.")
def export(
    source: Path,
    output: Path,
    data: Path,
    ferplus: Path | None,
    calibrate: str,
    replace: bool,
) -> None:
    """Write a bundle that deepfer can run from RUN_OR_MODEL.

    RUN_OR_MODEL is a run folder of 'deepfer train' with one model, or a .keras file. The LiteRT
    files are checked against it on PublicTest and refused if they lose too much; the model card
    is measured on PrivateTest.
    """
    console = _prepare()
    from deepfer_training.export import export_bundle

    command = (
        f"deepfer export {_shown(source)} --output {_shown(output)} {_data_options(data, ferplus)}"
    )
    if calibrate != "auto":
        command += f" --calibrate {calibrate}"
    try:
        dataset = _read(data, ferplus, console)
        with console.status("Exporting …") as status:
            folder = export_bundle(
                source,
                output,
                dataset,
                calibrate=calibrate,
                replace=replace,
                command=command,
                report=lambda step: status.update(f"{step} …"),
            )
    except TrainingError as err:
        raise click.ClickException(str(err)) from err
    click.echo(f"Bundle: {folder}")


def _prepare() -> Console:
    """Return a console for progress, and keep TensorFlow's start-up notes out of it."""
    # TensorFlow reads this when it is first imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return Console(stderr=True, highlight=False)


def _read(data: Path, ferplus: Path | None, console: Console) -> "FaceDataset":
    from deepfer_training.dataset_cache import load_faces

    with console.status(f"Reading {data} …"):
        return load_faces(data, ferplus)


def _progress(console: Console) -> Progress:
    """Return a progress bar, which is shown in a terminal only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _data_options(data: Path, ferplus: Path | None) -> str:
    options = f"--data {data.name}"
    return options if ferplus is None else f"{options} --ferplus {ferplus.name}"


def _shown(path: Path) -> str:
    """Return a path as a record may show it: without where it lies on this machine."""
    return path.name if path.is_absolute() or ".." in path.parts else str(path)
