from pathlib import Path
from typing import Any

import numpy as np
import pytest

from deepfer_training.inference import KerasPredictor, load_predictor, predict

keras = pytest.importorskip("keras", reason="conversion needs TensorFlow")
pytest.importorskip("tensorflow", reason="conversion needs TensorFlow")


def _residual_network() -> Any:  # noqa: ANN401 - a Keras model
    """Build a network like ResNet50V2 under a classifier, with random weights, but small."""
    layers = keras.layers
    colours = layers.Input((48, 48, 3))
    x = layers.ZeroPadding2D(3)(colours)
    x = layers.Conv2D(8, 7, strides=2)(x)
    x = layers.MaxPooling2D(3, strides=2)(layers.ZeroPadding2D(1)(x))
    shortcut = layers.Conv2D(16, 1)(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Add()([shortcut, layers.Conv2D(16, 3, padding="same")(x)])
    base = keras.Model(colours, x, name="base")

    pixels = layers.Input((48, 48, 1), name="pixels")
    x = layers.Rescaling(1 / 255)(pixels)
    x = base(layers.Concatenate()([x, x, x]))
    x = layers.BatchNormalization()(layers.Dropout(0.25)(x))
    x = layers.Dense(16, activation="relu")(layers.Flatten()(x))
    x = layers.Dropout(0.5)(layers.BatchNormalization()(x))
    return keras.Model(pixels, layers.Softmax()(layers.Dense(7, name="logits")(x)))


@pytest.fixture(scope="module")
def faces() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 48, 48)).astype(np.uint8)


@pytest.fixture(scope="module")
def network(faces: np.ndarray) -> Any:  # noqa: ANN401 - a Keras model
    keras.utils.set_random_seed(1)
    network = _residual_network()
    # Means and variances other than those at first, so that they count.
    network.compile("adam", "categorical_crossentropy")
    targets = np.eye(7)[np.arange(len(faces)) % 7]
    network.fit(faces[..., np.newaxis].astype(np.float32), targets, epochs=2, verbose=0)
    return network


@pytest.mark.parametrize(
    ("convert", "suffix", "tolerance"),
    [
        ("convert_to_float32", ".tflite", 1e-5),
        ("convert_to_float16", ".tflite", 1e-2),
        ("convert_to_int8", ".tflite", 0.1),
        ("convert_to_onnx", ".onnx", 1e-5),
    ],
)
def test_a_model_in_a_model_is_converted(
    network: Any,  # noqa: ANN401 - a Keras model
    faces: np.ndarray,
    tmp_path: Path,
    convert: str,
    suffix: str,
    tolerance: float,
) -> None:
    from deepfer_training import conversion

    path = tmp_path / f"model{suffix}"
    path.write_bytes(getattr(conversion, convert)(network, faces))

    expected = predict(KerasPredictor(network), faces)
    np.testing.assert_allclose(predict(load_predictor(path), faces), expected, atol=tolerance)
    # One picture alone, as the node has it.
    np.testing.assert_allclose(
        predict(load_predictor(path), faces[:1]), expected[:1], atol=tolerance
    )


def test_the_temperature_of_a_model_in_a_model(network: Any, faces: np.ndarray) -> None:  # noqa: ANN401
    from deepfer_training.calibration import apply_temperature, fold_temperature

    before = predict(KerasPredictor(network), faces)

    folded = fold_temperature(network, 2.0)

    np.testing.assert_allclose(
        predict(KerasPredictor(folded), faces), apply_temperature(before, 2.0), atol=1e-5
    )
    np.testing.assert_array_equal(predict(KerasPredictor(network), faces), before)
