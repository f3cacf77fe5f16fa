import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_training.errors import ModelFileError
from deepfer_training.fer2013 import FaceDataset
from deepfer_training.inference import (
    KerasPredictor,
    load_predictor,
    measure_ms_per_face,
    predict,
)

pytest.importorskip("tensorflow", reason="Keras models need TensorFlow")


@pytest.mark.parametrize(
    "file",
    ["model.keras", "model.tflite", "model_float16.tflite", "model_int8.tflite", "model.onnx"],
)
def test_probabilities_of_a_whole_data_set(
    tiny_bundle: Path, tiny_dataset: FaceDataset, file: str
) -> None:
    predictor = load_predictor(tiny_bundle / file)
    counts: list[int] = []

    probabilities = predict(predictor, tiny_dataset.images, on_progress=counts.append)

    assert (predictor.input_size_px, predictor.class_count) == (48, 7)
    assert probabilities.shape == (len(tiny_dataset), 7)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert sum(counts) == len(tiny_dataset)
    # A picture gets the same answer alone as among others.
    np.testing.assert_allclose(
        predict(predictor, tiny_dataset.images[5:6]), probabilities[5:6], atol=1e-5
    )
    assert predict(predictor, tiny_dataset.images[:0]).shape == (0, 7)


def test_the_time_for_a_face(tiny_bundle: Path, tiny_dataset: FaceDataset) -> None:
    predictor = load_predictor(tiny_bundle / "model.tflite")

    assert 0 < measure_ms_per_face(predictor, tiny_dataset.images, repeats=20) < 1000


def test_pictures_of_another_size_are_refused(tiny_bundle: Path) -> None:
    predictor = load_predictor(tiny_bundle / "model.tflite")

    with pytest.raises(ModelFileError, match=r"takes pictures of 48x48 pixels, but .* has 32x24"):
        predict(predictor, np.zeros((2, 24, 32), np.uint8))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("broken.keras", "a usable Keras model"),
        ("broken.tflite", "LiteRT model"),
        ("broken.onnx", "ONNX model"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, kind: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"not a model")

    with pytest.raises(ModelFileError, match=f"{name} is not .*{kind}"):
        load_predictor(path)


@pytest.mark.parametrize("name", ["empty.keras", "empty.tflite", "empty.onnx"])
def test_an_empty_file_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.touch()

    with pytest.raises(ModelFileError, match=f"{name} is not a usable .* model: ."):
        load_predictor(path)


@pytest.mark.parametrize("share", [0.0001, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("file", ["model.keras", "model.onnx"])
def test_a_damaged_file_is_refused(
    tiny_bundle: Path, tiny_dataset: FaceDataset, tmp_path: Path, file: str, share: float
) -> None:
    content = bytearray((tiny_bundle / file).read_bytes())
    place = int(share * len(content))
    content[place : place + 40] = bytes(255 - value for value in content[place : place + 40])
    flipped, cut = tmp_path / f"flipped_{file}", tmp_path / f"cut_{file}"
    flipped.write_bytes(content)
    cut.write_bytes(content[:place])

    with pytest.raises(ModelFileError, match=rf"cut_{file} is not a usable .* model: [^\n]+$"):
        load_predictor(cut)
    # Nobody can tell from changed weights in an ONNX file, as long as they are numbers.
    with contextlib.suppress(ModelFileError):
        predict(load_predictor(flipped), tiny_dataset.images[:4])


def _flat_model(activation: str | None = "softmax", batch_size: int | None = None) -> Any:  # noqa: ANN401 - a Keras model
    """Build a model of one layer with small weights, for pictures in any number or so many."""
    import keras

    pixels = keras.layers.Input((48, 48, 1), batch_size=batch_size, name="pixels")
    flat = keras.layers.Flatten()(keras.layers.Rescaling(1 / 255)(pixels))
    return keras.Model(
        pixels,
        keras.layers.Dense(
            7,
            activation=activation,
            kernel_initializer=keras.initializers.RandomNormal(0, 0.1, seed=1),
        )(flat),
    )


def _write_onnx(model: Any, path: Path) -> None:  # noqa: ANN401 - a Keras model
    import keras

    spec = keras.InputSpec(shape=model.input_shape, dtype="float32", name="pixels")
    model.export(str(path), format="onnx", input_signature=[spec], verbose=False)


@pytest.mark.parametrize("file", ["one.keras", "one.tflite", "one.onnx"])
def test_a_model_for_a_single_picture_gets_one_after_the_other(
    tiny_dataset: FaceDataset, tmp_path: Path, file: str
) -> None:
    import tensorflow as tf

    model, fixed, path = _flat_model(), _flat_model(batch_size=1), tmp_path / file
    fixed.set_weights(model.get_weights())
    if file == "one.keras":
        fixed.save(path)
    elif file == "one.onnx":
        _write_onnx(fixed, path)
    else:
        kernel, bias = model.layers[-1].get_weights()

        # A reshape to one row, as many converters write it, cannot be resized.
        @tf.function(input_signature=[tf.TensorSpec((1, 48, 48, 1), tf.float32)])
        def answer(pixels: Any) -> Any:  # noqa: ANN401 - tensors
            return tf.nn.softmax(tf.reshape(pixels / 255, (1, 2304)) @ kernel + bias)

        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [answer.get_concrete_function()]
        )
        path.write_bytes(converter.convert())
    images = tiny_dataset.images[:70]

    probabilities = predict(load_predictor(path), images)

    np.testing.assert_allclose(probabilities, predict(KerasPredictor(model), images), atol=1e-5)


def test_an_onnx_model_that_cannot_be_run_is_named(
    tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    path = tmp_path / "eight.onnx"
    _write_onnx(_flat_model(batch_size=8), path)
    predictor = load_predictor(path)

    with pytest.raises(ModelFileError, match=r"eight\.onnx cannot be run: .* Expected: 8"):
        predict(predictor, tiny_dataset.images[:20])
    with pytest.raises(ModelFileError, match=r"eight\.onnx cannot be run"):
        measure_ms_per_face(predictor, tiny_dataset.images)


@pytest.mark.parametrize("activation", [None, "sigmoid"], ids=["logits", "not one in all"])
def test_answers_that_are_no_probabilities_are_refused(
    tiny_dataset: FaceDataset, activation: str | None
) -> None:
    predictor = KerasPredictor(_flat_model(activation), "mine")

    with pytest.raises(ModelFileError, match=r"^mine gives no probabilities: .* end in a softmax"):
        predict(predictor, tiny_dataset.images)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_answers_that_are_no_numbers_are_refused(tiny_dataset: FaceDataset, value: float) -> None:
    model = _flat_model()
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel * value, bias])

    with pytest.raises(ModelFileError, match=r"values that are no numbers .* training diverged"):
        predict(KerasPredictor(model), tiny_dataset.images)


def test_probabilities_of_eight_bits_are_probabilities() -> None:
    class Rounding:
        name, input_size_px, class_count = "rounding", 48, 7

        def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
            # All seven of 1/7 are rounded in the same direction.
            return np.full((len(batch), 7), np.round(256 / 7) / 256, np.float32)

    assert predict(Rounding(), np.zeros((3, 48, 48), np.uint8)).shape == (3, 7)


def test_a_model_that_was_never_built_is_refused(tmp_path: Path) -> None:
    import keras

    layers = [keras.layers.Flatten(), keras.layers.Dense(7, activation="softmax")]
    keras.Sequential(layers).save(tmp_path / "unbuilt.keras")

    with pytest.raises(ModelFileError, match=r"unbuilt\.keras is not a usable Keras model: ."):
        load_predictor(tmp_path / "unbuilt.keras")


def test_a_model_for_colour_is_refused(tmp_path: Path) -> None:
    import keras

    pixels = keras.layers.Input((48, 48, 3))
    outputs = keras.layers.Dense(7)(keras.layers.GlobalAveragePooling2D()(pixels))
    keras.Model(pixels, outputs).save(tmp_path / "colour.keras")

    with pytest.raises(ModelFileError, match=r"takes \(None, 48, 48, 3\) and gives \(None, 7\)"):
        load_predictor(tmp_path / "colour.keras")


@pytest.mark.parametrize(
    ("shape", "dtype", "message"),
    [
        ((48, 48, 3), "float32", r"takes \(None, 48, 48, 3\) and gives \(None, 7\)"),
        ((48, 48, 1), "float64", r"takes tensor\(double\) and gives tensor\(double\), but must"),
    ],
    ids=["colour", "double"],
)
def test_an_onnx_model_for_other_inputs_is_refused(
    tmp_path: Path, shape: tuple[int, ...], dtype: str, message: str
) -> None:
    import keras

    pixels = keras.layers.Input(shape, dtype=dtype)
    pooled = keras.layers.GlobalAveragePooling2D(dtype=dtype)(pixels)
    model = keras.Model(pixels, keras.layers.Dense(7, dtype=dtype)(pooled))
    path = tmp_path / "other.onnx"
    spec = keras.InputSpec(shape=(None, *shape), dtype=dtype, name="pixels")
    model.export(str(path), format="onnx", input_signature=[spec], verbose=False)

    with pytest.raises(ModelFileError, match=message):
        load_predictor(path)
