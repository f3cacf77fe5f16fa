"""The training commands of the `deepfer` command line: train, evaluate and export."""

from pathlib import Path

import click

from deepfer_training.errors import TrainingError

_FILE = click.Path(path_type=Path)


@click.command()
@click.argument("recipe", type=_FILE)
@click.option("--data", required=True, type=_FILE, help="FER-2013: fer2013.csv, .xz or .gz.")
@click.option("--ferplus", type=_FILE, help="FER+ votes: fer2013new.csv.")
@click.option("--output", required=True, type=_FILE, help="Run folder, made if missing.")
@click.option("--resume", is_flag=True, help="Go on with a broken run in the run folder.")
def train(recipe: Path, data: Path, ferplus: Path | None, output: Path, resume: bool) -> None:
    """Train a model by RECIPE, a YAML file; see config/training/."""
    # Keras takes seconds to import; only the commands that need it pay for it.
    from deepfer_training import training
    from deepfer_training.config import load_config
    from deepfer_training.fer2013 import read_fer2013

    try:
        config = load_config(recipe)
        click.echo(f"Reading {data} …", err=True)
        dataset = read_fer2013(data, ferplus)
        path = training.train(config, dataset, output, resume=resume, report=click.echo)
    except TrainingError as err:
        raise click.ClickException(str(err)) from err
    click.echo(f"Trained model: {path}")
