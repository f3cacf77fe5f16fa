"""Temperature scaling: make the probabilities as sure as they are right.

Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv:1706.04599.
"""

import keras
import numpy as np
from numpy.typing import NDArray

from deepfer_training.errors import ExportError
from deepfer_training.metrics import expected_calibration_error

LOGITS_LAYER = "logits"

# One per cent apart: finer steps change no probability that anybody would notice.
_TEMPERATURES = np.geomspace(0.4, 4.0, 232)


def fit_temperature(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> float:
    """Return the temperature with the best likelihood, or 1 if it does not calibrate better.

    What the logits are divided by it; better is a smaller expected calibration error.

    Args:
        labels: (N,), index of the true class; N is at least 1.
        probabilities: (N, C), rows sum to 1.
    """
    losses = [
        -np.log(apply_temperature(probabilities, value)[np.arange(len(labels)), labels]).mean()
        for value in _TEMPERATURES
    ]
    temperature = round(float(_TEMPERATURES[int(np.argmin(losses))]), 4)
    before = expected_calibration_error(labels, probabilities)
    after = expected_calibration_error(labels, apply_temperature(probabilities, temperature))
    return temperature if after < before else 1.0


def apply_temperature(
    probabilities: NDArray[np.float32], temperature: float
) -> NDArray[np.float32]:
    """Return the probabilities as if the logits had been divided by `temperature`, (N, C)."""
    # Logarithms of probabilities are logits up to a constant, which the softmax takes away.
    logits = np.log(np.maximum(probabilities.astype(np.float64), 1e-12)) / temperature
    scaled = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(scaled / scaled.sum(axis=1, keepdims=True), np.float32)


def fold_temperature(model: keras.Model, temperature: float) -> keras.Model:
    """Return a copy of the model whose logits are divided by `temperature`.

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
    logits.set_weights([weights / temperature for weights in logits.get_weights()])
    return calibrated
