import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_ros.recognition.classifier import EmotionClassifier, load_classifier
from deepfer_ros.recognition.errors import ImageError, ModelError
from deepfer_ros.recognition.model_bundle import load_bundle


@pytest.fixture(params=["model.tflite", "model.keras"])
def classifier(request: pytest.FixtureRequest, tiny_models: Path) -> EmotionClassifier:
    return load_classifier(load_bundle(tiny_models / request.param))


@pytest.fixture(scope="module")
def crops() -> NDArray[np.uint8]:
    rng = np.random.default_rng(1)
    # Every crop has a grey level of its own, so that mixed-up rows would be noticed.
    levels = np.linspace(0, 200, 37)[:, None, None]
    return (levels + rng.integers(0, 56, (37, 48, 48))).astype(np.uint8)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 5, 8, 16, 17, 37])
def test_each_face_gets_its_own_answer(
    classifier: EmotionClassifier, crops: NDArray[np.uint8], count: int
) -> None:
    """A batch, padded or split as it may be, answers what single calls answer."""
    probabilities = classifier.classify(crops[:count])
    assert probabilities.shape == (count, 7)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    for row, crop in zip(probabilities, crops, strict=False):
        np.testing.assert_allclose(row, classifier.classify(crop[None])[0], atol=1e-5)


def test_engines_agree(tiny_models: Path, crops: NDArray[np.uint8]) -> None:
    litert, keras = (
        load_classifier(load_bundle(tiny_models / name)).classify(crops)
        for name in ("model.tflite", "model.keras")
    )
    np.testing.assert_allclose(litert, keras, atol=1e-4)
    assert np.ptp(litert, axis=0).max() > 0.1, "crops that all look alike would prove nothing"


@pytest.mark.parametrize(
    ("wrong", "received"),
    [
        pytest.param(np.zeros((1, 48, 48), np.float32), "float32", id="float"),
        pytest.param(np.zeros((1, 32, 48), np.uint8), r"\(1, 32, 48\)", id="size"),
        pytest.param(np.zeros((48, 48), np.uint8), r"\(48, 48\)", id="no batch"),
        pytest.param(np.zeros((1, 48, 48, 3), np.uint8), r"\(1, 48, 48, 3\)", id="colour"),
    ],
)
def test_wrong_crops_are_refused(
    classifier: EmotionClassifier, wrong: NDArray[np.uint8], received: str
) -> None:
    with pytest.raises(ValueError, match=f"Crops must be uint8 .*got .*{received}"):
        classifier.classify(wrong)


@pytest.mark.parametrize("file", ["model.tflite", "model.keras"])
@pytest.mark.parametrize(
    "content", [b"", b"no model", bytes(4096)], ids=["empty", "text", "zeros"]
)
def test_files_that_are_no_models_are_refused(
    tmp_path: Path, describe_bundle: Callable[..., None], file: str, content: bytes
) -> None:
    pytest.importorskip("tensorflow")
    (tmp_path / file).write_bytes(content)
    describe_bundle(tmp_path)
    with pytest.raises(ModelError, match="is not a usable"):
        load_classifier(load_bundle(tmp_path / file))


@pytest.mark.parametrize("file", ["model.tflite", "model.keras"])
@pytest.mark.parametrize("fault", ["size", "labels"])
def test_models_that_do_not_fit_their_bundle_are_refused(
    tiny_models: Path,
    tmp_path: Path,
    describe_bundle: Callable[..., None],
    file: str,
    fault: str,
) -> None:
    shutil.copy(tiny_models / file, tmp_path / file)
    if fault == "size":
        describe_bundle(tmp_path, lambda d: d["input"].update(size_px=64))
    else:
        describe_bundle(tmp_path, lambda d: d["labels"].pop())
    with pytest.raises(ModelError, match=r"takes \(48, 48, 1\) and gives \(7,\), but its bundle"):
        load_classifier(load_bundle(tmp_path / file))


def save_odd_model(folder: Path, fault: str) -> None:
    """Save a network whose outputs are no probabilities, as .keras and .tflite."""
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    pixels = keras.layers.Input((48, 48, 1))
    # Infinite for all but black pixels.
    scale = 3e38 if fault == "all but black" else 1 / 255
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Rescaling(scale)(pixels))
    head = keras.layers.Dense(7, activation=None if "logits" in fault else "softmax")
    model = keras.Model(pixels, head(x))
    kernel, bias = np.linspace(-1, 1, 7)[None], np.zeros(7)
    if fault == "logits that sum to 1":
        kernel, bias = np.zeros((1, 7)), np.array([3, -2, 0, 0, 0, 0, 0])
    if fault == "not a number":
        bias[3] = np.nan
    head.set_weights([kernel, bias])
    model.save(folder / "model.keras")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    (folder / "model.tflite").write_bytes(converter.convert())


@pytest.mark.parametrize(
    ("fault", "got"),
    [
        ("logits", "got 0, 0, 0, 0, 0, 0, 0 with a sum of 0"),
        ("logits that sum to 1", "got 3, -2, 0, 0, 0, 0, 0 with a sum of 1"),
        ("not a number", "with a sum of nan"),
        ("all but black", "with a sum of nan"),
    ],
)
def test_models_that_give_no_probabilities_are_refused(
    tmp_path: Path, describe_bundle: Callable[..., None], fault: str, got: str
) -> None:
    save_odd_model(tmp_path, fault)
    describe_bundle(tmp_path)
    for name in ("model.tflite", "model.keras"):
        with pytest.raises(ModelError, match="are no probabilities; they must be 0 or") as caught:
            load_classifier(load_bundle(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value)
        assert got in str(caught.value)


@pytest.mark.parametrize("odd", [np.nan, -0.5, 0.5], ids=["nan", "negative", "sum"])
def test_no_answer_for_a_face_is_an_error_of_its_picture(
    tiny_models: Path, crops: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, odd: float
) -> None:
    classifier = load_classifier(load_bundle(tiny_models / "model.tflite"))

    def run(batch: NDArray[np.float32]) -> NDArray[np.float32]:
        rows = np.tile(np.array([1, 0, 0, 0, 0, 0, 0], np.float32), (len(batch), 1))
        rows[3:, 3] = odd
        return rows

    monkeypatch.setattr(classifier, "_run", run)
    with pytest.raises(ImageError, match="The model tiny gives no probabilities for a face in it"):
        classifier.classify(crops[:4])
    # What fills up a batch does not count.
    assert len(classifier.classify(crops[:3])) == 3
    assert len(classifier.classify(crops[:0])) == 0


def test_a_litert_that_does_not_load_is_told(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "ai_edge_litert.interpreter"
    bundle = load_bundle(tiny_models / "model.tflite")
    # As after an installation that went wrong: the package is there, its content is not.
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    with pytest.raises(ModelError, match=r"LiteRT cannot be loaded: cannot import name .*pip"):
        load_classifier(bundle)
