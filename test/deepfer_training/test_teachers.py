import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_training.config import HeadConfig
from deepfer_training.errors import ModelFileError, RunError
from deepfer_training.fer2013 import LABELS, FaceDataset
from deepfer_training.model_files import file_sha256

pytest.importorskip("tensorflow", reason="teachers are Keras models")


def _ask(teacher: Path, dataset: FaceDataset) -> NDArray[np.float32]:
    from deepfer_training.teachers import add_teachers

    images = dataset.images[:14]
    targets = np.eye(7, dtype=np.float32)[[0] * len(images)]
    return add_teachers(targets, images, HeadConfig(teacher_weight=1.0), [teacher])


def _ask_live(teacher: Path, dataset: FaceDataset) -> None:
    from deepfer_training.teachers import LiveTeachers

    head = HeadConfig(teacher_weight=1.0, teacher_view="augmented")
    LiveTeachers([head], [teacher], dataset.images)


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


@pytest.mark.parametrize("ask", [_ask, _ask_live])
@pytest.mark.parametrize(
    ("class_count", "bias", "message"),
    [
        (5, 0.0, r"model\.keras has 5 outputs, but is assumed to have the 7 labels angry"),
        (7, np.nan, r"model\.keras gives values that are no numbers"),
    ],
    ids=["five classes", "not a number"],
)
def test_a_teacher_that_cannot_teach_is_refused(
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    class_count: int,
    bias: float,
    message: str,
    ask: Callable[[Path, FaceDataset], object],
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
        ask(tmp_path, tiny_dataset)


def test_live_teachers_answer_to_the_pictures_of_each_batch(
    tiny_run: Path, tiny_dataset: FaceDataset
) -> None:
    from deepfer_training.inference import KerasPredictor, predict
    from deepfer_training.teachers import LiveTeachers, add_teachers

    images = tiny_dataset.images[:6]
    targets = np.eye(7, dtype=np.float32)[[0] * len(images)]
    weights = np.ones(len(images), np.float32)
    heads = [
        HeadConfig(name="model", teacher_weight=0.75, teacher_view="augmented"),
        HeadConfig(name="cached", teacher_weight=0.75),
        HeadConfig(name="untaught", teacher_view="augmented"),
    ]
    pictures = images[..., np.newaxis].astype(np.float32)

    # Nobody is asked before the training: this teacher does not even exist.
    before = add_teachers(targets, images, heads[0], [tiny_run / "missing"])
    np.testing.assert_array_equal(before, targets)
    batches = iter([(pictures, (targets,) * 3, (weights,) * 3)])
    ((found, mixed, kept),) = LiveTeachers(heads, [tiny_run], images).answer(batches)

    # A single teacher sees the mirror images of every second picture.
    seen = images.copy()
    seen[::2] = images[::2, :, ::-1]
    answers = predict(KerasPredictor(tiny_run / "model.keras"), seen)
    np.testing.assert_allclose(mixed[0], 0.25 * targets + 0.75 * answers, atol=1e-6)
    np.testing.assert_array_equal(mixed[1], targets)
    np.testing.assert_array_equal(mixed[2], targets)
    assert found is pictures
    assert all(values is weights for values in kept)


def test_two_live_teachers_see_each_picture_and_its_mirror_image(
    tiny_run: Path, tiny_dataset: FaceDataset
) -> None:
    from deepfer_training.inference import KerasPredictor, predict
    from deepfer_training.teachers import LiveTeachers

    images = tiny_dataset.images[:6]
    targets = (np.eye(7, dtype=np.float32)[[0] * len(images)],)
    head = HeadConfig(name="model", teacher_weight=1.0, teacher_view="augmented")
    batches = iter([(images[..., np.newaxis].astype(np.float32), targets, targets)])

    ((_, (answers,), _),) = LiveTeachers([head], [tiny_run, tiny_run], images).answer(batches)

    model = KerasPredictor(tiny_run / "model.keras")
    straight, mirrored = predict(model, images), predict(model, images[:, :, ::-1])
    np.testing.assert_allclose(answers, (straight + mirrored) / 2, atol=1e-6)
    assert np.abs(straight - mirrored).max() > 1e-3


def test_live_teachers_do_not_teach_several_devices(tiny_run: Path) -> None:
    from deepfer_training.teachers import check_teachers

    head = HeadConfig(teacher_weight=0.5, teacher_view="augmented")
    check_teachers([head], [tiny_run])
    check_teachers([HeadConfig(teacher_weight=0.5)], [tiny_run], distributed=True)
    with pytest.raises(RunError, match=r"teachers of model .* works on one device alone"):
        check_teachers([head], [tiny_run], distributed=True)
