from pathlib import Path

import numpy as np
import pytest

from deepfer_training.errors import ModelFileError
from deepfer_training.fer2013 import FaceDataset
from deepfer_training.inference import load_predictor, measure_ms_per_face, predict

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
    spec = keras.InputSpec(shape=(None, *shape), dtype=dtype, name="pixels")
    path = tmp_path / "other.onnx"
    model.export(str(path), format="onnx", input_signature=[spec], verbose=False)

    with pytest.raises(ModelFileError, match=message):
        load_predictor(path)
