"""The folder of a training run: what it was, how far it is, and how to go on with it."""

import dataclasses
import hashlib
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from deepfer_training.config import TrainingConfig, config_from_dict
from deepfer_training.errors import RunError
from deepfer_training.fer2013 import FaceDataset
from deepfer_training.model_files import BUNDLE_FILE, file_sha256, path_name, read_bundle
from deepfer_training.networks import finished_path
from deepfer_training.recipe_description import commands_of, commands_of_bundle
from deepfer_training.training_records import RECIPE_FILE, RUN_FILE, read_run_file

LOG_FILE = "log.csv"
TENSORBOARD_FOLDER = "tensorboard"
BEST_WEIGHTS_FILE = "best.weights.h5"
CHECKPOINT_FOLDER = "checkpoint"
_STATE_FILE = "state.json"
_NEW_SUFFIX = ".new"
# What a run that was killed while it began may leave.
_REMAINS = {RUN_FILE} | {
    str(Path(name).with_suffix(_NEW_SUFFIX)) for name in (RUN_FILE, RECIPE_FILE)
}

_CALLBACK_FIELDS = ("best", "wait", "cooldown_counter")
"""What Keras' callbacks remember from epoch to epoch."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    Attributes:
        epochs_done: Whole epochs since the run began.
        phase: Number of the phase it is in, from 0.
        phase_start: Epochs that were done when this phase began.
        stopped: Whether this phase ended before its last epoch.
        weights: Name of the file with the weights to go on with; empty at first.
        random_states: State of every random layer, which Keras leaves out of weight files.
        callbacks: What each callback remembers, by the name of its class.
    """

    epochs_done: int = 0
    phase: int = 0
    phase_start: int = 0
    stopped: bool = False
    weights: str = ""
    random_states: dict[str, list[int]] = field(default_factory=dict)
    callbacks: dict[str, dict[str, float]] = field(default_factory=dict)

    def next_phase(self) -> "Progress":
        """Return the beginning of the next phase. Which weights were best so far is kept."""
        best = {
            name: memory
            for name, memory in self.callbacks.items()
            if name == keras.callbacks.ModelCheckpoint.__name__
        }
        return Progress(self.epochs_done, self.phase + 1, self.epochs_done, callbacks=best)


class SaveCheckpoint(keras.callbacks.Callback):
    """Save weights, optimizer and progress after every epoch, so that a kill loses one at most.

    Must come after the callbacks whose memory it saves, and gives them it back when a run is
    resumed.

    Args:
        folder: Folder of the run.
        progress: Where the run stands.
        callbacks: Callbacks with a memory.
    """

    def __init__(
        self, folder: Path, progress: Progress, callbacks: Sequence[keras.callbacks.Callback]
    ) -> None:
        super().__init__()
        self._folder = folder / CHECKPOINT_FOLDER
        self._remembering = {type(callback).__name__: callback for callback in callbacks}
        self.progress = progress
        """Where the run stands now."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Give the other callbacks their memory back; Keras has just emptied it."""
        for name, memory in self.progress.callbacks.items():
            for attribute, value in memory.items():
                setattr(self._remembering[name], attribute, value)

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Save everything, and drop the checkpoint before."""
        now = dataclasses.replace(
            self.progress,
            epochs_done=epoch + 1,
            stopped=bool(self.model.stop_training),
            weights=f"epoch{epoch + 1}.weights.h5",
            random_states=_random_states(self.model),
            callbacks={name: _memory(each) for name, each in self._remembering.items()},
        )
        _save_checkpoint(self.model, self._folder, self.progress, now)
        self.progress = now


def save_phase_start(network: keras.Model, folder: Path, before: Progress) -> Progress:
    """Save the beginning of the next phase with the weights that it starts from, and return it.

    The first epoch of the phase may replace the best weights of the one before: a run that is
    killed then could not go back to them.

    Args:
        network: The network, compiled for the next phase.
        folder: Folder of the run.
        before: The end of the phase before.
    """
    network.optimizer.build(network.trainable_variables)
    now = before.next_phase()
    now = dataclasses.replace(
        now,
        weights=f"phase{now.phase + 1}.weights.h5",
        random_states=_random_states(network),
    )
    _save_checkpoint(network, folder / CHECKPOINT_FOLDER, before, now)
    return now


def _save_checkpoint(network: keras.Model, folder: Path, before: Progress, now: Progress) -> None:
    """Save weights, optimizer and progress, and drop the weights of the checkpoint before."""
    folder.mkdir(exist_ok=True)
    network.save_weights(folder / now.weights)
    _save_progress(folder / _STATE_FILE, now)
    if before.weights:
        (folder / before.weights).unlink(missing_ok=True)


def _memory(callback: keras.callbacks.Callback) -> dict[str, float]:
    return {
        name: float(getattr(callback, name))
        for name in _CALLBACK_FIELDS
        if getattr(callback, name, None) is not None
    }


def _save_progress(path: Path, progress: Progress) -> None:
    """Come last: the file always names whole weights."""
    _write_whole(path, json.dumps(dataclasses.asdict(progress)).encode())


def _write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step, so that a kill leaves it as it was or whole."""
    new = path.with_suffix(_NEW_SUFFIX)
    new.write_bytes(content)
    os.replace(new, path)


def read_progress(folder: Path) -> Progress:
    """Read how far a run is; a folder without a checkpoint is at its beginning.

    Raises:
        RunError: The file is damaged.
    """
    path = folder / CHECKPOINT_FOLDER / _STATE_FILE
    if not path.exists():
        return Progress()
    try:
        return Progress(**read_run_file(path))
    except TypeError as err:
        raise RunError(f"Cannot read {path}: {err}. Start again in another folder.") from err


def restore_weights(network: keras.Model, folder: Path, progress: Progress) -> None:
    """Give a compiled network the weights and the optimizer of a checkpoint, if there is one.

    Raises:
        RunError: The checkpoint is damaged.
    """
    if not progress.weights:
        return
    network.optimizer.build(network.trainable_variables)
    try:
        network.load_weights(folder / CHECKPOINT_FOLDER / progress.weights)
        for name, random_state in progress.random_states.items():
            network.get_layer(name).seed_generator.state.assign(random_state)
    # RuntimeError: what h5py makes of some damage.
    except (OSError, ValueError, KeyError, RuntimeError) as err:
        raise RunError(
            f"The checkpoint in {folder / CHECKPOINT_FOLDER} is damaged: {err}. Start again in "
            "another folder."
        ) from err


def require_no_run(folder: Path) -> None:
    """Check that a new run can begin in `folder`.

    Raises:
        RunError: It holds a run already, or something else.
    """
    if (folder / RECIPE_FILE).exists():
        raise RunError(
            f"{folder} holds a run already. Give --resume to go on with it, or another folder."
        )
    _require_nothing_else(folder)


def _require_nothing_else(folder: Path) -> None:
    """Check that a folder without a run has no files that a run would replace.

    Raises:
        RunError: It has, or it is a file.
    """
    try:
        others = [entry.name for entry in folder.iterdir() if entry.name not in _REMAINS]
    except FileNotFoundError:
        return
    except OSError as err:
        raise RunError(
            f"{folder} cannot be a run folder: {err.strerror}. Give one that does not exist yet."
        ) from err
    if others:
        raise RunError(
            f"{folder} holds other files ({', '.join(sorted(others)[:3])}) and no run. Give a "
            "folder that is empty or does not exist yet."
        )


def open_run_folder(
    folder: Path, config: TrainingConfig, run: dict[str, Any], *, resume: bool
) -> None:
    """Start a new run in `folder`, or check that the run in it can be resumed.

    Args:
        folder: The run folder, made if missing.
        config: The recipe.
        run: What `describe_run` returns.
        resume: Go on with the run that is there.

    Raises:
        ConfigError: The recipe in the folder is not one that this version knows.
        RunError: The folder holds a run and `resume` is off, it belongs to another recipe, other
            data or other models, or its files are damaged.
    """
    recipe_path, run_path = folder / RECIPE_FILE, folder / RUN_FILE
    if not recipe_path.exists():
        _require_nothing_else(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _write_whole(run_path, _format(run))
            # Last: it makes the folder a run's.
            _write_whole(recipe_path, _format(dataclasses.asdict(config)))
        except OSError as err:
            raise RunError(
                f"Cannot write to the run folder {folder}: {err.strerror}. Give a folder that can "
                "be written, or one that does not exist yet."
            ) from err
        return
    if not resume:
        require_no_run(folder)
    # Fields that a newer version added take their defaults, which change nothing.
    if config_from_dict(read_run_file(recipe_path)) != config:
        raise RunError(f"{folder} was started with another recipe; see {recipe_path}.")
    before = read_run_file(run_path)
    if before.get("backend") != run["backend"]:
        raise RunError(
            f"{folder} was started with Keras on {before.get('backend')}, and it runs on "
            f"{run['backend']} now, which calculates a little differently. Set KERAS_BACKEND="
            f"{before.get('backend')} to go on."
        )
    for key, what in (
        ("data_sha256", "other data"),
        ("start", "other weights to start from"),
        ("teachers", "other teachers"),
        ("unlabelled_sha256", "other pictures without labels"),
    ):
        if before.get(key) != run.get(key):
            raise RunError(f"{folder} was started with {what}; see {run_path}.")
    # Runs that an older version began have no record of these.
    if (models := before.get("models_sha256")) and models != run.get("models_sha256"):
        raise RunError(
            f"{folder} was started when the models that it builds on were others; see {run_path}."
        )


def describe_run(
    config: TrainingConfig,
    dataset: FaceDataset,
    command: str,
    *,
    start: Path | None = None,
    teachers: Sequence[Path] = (),
    unlabelled: NDArray[np.uint8] | None = None,
) -> dict[str, Any]:
    """Return what a run folder says about a run: command, data, versions, models it builds on."""
    names = [keras.backend.backend(), "numpy", "opencv-python-headless"]
    run = {
        "name": config.name,
        "command": command,
        "data_sha256": data_fingerprint(dataset),
        "images": dataset.split_sizes(),
        "ferplus": dataset.votes is not None,
        "backend": keras.backend.backend(),
        "versions": {"python": platform.python_version(), "keras": keras.version()}
        | {name: _version(name) for name in names},
    }
    if start is not None:
        run["start"] = path_name(start)
    if teachers:
        run["teachers"] = [path_name(teacher) for teacher in teachers]
    if unlabelled is not None:
        run["unlabelled_images"] = len(unlabelled)
        run["unlabelled_sha256"] = hashlib.sha256(unlabelled.tobytes()).hexdigest()
    before = [*([] if start is None else [start]), *teachers]
    if before:
        run["models_sha256"] = _fingerprint_models(before, config)
        # What has to be done first to do this again.
        run["builds_on"] = list(
            dict.fromkeys(command for folder in before for command in _read_commands(folder))
        )
    return run


def _fingerprint_models(folders: Sequence[Path], config: TrainingConfig) -> str:
    """Return a SHA-256 over the models in bundles or other runs' folders that a run builds on.

    Raises:
        ModelFileError: A model is there but cannot be read.
    """
    paths = (finished_path(folder, head) for folder in folders for head in config.heads)
    digests = [file_sha256(path) for path in paths if path.exists()]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _read_commands(folder: Path) -> list[str]:
    """Return the commands that made a bundle or a run, as far as they are known.

    Raises:
        ModelFileError: The bundle's description is damaged.
        RunError: The run's description is damaged.
    """
    if (folder / BUNDLE_FILE).exists():
        return commands_of_bundle(read_bundle(folder))
    path = folder / RUN_FILE
    return commands_of(read_run_file(path)) if path.exists() else []


def _format(values: dict[str, Any]) -> bytes:
    return f"{json.dumps(values, indent=2)}\n".encode()


def drop_log_rows(folder: Path, epochs_done: int) -> None:
    """Remove the log rows of epochs that a resumed run does again."""
    path = folder / LOG_FILE
    if path.exists():
        lines = path.read_bytes().splitlines(keepends=True)
        _write_whole(path, b"".join(lines[: epochs_done + 1]))


def data_fingerprint(dataset: FaceDataset) -> str:
    """Return a SHA-256 over pictures, labels, splits and votes, so that a run names its data."""
    digest = hashlib.sha256()
    digest.update(dataset.images.tobytes())
    digest.update(dataset.labels.tobytes())
    digest.update("\n".join(dataset.splits.tolist()).encode())
    if dataset.votes is not None:
        digest.update(dataset.votes.tobytes())
    return digest.hexdigest()


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def _random_states(model: keras.Model) -> dict[str, list[int]]:
    return {
        layer.name: keras.ops.convert_to_numpy(layer.seed_generator.state.value).tolist()
        for layer in model.layers
        if hasattr(layer, "seed_generator")
    }
