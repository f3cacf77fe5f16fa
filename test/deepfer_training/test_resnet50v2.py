"""DeepFER's recipe: what it is made of, and that it trains, stops, fine-tunes and resumes."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from training_runs import finish, run_until_killed, start_training

from deepfer_training.config import (
    ResNet50V2Config,
    TrainingConfig,
    config_from_dict,
    load_config,
)
from deepfer_training.errors import ConfigError
from deepfer_training.fer2013 import FaceDataset

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow", reason="training needs TensorFlow")
pytestmark = pytest.mark.slow

_RECIPE = Path(__file__).parents[2] / "config" / "training" / "resnet50v2.yaml"


def test_the_layers_are_those_of_deepfer() -> None:
    from deepfer_training.resnet50v2 import build_resnet50v2

    layers = keras.layers
    model = build_resnet50v2(ResNet50V2Config("none"), 48, 7)
    reference = keras.applications.ResNet50V2(
        include_top=False, weights=None, input_shape=(48, 48, 3)
    )

    kinds = [type(layer) for layer in model.layers]
    assert kinds == [
        layers.InputLayer,
        layers.Rescaling,
        layers.Concatenate,
        type(reference),
        layers.Dropout,
        layers.BatchNormalization,
        layers.Flatten,
        layers.Dense,
        layers.BatchNormalization,
        layers.Dropout,
        layers.Dense,
        layers.Softmax,
    ]
    scale, base, first, hidden, second, last = (model.layers[i] for i in (1, 3, 4, 7, 9, 10))
    assert scale.scale == pytest.approx(1 / 255)
    assert [(type(layer), layer.get_config().get("filters")) for layer in base.layers] == [
        (type(layer), layer.get_config().get("filters")) for layer in reference.layers
    ]
    assert (first.rate, second.rate) == (0.25, 0.5)
    assert (hidden.units, hidden.activation) == (64, keras.activations.relu)
    assert (last.units, last.activation) == (7, keras.activations.linear)
    answers = model.predict_on_batch(np.full((2, 48, 48, 1), 128, np.float32))
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)


def test_the_recipe_is_that_of_deepfer(tmp_path: Path) -> None:
    from deepfer_training.phases import begin_phase, phase_callbacks, plan_phases
    from deepfer_training.resnet50v2 import build_resnet50v2

    config = load_config(_RECIPE)
    changes = config.augmentation

    assert config.network == ResNet50V2Config("imagenet")
    assert changes.horizontal_flip
    assert changes.vertical_flip
    assert min(changes.rotation_deg, changes.scale, changes.shift) > 0
    assert changes.contrast == changes.brightness == changes.erasing_probability == 0
    assert changes.blur_probability == changes.jpeg_probability == 0
    assert config.optimization.epochs == 15
    training, tuning = plan_phases(config.optimization)
    assert (training.released_layers, tuning.released_layers) == (0, 30)

    model = build_resnet50v2(ResNet50V2Config("none"), 48, 7)
    begin_phase(model, config, training, steps_per_epoch=1)
    assert isinstance(model.optimizer, keras.optimizers.Adam)
    assert (
        model.optimizer.get_config()
        == keras.optimizers.Adam(name=model.optimizer.name).get_config()
    )
    # Keras keeps what `compile` was given to save it with the model.
    compiled = model.get_compile_config()
    (loss,) = compiled["loss"]
    assert loss["class_name"] == "CategoricalCrossentropy"
    assert loss["config"]["label_smoothing"] == 0
    assert compiled["weighted_metrics"] == [["accuracy"]]
    keeping, stopping, slowing = phase_callbacks(config.optimization, tmp_path, "val_accuracy")
    assert isinstance(keeping, keras.callbacks.ModelCheckpoint)
    assert (keeping.monitor, keeping.save_best_only) == ("val_accuracy", True)
    assert keeping.mode == "max"
    assert isinstance(stopping, keras.callbacks.EarlyStopping)
    assert (stopping.monitor, stopping.patience) == ("val_loss", config.optimization.stop_patience)
    assert isinstance(slowing, keras.callbacks.ReduceLROnPlateau)
    assert (slowing.monitor, slowing.factor) == ("val_loss", config.optimization.plateau_factor)
    assert slowing.patience == config.optimization.plateau_patience < stopping.patience


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of weights as Keras offers them for download, but random ones."""
    path = tmp_path_factory.mktemp("weights") / "resnet50v2.weights.h5"
    keras.utils.set_random_seed(1)
    base = keras.applications.ResNet50V2(
        include_top=False, weights=None, input_shape=(48, 48, 3), name="resnet50v2"
    )
    base.save_weights(path)
    return path


def test_given_weights_rest_until_their_top_layers_are_released(weights_file: Path) -> None:
    from deepfer_training.resnet50v2 import build_resnet50v2, release_top_layers

    model = build_resnet50v2(ResNet50V2Config(str(weights_file)), 48, 7)
    base = model.get_layer("resnet50v2")

    assert base.trainable_variables == []
    # Kernels and biases of two dense layers, scale and offset of two normalisations.
    assert len(model.trainable_variables) == 8
    release_top_layers(model, 30)
    released = {variable.path.split("/")[-2] for variable in base.trainable_variables}
    assert released
    assert all(name.startswith("conv5_") and not name.endswith("_bn") for name in released)


@pytest.mark.parametrize("weights", ["imagenett", "/nowhere/weights.h5"])
def test_weights_that_cannot_be_had_are_named(weights: str) -> None:
    from deepfer_training.resnet50v2 import build_resnet50v2

    with pytest.raises(ConfigError, match=rf"network\.weights is '{weights}', but .* or none\."):
        build_resnet50v2(ResNet50V2Config(weights), 48, 7)


@pytest.fixture(scope="module")
def short_config(weights_file: Path) -> TrainingConfig:
    """Two epochs of each of two phases."""
    return config_from_dict(
        {
            "name": "short",
            "seed": 3,
            "network": {"architecture": "resnet50v2", "weights": str(weights_file)},
            "heads": [{"votes_weight": 0}],
            "optimization": {
                "method": "adam",
                "epochs": 2,
                "batch_size": 56,
                "plateau_patience": 1,
                "stop_patience": 1,
                "fine_tuning": {"epochs": 2, "top_layers": 5},
            },
        }
    )


@pytest.fixture(scope="module")
def short_run(
    short_config: TrainingConfig,
    tiny_dataset: FaceDataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, list[str]]:
    """An unbroken run, and what it reported."""
    from deepfer_training.training import train

    folder, lines = tmp_path_factory.mktemp("runs") / "short", []
    train(short_config, tiny_dataset, folder, report=lines.append)
    return folder, lines


def test_the_most_accurate_epoch_is_kept(
    short_run: tuple[Path, list[str]], tiny_dataset: FaceDataset
) -> None:
    from deepfer_training.inference import KerasPredictor, predict
    from deepfer_training.run_report import read_log

    folder, lines = short_run
    logged = read_log(folder / "log.csv")["val_accuracy"]
    public = tiny_dataset.split("PublicTest")
    answers = predict(KerasPredictor(folder / "model.keras"), public.images).argmax(axis=1)

    assert [line for line in lines if line.startswith("Phase")] == [
        "Phase 1 of 2: training.",
        "Phase 2 of 2: fine-tuning.",
    ]
    assert float(np.mean(answers == public.labels)) == pytest.approx(max(logged), abs=1e-6)


def test_a_run_that_was_killed_is_resumed_to_the_same_model(
    short_run: tuple[Path, list[str]],
    short_config: TrainingConfig,
    tiny_files: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    unbroken, _ = short_run
    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(json.dumps(dataclasses.asdict(short_config)))
    epochs = len((unbroken / "log.csv").read_text().splitlines()) - 1

    # Two steps an epoch: once in the first phase, once in the last epoch of the second.
    for kill_at_step in (3, 2 * epochs - 1):
        run_until_killed(recipe, tiny_files, run, kill_at_step=kill_at_step)
    finish(start_training(recipe, tiny_files, run))

    first, second = (
        keras.saving.load_model(folder / "model.keras", compile=False).get_weights()
        for folder in (unbroken, run)
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (run / "log.csv").read_text() == (unbroken / "log.csv").read_text()
