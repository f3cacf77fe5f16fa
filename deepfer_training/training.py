"""Train a model by a recipe, resumable after every epoch."""

import importlib.util
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from deepfer_training.batches import (
    Arrays,
    augmented_batches,
    class_weights,
    require_truth,
    validation_arrays,
)
from deepfer_training.config import HeadConfig, TrainingConfig
from deepfer_training.distribution import Share, distributed, join_processes
from deepfer_training.errors import ConfigError, DatasetError, RunError
from deepfer_training.fer2013 import FaceDataset
from deepfer_training.networks import build_network, extract_head, head_path, start_from
from deepfer_training.phases import (
    begin_phase,
    end_phase,
    phase_callbacks,
    plan_phases,
)
from deepfer_training.picture_folders import read_unlabelled
from deepfer_training.run_folder import (
    LOG_FILE,
    TENSORBOARD_FOLDER,
    Progress,
    SaveCheckpoint,
    describe_run,
    drop_log_rows,
    open_run_folder,
    read_progress,
    require_no_run,
    restore_weights,
    save_phase_start,
)
from deepfer_training.run_report import write_run_report
from deepfer_training.teachers import LiveTeachers, add_teachers, ask_teachers, check_teachers
from deepfer_training.training_records import public_test_share, read_recipe

_VALIDATION_BATCH_SIZE = 256


class _ReportEpochs(keras.callbacks.Callback):
    """Tell the loss and the accuracy of every epoch."""

    def __init__(
        self, config: TrainingConfig, last_epoch: int, report: Callable[[str], None]
    ) -> None:
        super().__init__()
        self._config = config
        self._last_epoch = last_epoch
        self._report = report

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        logs = logs or {}
        described = ", ".join(
            f"{head.name} {logs[_validation_accuracy_of(head, self._config)]:.4f}"
            for head in self._config.heads
        )
        self._report(
            f"epoch {epoch + 1}/{self._last_epoch}  loss {logs['loss']:.4f}  "
            f"PublicTest accuracy: {described}"
        )


class _StopDiverged(keras.callbacks.Callback):
    """End a training whose loss is no number any more, before its weights replace good ones."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self._learning_rate = config.optimization.learning_rate

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        loss = (logs or {})["loss"]
        if not math.isfinite(loss):
            raise RunError(
                f"The training has diverged: the loss of epoch {epoch + 1} is {loss}. Take a "
                f"lower optimization.learning_rate than {self._learning_rate} and start again in "
                "another folder."
            )


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


def train(
    config: TrainingConfig,
    dataset: FaceDataset,
    run_folder: Path,
    *,
    resume: bool = False,
    command: str = "",
    start: Path | None = None,
    teachers: Sequence[Path] = (),
    unlabelled: Path | None = None,
    distribute: str = "none",
    report: Callable[[str], None] = print,
    on_step: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Train a network on the Training split and watch it on the PublicTest split.

    By stochastic gradient descent, the moving average of the weights after the last epoch is
    what is kept; by Adam, the weights of the epoch that was most accurate on PublicTest.
    PrivateTest is not touched.

    Args:
        config: The recipe.
        dataset: FER-2013, with FER+ votes if the recipe uses them.
        run_folder: Gets the recipe, versions, logs, checkpoint, the models and a report on each.
        resume: Go on after the last whole epoch of a broken run.
        command: The command that does this, to be recorded.
        start: Bundle, or run folder of a finished training, whose weights this one starts from.
            Its network may be narrower, and is otherwise the same. None for the weights that the
            recipe says.
        teachers: Bundles, or run folders of finished trainings, for heads with a
            `teacher_weight`.
        unlabelled: Folder or archive of more faces to learn from, whose targets are what the
            teachers answer ("self-training", Xie et al. 2020, arXiv:1911.04252).
        distribute: One of `distribution.MODES`. All processes take the same arguments, and the
            run folder must be one that they share.
        report: Called with one line an epoch.
        on_step: Called after every step with the steps done and their number in all.

    Returns:
        Path of the trained Keras model of each head, with float32 layers.

    Raises:
        ConfigError: The recipe in the folder is not one that this version knows, the weights
            that it starts from cannot be had, or `start` or a teacher has learned from more of
            PublicTest than the recipe allows.
        DatasetError: The data set lacks a split, a class or the votes; or the unlabelled pictures
            cannot be read.
        ModelFileError: `start` or a teacher lacks a model that fits.
        RunError: The folder holds a run already and `resume` is off, it belongs to another recipe
            or other data, its files are damaged or cannot be written; processes do not find each
            other; or the training diverges.
    """
    learned = dataset.learn_from_public_test(config.public_test_share)
    training, validation = learned.split("Training"), learned.split("PublicTest")
    training.require_every_class()
    require_truth(validation, config.heads)
    check_teachers(
        config.heads,
        teachers,
        unlabelled=unlabelled is not None,
        distributed=distribute != "none",
    )
    _require_share(config.public_test_share, [*([] if start is None else [start]), *teachers])
    if not resume:
        # Teachers take minutes to answer: this must not wait for them.
        require_no_run(run_folder)
    more_images = None if unlabelled is None else read_unlabelled(unlabelled, besides=dataset)
    # JAX asks processes to find each other before it calculates anything, as teachers make it do.
    join_processes(distribute)
    images = training.images
    targets = tuple(
        add_teachers(training.soft_targets(head.votes_weight), images, head, teachers)
        for head in config.heads
    )
    if more_images is not None:
        images = np.concatenate([images, more_images])
        targets = tuple(
            np.concatenate([values, ask_teachers(more_images, head, teachers)])
            for values, head in zip(targets, config.heads, strict=True)
        )
    live_teachers = LiveTeachers(config.heads, teachers, images, config.dtype_policy)
    with (
        distributed(distribute, config.optimization.batch_size) as share,
        _folder_for_weights(run_folder, share) as weights_folder,
    ):
        keras.utils.set_random_seed(config.seed)
        network = build_network(config)
        if start is not None:
            start_from(network, start, config.heads)
        # Last: a recipe that cannot be trained leaves no run folder behind.
        share.let_first(
            lambda: open_run_folder(
                run_folder,
                config,
                describe_run(
                    config,
                    dataset,
                    command,
                    start=start,
                    teachers=teachers,
                    unlabelled=more_images,
                ),
                resume=resume,
            )
        )
        material = _Material.prepare(config, images, targets, validation, share, live_teachers)
        listener = _Listener(report, on_step) if share.is_first else _Listener()
        if distribute != "none":
            listener.report(f"Devices: {share.device_count}, processes: {share.process_count}.")
        with _explain_full_disk(run_folder):
            _run_phases(network, config, run_folder, weights_folder, material, share, listener)
    paths = [head_path(run_folder, head) for head in config.heads]
    if share.is_first:
        with _explain_full_disk(run_folder):
            for head, path in zip(config.heads, paths, strict=True):
                extract_head(network, config, head).save(path)
            write_run_report(run_folder, config, validation)
    return paths


def _require_share(share: float, models: Sequence[Path]) -> None:
    """Refuse models that have learned from more of PublicTest than the recipe allows.

    What they learned there goes into this training's models, which are to be measured on the rest.
    Shares are nested, so that the recipe's own tells enough about all models before it.

    Raises:
        ConfigError: One has.
    """
    for model in models:
        learned = public_test_share(read_recipe(model))
        if learned > share:
            raise ConfigError(
                f"public_test_share is {share:g}, but {model} has learned from {learned:g} of "
                "PublicTest: allowed is that or more with a model that starts from it or is "
                "taught by it."
            )


@contextmanager
def _explain_full_disk(run_folder: Path) -> Iterator[None]:
    """Say what to do where the run folder cannot be written any more.

    Raises:
        RunError: It cannot.
    """
    try:
        yield
    except OSError as err:
        raise RunError(
            f"Cannot write to the run folder {run_folder}: {err.strerror or err}. Make room, then "
            "go on with --resume."
        ) from err


@dataclass(frozen=True, slots=True, eq=False)
class _Material:
    """What a network is trained and watched with.

    Attributes:
        steps_per_epoch: Steps an epoch.
        batches: Yields batches for ever, from an epoch on.
        validation: Pictures, targets and weights.
        validation_batch_size: Pictures a batch of this process.
    """

    steps_per_epoch: int
    batches: Callable[[int], Iterator[tuple[NDArray[np.float32], Arrays, Arrays]]]
    validation: tuple[NDArray[np.float32], Arrays, Arrays]
    validation_batch_size: int

    @classmethod
    def prepare(
        cls,
        config: TrainingConfig,
        images: NDArray[np.uint8],
        targets: Arrays,
        validation: FaceDataset,
        share: Share,
        live_teachers: LiveTeachers,
    ) -> "_Material":
        batch_size = min(config.optimization.batch_size, len(images))
        batch_size -= batch_size % share.device_count
        if batch_size == 0:
            raise DatasetError(
                f"There are {len(images)} pictures to learn from, fewer than devices "
                f"({share.device_count}); take more data or fewer devices."
            )
        weights = tuple(
            class_weights(values, head.class_balance)
            for values, head in zip(targets, config.heads, strict=True)
        )
        # On several devices the last batch, too, must hold as many pictures for each.
        validation_batch_size = _VALIDATION_BATCH_SIZE * share.device_count
        return cls(
            steps_per_epoch=len(images) // batch_size,
            batches=lambda first_epoch: live_teachers.answer(
                augmented_batches(
                    images,
                    targets,
                    weights,
                    batch_size=batch_size,
                    augmentation=config.augmentation,
                    seed=config.seed,
                    first_epoch=first_epoch,
                    share=share,
                )
            ),
            validation=validation_arrays(
                validation,
                config.heads,
                multiple=1 if share.device_count == 1 else validation_batch_size,
                share=share,
            ),
            validation_batch_size=validation_batch_size // share.process_count,
        )


@dataclass(frozen=True, slots=True)
class _Listener:
    """Who is told how a training goes."""

    report: Callable[[str], None] = lambda line: None
    on_step: Callable[[int, int], None] = lambda done, total: None


def _run_phases(
    network: keras.Model,
    config: TrainingConfig,
    run_folder: Path,
    weights_folder: Path,
    material: _Material,
    share: Share,
    listener: _Listener,
) -> None:
    """Train through the phases that are left of a run."""
    progress = read_progress(run_folder)
    if progress.epochs_done:
        listener.report(f"Resuming after epoch {progress.epochs_done}.")
    phases = plan_phases(config.optimization)
    for number in range(progress.phase, len(phases)):
        phase = phases[number]
        if len(phases) > 1:
            listener.report(f"Phase {number + 1} of {len(phases)}: {phase.name}.")
        begin_phase(network, config, phase, material.steps_per_epoch)
        if number > progress.phase:
            progress = save_phase_start(network, weights_folder, progress)
        else:
            restore_weights(network, run_folder, progress)
        last_epoch = progress.phase_start + phase.epochs
        deciding = phase_callbacks(config.optimization, weights_folder, _watched_accuracy(config))
        checkpoint = SaveCheckpoint(weights_folder, progress, deciding)
        if share.is_first:
            drop_log_rows(run_folder, progress.epochs_done)
        # A phase that is over already has no epoch left, but its average of the weights is to
        # be put in place all the same.
        network.fit(
            material.batches(progress.epochs_done),
            validation_data=material.validation,
            validation_batch_size=material.validation_batch_size,
            epochs=progress.epochs_done if progress.stopped else last_epoch,
            initial_epoch=progress.epochs_done,
            steps_per_epoch=material.steps_per_epoch,
            shuffle=False,
            verbose=0,
            callbacks=[
                _StopDiverged(config),
                *deciding,
                *_logs(run_folder, progress, share),
                _ReportEpochs(config, last_epoch, listener.report),
                checkpoint,
                _ReportSteps(material.steps_per_epoch, last_epoch, listener.on_step),
            ],
        )
        progress = checkpoint.progress
        share.wait_for_others(phase.name)
        end_phase(network, config.optimization, run_folder)


@contextmanager
def _folder_for_weights(run_folder: Path, share: Share) -> Iterator[Path]:
    """Return the run folder, or a passing one to all processes but the first.

    Reading the weights takes all processes together on JAX, so all of them have to write files.
    """
    if share.is_first:
        yield run_folder
        return
    with tempfile.TemporaryDirectory() as nowhere:
        yield Path(nowhere)


def _logs(
    run_folder: Path, progress: Progress, share: Share
) -> Iterator[keras.callbacks.Callback]:
    """Yield what writes the logs. TensorBoard's needs TensorFlow, whatever Keras runs on."""
    if share.is_first:
        yield keras.callbacks.CSVLogger(
            str(run_folder / LOG_FILE), append=progress.epochs_done > 0
        )
        if all(importlib.util.find_spec(name) for name in ("tensorflow", "tensorboard")):
            yield keras.callbacks.TensorBoard(
                str(run_folder / TENSORBOARD_FOLDER), write_graph=False
            )


def _watched_accuracy(config: TrainingConfig) -> str:
    """Return the name of the accuracy that decides which weights are kept: the first head's."""
    return _validation_accuracy_of(config.heads[0], config)


def _validation_accuracy_of(head: HeadConfig, config: TrainingConfig) -> str:
    """Return the name under which Keras logs it: a single output is not named."""
    output = f"{head.name}_probabilities_" if len(config.heads) > 1 else ""
    return f"val_{output}accuracy"
