import dataclasses
from pathlib import Path

import pytest

from deepfer_training.config import (
    AdamConfig,
    FineTuningConfig,
    HeadConfig,
    ResNet50V2Config,
    TrainingConfig,
    config_from_dict,
    load_config,
)
from deepfer_training.errors import ConfigError

_RECIPES = Path(__file__).parents[2] / "config" / "training"


@pytest.mark.parametrize("path", sorted(_RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_that_come_with_deepfer_are_valid(path: Path) -> None:
    assert load_config(path).name == path.stem


def test_fields_that_are_left_out_keep_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 5\nnetwork:\n  widths: [8, 16]\n  blocks: [1, 1]\n  dropout: 0\n")

    config = load_config(path)

    assert config.seed == 5
    assert config.network.widths == (8, 16)
    assert config.network.dropout == 0.0
    assert config.optimization == TrainingConfig().optimization


@pytest.mark.parametrize("number", ["1e-5", "1.0e-5", "0.00001", "1E-5", "0.1e-4", ".1E-4"])
def test_numbers_may_be_written_with_an_exponent(tmp_path: Path, number: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"optimization:\n  learning_rate: {number}\n")

    assert load_config(path).optimization.learning_rate == 1e-5


def test_a_head_may_take_the_fields_of_another(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(
        "heads:\n"
        "  - &votes {name: votes, votes_weight: 1.0, class_balance: 0.3}\n"
        "  - {<<: *votes, name: labels, votes_weight: 0.0}\n"
    )

    first, second = load_config(path).heads

    assert (first.name, first.votes_weight, first.class_balance) == ("votes", 1.0, 0.3)
    assert (second.name, second.votes_weight, second.class_balance) == ("labels", 0.0, 0.3)


def test_architecture_and_method_say_what_the_other_fields_are() -> None:
    values = {
        "network": {"architecture": "resnet50v2", "weights": "none"},
        "optimization": {"method": "adam", "stop_patience": 3},
    }

    config = config_from_dict(values)

    assert config.network == ResNet50V2Config("none")
    assert config.optimization == AdamConfig(stop_patience=3)
    assert config_from_dict(dataclasses.asdict(config)) == config


def test_fine_tuning_is_read() -> None:
    config = config_from_dict(
        {
            "network": {"architecture": "resnet50v2", "weights": "file.h5"},
            "optimization": {"method": "adam", "fine_tuning": {"epochs": 4}},
        }
    )

    assert isinstance(config.optimization, AdamConfig)
    assert config.optimization.fine_tuning == FineTuningConfig(epochs=4)


def test_heads_are_read_and_written() -> None:
    heads = [{"name": "votes", "votes_weight": 1}, {"name": "labels", "class_balance": 0.5}]

    config = config_from_dict({"heads": heads})

    assert config.heads == (HeadConfig("votes", 1.0), HeadConfig("labels", class_balance=0.5))
    assert config_from_dict(dataclasses.asdict(config)) == config


@pytest.mark.parametrize("content", ["", "# nothing but a comment", "{}", "[]", "0"])
def test_an_empty_recipe_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(content)

    with pytest.raises(ConfigError, match=r"recipe\.yaml is empty; give at least one field"):
        load_config(path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sede": 1}, "Unknown field 'sede'; allowed: name, seed, crop_margin"),
        ({"network": {"width": [1]}}, "Unknown field 'network.width'; allowed: stem_width"),
        ({"network": 3}, "network must be a mapping of fields, got 3."),
        ({"network": {"widths": 3}}, "network.widths must be a list, got 3."),
        ({"network": {"widths": []}}, "network.widths is (), allowed: at least one stage."),
        (
            {"network": {"widths": [8, 0]}},
            "network.widths is (8, 0), allowed: numbers from 1 to 4",
        ),
        ({"network": {"widths": [10**13]}}, "network.widths is (10000000000000,), allowed: num"),
        ({"network": {"widths": [8, "a"]}}, "network.widths[1] must be of type int, got 'a'."),
        ({"network": {"dropout": 1.0}}, "network.dropout is 1.0, allowed: 0 to below 1."),
        ({"seed": "one"}, "seed must be of type int, got 'one'."),
        ({"seed": True}, "seed must be of type int, got True."),
        ({"network": {"stem_width": -1}}, "network.stem_width is -1, allowed: 0 to 4096."),
        (
            {"network": {"blocks": [1, 1]}},
            "network.blocks is (1, 1), allowed: 4 numbers from 1 to 100, one a stage.",
        ),
        (
            {"network": {"ranks": [8, 8]}},
            "network.ranks is (8, 8), allowed: 4 numbers from 0 to 4096, one a stage, or none.",
        ),
        (
            {"heads": [{"teacher_view": "both"}]},
            "heads.teacher_view is 'both', allowed: original or augmented.",
        ),
        ({"network": {"ranks": [0, 0, 0, -1]}}, "network.ranks is (0, 0, 0, -1), allowed: 4 num"),
        ({"crop_margin": -1}, "crop_margin is -1.0, allowed: 0 to 1."),
        ({"dtype_policy": "int8"}, "dtype_policy is 'int8', allowed: float32 or mixed_bfloat16"),
        ({"public_test_share": 1.0}, "public_test_share is 1.0, allowed: 0 to below 1"),
        ({"public_test_share": -0.1}, "public_test_share is -0.1, allowed: 0 to below 1"),
        ({"augmentation": {"scale": 2}}, "augmentation.scale is 2.0, allowed: 0 to 0.9."),
        (
            {"augmentation": {"mixup_probability": 1.5}},
            "augmentation.mixup_probability is 1.5, allowed: 0 to 1.0.",
        ),
        (
            {"augmentation": {"mixup_alpha": 0}},
            "augmentation.mixup_alpha is 0.0, allowed: > 0 to 10.",
        ),
        (
            {"augmentation": {"erasing_area_min": 0.5}},
            "augmentation.erasing_area_min is 0.5, allowed: at most erasing_area_max.",
        ),
        ({"optimization": {"epochs": 0}}, "optimization.epochs is 0, allowed: 1 to 100000."),
        ({"optimization": {"epochs": 10**23}}, "optimization.epochs is 100000000000000000000000"),
        ({"optimization": {"batch_size": 0}}, "optimization.batch_size is 0, allowed: 1 to 65536"),
        (
            {"optimization": {"warmup_epochs": 24}},
            "optimization.warmup_epochs is 24, allowed: 0 to below epochs.",
        ),
        (
            {"optimization": {"learning_rate": 0}},
            "optimization.learning_rate is 0.0, allowed: > 0",
        ),
        ({"optimization": {"momentum": 1}}, "optimization.momentum is 1.0, allowed: 0 to below 1"),
        (
            {"optimization": {"muon_rate": 0.2, "momentum": 0}},
            "optimization.momentum is 0.0, allowed: above 0 with a muon_rate above 0.",
        ),
        (
            {"augmentation": {"jpeg_quality_min": 95}},
            "augmentation.jpeg_quality_min is 95, allowed: 1 to 90.",
        ),
        ({"heads": []}, "heads is [], allowed: one or more of different names."),
        ({"heads": [{}, {}]}, "heads is ['model', 'model'], allowed: one or more of different"),
        ({"heads": [3]}, "heads[0] must be a mapping of fields, got 3."),
        ({"heads": [{"votes": 1}]}, "Unknown field 'heads[0].votes'; allowed: name, votes_weight"),
        ({"heads": [{"name": "../x"}]}, "heads.name is '../x', allowed: letters, digits, - and _"),
        (
            {"heads": [{"name": "x" * 101}]},
            f"heads.name is '{'x' * 101}', allowed: letters, digit",
        ),
        ({"heads": [{"votes_weight": 2}]}, "heads.votes_weight is 2.0, allowed: 0 to 1."),
        ({"heads": [{"class_balance": -1}]}, "heads.class_balance is -1.0, allowed: 0 to 1."),
        (
            {"network": {"architecture": "vgg"}},
            "network.architecture is 'vgg', allowed: compact_cnn or resnet50v2.",
        ),
        (
            {"network": {"architecture": ["vgg"]}},
            "network.architecture is ['vgg'], allowed: compact_cnn or resnet50v2.",
        ),
        (
            {"network": {"architecture": "resnet50v2", "widths": [8]}},
            "Unknown field 'network.widths'; allowed: weights, architecture.",
        ),
        (
            {"optimization": {"method": "adam", "momentum": 0.9}},
            "Unknown field 'optimization.momentum'; allowed: epochs, batch_size, learning_rate, "
            "plateau_patience",
        ),
        (
            {"optimization": {"method": "adam", "fine_tuning": {}}},
            "optimization.fine_tuning is FineTuningConfig(epochs=10, top_layers=30, "
            "learning_rate=1e-05), allowed: only with network.architecture resnet50v2",
        ),
        (
            {"optimization": {"method": "adam", "stop_patience": 0}},
            "optimization.stop_patience is 0, allowed: 1 or more.",
        ),
        (
            {"optimization": {"method": "adam", "plateau_factor": 1.0}},
            "optimization.plateau_factor is 1.0, allowed: above 0 to below 1.",
        ),
        (
            {"optimization": {"learning_rate": "fast"}},
            "optimization.learning_rate must be of type",
        ),
        (
            {"optimization": {"learning_rate": float("inf")}},
            "optimization.learning_rate is inf, allowed: finite numbers.",
        ),
        (
            {"optimization": {"weight_decay": 10**400}},
            "optimization.weight_decay is 1000000000000",
        ),
        ({"seed": -1}, "seed is -1, allowed: 0 to 4294967295."),
        ({"seed": 2**32}, "seed is 4294967296, allowed: 0 to 4294967295."),
        ({"heads": [{"teacher_weight": 2}]}, "heads.teacher_weight is 2.0, allowed: 0 to 1."),
        ([1], "the recipe must be a mapping of fields, got [1]."),
    ],
)
def test_a_wrong_field_is_named(values: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_dict(values)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no file"),
        pytest.param("a: [", id="cut off"),
        pytest.param("seed: x", id="wrong field"),
        pytest.param("seed: 2020-13-45", id="no date"),
        pytest.param("seed: 0x_", id="no number"),
        pytest.param("a: " + "[" * 3000, id="deep"),
        pytest.param("seed: 1\nseed: 5\n", id="twice"),
        pytest.param("optimization:\n  epochs: 1\n  epochs: 2\n", id="twice below"),
    ],
)
def test_errors_name_the_file(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigError, match=r"recipe\.yaml"):
        load_config(path)
