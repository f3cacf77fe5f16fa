import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_training.config import HeadConfig
from deepfer_training.errors import ModelFileError
from deepfer_training.fer2013 import LABELS, FaceDataset
from deepfer_training.model_files import file_sha256

pytest.importorskip("tensorflow", reason="teachers are Keras models")


def _ask(teacher: Path, dataset: FaceDataset) -> NDArray[np.float32]:
    from deepfer_training.teachers import add_teachers

    images = dataset.images[:14]
    targets = np.eye(7, dtype=np.float32)[[0] * len(images)]
    return add_teachers(targets, images, HeadConfig(teacher_weight=1.0), [teacher])


@pytest.fixture
def bundle(tiny_run: Path, tmp_path: Path) -> Path:
    """A bundle with the model of the tiny run, in which two labels change places."""
    folder = tmp_path / "teacher"
    folder.mkdir()
    shutil.copy(tiny_run / "model.keras", folder)
    description = {
        "format": 1,
        "name": "teacher",
        "labels": ["disgust", "angry", *LABELS[2:]],
        "input": {"size_px": 48, "channels": 1, "crop_margin": 0.1},
        "files": {"model.keras": {"sha256": file_sha256(folder / "model.keras")}},
    }
    (folder / "bundle.json").write_text(json.dumps(description))
    return folder


def test_the_outputs_of_a_bundle_are_put_into_order(
    tiny_run: Path, bundle: Path, tiny_dataset: FaceDataset
) -> None:
    # The same file without a bundle: its answers are in the cache already.
    straight = _ask(tiny_run, tiny_dataset)

    swapped = _ask(bundle, tiny_dataset)

    assert not np.array_equal(swapped, straight)
    np.testing.assert_array_equal(swapped, straight[:, [1, 0, 2, 3, 4, 5, 6]])
    # From the cache, too.
    np.testing.assert_array_equal(_ask(bundle, tiny_dataset), swapped)


def test_a_teacher_that_does_not_fit_its_bundle_is_refused(
    bundle: Path, tiny_dataset: FaceDataset
) -> None:
    description = json.loads((bundle / "bundle.json").read_text())
    description["files"]["model.keras"]["sha256"] = "0" * 64
    (bundle / "bundle.json").write_text(json.dumps(description))

    with pytest.raises(ModelFileError, match=r"model\.keras is damaged or was replaced"):
        _ask(bundle, tiny_dataset)


@pytest.mark.parametrize(
    ("class_count", "bias", "message"),
    [
        (5, 0.0, r"model\.keras has 5 outputs, but is assumed to have the 7 labels angry"),
        (7, np.nan, r"model\.keras gives values that are no numbers"),
    ],
    ids=["five classes", "not a number"],
)
def test_a_teacher_that_cannot_teach_is_refused(
    tiny_dataset: FaceDataset, tmp_path: Path, class_count: int, bias: float, message: str
) -> None:
    import keras

    pixels = keras.layers.Input((48, 48, 1))
    outputs = keras.layers.Dense(
        class_count,
        activation="softmax",
        bias_initializer=keras.initializers.Constant(bias),
    )(keras.layers.GlobalAveragePooling2D()(pixels))
    keras.Model(pixels, outputs).save(tmp_path / "model.keras")

    with pytest.raises(ModelFileError, match=message):
        _ask(tmp_path, tiny_dataset)
