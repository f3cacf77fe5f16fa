import dataclasses
import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from training_runs import copy_run

from deepfer_training.errors import DatasetError, ExportError, ModelFileError, RunError
from deepfer_training.fer2013 import LABELS, FaceDataset
from deepfer_training.inference import load_predictor, predict
from deepfer_training.model_files import file_sha256, find_model, read_bundle

pytest.importorskip("tensorflow", reason="exporting needs TensorFlow")

_FILES = (
    "model.keras",
    "model.tflite",
    "model_float16.tflite",
    "model_int8.tflite",
    "model.onnx",
)
_CHARTS = tuple(
    f"{kind}_{labels}.png"
    for labels in ("fer2013", "ferplus")
    for kind in ("confusion", "reliability")
)


@pytest.fixture
def float_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the float32 file only: the others take longer."""
    from deepfer_training import export

    monkeypatch.setattr(export, "FORMATS", export.FORMATS[:1])


def test_a_bundle_is_whole(tiny_bundle: Path) -> None:
    bundle = read_bundle(tiny_bundle)

    assert {path.name for path in tiny_bundle.iterdir()} == {
        *_FILES,
        *_CHARTS,
        "bundle.json",
        "MODEL_CARD.md",
    }
    assert (bundle["format"], bundle["name"], tuple(bundle["labels"])) == (1, "tiny", LABELS)
    assert bundle["input"] == {"size_px": 48, "channels": 1, "crop_margin": 0.1}
    assert bundle["files"] == {
        file: {"sha256": file_sha256(tiny_bundle / file)} for file in _FILES
    }
    assert bundle["left_out"] == {}
    assert tuple(bundle["charts"]) == _CHARTS
    assert bundle["runtime_file"] == "model_int8.tflite"
    # Nothing is left of the folder that it was prepared in.
    assert [path.name for path in tiny_bundle.parent.iterdir()] == ["tiny"]
    assert tiny_bundle.stat().st_mode & 0o777 == 0o755


def test_the_bundle_says_how_it_came_about(tiny_bundle: Path, tiny_run: Path) -> None:
    provenance = read_bundle(tiny_bundle)["provenance"]

    assert provenance["recipe"] == json.loads((tiny_run / "recipe.json").read_text())
    assert provenance["training"] == json.loads((tiny_run / "run.json").read_text())
    assert provenance["export"]["command"] == "deepfer export runs/tiny"
    assert {"tensorflow", "keras", "ai-edge-litert"} <= set(provenance["export"]["versions"])
    assert provenance["calibration"]["split"] == "PublicTest"
    assert provenance["calibration"]["labels"] == "fer2013"


def test_all_files_say_nearly_the_same(tiny_bundle: Path, tiny_dataset: FaceDataset) -> None:
    by_keras, by_float, by_float16, by_int8, by_onnx = (
        predict(load_predictor(tiny_bundle / file), tiny_dataset.images) for file in _FILES
    )

    np.testing.assert_allclose(by_float, by_keras, atol=1e-5)
    np.testing.assert_allclose(by_onnx, by_keras, atol=1e-5)
    np.testing.assert_allclose(by_float16, by_keras, atol=1e-2)
    assert (by_float16 != by_keras).any()
    np.testing.assert_allclose(by_int8, by_keras, atol=0.15)
    assert (by_int8 != by_keras).any()
    assert np.mean(by_int8.argmax(axis=1) == by_keras.argmax(axis=1)) >= 0.98


def test_the_temperature_is_in_all_files(tiny_bundle: Path, tiny_run: Path) -> None:
    from deepfer_training.calibration import apply_temperature

    temperature = read_bundle(tiny_bundle)["provenance"]["calibration"]["temperature"]
    faces = np.random.default_rng(0).integers(0, 256, (8, 48, 48)).astype(np.uint8)
    trained = predict(load_predictor(tiny_run / "model.keras"), faces)

    calibrated = predict(load_predictor(tiny_bundle / "model.keras"), faces)

    # Two labels in six are wrong: the model must become less sure.
    assert temperature > 1.1
    np.testing.assert_allclose(calibrated, apply_temperature(trained, temperature), atol=1e-5)


def test_metrics_of_every_file_and_split(tiny_bundle: Path) -> None:
    metrics = read_bundle(tiny_bundle)["metrics"]

    assert set(metrics) == set(_FILES)
    for file in _FILES:
        for split in ("PublicTest", "PrivateTest"):
            assert metrics[file][split]["images"] == 42
            assert metrics[file][split]["accuracy"] == pytest.approx(4 / 6, abs=0.05)
    assert metrics["model.tflite"]["PrivateTest"]["robustness"]
    assert metrics["model.tflite"]["PrivateTest"]["comparison"]["largest_difference"] <= 1e-3


def test_a_float16_file_has_half_the_size(tiny_bundle: Path) -> None:
    size, half = (
        (tiny_bundle / file).stat().st_size for file in ("model.tflite", "model_float16.tflite")
    )

    # Of so small a model the weights are not everything.
    assert half < 0.8 * size


@pytest.mark.parametrize("file", _FILES[:-1])
def test_the_runtime_runs_the_bundle_in_every_batch_size(
    tiny_bundle: Path, tiny_dataset: FaceDataset, file: str
) -> None:
    from deepfer_ros.recognition.classifier import load_classifier
    from deepfer_ros.recognition.model_bundle import load_bundle

    bundle = load_bundle(tiny_bundle / file)
    classifier = load_classifier(bundle)
    images = tiny_dataset.images[:20]
    expected = predict(load_predictor(tiny_bundle / file), images)

    assert bundle.labels == LABELS
    assert bundle.crop_margin == 0.1
    for count in (0, 1, 2, 3, 4, 7, 8, 15, 16, 20):
        np.testing.assert_allclose(
            classifier.classify(images[:count]), expected[:count], atol=1e-6
        )


def test_a_bundle_is_replaced_only_when_asked_to(
    tiny_bundle: Path,
    tiny_run: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    float_only: None,
) -> None:
    from deepfer_training.export import export_bundle

    output, link = tmp_path / "mine", tmp_path / "current"
    shutil.copytree(tiny_bundle, output)
    (output / "old.txt").write_text("of the old bundle")
    link.symlink_to("mine")
    # Of an export that was killed while it tidied up.
    shutil.copytree(tiny_bundle, tmp_path / ".mine-old")

    with pytest.raises(ExportError, match=r"mine exists already\. Give --replace"):
        export_bundle(tiny_run, output, tiny_dataset)
    # From the Keras file of a bundle: what is known of its training is kept.
    keras_file = tiny_bundle / "model.keras"
    folder = export_bundle(keras_file, link, tiny_dataset, replace=True, calibrate="none")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["current", "mine"]
    assert folder == output
    assert link.is_symlink()
    assert not (output / "old.txt").exists()
    old, new = read_bundle(tiny_bundle), read_bundle(output)
    assert new["name"] == "mine"
    assert new["provenance"]["recipe"] == old["provenance"]["recipe"]
    # The temperature that it got then is still in its logits.
    assert new["provenance"]["calibration"] == old["provenance"]["calibration"]
    assert find_model(output).labels == LABELS


def test_a_folder_that_is_no_bundle_is_never_replaced(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    from deepfer_training.export import export_bundle

    (tmp_path / "holiday.jpg").write_text("precious")
    # Other programs have files of this name, too.
    page = tmp_path / "page"
    page.mkdir()
    (page / "bundle.json").write_text('{"entry": "index.js"}')

    # A folder that does not exist may stand before "..", as in a script's paths.
    for output in (
        Path("/"),
        tmp_path,
        page,
        tmp_path / "nosuch" / ".." / "page",
        page / "new" / "..",
    ):
        for replace in (False, True):
            with pytest.raises(ExportError, match="It is no bundle; give another folder"):
                export_bundle(tiny_run, output, tiny_dataset, replace=replace)
    assert {path.name for path in tmp_path.iterdir()} == {"holiday.jpg", "page"}
    assert [path.name for path in page.iterdir()] == ["bundle.json"]


@pytest.mark.parametrize("replace", [False, True])
def test_what_comes_there_meanwhile_is_not_replaced(
    tiny_run: Path,
    tiny_bundle: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    replace: bool,
) -> None:
    from deepfer_training import export

    monkeypatch.setattr(export, "FORMATS", (_copied_format(tiny_bundle, "float32"),))
    output = tmp_path / "mine"

    def put_something_there(step: str) -> None:
        if "PrivateTest" in step:
            output.mkdir()
            (output / "holiday.jpg").write_text("precious")

    with pytest.raises(ExportError, match=r"mine exists already\. It is no bundle"):
        export.export_bundle(
            tiny_run, output, tiny_dataset, replace=replace, report=put_something_there
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", "holiday.jpg"]


def test_a_link_that_leads_nowhere_is_refused(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    from deepfer_training.export import export_bundle

    link = tmp_path / "current"
    link.symlink_to("nowhere")

    with pytest.raises(ExportError, match="current is a symbolic link to nowhere, which does not"):
        export_bundle(tiny_run, link, tiny_dataset, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["current"]


def test_a_bundle_that_was_being_replaced_comes_back(
    tiny_run: Path,
    tiny_bundle: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepfer_training import export

    output = tmp_path / "mine"
    shutil.copytree(tiny_bundle, output)
    monkeypatch.setattr(export, "FORMATS", (_copied_format(tiny_bundle, "float32"),))
    rename = os.rename

    def rename_until_killed(source: Path, target: Path) -> None:
        if target == output:
            raise KeyboardInterrupt
        rename(source, target)

    with monkeypatch.context() as killed:
        killed.setattr(os, "rename", rename_until_killed)
        with pytest.raises(KeyboardInterrupt):
            export.export_bundle(tiny_run, output, tiny_dataset, replace=True)
    assert not output.exists()

    with pytest.raises(ExportError, match=r"mine exists already\. Give --replace"):
        export.export_bundle(tiny_run, output, tiny_dataset)
    assert read_bundle(output) == read_bundle(tiny_bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_bundle_stays_where_its_successor_cannot_be_moved(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    from deepfer_training import export

    output = tmp_path / "mine"
    shutil.copytree(tiny_bundle, output)

    with pytest.raises(FileNotFoundError):
        export._move_into_place(tmp_path / "missing", output, replace=True)
    assert read_bundle(output) == read_bundle(tiny_bundle)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def _copied_format(bundle: Path, name: str) -> Any:  # noqa: ANN401 - an ExportFormat
    """Return a format, with the limits that users get, that copies the file of a bundle."""
    return _fixed_format(name, lambda entry: (bundle / entry.file).read_bytes())


def _fixed_format(name: str, read: Callable[[Any], bytes]) -> Any:  # noqa: ANN401 - ExportFormats
    """Return a format, with the limits that users get, whose file is the same for any model."""
    from deepfer_training.export import FORMATS

    entry = next(entry for entry in FORMATS if entry.name == name)
    content = read(entry)
    return dataclasses.replace(entry, convert=lambda model, examples: content)


def _converted_format(name: str, model: Any) -> Any:  # noqa: ANN401 - a Keras model, an ExportFormat
    """Return a format whose file holds another model."""
    from deepfer_training.conversion import convert_to_float32, convert_to_onnx

    # An int8 file takes long to make, and any LiteRT file does here.
    convert = convert_to_onnx if name == "onnx" else convert_to_float32
    examples = np.empty((0, 48, 48), np.uint8)
    return _fixed_format(name, lambda entry: convert(model, examples))


def _spoil(model: Any, bias: float = 50.0) -> Any:  # noqa: ANN401 - Keras models
    """Return a copy of a model that takes every face for an angry one."""
    import keras

    spoilt = keras.models.clone_model(model)
    spoilt.set_weights(model.get_weights())
    kernel, biases = spoilt.get_layer("logits").get_weights()
    biases[0] += bias
    spoilt.get_layer("logits").set_weights([kernel, biases])
    return spoilt


def _load(bundle: Path) -> Any:  # noqa: ANN401 - a Keras model
    from deepfer_training.inference import load_keras_model

    return load_keras_model(bundle / "model.keras")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "float32",
            r"model\.tflite loses [1-9]\d\.\d\d points of accuracy on PublicTest .* written\.$",
        ),
        ("float16", r"model_float16\.tflite loses .* '--without float16' writes"),
        ("int8", r"model_int8\.tflite loses .* '--without int8' writes the bund"),
        ("onnx", r"model\.onnx loses .* '--without onnx' writes the bundle"),
    ],
)
def test_a_file_that_loses_too_much_is_refused(
    tiny_run: Path,
    tiny_bundle: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    message: str,
) -> None:
    from deepfer_training import export

    formats = [_converted_format(name, _spoil(_load(tiny_bundle)))]
    if name != "float32":
        formats.insert(0, _copied_format(tiny_bundle, "float32"))
    monkeypatch.setattr(export, "FORMATS", tuple(formats))

    with pytest.raises(ExportError, match=message):
        export.export_bundle(tiny_run, tmp_path / "models" / "tiny", tiny_dataset)
    assert list((tmp_path / "models").iterdir()) == []


def test_a_file_with_other_probabilities_is_refused(
    tiny_run: Path,
    tiny_bundle: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepfer_training import export
    from deepfer_training.calibration import fold_temperature

    # The same answers, but a little less sure.
    other = fold_temperature(_load(tiny_bundle), 1.05)
    monkeypatch.setattr(export, "FORMATS", (_converted_format("float32", other),))

    with pytest.raises(ExportError, match=r"model\.tflite differs from the Keras model by 0\.0"):
        export.export_bundle(tiny_run, tmp_path / "tiny", tiny_dataset)
    assert list(tmp_path.iterdir()) == []


def _measured(accuracy: float, difference: float = 0.0) -> Any:  # noqa: ANN401 - like an Evaluation
    return SimpleNamespace(
        split="PublicTest",
        fer2013=SimpleNamespace(accuracy=accuracy),
        comparison=SimpleNamespace(largest_difference=difference),
    )


@pytest.mark.parametrize(
    ("name", "largest_loss", "largest_difference"),
    [
        ("float32", 0.001, 1e-3),
        ("float16", 0.003, 0.05),
        ("int8", 0.003, 1.0),
        ("onnx", 0.001, 1e-3),
    ],
)
def test_what_files_may_lose(name: str, largest_loss: float, largest_difference: float) -> None:
    from deepfer_training.export import FORMATS, OPTIONAL_FORMATS, _check_losses

    def check(loss: float, difference: float) -> None:
        evaluations = {entry.file: _measured(0.7) for entry in FORMATS}
        evaluations["model.keras"] = _measured(0.7)
        (file,) = (entry.file for entry in FORMATS if entry.name == name)
        evaluations[file] = _measured(0.7 - loss, difference)
        _check_losses(evaluations, "fer2013", ())

    assert [entry.name for entry in FORMATS] == ["float32", *OPTIONAL_FORMATS]
    check(0.99 * largest_loss, 0.99 * largest_difference)
    for loss in (1.01 * largest_loss, float("nan")):
        with pytest.raises(ExportError, match="points of accuracy on PublicTest"):
            check(loss, 0.0)
    for difference in (1.01 * largest_difference, float("nan")):
        with pytest.raises(ExportError, match="differs from the Keras model by"):
            check(0.0, difference)


def test_a_model_that_diverged_is_refused(
    tiny_bundle: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    from deepfer_training.export import export_bundle

    path = tmp_path / "diverged.keras"
    _spoil(_load(tiny_bundle), float("nan")).save(path)

    with pytest.raises(ModelFileError, match=r"diverged\.keras gives values that are no numbers"):
        export_bundle(path, tmp_path / "tiny", tiny_dataset)
    assert [path.name for path in tmp_path.iterdir()] == ["diverged.keras"]


def test_a_file_that_cannot_be_used_can_be_left_out(
    tiny_run: Path,
    tiny_bundle: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepfer_training import export

    # Weights that are too large for float16 become infinite, say.
    broken = _converted_format("float16", _spoil(_load(tiny_bundle), float("nan")))
    monkeypatch.setattr(export, "FORMATS", (_copied_format(tiny_bundle, "float32"), broken))

    with pytest.raises(
        ExportError, match=r"float16\.tflite cannot be used: .*'--without float16'"
    ):
        export.export_bundle(tiny_run, tmp_path / "tiny", tiny_dataset)
    folder = export.export_bundle(tiny_run, tmp_path / "tiny", tiny_dataset, without=("float16",))

    bundle = read_bundle(folder)
    assert set(bundle["files"]) == set(bundle["metrics"]) == {"model.keras", "model.tflite"}
    assert bundle["left_out"] == {}
    assert "model_float16.tflite" not in (folder / "MODEL_CARD.md").read_text()


def test_a_full_disk_is_told(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepfer_training import export

    def fill_disk(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(export, "_write_files", fill_disk)

    with pytest.raises(ExportError, match=rf"Cannot write to {tmp_path}: No space left on device"):
        export.export_bundle(tiny_run, tmp_path / "tiny", tiny_dataset)
    assert list(tmp_path.iterdir()) == []


def test_a_file_may_be_better_than_the_model_but_not_worse(
    tiny_bundle: Path, tiny_dataset: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from deepfer_training import export

    good = tmp_path / "good.keras"
    shutil.copy(tiny_bundle / "model.keras", good)
    spoilt = _spoil(_load(tiny_bundle))
    spoilt.save(tmp_path / "spoilt.keras")
    # The limit of the accuracy is the one that users get.
    shipped = dataclasses.replace(export.FORMATS[0], largest_difference=1.0)
    worse = dataclasses.replace(
        shipped, convert=lambda model, examples: export.convert_to_float32(spoilt, examples)
    )
    better = dataclasses.replace(
        shipped, convert=lambda model, examples: (tiny_bundle / "model.tflite").read_bytes()
    )

    monkeypatch.setattr(export, "FORMATS", (worse,))
    with pytest.raises(
        ExportError, match=r"model\.tflite loses [1-9]\d\.\d\d points .* instead of"
    ):
        export.export_bundle(good, tmp_path / "tiny", tiny_dataset)
    monkeypatch.setattr(export, "FORMATS", (better,))
    export.export_bundle(tmp_path / "spoilt.keras", tmp_path / "tiny", tiny_dataset)

    metrics = read_bundle(tmp_path / "tiny")["metrics"]
    accuracies = [
        metrics[file]["PublicTest"]["accuracy"] for file in ("model.keras", "model.tflite")
    ]
    assert accuracies[0] < 0.3 < accuracies[1]


@pytest.mark.parametrize("calibrate", ["none", "fer2013"])
def test_a_file_is_judged_by_the_labels_that_the_model_is_for(
    tiny_bundle: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    float_only: None,
    calibrate: str,
) -> None:
    from deepfer_training import export

    judged = []

    def note_labels(evaluations: object, labels: str, without: object) -> None:
        judged.append(labels)

    monkeypatch.setattr(export, "_check_losses", note_labels)
    bundle = tmp_path / "votes"
    shutil.copytree(tiny_bundle, bundle)
    described = read_bundle(bundle)
    described["provenance"]["head"]["votes_weight"] = 1.0
    (bundle / "bundle.json").write_text(json.dumps(described))

    export.export_bundle(bundle, tmp_path / "new", tiny_dataset, calibrate=calibrate)

    assert judged == ["ferplus"]


def test_a_name_that_is_too_long_is_refused(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    from deepfer_training.export import export_bundle

    with pytest.raises(ExportError, match=rf"Cannot write to {tmp_path}: File name too long"):
        export_bundle(tiny_run, tmp_path / ("n" * 300), tiny_dataset)


def test_an_output_that_cannot_be_written_is_refused(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    from deepfer_training.export import export_bundle

    (tmp_path / "file").write_text("no folder")

    with pytest.raises(ExportError, match=r"Cannot write to .*file: .* Give --output a folder"):
        export_bundle(tiny_run, tmp_path / "file" / "mine", tiny_dataset)


def test_what_is_left_out_is_measured_but_not_written(
    tiny_run: Path,
    tiny_bundle: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepfer_training import export

    formats = [_copied_format(tiny_bundle, "float32")]
    # A file that is not written may lose what it likes.
    spoilt = _spoil(_load(tiny_bundle))
    formats += [_converted_format(name, spoilt) for name in ("int8", "onnx")]
    sizes = {entry.file: len(entry.convert(None, None)) for entry in formats[1:]}
    monkeypatch.setattr(export, "FORMATS", tuple(formats))

    folder = export.export_bundle(
        tiny_run, tmp_path / "tiny", tiny_dataset, without=("int8", "onnx")
    )

    bundle = read_bundle(folder)
    assert {path.name for path in folder.iterdir()} == {
        "model.keras",
        "model.tflite",
        *_CHARTS,
        "bundle.json",
        "MODEL_CARD.md",
    }
    assert set(bundle["files"]) == {"model.keras", "model.tflite"}
    assert bundle["left_out"] == {file: {"size_bytes": size} for file, size in sizes.items()}
    assert bundle["runtime_file"] == "model.tflite"
    assert bundle["metrics"]["model.onnx"]["PrivateTest"]["images"] == 42
    card = (folder / "MODEL_CARD.md").read_text()
    assert "| `model.onnx`, left out |" in card
    assert "deepfer export tiny/model.keras --calibrate none" in card


def test_mean_and_spread_of_several_seeds(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path, float_only: None
) -> None:
    from deepfer_training.export import export_bundle

    others = [copy_run(tiny_run, tmp_path / f"seed{seed}", seed=seed) for seed in (8, 9)]

    folder = export_bundle(tiny_run, tmp_path / "tiny", tiny_dataset, other_seeds=others)

    bundle = read_bundle(folder)
    seeds = bundle["seeds"]
    reported = bundle["metrics"]["model.tflite"]["PrivateTest"]
    assert seeds["split"] == "PrivateTest"
    assert [model["seed"] for model in seeds["models"]] == [7, 8, 9]
    for model in seeds["models"]:
        # The same weights, calibrated alike.
        assert model["fer2013"]["accuracy"] == reported["accuracy"]
        assert model["fer2013"]["ece"] == pytest.approx(reported["ece"], abs=1e-4)
        assert model["fer2013"]["worst_recall"] == min(reported["recall"].values())
        assert model["ferplus"]["macro_f1"] == reported["ferplus"]["macro_f1"]
    summary = seeds["summary"]
    assert summary["models"] == 3
    assert summary["accuracy"]["mean"] == pytest.approx(reported["accuracy"], abs=1e-5)
    assert summary["ferplus"]["accuracy"]["std"] == 0
    assert seeds["commands"] == ["deepfer train tiny.yaml"]
    card = (folder / "MODEL_CARD.md").read_text()
    again = card.partition("## How to make it again")[2]
    assert again.count("deepfer train tiny.yaml") == 1
    accuracy = f"{100 * reported['accuracy']:.1f} %"
    assert (
        f"| FER-2013 labels: accuracy | {accuracy} ± 0.0 % | {accuracy} to {accuracy} | "
        f"{accuracy} | {accuracy} | {accuracy} |"
    ) in card
    assert "This bundle holds seed 7." in " ".join(card.split())


def test_a_seed_of_an_older_version_can_be_compared(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path, float_only: None
) -> None:
    from deepfer_training.export import export_bundle

    older = copy_run(tiny_run, tmp_path / "older", seed=8)
    recipe = json.loads((older / "recipe.json").read_text())
    # Fields that came later; their defaults are what was done before.
    del recipe["public_test_share"], recipe["heads"][0]["teacher_view"]
    (older / "recipe.json").write_text(json.dumps(recipe))

    folder = export_bundle(tiny_run, tmp_path / "tiny", tiny_dataset, other_seeds=[older])

    assert [model["seed"] for model in read_bundle(folder)["seeds"]["models"]] == [7, 8]


def test_a_bundle_that_is_calibrated_again_keeps_what_it_was_without(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path, float_only: None
) -> None:
    from deepfer_training.export import export_bundle

    folders = [tiny_run]
    for number, labels in enumerate(("fer2013", "fer2013", "ferplus", "none")):
        output = tmp_path / f"{number}"
        export_bundle(folders[-1], output, tiny_dataset, calibrate=labels)
        folders.append(output)
    first, same, other, kept = (
        read_bundle(folder)["provenance"]["calibration"] for folder in folders[1:]
    )

    assert first["temperature"] != 1
    assert first["ece_after"] < first["ece_before"]
    # It is calibrated: its temperature stays, and so does what it was without.
    assert same == first
    direct = export_bundle(tiny_run, tmp_path / "direct", tiny_dataset, calibrate="ferplus")
    expected = read_bundle(direct)["provenance"]["calibration"]
    # Surer of the votes, which agree with what it says more often.
    assert (other["labels"], other["temperature"] < first["temperature"]) == ("ferplus", True)
    assert other["ece_before"] == pytest.approx(expected["ece_before"], abs=1e-4)
    assert kept == other


def test_a_temperature_that_was_looked_for_in_vain_is_told(
    tiny_run: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    float_only: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepfer_training import export

    monkeypatch.setattr(export, "fit_temperature", lambda labels, probabilities: 1.0)
    plain = export.export_bundle(tiny_run, tmp_path / "1", tiny_dataset, calibrate="none")

    folder = export.export_bundle(plain, tmp_path / "2", tiny_dataset, calibrate="ferplus")

    before, now = (read_bundle(bundle)["provenance"]["calibration"] for bundle in (plain, folder))
    assert (before["labels"], now["labels"]) == ("none", "ferplus")
    assert now["temperature"] == 1.0
    assert now["ece_before"] == now["ece_after"] != before["ece_after"]
    words = " ".join((folder / "MODEL_CARD.md").read_text().split())
    assert "no temperature made them fit better on PublicTest" in words


def test_a_bundle_from_a_bundle_says_how_that_one_came_about(
    tiny_bundle: Path,
    tiny_run: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    float_only: None,
) -> None:
    from deepfer_training.export import export_bundle

    other = copy_run(tiny_run, tmp_path / "other", seed=8)
    run = json.loads((other / "run.json").read_text()) | {"command": "deepfer train --seed 8"}
    (other / "run.json").write_text(json.dumps(run))
    steps = ["deepfer train tiny.yaml", "deepfer export runs/tiny", "deepfer export tiny"]

    folder = export_bundle(
        tiny_bundle / "model.keras", tmp_path / "second", tiny_dataset, command=steps[-1]
    )
    assert _steps_of(folder) == steps
    # Written again by the same command, and with another seed.
    for command, seeds, expected in (
        (steps[-1], [], steps),
        ("deepfer export second", [other], [*steps, run["command"], "deepfer export second"]),
    ):
        export_bundle(
            folder, folder, tiny_dataset, other_seeds=seeds, command=command, replace=True
        )
        assert _steps_of(folder) == expected


def _steps_of(bundle: Path) -> list[str]:
    """Return the commands that make a bundle again, as its card has them, without the last."""
    section = (bundle / "MODEL_CARD.md").read_text().partition("## How to make it again")[2]
    lines = [line.strip() for line in section.splitlines() if line.startswith("    deepfer")]
    assert lines[-1].startswith("deepfer evaluate")
    return lines[:-1]


def test_votes_without_a_majority_cannot_calibrate(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    from deepfer_training.export import export_bundle

    votes = np.zeros_like(tiny_dataset.votes)
    # Not a face.
    votes[:, -1] = 10
    undecided = dataclasses.replace(tiny_dataset, votes=votes)

    with pytest.raises(DatasetError, match="none of 42 of PublicTest has a majority"):
        export_bundle(tiny_run, tmp_path / "tiny", undecided, calibrate="ferplus")


def test_a_model_that_is_none_of_its_run_is_refused(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    from deepfer_training.export import export_bundle

    recipe = json.loads((tiny_run / "recipe.json").read_text())
    head = recipe["heads"][0]
    heads = [head | {"name": name} for name in ("one", "two")]
    run = copy_run(tiny_run, tmp_path / "run", heads=heads)

    with pytest.raises(ModelFileError, match=r"model\.keras is none of the models .* one, two\."):
        export_bundle(run / "model.keras", tmp_path / "tiny", tiny_dataset)


def test_what_was_learned_from_public_test_is_not_measured(
    tiny_run: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    float_only: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepfer_training import export

    checked = []

    def check(evaluations: dict[str, Any], *others: object) -> None:
        checked.extend(entry.fer2013.images for entry in evaluations.values())

    monkeypatch.setattr(export, "_check_losses", check)
    run = copy_run(tiny_run, tmp_path / "run", public_test_share=0.5)
    unlearned = len(tiny_dataset.learn_from_public_test(0.5).split("PublicTest"))

    folder = export.export_bundle(run, tmp_path / "tiny", tiny_dataset)

    metrics = read_bundle(folder)["metrics"]["model.tflite"]
    assert metrics["PublicTest"]["images"] == unlearned < 42
    assert metrics["PrivateTest"]["images"] == 42
    # What a file loses is looked for in all pictures.
    assert checked == [42, 42]
    words = " ".join((folder / "MODEL_CARD.md").read_text().split())
    assert f"{42 - unlearned} of its 42 pictures were learned from, too" in words
    assert f"The temperature is fitted on the other {unlearned}, and figures on" in words
    assert "| learned from | Training and 50 % of PublicTest, by content |" in words


@pytest.mark.parametrize("share", [1, -0.5, "half", None])
def test_a_share_that_is_none_is_refused(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path, share: object
) -> None:
    from deepfer_training.export import export_bundle

    run = copy_run(tiny_run, tmp_path / "run", public_test_share=share)

    with pytest.raises(ModelFileError, match=f"is {share!r}, allowed: 0 to below 1"):
        export_bundle(run, tmp_path / "tiny", tiny_dataset)


@pytest.mark.parametrize("provenance", [["tiny"], {"recipe": "tiny"}])
def test_a_recipe_that_is_none_is_refused(
    tiny_bundle: Path, tiny_dataset: FaceDataset, tmp_path: Path, provenance: object
) -> None:
    from deepfer_training.export import export_bundle

    folder = tmp_path / "other"
    shutil.copytree(tiny_bundle, folder)
    bundle = read_bundle(folder) | {"provenance": provenance}
    (folder / "bundle.json").write_text(json.dumps(bundle))

    with pytest.raises(ModelFileError, match="mapping of fields"):
        export_bundle(folder, tmp_path / "tiny", tiny_dataset)


def test_models_that_differ_in_more_than_the_seed_are_refused(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    from deepfer_training.export import export_bundle

    same = copy_run(tiny_run, tmp_path / "same")
    other = copy_run(tiny_run, tmp_path / "other", seed=8, name="larger", crop_margin=0.5)
    elsewhere, taught, more = (
        copy_run(tiny_run, tmp_path / name, seed=seed)
        for seed, name in enumerate(("elsewhere", "taught", "more"), 9)
    )
    for folder, changes in (
        (elsewhere, {"data_sha256": "0" * 64}),
        (taught, {"teachers": ["other"]}),
        (more, {"unlabelled_sha256": "0" * 64}),
    ):
        run = json.loads((folder / "run.json").read_text()) | changes
        (folder / "run.json").write_text(json.dumps(run))
    bare = tmp_path / "bare"
    bare.mkdir()
    shutil.copy(tiny_run / "model.keras", bare)

    for seeds, message in (
        ([same], r"same/model\.keras has the seed 7, and so has .*/tiny/model\.keras"),
        ([other], r"other/model\.keras differs from .* in crop_margin, name; only models"),
        ([elsewhere], r"elsewhere/model\.keras differs from .* in data; only models"),
        ([more], r"more/model\.keras differs from .* in pictures without labels; only models"),
        ([taught], r"taught/model\.keras differs from .* in what it starts from or learns from; "),
        ([bare], r"bare/model\.keras came without a record of its training"),
    ):
        with pytest.raises(ExportError, match=message):
            export_bundle(tiny_run, tmp_path / "out", tiny_dataset, other_seeds=seeds)
    assert not (tmp_path / "out").exists()


def test_converters_want_tensorflow(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    from deepfer_training.export import FORMATS

    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")

    for entry in FORMATS:
        with pytest.raises(ExportError, match=r"Keras runs on torch, but .*KERAS_BACKEND=tenso"):
            entry.convert(None, np.empty((0, 48, 48), np.uint8))


@pytest.mark.parametrize(
    ("asked", "head", "labels"),
    [
        ("auto", {"votes_weight": 0.5}, "fer2013"),
        ("auto", {"votes_weight": 0.8}, "ferplus"),
        ("auto", None, "fer2013"),
        ("fer2013", {"votes_weight": 0.8}, "fer2013"),
        ("ferplus", {"votes_weight": 0.0}, "ferplus"),
        ("none", {"votes_weight": 0.5}, "none"),
    ],
)
def test_what_the_probabilities_are_calibrated_for(
    tiny_dataset: FaceDataset, asked: str, head: dict[str, Any] | None, labels: str
) -> None:
    from deepfer_training.export import choose_calibration_labels

    assert choose_calibration_labels(asked, head, tiny_dataset) == labels


def test_without_votes_there_is_nothing_but_labels(tiny_dataset: FaceDataset) -> None:
    from deepfer_training.export import choose_calibration_labels

    plain = dataclasses.replace(tiny_dataset, votes=None)

    assert choose_calibration_labels("auto", {"votes_weight": 0.8}, plain) == "fer2013"


def test_a_bundle_does_not_say_where_files_lie(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path: Path, float_only: None
) -> None:
    from deepfer_training.export import export_bundle

    network = {"architecture": "resnet50v2", "weights": "/home/me/weights.h5"}
    run = copy_run(tiny_run, tmp_path / "run", network=network)

    folder = export_bundle(run, tmp_path / "tiny", tiny_dataset)

    for file in ("bundle.json", "MODEL_CARD.md"):
        assert "/home/me" not in (folder / file).read_text()
    weights = read_bundle(folder)["provenance"]["recipe"]["network"]["weights"]
    assert weights == "weights.h5"


@pytest.mark.parametrize("source", [".", "../faces", "faces.csv/..", "/somewhere/faces"])
def test_the_data_are_known_by_their_name(
    tiny_dataset: FaceDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
) -> None:
    from deepfer_training.export import _describe_data

    (tmp_path / "faces").mkdir()
    monkeypatch.chdir(tmp_path / "faces")

    described = _describe_data(dataclasses.replace(tiny_dataset, source=source), unlearned=42)

    assert described["source"] == "faces"
    assert described["options"] == "--data faces --ferplus fer2013new.csv"


def test_what_is_no_trained_model_is_refused(
    tiny_run: Path, tiny_bundle: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    from deepfer_training.export import export_bundle

    broken = tmp_path / "broken"
    shutil.copytree(tiny_run, broken)
    (broken / "recipe.json").write_text("{")

    with pytest.raises(RunError, match=r"recipe\.json"):
        export_bundle(broken, tmp_path / "out", tiny_dataset)
    with pytest.raises(ModelFileError, match="only Keras models can be exported"):
        export_bundle(tiny_bundle / "model.tflite", tmp_path / "out", tiny_dataset)
    with pytest.raises(ModelFileError, match=r"missing\.keras"):
        export_bundle(tmp_path / "missing.keras", tmp_path / "out", tiny_dataset)
    with pytest.raises(DatasetError, match="no row in split 'PublicTest'"):
        export_bundle(tiny_run, tmp_path / "out", tiny_dataset.split("Training"))
    assert not (tmp_path / "out").exists()


def test_runtime_and_training_see_the_same_face(
    tiny_bundle: Path, tiny_dataset: FaceDataset
) -> None:
    from deepfer_ros.recognition.classifier import load_classifier
    from deepfer_ros.recognition.cropping import crop_faces
    from deepfer_ros.recognition.model_bundle import load_bundle
    from deepfer_ros.recognition.types import FaceDetections

    face = tiny_dataset.images[3]
    picture = np.zeros((100, 120, 3), np.uint8)
    picture[20:68, 30:78] = face[..., np.newaxis]
    detections = FaceDetections(
        boxes_xywh=np.array([[30, 20, 48, 48]], np.float32),
        landmarks=np.full((1, 5, 2), np.nan, np.float32),
        confidences=np.ones(1, np.float32),
    )

    crops = crop_faces(picture, detections, size_px=48, margin=0.0)

    np.testing.assert_array_equal(crops[0], face)
    np.testing.assert_array_equal(
        load_classifier(load_bundle(tiny_bundle)).classify(crops),
        predict(load_predictor(tiny_bundle / "model_int8.tflite"), face[np.newaxis]),
    )
