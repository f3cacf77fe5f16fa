"""Train a model by a recipe, resumable after every epoch."""

import dataclasses
import hashlib
import itertools
import json
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from deepfer_training.architecture import build_compact_cnn, copy_weights
from deepfer_training.augmentation import augment
from deepfer_training.config import (
    AugmentationConfig,
    HeadConfig,
    OptimizationConfig,
    TrainingConfig,
    config_from_dict,
)
from deepfer_training.errors import RunError
from deepfer_training.fer2013 import IMAGE_SIZE_PX, LABELS, SPLITS, FaceDataset

RECIPE_FILE = "recipe.json"
RUN_FILE = "run.json"
LOG_FILE = "log.csv"
_CHECKPOINT_FOLDER = "checkpoint"
_CHECKPOINT_STATE = "state.json"


_Arrays = tuple[NDArray[np.float32], ...]


def augmented_batches(
    images: NDArray[np.uint8],
    targets: _Arrays,
    weights: _Arrays,
    *,
    batch_size: int,
    augmentation: AugmentationConfig,
    seed: int,
    first_epoch: int = 0,
) -> Iterator[tuple[NDArray[np.float32], _Arrays, _Arrays]]:
    """Yield batches for ever, shuffled and augmented anew in every epoch.

    What a batch holds depends on (seed, epoch, position) alone, so that a resumed run sees the
    same pictures as an unbroken one. Rows that fill no whole batch wait for another epoch.

    Args:
        images: uint8 (N, H, W), grey.
        targets: Of each head: float32 (N, C), rows sum to 1.
        weights: Of each head: float32 (N,), how much a picture counts.
        batch_size: B, pictures a batch, at most N.
        augmentation: How strongly pictures are changed.
        seed: Seed of order and augmentation.
        first_epoch: Epoch to begin with, counted from 0.

    Yields:
        float32 images (B, H, W, 1) from 0 to 255, and the targets and weights of each head.
    """
    for epoch in itertools.count(first_epoch):
        order = np.random.default_rng((seed, epoch)).permutation(len(images))
        for position in range(len(images) // batch_size):
            rows = order[position * batch_size : (position + 1) * batch_size]
            rng = np.random.default_rng((seed, epoch, position))
            changed = augment(images[rows], augmentation, rng)
            yield (
                changed[..., np.newaxis].astype(np.float32),
                tuple(values[rows] for values in targets),
                tuple(values[rows] for values in weights),
            )


def class_weights(targets: NDArray[np.float32], class_balance: float) -> NDArray[np.float32]:
    """Return how much each picture counts, float32 (N,), 1 on average.

    Args:
        targets: float32 (N, C), rows sum to 1.
        class_balance: See `HeadConfig`.
    """
    frequencies = np.maximum(targets.mean(axis=0, dtype=np.float64), 1e-6)
    weights = targets @ frequencies**-class_balance
    return np.asarray(weights / weights.mean(), np.float32)


class _ReportSteps(keras.callbacks.Callback):
    """Tell how many steps of the whole training are done."""

    def __init__(
        self, steps_per_epoch: int, epochs: int, on_step: Callable[[int, int], None]
    ) -> None:
        super().__init__()
        self._steps_per_epoch = steps_per_epoch
        self._total = steps_per_epoch * epochs
        self._on_step = on_step
        self._done = 0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        self._done = epoch * self._steps_per_epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self._on_step(self._done + batch + 1, self._total)


class _SaveCheckpoint(keras.callbacks.Callback):
    """Save weights, optimizer and epoch after every epoch, so that a kill loses one at most."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        weights = f"epoch{epoch + 1}.weights.h5"
        self._folder.mkdir(exist_ok=True)
        self.model.save_weights(self._folder / weights)
        # The state file is replaced in one step and last: it always names a whole checkpoint.
        state = self._folder / f"{_CHECKPOINT_STATE}.new"
        values = {
            "epochs_done": epoch + 1,
            "weights": weights,
            "random_states": _random_states(self.model),
        }
        state.write_text(json.dumps(values))
        os.replace(state, self._folder / _CHECKPOINT_STATE)
        for old in self._folder.glob("*.weights.h5"):
            if old.name != weights:
                old.unlink()


def train(
    config: TrainingConfig,
    dataset: FaceDataset,
    run_folder: Path,
    *,
    resume: bool = False,
    command: str = "",
    report: Callable[[str], None] = print,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Train a network on the Training split and watch it on the PublicTest split.

    The moving average of the weights after the last epoch is what is kept. PrivateTest is not
    touched.

    Args:
        config: The recipe.
        dataset: FER-2013, with FER+ votes if the recipe uses them.
        run_folder: Gets the recipe, versions, log, checkpoint and the models.
        resume: Go on after the last whole epoch of a broken run.
        command: The command that does this, to be recorded.
        report: Called with one line an epoch.
        on_step: Called after every step with the steps done and their number in all.

    Returns:
        Path of the trained Keras model of each head, with float32 layers.

    Raises:
        ConfigError: The recipe in the folder is not one that this version knows.
        DatasetError: The data set lacks a split, a class or the votes.
        RunError: The folder holds a run already and `resume` is off, it belongs to another recipe
            or other data, or its files are damaged.
    """
    training, validation = dataset.split("Training"), dataset.split("PublicTest")
    training.require_every_class()
    targets = tuple(training.soft_targets(head.votes_weight) for head in config.heads)
    _open_run_folder(run_folder, config, _describe_run(config, dataset, command), resume=resume)

    keras.utils.set_random_seed(config.seed)
    network = build_compact_cnn(
        config.network,
        IMAGE_SIZE_PX,
        len(LABELS),
        heads=[head.name for head in config.heads],
        dtype_policy=config.dtype_policy,
        fused=True,
    )
    epochs, log_path = config.optimization.epochs, run_folder / LOG_FILE
    batch_size = min(config.optimization.batch_size, len(training))
    steps_per_epoch = len(training) // batch_size
    compile_network(network, config.optimization, steps_per_epoch)
    epochs_done = _restore_checkpoint(network, run_folder / _CHECKPOINT_FOLDER)
    if epochs_done:
        report(f"Resuming after epoch {epochs_done} of {epochs}.")
    _drop_log_rows(log_path, epochs_done)
    network.fit(
        augmented_batches(
            training.images,
            targets,
            tuple(
                class_weights(values, head.class_balance)
                for values, head in zip(targets, config.heads, strict=True)
            ),
            batch_size=batch_size,
            augmentation=config.augmentation,
            seed=config.seed,
            first_epoch=epochs_done,
        ),
        validation_data=_validation_arrays(validation, config.heads),
        validation_batch_size=256,
        epochs=epochs,
        initial_epoch=epochs_done,
        steps_per_epoch=steps_per_epoch,
        shuffle=False,
        verbose=0,
        callbacks=[
            keras.callbacks.SwapEMAWeights(),
            keras.callbacks.CSVLogger(str(log_path), append=epochs_done > 0),
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: report(_epoch_line(epoch, config, logs))
            ),
            _SaveCheckpoint(run_folder / _CHECKPOINT_FOLDER),
            _ReportSteps(steps_per_epoch, epochs, on_step),
        ],
    )
    return [_save_head(network, config, head, run_folder) for head in config.heads]


def _validation_arrays(
    validation: FaceDataset, heads: Sequence[HeadConfig]
) -> tuple[NDArray[np.float32], _Arrays, _Arrays]:
    """Return pictures, and targets and weights of each head.

    A head that learns mostly from votes is watched on the FER+ majority; pictures without one
    get the weight 0.
    """
    targets, weights = [], []
    for head in heads:
        watched = watched_labels(head.votes_weight, has_votes=validation.votes is not None)
        labels = validation.majority_labels() if watched == "ferplus" else validation.labels
        targets.append(np.eye(len(LABELS), dtype=np.float32)[np.maximum(labels, 0)])
        weights.append((labels >= 0).astype(np.float32))
    return validation.images[..., np.newaxis].astype(np.float32), tuple(targets), tuple(weights)


def watched_labels(votes_weight: float, *, has_votes: bool) -> str:
    """Return the labels that a head is mostly trained for, `fer2013` or `ferplus`."""
    return "ferplus" if votes_weight > 0.5 and has_votes else "fer2013"


def compile_network(
    network: keras.Model, config: OptimizationConfig, steps_per_epoch: int
) -> None:
    """Give the network its optimizer, schedule and losses."""
    warmup_steps = config.warmup_epochs * steps_per_epoch
    total_steps = config.epochs * steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else config.learning_rate,
        warmup_target=config.learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
        decay_steps=total_steps - warmup_steps,
    )
    optimizer = keras.optimizers.SGD(
        schedule,
        momentum=config.momentum,
        nesterov=True,
        weight_decay=config.weight_decay or None,
        use_ema=True,
        ema_momentum=config.ema_momentum,
    )
    # Decay on biases, scales and offsets costs accuracy and regularises nothing
    # (He et al. 2019, arXiv:1812.01187).
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    count = len(network.outputs)
    network.compile(
        optimizer,
        [keras.losses.CategoricalCrossentropy(label_smoothing=config.label_smoothing)] * count,
        weighted_metrics=[["accuracy"]] * count,
        # XLA has no fast convolution for CPUs; oneDNN, used without it, is twice as fast.
        jit_compile=False,
    )


def data_fingerprint(dataset: FaceDataset) -> str:
    """Return a SHA-256 over pictures, labels, splits and votes, so that a run names its data."""
    digest = hashlib.sha256()
    digest.update(dataset.images.tobytes())
    digest.update(dataset.labels.tobytes())
    digest.update("\n".join(dataset.splits.tolist()).encode())
    if dataset.votes is not None:
        digest.update(dataset.votes.tobytes())
    return digest.hexdigest()


def _describe_run(config: TrainingConfig, dataset: FaceDataset, command: str) -> dict[str, Any]:
    names = [keras.backend.backend(), "numpy", "opencv-python-headless"]
    return {
        "name": config.name,
        "command": command,
        "data_sha256": data_fingerprint(dataset),
        "images": {name: int(np.sum(dataset.splits == name)) for name in SPLITS},
        "ferplus": dataset.votes is not None,
        "backend": keras.backend.backend(),
        "versions": {"python": platform.python_version(), "keras": keras.version()}
        | {name: _version(name) for name in names},
    }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def _open_run_folder(
    folder: Path, config: TrainingConfig, run: dict[str, Any], *, resume: bool
) -> None:
    """Start a new run in `folder`, or check that the run in it can be resumed."""
    recipe_path, run_path = folder / RECIPE_FILE, folder / RUN_FILE
    if not recipe_path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        run_path.write_text(json.dumps(run, indent=2) + "\n")
        recipe_path.write_text(json.dumps(dataclasses.asdict(config), indent=2) + "\n")
        return
    if not resume:
        raise RunError(
            f"{folder} holds a run already. Give --resume to go on with it, or another folder."
        )
    # Fields that a newer version added take their defaults, which change nothing.
    if config_from_dict(read_run_file(recipe_path)) != config:
        raise RunError(f"{folder} was started with another recipe; see {recipe_path}.")
    if read_run_file(run_path).get("data_sha256") != run["data_sha256"]:
        raise RunError(f"{folder} was started with other data; see {run_path}.")


def read_run_file(path: Path) -> dict[str, Any]:
    """Read one of the JSON files of a run folder.

    Raises:
        RunError: It is missing or damaged.
    """
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as err:
        raise RunError(f"Cannot read {path}: {err}. Start again in another folder.") from err


def _restore_checkpoint(model: keras.Model, folder: Path) -> int:
    """Load the last checkpoint, if any, and return how many epochs it stands for."""
    state_path = folder / _CHECKPOINT_STATE
    if not state_path.exists():
        return 0
    state = read_run_file(state_path)
    model.optimizer.build(model.trainable_variables)
    try:
        model.load_weights(folder / state["weights"])
        for name, random_state in state["random_states"].items():
            model.get_layer(name).seed_generator.state.assign(random_state)
        return int(state["epochs_done"])
    except (OSError, ValueError, KeyError) as err:
        raise RunError(
            f"The checkpoint in {folder} is damaged: {err}. Start again in another folder."
        ) from err


def _drop_log_rows(path: Path, epochs_done: int) -> None:
    """Remove the log rows of epochs that a resumed run does again."""
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[: epochs_done + 1]))


def _random_states(model: keras.Model) -> dict[str, list[int]]:
    """Return the state of every random layer, which Keras leaves out of weight files."""
    return {
        layer.name: keras.ops.convert_to_numpy(layer.seed_generator.state.value).tolist()
        for layer in model.layers
        if hasattr(layer, "seed_generator")
    }


def _save_head(
    network: keras.Model, config: TrainingConfig, head: HeadConfig, run_folder: Path
) -> Path:
    """Save one head as a model of plain float32 layers, whatever the policy while training was."""
    model = build_compact_cnn(config.network, IMAGE_SIZE_PX, len(LABELS))
    copy_weights(network, model, head.name)
    path = run_folder / f"{head.name}.keras"
    model.save(path)
    return path


def _epoch_line(epoch: int, config: TrainingConfig, logs: dict[str, float]) -> str:
    described = ", ".join(
        f"{head.name} {logs[_validation_accuracy_of(head, config)]:.4f}" for head in config.heads
    )
    return (
        f"epoch {epoch + 1}/{config.optimization.epochs}  loss {logs['loss']:.4f}  "
        f"PublicTest accuracy: {described}"
    )


def _validation_accuracy_of(head: HeadConfig, config: TrainingConfig) -> str:
    """Return the name under which Keras logs it: a single output is not named."""
    output = f"{head.name}_probabilities_" if len(config.heads) > 1 else ""
    return f"val_{output}accuracy"
