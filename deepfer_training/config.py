"""Training recipes: one YAML file, checked field by field."""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from deepfer_training.errors import ConfigError


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """Shape of the network.

    Attributes:
        stem_width: Channels of a first convolution that halves the picture; 0 leaves it out.
        widths: Channels of each stage, first to last.
        blocks: Convolutions of each stage, as many numbers as `widths`.
        dropout: Share of features dropped before the last layer, 0 to below 1.
        norm_momentum: Momentum of the means and variances that batch normalisation keeps.
    """

    stem_width: int = 0
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: tuple[int, ...] = (1, 2, 3, 2)
    dropout: float = 0.3
    norm_momentum: float = 0.99

    def __post_init__(self) -> None:
        _require(len(self.widths) > 0, "network.widths", self.widths, "at least one stage")
        _require(min(self.widths) > 0, "network.widths", self.widths, "numbers above 0")
        _require(self.stem_width >= 0, "network.stem_width", self.stem_width, "0 or more")
        _require(
            len(self.blocks) == len(self.widths) and min(self.blocks) > 0,
            "network.blocks",
            self.blocks,
            f"{len(self.widths)} numbers above 0, one a stage",
        )
        for name in ("dropout", "norm_momentum"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"network.{name}", value, "0 to below 1")


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """How strongly training pictures are changed. Zero switches a change off.

    Attributes:
        horizontal_flip: Mirror half of the pictures.
        rotation_deg: Largest rotation to either side, degrees.
        scale: Largest change of size, as a share of 1.
        shift: Largest shift, as a share of the picture's side.
        contrast: Largest change of contrast, as a share of 1.
        brightness: Largest change of brightness, as a share of white.
        blur_probability: Share of pictures that are blurred.
        blur_sigma_px: Largest standard deviation of the blur, pixels.
        jpeg_probability: Share of pictures that are compressed as JPEG and decoded again.
        jpeg_quality_min: Lowest JPEG quality, 1 to 100; the highest is 90.
        erasing_probability: Share of pictures that lose a rectangle.
        erasing_area_min: Smallest rectangle, as a share of the picture.
        erasing_area_max: Largest rectangle, as a share of the picture.
    """

    horizontal_flip: bool = True
    rotation_deg: float = 12.0
    scale: float = 0.12
    shift: float = 0.1
    contrast: float = 0.4
    brightness: float = 0.15
    blur_probability: float = 0.2
    blur_sigma_px: float = 1.3
    jpeg_probability: float = 0.2
    jpeg_quality_min: int = 15
    erasing_probability: float = 0.25
    erasing_area_min: float = 0.02
    erasing_area_max: float = 0.2

    def __post_init__(self) -> None:
        limits = {
            "rotation_deg": 180.0,
            "scale": 0.9,
            "shift": 1.0,
            "contrast": 1.0,
            "brightness": 1.0,
            "blur_probability": 1.0,
            "blur_sigma_px": 10.0,
            "jpeg_probability": 1.0,
            "erasing_probability": 1.0,
            "erasing_area_min": 1.0,
            "erasing_area_max": 1.0,
        }
        for name, limit in limits.items():
            value = getattr(self, name)
            _require(0 <= value <= limit, f"augmentation.{name}", value, f"0 to {limit}")
        _require(
            1 <= self.jpeg_quality_min <= 90,
            "augmentation.jpeg_quality_min",
            self.jpeg_quality_min,
            "1 to 90",
        )
        _require(
            self.erasing_area_min <= self.erasing_area_max,
            "augmentation.erasing_area_min",
            self.erasing_area_min,
            "at most erasing_area_max",
        )


@dataclass(frozen=True, slots=True)
class OptimizationConfig:
    """Stochastic gradient descent with Nesterov momentum and a cosine schedule.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Pictures a step.
        learning_rate: Peak of the schedule, reached after the warm-up.
        warmup_epochs: Epochs of linear rise from zero.
        momentum: Nesterov momentum.
        weight_decay: Decoupled weight decay on kernels (Loshchilov & Hutter, arXiv:1711.05101).
        label_smoothing: Share of each target spread evenly over all classes.
        ema_momentum: Momentum of the weights' moving average, which is what is kept.
    """

    epochs: int = 24
    batch_size: int = 128
    learning_rate: float = 0.1
    warmup_epochs: int = 2
    momentum: float = 0.9
    weight_decay: float = 0.005
    label_smoothing: float = 0.0
    ema_momentum: float = 0.998

    def __post_init__(self) -> None:
        _require(self.epochs >= 1, "optimization.epochs", self.epochs, "1 or more")
        _require(self.batch_size >= 1, "optimization.batch_size", self.batch_size, "1 or more")
        _require(self.learning_rate > 0, "optimization.learning_rate", self.learning_rate, "> 0")
        _require(
            0 <= self.warmup_epochs < self.epochs,
            "optimization.warmup_epochs",
            self.warmup_epochs,
            "0 to below epochs",
        )
        _require(self.weight_decay >= 0, "optimization.weight_decay", self.weight_decay, ">= 0")
        for name in ("momentum", "label_smoothing", "ema_momentum"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"optimization.{name}", value, "0 to below 1")


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """One of the outputs that a network is trained for. Each becomes a model of its own.

    Attributes:
        name: Name of the model: letters, digits, `-` and `_`.
        votes_weight: Share of FER+ votes in the targets; the rest is the original label.
        class_balance: How much more a picture of a rare class counts: its weight is the class's
            frequency to the power of minus this number. 0 counts all alike, 1 makes all classes
            count alike.
    """

    name: str = "model"
    votes_weight: float = 0.5
    class_balance: float = 0.0

    def __post_init__(self) -> None:
        usable = self.name.replace("-", "").replace("_", "").isalnum() and self.name.isascii()
        _require(usable, "heads.name", self.name, "letters, digits, - and _")
        for name in ("votes_weight", "class_balance"):
            value = getattr(self, name)
            _require(0 <= value <= 1, f"heads.{name}", value, "0 to 1")


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """One recipe: everything besides the data that decides what comes out.

    Attributes:
        name: Name of the model, used for the bundle.
        seed: Seed of initial weights, order and augmentation.
        crop_margin: Border that the runtime adds around a detected face, as a share of its side,
            so that crops look like the training pictures.
        dtype_policy: Keras dtype policy while training; the exported model is float32.
        network: Shape of the network.
        augmentation: How strongly training pictures are changed.
        optimization: How the weights are found.
        heads: What the network learns at the same time, sharing all but the last layer.
    """

    name: str = "deepfer48"
    seed: int = 1
    crop_margin: float = 0.1
    dtype_policy: str = "float32"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    optimization: OptimizationConfig = field(default_factory=OptimizationConfig)
    heads: tuple[HeadConfig, ...] = field(default_factory=lambda: (HeadConfig(),))

    def __post_init__(self) -> None:
        names = [head.name for head in self.heads]
        _require(
            len(names) > 0 and len(set(names)) == len(names),
            "heads",
            names,
            "one or more of different names",
        )
        _require(0 <= self.crop_margin <= 1, "crop_margin", self.crop_margin, "0 to 1")
        policies = ("float32", "mixed_bfloat16", "mixed_float16")
        _require(
            self.dtype_policy in policies, "dtype_policy", self.dtype_policy, " or ".join(policies)
        )


def load_config(path: Path) -> TrainingConfig:
    """Read a recipe from a YAML file.

    Raises:
        ConfigError: The file is missing or not YAML, has an unknown field, a value of a wrong
            type or one out of range; the text names the field.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise ConfigError(f"Cannot read the recipe {path}: {err}") from err
    try:
        return config_from_dict(values or {})
    except ConfigError as err:
        raise ConfigError(f"{path}: {err}") from err


def config_from_dict(values: Any) -> TrainingConfig:  # noqa: ANN401 - whatever YAML holds
    """Build a recipe from nested dictionaries, as YAML or JSON gives them.

    Raises:
        ConfigError: See `load_config`.
    """
    config = _build(TrainingConfig, values, prefix="")
    assert isinstance(config, TrainingConfig)
    return config


def _build(cls: type, values: object, prefix: str) -> object:
    if not isinstance(values, dict):
        where = prefix.rstrip(".") or "the recipe"
        raise ConfigError(f"{where} must be a mapping of fields, got {values!r}.")
    hints = get_type_hints(cls)
    names = [entry.name for entry in dataclasses.fields(cls)]
    arguments = {}
    for key, value in values.items():
        if key not in names:
            raise ConfigError(f"Unknown field '{prefix}{key}'; allowed: {', '.join(names)}.")
        arguments[key] = _convert(hints[key], value, f"{prefix}{key}")
    return cls(**arguments)


def _convert(hint: Any, value: object, name: str) -> object:  # noqa: ANN401 - a type hint
    """Return `value` as the type that `hint` asks for."""
    if isinstance(hint, UnionType):
        if value is None:
            return None
        hint = next(option for option in get_args(hint) if option is not type(None))
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, prefix=f"{name}.")  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{name} must be a list, got {value!r}.")
        return tuple(
            _convert(get_args(hint)[0], item, f"{name}[{position}]")
            for position, item in enumerate(value)
        )
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{name} must be of type {hint.__name__}, got {value!r}.")
    return value


def _require(condition: bool, name: str, value: object, allowed: str) -> None:
    if not condition:
        raise ConfigError(f"{name} is {value!r}, allowed: {allowed}.")
