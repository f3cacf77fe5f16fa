import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from deepfer_training.commands import evaluate, export, train
from deepfer_training.config import TrainingConfig
from deepfer_training.fer2013 import LABELS, FaceDataset

pytest.importorskip("tensorflow", reason="training needs TensorFlow")


def _run(command: object, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]


def test_train_evaluate_and_export_as_a_user_would(
    tiny_files: tuple[Path, Path],
    tiny_config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepfer_training import export as exporting

    # The int8 file takes longest to make and has its tests elsewhere.
    monkeypatch.setattr(exporting, "FORMATS", exporting.FORMATS[:1])
    data = ("--data", tiny_files[0], "--ferplus", tiny_files[1])
    recipe, run, bundle = tmp_path / "tiny.yaml", tmp_path / "run", tmp_path / "tiny"
    recipe.write_text(json.dumps(dataclasses.asdict(tiny_config)))

    trained = _run(train, recipe, *data, "--output", run)
    assert trained.exit_code == 0, trained.output
    assert "epoch 8/8" in trained.stdout
    again = _run(train, recipe, *data, "--output", run)
    assert again.exit_code == 1
    assert "holds a run already. Give --resume" in again.stderr
    assert _run(train, recipe, *data, "--output", run, "--resume").exit_code == 0

    # Whatever Keras runs on elsewhere: TensorFlow converts.
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    exported = _run(export, run, "--output", bundle, *data)
    assert exported.exit_code == 0, exported.output
    assert exported.stdout == f"Bundle: {bundle}\n"
    provenance = json.loads((bundle / "bundle.json").read_text())["provenance"]
    assert provenance["training"]["command"] == (
        "deepfer train tiny.yaml --data fer2013.csv --ferplus fer2013new.csv --output run"
    )
    assert provenance["export"]["command"] == (
        "deepfer export run --output tiny --data fer2013.csv --ferplus fer2013new.csv"
    )

    evaluated = _run(evaluate, bundle, *data, "--json", "--robustness", "--tta")
    assert evaluated.exit_code == 0, evaluated.output
    (line,) = evaluated.stdout.splitlines()
    measured = json.loads(line)
    described = json.loads((bundle / "bundle.json").read_text())["metrics"]["model.tflite"]
    for values in (measured, described["PrivateTest"]):
        del values["ms_per_face"]
    described["PrivateTest"].pop("comparison")
    assert measured == described["PrivateTest"]


def test_the_json_of_the_contract(tiny_bundle: Path, tiny_files: tuple[Path, Path]) -> None:
    data = ("--data", tiny_files[0], "--ferplus", tiny_files[1])

    result = _run(evaluate, tiny_bundle, *data, "--split", "PublicTest", "--json")

    values = json.loads(result.stdout)
    assert list(values)[:4] == ["model", "file", "split", "images"]
    assert {"accuracy", "macro_f1", "recall", "ece", "ferplus", "ms_per_face"} <= set(values)
    assert list(values["recall"]) == list(LABELS)
    assert {"images", "accuracy", "macro_f1", "ece"} <= set(values["ferplus"])
    assert values["split"] == "PublicTest"


def test_tables_for_people(tiny_bundle: Path, tiny_files: tuple[Path, Path]) -> None:
    result = _run(
        evaluate, tiny_bundle, "--data", tiny_files[0], "--compare", tiny_bundle / "model.keras"
    )

    assert result.exit_code == 0, result.output
    for text in ("tiny (model.tflite) on PrivateTest", "Against model.keras", "Confusion"):
        assert text in result.stdout
    assert "FER+" not in result.stdout


def test_assumed_labels_are_said(tiny_run: Path, tiny_files: tuple[Path, Path]) -> None:
    result = _run(evaluate, tiny_run, "--data", tiny_files[0], "--json")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["model"] == "tiny"
    assert "no bundle.json beside it: its outputs are taken for the seven" in result.stderr


def test_several_models_are_summed_up(tiny_bundle: Path, tiny_files: tuple[Path, Path]) -> None:
    data = ("--data", tiny_files[0], "--ferplus", tiny_files[1], "--split", "PublicTest")
    models = (tiny_bundle, tiny_bundle / "model_int8.tflite", tiny_bundle / "model.onnx")

    printed = _run(evaluate, *models, *data, "--tta")
    result = _run(evaluate, *models, *data, "--json")

    assert printed.exit_code == result.exit_code == 0, printed.output + result.output
    *values, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert [entry["file"] for entry in values] == [
        "model.tflite",
        "model_int8.tflite",
        "model.onnx",
    ]
    (alone,) = _run(evaluate, tiny_bundle, *data, "--json").stdout.splitlines()
    assert {**json.loads(alone), "ms_per_face": 0} == {**values[0], "ms_per_face": 0}
    summary = last["summary"]
    assert (summary["split"], summary["models"]) == ("PublicTest", 3)
    accuracies = [entry["accuracy"] for entry in values]
    assert summary["accuracy"]["mean"] == pytest.approx(sum(accuracies) / 3, abs=1e-6)
    assert summary["accuracy"]["max"] == max(accuracies)
    assert {"mean", "std", "min", "max"} == set(summary["ferplus"]["worst_recall"])
    for text in ("mean ± std", "model.onnx", "PublicTest, FER+ strict, TTA"):
        assert text in printed.stdout


def test_what_a_model_learned_from_is_not_measured(
    tiny_bundle: Path, tiny_dataset: FaceDataset, tiny_files: tuple[Path, Path], tmp_path: Path
) -> None:
    data = ("--data", tiny_files[0], "--split", "PublicTest")
    sharing = tmp_path / "sharing"
    shutil.copytree(tiny_bundle, sharing)
    bundle = json.loads((sharing / "bundle.json").read_text())
    recipe = bundle["provenance"]["recipe"]
    recipe["public_test_share"] = 0.5
    (sharing / "bundle.json").write_text(json.dumps(bundle))
    unlearned = len(tiny_dataset.learn_from_public_test(0.5).split("PublicTest"))

    result = _run(evaluate, sharing, *data, "--json")
    both = _run(evaluate, tiny_bundle, sharing, *data, "--json")
    private = _run(evaluate, sharing, "--data", tiny_files[0], "--json")

    assert json.loads(result.stdout)["images"] == unlearned < 42
    assert f"{42 - unlearned} pictures of PublicTest are left out" in result.stderr
    # Models are compared on the same pictures.
    first, second, _ = map(json.loads, both.stdout.splitlines())
    assert first["images"] == second["images"] == unlearned
    assert json.loads(private.stdout)["images"] == 42
    assert "left out" not in private.stderr
    # Other splits do not ask what remains of PublicTest.
    recipe["public_test_share"] = 0.999999
    (sharing / "bundle.json").write_text(json.dumps(bundle))
    assert "leaves none of them" in _run(evaluate, sharing, *data).stderr
    assert _run(evaluate, sharing, "--data", tiny_files[0]).exit_code == 0


def test_litert_files_are_evaluated_without_keras(
    tiny_bundle: Path, tiny_files: tuple[Path, Path]
) -> None:
    program = (
        "import sys; sys.modules['keras'] = None; "
        "from deepfer_training.commands import evaluate; evaluate()"
    )
    arguments = (tiny_bundle, "--data", tiny_files[0], "--json")

    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["images"] == 42


def test_a_model_that_is_named_twice_has_two_rows(
    tiny_bundle: Path, tiny_files: tuple[Path, Path]
) -> None:
    model = tiny_bundle / "model.tflite"

    result = _run(evaluate, model, model, "--data", tiny_files[0])

    assert result.exit_code == 0, result.output
    for number in (1, 2):
        assert f"{number}: {model}" in result.stdout
    rows = [line.split()[1] for line in result.stdout.splitlines() if line.startswith("│")]
    assert rows[:3] == ["1", "2", "mean"]


@pytest.mark.parametrize("name", ["run[/1]", "m[bold]", "a[link=x]"])
def test_square_brackets_in_names_are_no_markup(
    tiny_run: Path, tiny_files: tuple[Path, Path], tmp_path: Path, name: str
) -> None:
    model, data = tmp_path / name / "m[seed1].keras", tmp_path / name / "fer2013.csv"
    model.parent.mkdir(parents=True)
    shutil.copy(tiny_run / "model.keras", model)
    shutil.copy(tiny_files[0], data)

    result = _run(evaluate, model, "--data", data)

    assert result.exit_code == 0, result.output
    assert f"{model} has no bundle.json beside it" in result.stderr
    assert "m[seed1] (m[seed1].keras) on PrivateTest" in result.stdout


def test_a_comparison_is_of_one_model(tiny_bundle: Path, tiny_files: tuple[Path, Path]) -> None:
    models = (tiny_bundle, tiny_bundle)

    result = _run(evaluate, *models, "--data", tiny_files[0], "--compare", tiny_bundle)

    assert result.exit_code == 2
    assert "--compare takes one MODEL" in result.stderr


@pytest.mark.parametrize("file", ["model_float16.tflite", "model.onnx", "model.keras"])
def test_every_file_is_evaluated(
    tiny_bundle: Path, tiny_files: tuple[Path, Path], file: str
) -> None:
    result = _run(evaluate, tiny_bundle / file, "--data", tiny_files[0], "--json")

    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert (values["file"], values["ferplus"]) == (file, None)


def test_a_folder_of_pictures_is_evaluated(
    tiny_bundle: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    shown = tiny_dataset.split("PrivateTest")
    for number, (image, label) in enumerate(zip(shown.images, shown.labels, strict=True)):
        if LABELS[label] not in ("disgust", "fear"):
            folder = tmp_path / "test" / LABELS[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{number}.png")

    result = _run(evaluate, tiny_bundle, "--data", tmp_path, "--json")

    assert result.exit_code == 0, result.output
    values = json.loads(result.stdout)
    assert values["images"] == 30
    assert values["recall"]["fear"] is None


def test_what_was_decided_about_data_is_said(
    tiny_bundle: Path, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    faces = tiny_dataset.split("Training")
    for number, (image, label) in enumerate(zip(faces.images, faces.labels, strict=True)):
        folder = tmp_path / LABELS[label]
        folder.mkdir(exist_ok=True)
        Image.fromarray(image).save(folder / f"{number}.png")

    result = _run(evaluate, tiny_bundle, "--data", tmp_path, "--json")

    assert result.exit_code == 0, result.output
    assert "112 pictures lie in no folder of a split" in result.stderr
    # Programs read this.
    assert 0 < json.loads(result.stdout)["images"] < 112


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nosuch", "--data", "DATA"), "Error: Model 'nosuch' is neither an existing file"),
        (("MODEL", "--data", "nosuch.csv"), "Error: Cannot read nosuch.csv"),
        (("MODEL", "--data", "DATA", "--ferplus", "nosuch.csv"), "Cannot read nosuch.csv"),
        (("MODEL", "--data", "DATA", "--split", "Test"), "'Test' is not one of 'Training'"),
        (("MODEL",), "Missing option '--data'"),
        (("~nosuchuser/x", "--data", "DATA"), "the home folder of '~nosuchuser' is not known"),
        (("", "--data", "DATA"), "Error: The name of the model is empty"),
    ],
)
def test_errors_are_one_line(
    tiny_bundle: Path,
    tiny_files: tuple[Path, Path],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    values = {"MODEL": str(tiny_bundle), "DATA": str(tiny_files[0])}

    result = _run(evaluate, *(values.get(argument, argument) for argument in arguments))

    assert result.exit_code in (1, 2)
    assert message in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("name", ["theano", ""])
def test_a_backend_that_keras_lacks_is_named(
    tiny_bundle: Path,
    tiny_files: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", name)

    result = _run(evaluate, tiny_bundle, "--data", tiny_files[0])

    assert result.exit_code == 1
    assert f"KERAS_BACKEND is '{name}', allowed: tensorflow, jax, torch." in result.stderr


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What trainings and exports would record as their commands, instead of being done."""
    from deepfer_training import export as exporting
    from deepfer_training import training

    commands: list[str] = []

    def note_command(*arguments: object, command: str, **options: object) -> list[Path]:
        commands.append(command)
        return []

    monkeypatch.setattr(training, "train", note_command)
    monkeypatch.setattr(exporting, "export_bundle", note_command)
    return commands


def test_a_recorded_command_can_be_pasted(
    tiny_files: tuple[Path, Path],
    tiny_config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commands: list[str],
) -> None:
    import keras

    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    recipe = tmp_path / "my recipe.yaml"
    recipe.write_text(json.dumps(dataclasses.asdict(tiny_config)))
    data = ("--data", tiny_files[0], "--ferplus", tiny_files[1])
    monkeypatch.chdir(tmp_path)

    more = ("--unlabelled", tmp_path / "faces", "--distribute", "devices")
    result = _run(train, recipe, *data, "--seed", 3, *more, "--output", "runs/my run")

    assert result.exit_code == 0, result.output
    assert commands == [
        "KERAS_BACKEND=jax deepfer train 'my recipe.yaml' --data fer2013.csv "
        "--ferplus fer2013new.csv --seed 3 --unlabelled faces --distribute devices "
        "--output 'runs/my run'"
    ]


@pytest.mark.parametrize("data", [".", "../faces", "deeper/.."])
def test_data_are_recorded_by_their_name_wherever_the_command_runs(
    tiny_files: tuple[Path, Path],
    tiny_config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    commands: list[str],
    data: str,
) -> None:
    # The export sets it.
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    faces = tmp_path / "faces"
    (faces / "deeper").mkdir(parents=True)
    shutil.copy(tiny_files[0], faces)
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(json.dumps(dataclasses.asdict(tiny_config)))
    monkeypatch.chdir(faces)

    for command, source in ((train, recipe), (export, "run")):
        result = _run(command, source, "--data", data, "--output", "out")
        assert result.exit_code == 0, result.output

    assert commands == [
        "deepfer train tiny.yaml --data faces --output out",
        "deepfer export run --output out --data faces",
    ]


def test_every_way_to_distribute_can_be_asked_for() -> None:
    from deepfer_training.distribution import MODES

    (option,) = (option for option in train.params if option.name == "distribute")

    # The command line has a list of its own, so that its help need not import Keras.
    assert tuple(option.type.choices) == MODES  # type: ignore[attr-defined]
