"""The shipped models on the real data set, where that is present."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from deepfer_training.commands import evaluate
from deepfer_training.config import load_config
from deepfer_training.model_card import CARD_FILE, write_card
from deepfer_training.model_files import find_model, read_bundle, shipped_models
from deepfer_training.training_records import public_test_share, read_recipe

_REPOSITORY = Path(__file__).parents[2]
_DATASETS = Path(
    os.environ.get("DEEPFER_DATASETS", _REPOSITORY.parent / "shared" / "datasets")
).resolve()
_FER2013, _FERPLUS = _DATASETS / "fer2013.csv.xz", _DATASETS / "fer2013new.csv"

_needs_data = pytest.mark.skipif(
    not (_FER2013.exists() and _FERPLUS.exists()),
    reason=f"{_FER2013.name} and {_FERPLUS.name} are not in {_DATASETS}; "
    "DEEPFER_DATASETS names another folder",
)
# A tenth of a point is four pictures; processors round differently, but not that much.
_TOLERANCE = 0.002
_FILES = ("model.keras", "model.tflite", "model_int8.tflite")
# The labels that each model is for, and the least accuracy on them.
_MODELS = {"deepfer48": ("ferplus", 0.85), "deepfer48-fer2013": ("fer2013", 0.70)}


def _scores(values: dict[str, Any], labels: str) -> dict[str, Any]:
    return dict(values["ferplus"]) if labels == "ferplus" else values


@pytest.fixture(scope="module", params=_MODELS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def folder(name: str) -> Path:
    return shipped_models()[name]


@pytest.fixture(scope="module")
def described(folder: Path) -> dict[str, Any]:
    """What the bundle says about each file, on PrivateTest."""
    metrics = read_bundle(folder)["metrics"]
    return {file: splits["PrivateTest"] for file, splits in metrics.items()}


def _measure(*arguments: object) -> dict[str, Any]:
    """Run `deepfer evaluate … --json` on the real data."""
    options = ("--data", _FER2013, "--ferplus", _FERPLUS, "--json")
    result = CliRunner().invoke(evaluate, [str(argument) for argument in (*arguments, *options)])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.fixture(scope="module")
def measured_float(name: str, folder: Path) -> dict[str, Any]:
    return _measure(name, "--split", "PrivateTest", "--compare", folder / "model.keras")


@pytest.mark.model
@pytest.mark.timeout(600)
@_needs_data
def test_the_model_is_as_good_as_its_card_says(
    name: str, measured_float: dict[str, Any], described: dict[str, Any]
) -> None:
    said = described["model.tflite"]

    labels, least = _MODELS[name]
    assert _scores(measured_float, labels)["accuracy"] >= least
    assert measured_float["images"] == said["images"] == 3589
    assert measured_float["ferplus"]["images"] == said["ferplus"]["images"]
    for measured, expected in (
        (measured_float, said),
        (measured_float["ferplus"], said["ferplus"]),
    ):
        for figure in ("accuracy", "macro_f1", "ece"):
            assert measured[figure] == pytest.approx(expected[figure], abs=_TOLERANCE), figure
        for figure in ("precision", "recall", "f1"):
            # One picture of the smallest class is 2 to 6 points.
            assert measured[figure] == pytest.approx(expected[figure], abs=0.07), figure


@pytest.mark.model
@pytest.mark.timeout(600)
@_needs_data
def test_keras_and_litert_agree_on_every_picture(measured_float: dict[str, Any]) -> None:
    assert measured_float["comparison"]["file"] == "model.keras"
    assert measured_float["comparison"]["largest_difference"] <= 1e-3


@pytest.mark.model
@pytest.mark.timeout(600)
@_needs_data
@pytest.mark.parametrize("split", ["PublicTest", "PrivateTest"])
def test_int8_loses_next_to_nothing(name: str, folder: Path, split: str) -> None:
    expected, labels = read_bundle(folder)["metrics"], _MODELS[name][0]

    measured = _scores(_measure(folder / "model_int8.tflite", "--split", split), labels)

    # PublicTest decided that the file may be shipped; PrivateTest has its own luck.
    allowed = 0.003 if split == "PublicTest" else 0.006
    of_float = _scores(expected["model.tflite"][split], labels)["accuracy"]
    assert measured["accuracy"] >= of_float - allowed
    said = _scores(expected["model_int8.tflite"][split], labels)["accuracy"]
    assert measured["accuracy"] == pytest.approx(said, abs=_TOLERANCE)


def test_the_card_says_what_the_bundle_says(folder: Path) -> None:
    assert (folder / CARD_FILE).read_text(encoding="utf-8") == write_card(
        read_bundle(folder), folder
    )


def test_nothing_names_a_path_of_the_machine_it_was_made_on(folder: Path) -> None:
    for file in (CARD_FILE, "bundle.json"):
        text = (folder / file).read_text(encoding="utf-8")
        assert not re.search(r"(^|[\s`\"'=(])/\w", text), file


def test_the_training_is_recorded(name: str, folder: Path) -> None:
    provenance = read_bundle(folder)["provenance"]

    training = provenance["training"]
    recipe = re.match(
        rf"KERAS_BACKEND={training['backend']} deepfer train "
        r"(config/training/deepfer48\S*\.yaml) ",
        training["command"],
    )
    assert recipe
    assert (_REPOSITORY / recipe[1]).is_file()
    assert re.fullmatch("[0-9a-f]{64}", training["data_sha256"])
    assert provenance["recipe"]["name"] == Path(recipe[1]).stem
    assert provenance["head"]["name"] == name
    assert provenance["calibration"]["labels"] == _MODELS[name][0]
    assert provenance["calibration"]["split"] == "PublicTest"


def test_all_files_and_no_others_are_there(folder: Path) -> None:
    bundle = read_bundle(folder)

    described = {*bundle["files"], *bundle.get("charts", []), CARD_FILE, "bundle.json"}
    assert {path.name for path in folder.iterdir()} == described
    assert not set(bundle["files"]) & set(bundle.get("left_out", {}))


@pytest.mark.parametrize("file", _FILES)
def test_every_file_is_the_described_one(name: str, folder: Path, file: str) -> None:
    model = find_model(folder / file)

    assert model.name == name
    assert model.labels is not None
    assert len(model.labels) == 7


@pytest.mark.parametrize("recipe", ["deepfer48-taught", "deepfer48-lowrank"])
def test_recipes_that_go_on_from_the_default_model_may_do_so(recipe: str) -> None:
    config = load_config(_REPOSITORY / "config" / "training" / f"{recipe}.yaml")
    learned = public_test_share(read_recipe(shipped_models()["deepfer48"]))
    assert config.public_test_share >= learned > 0
