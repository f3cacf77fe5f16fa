import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from deepfer_training.errors import ModelFileError
from deepfer_training.fer2013 import LABELS
from deepfer_training.model_files import (
    ModelFile,
    file_sha256,
    find_model,
    format_json,
    shipped_models,
    shown_path,
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle whose files are no real models: only the description is read here."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    (folder / "model.tflite").write_bytes(b"weights")
    description = {
        "format": 1,
        "name": "tiny",
        "labels": list(LABELS),
        "input": {"size_px": 48, "channels": 1, "crop_margin": 0.25},
        "files": {"model.tflite": {"sha256": file_sha256(folder / "model.tflite")}},
    }
    (folder / "bundle.json").write_text(json.dumps(description))
    return folder


@pytest.mark.parametrize("file", ["", "model.tflite"], ids=["folder", "file"])
def test_a_bundle_is_found(bundle: Path, file: str) -> None:
    assert find_model(bundle / file) == ModelFile(bundle / "model.tflite", "tiny", LABELS, 0.25)


def test_a_shipped_bundle_is_found_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert {"deepfer48", "deepfer48-fer2013"} <= set(shipped_models())
    for name, folder in shipped_models().items():
        assert find_model(name).path == folder / "model.tflite"
        assert find_model(name).name == name
        # Where a command is run must not decide about its model.
        Path(name).mkdir()
        assert find_model(name).path == folder / "model.tflite"


@pytest.mark.parametrize("name", ["mine.tflite", "mine.keras", "mine.onnx"])
def test_a_file_without_a_bundle_has_no_labels(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"weights")

    assert find_model(path) == ModelFile(path, "mine", None, None)


def test_a_run_folder_stands_for_its_model(tmp_path: Path) -> None:
    (tmp_path / "model.keras").write_bytes(b"weights")

    assert find_model(tmp_path) == ModelFile(tmp_path / "model.keras", tmp_path.name)


def test_a_replaced_file_is_refused(bundle: Path) -> None:
    (bundle / "model.tflite").write_bytes(b"other weights")

    with pytest.raises(ModelFileError, match=r"model\.tflite is damaged or was replaced"):
        find_model(bundle)


def test_a_file_that_the_bundle_does_not_know_is_refused(bundle: Path) -> None:
    shutil.copy(bundle / "model.tflite", bundle / "other.tflite")

    with pytest.raises(ModelFileError, match=r"does not describe other\.tflite; it describes mod"):
        find_model(bundle / "other.tflite")


def test_a_file_that_is_gone_is_named(bundle: Path) -> None:
    (bundle / "model.tflite").unlink()

    with pytest.raises(ModelFileError, match=r"Cannot read .*model\.tflite"):
        find_model(bundle)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "has format 2, expected 1"),
        ({"labels": None}, "is no description of a bundle"),
        ({"labels": [1, 2, 3, 4, 5, 6, 7]}, "is no description of a bundle"),
        ({"metrics": float("nan")}, "Cannot read .*: it holds NaN, which is no number"),
        ({"input": {}}, "is no description of a bundle"),
        ({"files": []}, "is no description of a bundle"),
    ],
)
def test_a_wrong_description_is_refused(
    bundle: Path, change: dict[str, Any], message: str
) -> None:
    path = bundle / "bundle.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))

    with pytest.raises(ModelFileError, match=message):
        find_model(bundle)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nosuch", "Model 'nosuch' is neither an existing file or folder nor a bundle"),
        ("", "The name of the model is empty; give the name of a bundle, a folder"),
        ("~nosuchuser/x", "the home folder of '~nosuchuser' is not known. Write './' before"),
        ("n" * 300, "Cannot read the model 'n+': File name too long|Model 'n+' is neither"),
        ("text.txt", r"is neither a folder nor a \.tflite, \.keras or \.onnx file"),
        ("empty", "holds neither bundle.json nor a .keras file"),
    ],
)
def test_what_is_no_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.txt").write_text("text")
    (tmp_path / "empty").mkdir()

    with pytest.raises(ModelFileError, match=message):
        find_model(name)


def test_a_run_with_several_models_asks_for_one(tmp_path: Path) -> None:
    for name in ("one.keras", "two.keras"):
        (tmp_path / name).touch()

    with pytest.raises(ModelFileError, match=r"holds several models; give one of .*one\.keras"):
        find_model(tmp_path)


@pytest.mark.parametrize(
    "value", [{}, [], None, 'ä "[1,\n 2]"', 1.5, {"a": [[1, 2], [3, 4]], "b": {"c": ["d"] * 40}}]
)
def test_json_for_people_is_json(value: object) -> None:
    assert json.loads(format_json(value)) == value


@pytest.mark.parametrize("value", [float("nan"), {"a": [1.0, float("inf")] * 40}])
def test_json_for_people_has_no_number_that_json_lacks(value: object) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        format_json(value)


def test_brackets_without_end_are_no_description(bundle: Path) -> None:
    (bundle / "bundle.json").write_text("[" * 100_000)

    with pytest.raises(ModelFileError, match=r"Cannot read .*bundle\.json"):
        find_model(bundle)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("models/mine", "models/mine"),
        ("/home/me/mine", "mine"),
        ("../mine", "mine"),
        ("mine/v1/..", "mine"),
    ],
)
def test_a_record_does_not_show_where_files_lie(path: str, shown: str) -> None:
    assert shown_path(Path(path)) == shown


def test_json_for_people_keeps_in_a_line_what_fits() -> None:
    assert format_json({"a": [1, 2], "b": {"c": "dd"}}, width=20) == (
        '{\n  "a": [1, 2],\n  "b": {"c": "dd"}\n}\n'
    )
    assert format_json([10, 20], width=5) == "[\n  10,\n  20\n]\n"
