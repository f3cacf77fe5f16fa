import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from deepfer_ros.recognition import model_bundle
from deepfer_ros.recognition.errors import ModelError
from deepfer_ros.recognition.model_bundle import find_models_folder, load_bundle


@pytest.fixture
def folder(tmp_path: Path, describe_bundle: Callable[..., None]) -> Path:
    """A bundle whose file is not a model: the reader only checks that it is the described one."""
    (tmp_path / "model.tflite").write_bytes(b"weights")
    describe_bundle(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", ["", "model.tflite"], ids=["folder", "file"])
def test_a_bundle_is_found_by_folder_and_by_file(folder: Path, file: str) -> None:
    bundle = load_bundle(folder / file)
    assert bundle.name == "tiny"
    assert bundle.labels[3] == "happy"
    assert bundle.input_size_px == 48
    assert bundle.crop_margin == 0.02
    assert bundle.model_path == folder / "model.tflite"


def test_the_shipped_bundle_is_found_by_name() -> None:
    bundle = load_bundle("deepfer48")
    assert bundle.name == "deepfer48"
    assert bundle.labels == ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
    models_folder = find_models_folder()
    assert models_folder is not None
    assert bundle.model_path == models_folder / "deepfer48" / "model_int8.tflite"


def test_the_description_says_which_file_is_run(
    folder: Path, describe_bundle: Callable[..., None]
) -> None:
    shutil.copy(folder / "model.tflite", folder / "model.small.tflite")
    describe_bundle(
        folder, lambda description: description.update(runtime_file="model.small.tflite")
    )
    assert load_bundle(folder).model_path == folder / "model.small.tflite"
    assert load_bundle(folder / "model.tflite").model_path == folder / "model.tflite"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda d: d.update(format=2), "format is 2, this deepfer reads 1", id="format"
        ),
        pytest.param(lambda d: d.pop("labels"), "labels is missing", id="no labels"),
        pytest.param(lambda d: d.update(labels=["a", "a"]), "different names", id="same labels"),
        pytest.param(lambda d: d.update(labels=[1, 2]), "must be names", id="label numbers"),
        pytest.param(lambda d: d["input"].update(channels=3), "must be 1", id="colour"),
        pytest.param(lambda d: d["input"].update(size_px=0), "from 8 to 1024, got 0", id="size"),
        pytest.param(lambda d: d["input"].update(crop_margin=9), "crop_margin must", id="margin"),
        pytest.param(lambda d: d["input"].update(size_px="x"), "is wrong", id="size text"),
        pytest.param(
            lambda d: d["input"].update(size_px=math.inf), "is wrong", id="size infinite"
        ),
        pytest.param(
            lambda d: (
                d.update(runtime_file="nul\0.tflite"),
                d["files"].update({"nul\0.tflite": {"sha256": ""}}),
            ),
            r"Cannot read the model file .*nul.*null byte",
            id="file name",
        ),
        pytest.param(
            lambda d: d.update(runtime_file="gone.tflite"),
            r"does not describe gone\.tflite",
            id="runtime file",
        ),
        pytest.param(lambda d: d.update(runtime_file=[1]), "does not describe", id="runtime list"),
        pytest.param(lambda d: d.update(files={}), "it describes no file", id="no file"),
        pytest.param(lambda d: d.update(files=[]), "is wrong", id="files list"),
        pytest.param(
            lambda d: d["files"]["model.tflite"].update(sha256="0" * 64),
            "damaged or was replaced: its SHA-256 is",
            id="checksum",
        ),
    ],
)
def test_wrong_descriptions_are_refused(
    folder: Path,
    describe_bundle: Callable[..., None],
    change: Callable[[dict[str, Any]], object],
    message: str,
) -> None:
    describe_bundle(folder, change)
    with pytest.raises(ModelError, match=message):
        load_bundle(folder)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '"x"', "\x00", "[" * 200_000],
    ids=["empty", "cut off", "list", "number", "text", "nul", "deep"],
)
def test_files_that_are_no_description_are_refused(folder: Path, text: str) -> None:
    (folder / "bundle.json").write_text(text)
    with pytest.raises(ModelError, match=r"bundle\.json"):
        load_bundle(folder)


def test_a_folder_without_description_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'deepfer export' writes a bundle"):
        load_bundle(tmp_path)


def test_a_missing_model_file_is_named(folder: Path) -> None:
    (folder / "model.tflite").unlink()
    with pytest.raises(ModelError, match=r"Cannot read the model file .*model\.tflite"):
        load_bundle(folder)
    with pytest.raises(ModelError, match=r"model\.tflite does not exist"):
        load_bundle(folder / "model.tflite")


def test_an_undescribed_model_file_is_refused(folder: Path) -> None:
    (folder / "other.tflite").write_bytes(b"weights")
    with pytest.raises(ModelError, match=r"does not describe other\.tflite; it describes model"):
        load_bundle(folder / "other.tflite")


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ModelError, match="'resnet' is neither a bundle that comes with deepfer"):
        load_bundle("resnet")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match=r"neither a bundle folder nor a \.tflite or \.keras"):
        load_bundle(path)


@pytest.mark.parametrize(
    "model",
    ["x" * 5000, "nul\0", "", "~nobody_here/m", "~nobody_here/model.tflite"],
    ids=["long", "nul", "empty", "unknown user", "file of an unknown user"],
)
def test_what_cannot_be_a_path_is_refused(model: str) -> None:
    with pytest.raises(ModelError) as caught:
        load_bundle(model)
    assert not str(caught.value).endswith("..")


def test_a_folder_of_another_package_does_not_hide_the_models(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packages = tmp_path / "lib/python3/site-packages"
    (packages / "models" / "of_somebody_else").mkdir(parents=True)
    monkeypatch.setattr(
        model_bundle, "__file__", str(packages / "deepfer_ros/recognition/model_bundle.py")
    )
    assert find_models_folder() is None
    mine = tmp_path / "share/deepfer/models/mine"
    mine.mkdir(parents=True)
    (mine / "bundle.json").touch()
    assert find_models_folder() == mine.parent


def test_the_name_of_a_model_is_not_a_folder_by_chance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    models_folder = find_models_folder()
    assert models_folder is not None
    (tmp_path / "deepfer48").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_bundle("deepfer48").model_path.parent == models_folder / "deepfer48"
    with pytest.raises(ModelError, match=r"deepfer48 holds no bundle\.json"):
        load_bundle("./deepfer48")
