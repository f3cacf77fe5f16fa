"""The training commands of the `deepfer` command line: train, evaluate and export."""

import dataclasses
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
@click.option("--seed", type=int, help="Use this seed and not that of the recipe.")
@click.option(
    "--start-from",
    "start",
    metavar="RUN",
    type=_FILE,
    help="Start from the weights of this finished run.",
)
@click.option(
    "--teacher",
    "teachers",
    metavar="RUN",
    multiple=True,
    type=_FILE,
    help="Learn from this finished run, too, where the recipe has a teacher_weight; may be "
    "repeated.",
)
@click.option(
    "--distribute",
    default="none",
    show_default=True,
    type=click.Choice(["none", "devices", "processes"]),
    help="Train on all devices of this machine, or on those of all processes started together. "
    "Needs KERAS_BACKEND=jax.",
)
def train(
    recipe: Path,
    data: Path,
    ferplus: Path | None,
    output: Path,
    resume: bool,
    seed: int | None,
    start: Path | None,
    teachers: tuple[Path, ...],
    distribute: str,
) -> None:
    """Train a network by RECIPE, a YAML file; see config/training/."""
    console = _prepare()
    # Keras takes seconds to import; only the commands that need it pay for it.
    from deepfer_training import training
    from deepfer_training.config import load_config

    command = f"deepfer train {_shown(recipe)} {_data_options(data, ferplus)}"
    try:
        config = load_config(recipe)
        if seed is not None:
            config = dataclasses.replace(config, seed=seed)
            command += f" --seed {seed}"
        if start is not None:
            command += f" --start-from {_shown(start)}"
        for teacher in teachers:
            command += f" --teacher {_shown(teacher)}"
        dataset = _read(data, ferplus, console)
        with _progress(console) as progress:
            task = progress.add_task("Training", total=0)
            paths = training.train(
                config,
                dataset,
                output,
                resume=resume,
                command=f"{command} --output {_shown(output)}",
                start=start,
                teachers=teachers,
                distribute=distribute,
                report=click.echo,
                on_step=lambda done, total: progress.update(task, completed=done, total=total),
            )
    except TrainingError as err:
        raise click.ClickException(str(err)) from err
    for path in paths:
        click.echo(f"Trained model: {path}")


@click.command()
@click.argument("models", metavar="MODEL...", nargs=-1, required=True)
@_data
@_ferplus
@click.option(
    "--split",
    default="PrivateTest",
    show_default=True,
    type=click.Choice(["Training", "PublicTest", "PrivateTest"]),
    help="Part of the data to measure on.",
)
@click.option(
    "--tta",
    is_flag=True,
    help="Measure the mean of the answers to picture and mirror image, too, in rows of its own.",
)
@click.option("--robustness", is_flag=True, help="Measure on changed pictures, too (slower).")
@click.option(
    "--compare", metavar="MODEL", help="Another file of the same model, to compare answers with."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a JSON object for each MODEL, one a line, and a summary of several.",
)
def evaluate(
    models: tuple[str, ...],
    data: Path,
    ferplus: Path | None,
    split: str,
    tta: bool,
    robustness: bool,
    compare: str | None,
    as_json: bool,
) -> None:
    """Measure MODEL on FER-2013 or other faces with the same labels.

    MODEL is the name of a bundle that comes with deepfer (deepfer48), a bundle folder, a run
    folder of 'deepfer train' with one model, or a .tflite, .keras or .onnx file.

    Several, like the models that one recipe made from several seeds, are summed up in one table
    with mean and spread.
    """
    if compare is not None and len(models) > 1:
        raise click.UsageError("--compare takes one MODEL.")
    console = _prepare()
    from deepfer_training import evaluation
    from deepfer_training.evaluation_tables import print_evaluation, print_summary
    from deepfer_training.inference import predict
    from deepfer_training.model_files import find_model
    from deepfer_training.seed_summary import summarize

    try:
        files = [find_model(model) for model in models]
        other = None if compare is None else find_model(compare)
        faces = _read(data, ferplus, console).split(split)
        for file in files:
            if file.labels is None:
                console.print(
                    f"{file.path} has no bundle.json beside it: its outputs are taken for the "
                    "seven classes of FER-2013, in their order.",
                    soft_wrap=True,
                )
        total = len(files) * evaluation.count_predictions(faces, robustness=robustness, tta=tta)
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
            results = [
                evaluation.evaluate(
                    file,
                    faces,
                    split,
                    tta=tta,
                    robustness=robustness,
                    reference=reference,
                    on_progress=lambda count: progress.advance(task, count),
                )
                for file in files
            ]
    except TrainingError as err:
        raise click.ClickException(str(err)) from err
    values = [result.to_json() for result in results]
    summary = {"split": split, **summarize(values)}
    if as_json:
        for line in (*values, *([{"summary": summary}] if len(values) > 1 else [])):
            click.echo(json.dumps(line))
    elif len(results) > 1:
        print_summary(dict(zip(models, values, strict=True)), summary, Console())
    else:
        print_evaluation(results[0], Console())


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
@click.option(
    "--without",
    multiple=True,
    type=click.Choice(["float16", "int8", "onnx"]),
    help="Leave this file out of the bundle; its figures are in the card all the same. May be "
    "repeated.",
)
@click.option(
    "--also",
    "other_seeds",
    metavar="RUN_OR_MODEL",
    multiple=True,
    type=_FILE,
    help="A model that the same recipe made from another seed, for mean and spread in the card. "
    "May be repeated.",
)
@click.option("--replace", is_flag=True, help="Replace a bundle that is there already.")
def export(
    source: Path,
    output: Path,
    data: Path,
    ferplus: Path | None,
    calibrate: str,
    without: tuple[str, ...],
    other_seeds: tuple[Path, ...],
    replace: bool,
) -> None:
    """Write a bundle that deepfer can run from RUN_OR_MODEL.

    RUN_OR_MODEL is a run folder of 'deepfer train' with one model, or a .keras file. The LiteRT
    and ONNX files are checked against it on PublicTest and refused if they lose too much; the
    model card is measured on PrivateTest.
    """
    # TensorFlow converts, whatever the model was trained with. Keras reads this when it is first
    # imported.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    console = _prepare()
    from deepfer_training.export import export_bundle

    command = (
        f"deepfer export {_shown(source)} --output {_shown(output)} {_data_options(data, ferplus)}"
    )
    if calibrate != "auto":
        command += f" --calibrate {calibrate}"
    command += "".join(f" --without {name}" for name in without)
    command += "".join(f" --also {_shown(other)}" for other in other_seeds)
    try:
        dataset = _read(data, ferplus, console)
        with console.status("Exporting …") as status:
            folder = export_bundle(
                source,
                output,
                dataset,
                calibrate=calibrate,
                without=without,
                other_seeds=other_seeds,
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
