"""The phases of a training: what learns, by which optimizer, and when it ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from deepfer_training.config import AdamConfig, OptimizationConfig, TrainingConfig
from deepfer_training.errors import RunError
from deepfer_training.muon import Muon
from deepfer_training.resnet50v2 import release_top_layers
from deepfer_training.run_folder import BEST_WEIGHTS_FILE


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a training with an optimizer of its own.

    Attributes:
        name: What happens in it.
        epochs: Most epochs.
        learning_rate: Learning rate, or the peak of its schedule.
        released_layers: Layers of a frozen base that learn from here on.
    """

    name: str
    epochs: int
    learning_rate: float
    released_layers: int = 0


def plan_phases(config: OptimizationConfig | AdamConfig) -> tuple[Phase, ...]:
    """Return the phases of a recipe, in their order."""
    first = Phase("training", config.epochs, config.learning_rate)
    if isinstance(config, AdamConfig) and config.fine_tuning is not None:
        tuning = config.fine_tuning
        return (
            first,
            Phase("fine-tuning", tuning.epochs, tuning.learning_rate, tuning.top_layers),
        )
    return (first,)


def begin_phase(
    network: keras.Model, config: TrainingConfig, phase: Phase, steps_per_epoch: int
) -> None:
    """Give the network what learns in a phase, its optimizer, schedule and losses."""
    if phase.released_layers:
        release_top_layers(network, phase.released_layers)
    optimization = config.optimization
    count = len(network.outputs)
    optimizer = (
        keras.optimizers.Adam(phase.learning_rate)
        if isinstance(optimization, AdamConfig)
        else _make_sgd(optimization, steps_per_epoch)
    )
    if config.dtype_policy == "mixed_float16":
        # Small gradients vanish in 16 bits (Micikevicius et al. 2017, arXiv:1710.03740). Keras
        # does this by itself only where the model has the policy as well as its layers.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    network.compile(
        optimizer,
        [keras.losses.CategoricalCrossentropy(label_smoothing=optimization.label_smoothing)]
        * count,
        weighted_metrics=[["accuracy"]] * count,
        # XLA has no fast convolution for CPUs; oneDNN, used without it, is twice as fast. JAX runs
        # on nothing else.
        jit_compile=keras.backend.backend() == "jax",
    )


def phase_callbacks(
    config: OptimizationConfig | AdamConfig, folder: Path, watched: str
) -> Sequence[keras.callbacks.Callback]:
    """Return the callbacks that decide which weights are kept and when a phase ends.

    Args:
        config: The recipe's part about optimization.
        folder: Where the best weights are kept, if they are.
        watched: Name under which Keras logs the accuracy on PublicTest.
    """
    if not isinstance(config, AdamConfig):
        return [keras.callbacks.SwapEMAWeights()]
    return [
        keras.callbacks.ModelCheckpoint(
            folder / BEST_WEIGHTS_FILE,
            monitor=watched,
            mode="max",
            save_best_only=True,
            save_weights_only=True,
        ),
        keras.callbacks.EarlyStopping(monitor="val_loss", patience=config.stop_patience),
        keras.callbacks.ReduceLROnPlateau(
            monitor="val_loss", factor=config.plateau_factor, patience=config.plateau_patience
        ),
    ]


def end_phase(
    network: keras.Model, config: OptimizationConfig | AdamConfig, run_folder: Path
) -> None:
    """Leave the network with the weights that a phase keeps.

    Raises:
        RunError: The file that holds them is damaged.
    """
    if not isinstance(config, AdamConfig):
        return
    path = run_folder / BEST_WEIGHTS_FILE
    try:
        # Without the optimizer, whose variables may be those of an earlier phase.
        keras.Model(network.inputs, network.outputs).load_weights(path)
    # RuntimeError: what h5py makes of some damage.
    except (OSError, ValueError, KeyError, RuntimeError) as err:
        raise RunError(f"Cannot read {path}: {err}. Start again in another folder.") from err


def _make_sgd(config: OptimizationConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    warmup_steps = config.warmup_epochs * steps_per_epoch
    schedule = keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=0.0 if warmup_steps else config.learning_rate,
        warmup_target=config.learning_rate if warmup_steps else None,
        warmup_steps=warmup_steps,
        decay_steps=config.epochs * steps_per_epoch - warmup_steps,
    )
    options: dict[str, Any] = {
        "momentum": config.momentum,
        "nesterov": True,
        "weight_decay": config.weight_decay or None,
        "use_ema": True,
        "ema_momentum": config.ema_momentum,
    }
    optimizer = (
        Muon(schedule, kernel_rate=config.muon_rate, **options)
        if config.muon_rate
        else keras.optimizers.SGD(schedule, **options)
    )
    # Decay on biases, scales and offsets costs accuracy and regularises nothing
    # (He et al. 2019, arXiv:1812.01187).
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    return optimizer
