import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_ros.recognition.classifier import EmotionClassifier, load_classifier
from deepfer_ros.recognition.errors import ModelError
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
