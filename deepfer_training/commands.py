"""The training commands of the `deepfer` command line: train, evaluate and export."""

import dataclasses
import json
import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from deepfer_training.errors import TrainingError

if TYPE_CHECKING:
    from deepfer_training.fer2013 import FaceDataset

_BACKENDS = ("tensorflow", "jax", "torch")
"""What Keras can train on; it takes the first one unless told otherwise."""

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
    help="Start from the weights of this finished run or bundle, whose network may be narrower.",
)
@click.option(
    "--teacher",
    "teachers",
    metavar="RUN",
    multiple=True,
    type=_FILE,
    help="Learn from this finished run or bundle, too, where the recipe has a teacher_weight; may "
    "be repeated.",
)
@click.option(
    "--unlabelled",
    metavar="PHOTOS",
    type=_FILE,
    help="Learn what the teachers say about more faces, too: a folder, .zip or .tar file of "
    "pictures cropped by 'deepfer crop', in any folders.",
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
    unlabelled: Path | None,
    distribute: str,
) -> None:
    """Train a network by RECIPE, a YAML file; see config/training/."""
    console = _prepare()
    # Keras takes seconds to import; only the commands that need it pay for it.
    from deepfer_training import training
    from deepfer_training.config import load_config
    from deepfer_training.model_files import shown_path

    words = ["deepfer", "train", shown_path(recipe), *_data_options(data, ferplus)]
    try:
        config = load_config(recipe)
        if seed is not None:
            config = dataclasses.replace(config, seed=seed)
            words += ["--seed", str(seed)]
        if start is not None:
            words += ["--start-from", shown_path(start)]
        for teacher in teachers:
            words += ["--teacher", shown_path(teacher)]
        if unlabelled is not None:
            words += ["--unlabelled", shown_path(unlabelled)]
        if distribute != "none":
            words += ["--distribute", distribute]
        words += ["--output", shown_path(output)]
        dataset = _read(data, ferplus, console)
        with _progress(console) as progress:
            task = progress.add_task("Training", total=0)
            paths = training.train(
                config,
                dataset,
                output,
                resume=resume,
                command=f"{_backend_setting()}{shlex.join(words)}",
                start=start,
                teachers=teachers,
                unlabelled=unlabelled,
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
    from deepfer_training.training_records import public_test_share, read_recipe

    try:
        files = [find_model(model) for model in models]
        other = None if compare is None else find_model(compare)
        dataset = _read(data, ferplus, console)
        faces = dataset.split(split)
        if split == "PublicTest":
            share = max(public_test_share(read_recipe(file.path.parent)) for file in files)
            unlearned = dataset.learn_from_public_test(share).split(split)
            if share > 0:
                console.print(
                    f"{len(faces) - len(unlearned)} pictures of {split} are left out: the "
                    "training has learned from them, if these are its data.",
                    soft_wrap=True,
                    markup=False,
                )
            faces = unlearned
        for file in files:
            if file.labels is None:
                console.print(
                    f"{file.path} has no bundle.json beside it: its outputs are taken for the "
                    "seven classes of FER-2013, in their order.",
                    soft_wrap=True,
                    markup=False,
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
            click.echo(json.dumps(line, allow_nan=False))
    elif len(results) > 1:
        print_summary(models, values, summary, Console())
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
    from deepfer_training.model_files import shown_path

    words = ["deepfer", "export", shown_path(source), "--output", shown_path(output)]
    words += _data_options(data, ferplus)
    if calibrate != "auto":
        words += ["--calibrate", calibrate]
    for name in without:
        words += ["--without", name]
    for other in other_seeds:
        words += ["--also", shown_path(other)]
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
                command=shlex.join(words),
                report=lambda step: status.update(Text(f"{step} …")),
            )
    except TrainingError as err:
        raise click.ClickException(str(err)) from err
    click.echo(f"Bundle: {folder}")


def _prepare() -> Console:
    """Return a console for progress, and keep TensorFlow's start-up notes out of it.

    Raises:
        ClickException: Keras does not know the backend that is asked for.
    """
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in _BACKENDS:
        raise click.ClickException(
            f"KERAS_BACKEND is {backend!r}, allowed: {', '.join(_BACKENDS)}."
        )
    # TensorFlow reads this when it is first imported.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return Console(stderr=True, highlight=False)


def _read(data: Path, ferplus: Path | None, console: Console) -> "FaceDataset":
    """Read the data, and tell what has been decided about it: where splits come from, say."""
    from deepfer_training.dataset_cache import load_source

    with console.status(Text(f"Reading {data} …")):
        source = load_source(data, ferplus)
    for note in source.notes:
        console.print(note, soft_wrap=True, markup=False)
    return source.faces


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


def _data_options(data: Path, ferplus: Path | None) -> list[str]:
    from deepfer_training.model_files import path_name

    options = ["--data", path_name(data)]
    return options if ferplus is None else [*options, "--ferplus", ferplus.name]


def _backend_setting() -> str:
    """Return what has to stand before a command so that Keras runs on what it runs on now."""
    import keras

    backend = keras.backend.backend()
    return "" if backend == _BACKENDS[0] else f"KERAS_BACKEND={backend} "
