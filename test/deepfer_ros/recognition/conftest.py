"""Models that are tiny and built here, and the one that is fetched."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_recognition import LABELS


@pytest.fixture(scope="session")
def yunet_path() -> Path:
    """YuNet's file, which is no part of the repository: beside it, or fetched earlier."""
    from deepfer_ros.recognition.yunet_file import find_yunet_file

    repository = Path(__file__).resolve().parents[3]
    beside = repository.parent / "shared/models/face_detection_yunet_2026may.onnx"
    path = beside if beside.is_file() else find_yunet_file()
    if path is None:
        pytest.skip("no YuNet file on this machine; 'deepfer fetch-detector' gets it")
    return path


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle folder with one small random network as .keras and .tflite."""
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    keras.utils.set_random_seed(0)
    pixels = keras.layers.Input((48, 48, 1))
    x = keras.layers.Rescaling(1 / 255)(pixels)
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(pixels, keras.layers.Dense(7, activation="softmax")(x))
    # Random weights near zero would give every face the same probabilities.
    model.layers[-1].kernel.assign(np.random.default_rng(0).normal(scale=30, size=(4, 7)))
    folder = tmp_path_factory.mktemp("tiny")
    model.save(folder / "model.keras")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (folder / "model.tflite").write_bytes(converter.convert())
    _describe(folder)
    return folder


@pytest.fixture
def describe_bundle() -> Callable[..., None]:
    """Function that writes bundle.json for the model files in a folder, as `change` spoils it."""
    return _describe


def _describe(folder: Path, change: Callable[[dict[str, Any]], object] | None = None) -> None:
    description: dict[str, Any] = {
        "format": 1,
        "name": "tiny",
        "labels": list(LABELS),
        "input": {"size_px": 48, "channels": 1, "crop_margin": 0.02},
        "files": {
            path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
            for path in sorted(folder.glob("model.*"))
        },
    }
    if change is not None:
        change(description)
    (folder / "bundle.json").write_text(json.dumps(description))
