import dataclasses
from pathlib import Path

import pytest

from deepfer_training.config import FinetuningConfig, TrainingConfig, config_from_dict, load_config
from deepfer_training.errors import ConfigError

_RECIPES = Path(__file__).parents[2] / "config" / "training"


@pytest.mark.parametrize("path", sorted(_RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_that_come_with_deepfer_are_valid(path: Path) -> None:
    assert load_config(path).name == path.stem


def test_fields_that_are_left_out_keep_their_defaults(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("seed: 5\nnetwork:\n  widths: [8, 16]\n  dropout: 0\n")

    config = load_config(path)

    assert config.seed == 5
    assert config.network.widths == (8, 16)
    assert config.network.dropout == 0.0
    assert config.optimization == TrainingConfig().optimization


@pytest.mark.parametrize("value", [None, {}, {"epochs": 2}])
def test_finetuning_may_be_left_out(value: dict[str, int] | None) -> None:
    config = config_from_dict({"finetuning": value})

    assert config.finetuning == (None if value is None else FinetuningConfig(**value))
    assert config_from_dict(dataclasses.asdict(config)) == config


def test_an_empty_recipe_is_the_default(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text("")

    assert load_config(path) == TrainingConfig()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sede": 1}, "Unknown field 'sede'; allowed: name, seed, votes_weight"),
        ({"network": {"width": [1]}}, "Unknown field 'network.width'; allowed: widths, dropout"),
        ({"network": 3}, "network must be a mapping of fields, got 3."),
        ({"network": {"widths": 3}}, "network.widths must be a list, got 3."),
        ({"network": {"widths": []}}, "network.widths is (), allowed: at least one stage."),
        ({"network": {"widths": [8, 0]}}, "network.widths is (8, 0), allowed: numbers above 0."),
        ({"network": {"widths": [8, "a"]}}, "network.widths must be of type int, got 'a'."),
        ({"network": {"dropout": 1.0}}, "network.dropout is 1.0, allowed: 0 to below 1."),
        ({"seed": "one"}, "seed must be of type int, got 'one'."),
        ({"seed": True}, "seed must be of type int, got True."),
        ({"votes_weight": 1.5}, "votes_weight is 1.5, allowed: 0 to 1."),
        ({"crop_margin": -1}, "crop_margin is -1.0, allowed: 0 to 1."),
        ({"dtype_policy": "int8"}, "dtype_policy is 'int8', allowed: float32 or mixed_bfloat16"),
        ({"augmentation": {"scale": 2}}, "augmentation.scale is 2.0, allowed: 0 to 0.9."),
        (
            {"augmentation": {"erasing_area_min": 0.5}},
            "augmentation.erasing_area_min is 0.5, allowed: at most erasing_area_max.",
        ),
        ({"optimization": {"epochs": 0}}, "optimization.epochs is 0, allowed: 1 or more."),
        (
            {"optimization": {"warmup_epochs": 24}},
            "optimization.warmup_epochs is 24, allowed: 0 to below epochs.",
        ),
        (
            {"optimization": {"learning_rate": 0}},
            "optimization.learning_rate is 0.0, allowed: > 0",
        ),
        ({"optimization": {"momentum": 1}}, "optimization.momentum is 1.0, allowed: 0 to below 1"),
        ({"finetuning": 3}, "finetuning must be a mapping of fields, got 3."),
        ({"finetuning": {"epochs": 0}}, "finetuning.epochs is 0, allowed: 1 or more."),
        ([1], "the recipe must be a mapping of fields, got [1]."),
    ],
)
def test_a_wrong_field_is_named(values: object, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config_from_dict(values)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("content", [None, "a: [", "seed: x"])
def test_errors_name_the_file(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "recipe.yaml"
    if content is not None:
        path.write_text(content)

    with pytest.raises(ConfigError, match=r"recipe\.yaml"):
        load_config(path)
