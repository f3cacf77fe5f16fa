"""What is set after training: how sure the probabilities are, and how readily a class is named.

Temperature scaling: Guo et al. 2017, "On Calibration of Modern Neural Networks",
arXiv:1706.04599. Logit adjustment: Menon et al. 2020, "Long-tail learning via logit adjustment",
arXiv:2007.07314.
"""

from dataclasses import dataclass

import keras
import numpy as np
from numpy.typing import NDArray

from deepfer_training.errors import ExportError
from deepfer_training.metrics import expected_calibration_error, macro_f1

LOGITS_LAYER = "logits"

# One per cent apart: finer steps change no probability that anybody would notice.
_TEMPERATURES = np.geomspace(0.4, 4.0, 232)

# Finer steps would fit the noise of a few thousand pictures.
_ADJUSTMENT_STEP = 0.05


@dataclass(frozen=True, slots=True)
class Calibration:
    """A temperature and what it does to the pictures it was fitted on.

    Attributes:
        temperature: What the logits are divided by; 1 leaves them as they are.
        ece_before: Expected calibration error without it.
        ece_after: Expected calibration error with it.
        logit_adjustment: What was added to the logits before, see `fit_logit_adjustment`.
    """

    temperature: float
    ece_before: float
    ece_after: float
    logit_adjustment: float = 0.0


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Calibration:
    """Return the temperature with the best likelihood, or 1 if it does not calibrate better.

    Args:
        labels: (N,), index of the true class.
        probabilities: (N, C), rows sum to 1.
    """
    losses = [
        -np.log(apply_temperature(probabilities, value)[np.arange(len(labels)), labels]).mean()
        for value in _TEMPERATURES
    ]
    temperature = round(float(_TEMPERATURES[int(np.argmin(losses))]), 4)
    before = expected_calibration_error(labels, probabilities)
    after = expected_calibration_error(labels, apply_temperature(probabilities, temperature))
    if after >= before:
        return Calibration(1.0, before, before)
    return Calibration(temperature, before, after)


def apply_temperature(
    probabilities: NDArray[np.float32], temperature: float
) -> NDArray[np.float32]:
    """Return the probabilities as if the logits had been divided by `temperature`, (N, C)."""
    # Logarithms of probabilities are logits up to a constant, which the softmax takes away.
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-12)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True), np.float32)


def fit_logit_adjustment(
    labels: NDArray[np.int64],
    probabilities: NDArray[np.float32],
    frequencies: NDArray[np.float64],
    class_balance: float,
) -> float:
    """Return how much of a class balance to take back, from 0 to `class_balance`.

    A network whose pictures of rare classes counted more names these classes more readily than
    they occur. Of the powers in steps of 0.05, this is the one with which it is most often right,
    out of those that lower the macro-F1 not at all; the smallest one of equals.

    Args:
        labels: (N,), index of the true class.
        probabilities: (N, C), rows sum to 1.
        frequencies: (C,), share of each class in what the network was trained with.
        class_balance: See `HeadConfig`.
    """
    best, best_accuracy = 0.0, float((probabilities.argmax(axis=1) == labels).mean())
    lowest_f1 = macro_f1(labels, probabilities)
    for step in range(1, int(class_balance / _ADJUSTMENT_STEP + 1e-9) + 1):
        adjustment = round(step * _ADJUSTMENT_STEP, 4)
        adjusted = adjust_logits(probabilities, frequencies, adjustment)
        accuracy = float((adjusted.argmax(axis=1) == labels).mean())
        if accuracy > best_accuracy and macro_f1(labels, adjusted) >= lowest_f1:
            best, best_accuracy = adjustment, accuracy
    return best


def adjust_logits(
    probabilities: NDArray[np.float32], frequencies: NDArray[np.float64], adjustment: float
) -> NDArray[np.float32]:
    """Return the probabilities, (N, C), as if `logit_offsets` had been added to the logits."""
    adjusted = probabilities * np.exp(logit_offsets(frequencies, adjustment))
    return np.asarray(adjusted / adjusted.sum(axis=1, keepdims=True), np.float32)


def logit_offsets(frequencies: NDArray[np.float64], adjustment: float) -> NDArray[np.float64]:
    """Return what is added to the logit of each class, (C,): `adjustment` times log frequency."""
    return adjustment * np.log(frequencies)


def fold_calibration(
    model: keras.Model, temperature: float, offsets: NDArray[np.float64] | None = None
) -> keras.Model:
    """Return a copy of the model that adds `offsets` to its logits, then divides by `temperature`.

    Args:
        model: The model.
        temperature: See `Calibration`.
        offsets: (C,), see `logit_offsets`; None for none.

    Raises:
        ExportError: The model has no dense layer called `logits` before its softmax.
    """
    names = [layer.name for layer in model.layers]
    if LOGITS_LAYER not in names or not isinstance(
        model.get_layer(LOGITS_LAYER), keras.layers.Dense
    ):
        raise ExportError(
            f"The model cannot be calibrated: it has no dense layer called '{LOGITS_LAYER}'. "
            "Export it without calibration."
        )
    calibrated = keras.models.clone_model(model)
    calibrated.set_weights(model.get_weights())
    logits = calibrated.get_layer(LOGITS_LAYER)
    kernel, bias = logits.get_weights()
    shifted = bias if offsets is None else bias + offsets
    logits.set_weights([kernel / temperature, shifted / temperature])
    return calibrated
