"""Training recipes: one YAML file, checked field by field."""

import dataclasses
import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import yaml

from deepfer_training.errors import ConfigError

_EXPONENT = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+")
"""A number like 1e-5 or 1.5e1. YAML 1.1, which PyYAML reads, takes these for text: they lack a
point, or the sign of the exponent."""

_LARGEST_WIDTH = 4096
_MOST_BLOCKS = 100
_MOST_EPOCHS = 100_000
_LARGEST_BATCH = 65_536
# Files are named after it, and most file systems take 255 letters.
_LONGEST_NAME = 100

_CHOOSING_FIELDS = ("architecture", "method")
"""Fields whose value says which of several classes a mapping of fields is for."""


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """A compact network; see `architecture.build_compact_cnn`.

    Attributes:
        architecture: `compact_cnn`.
        stem_width: Channels of a first convolution that halves the picture; 0 leaves it out.
        widths: Channels of each stage, first to last.
        blocks: Convolutions of each stage, as many numbers as `widths`.
        ranks: Rank of the convolutions of each stage: each becomes one of 3x1 pixels with so many
            channels, and one of 1x3. 0 leaves them 3x3, and so does an empty list in all stages.
        dropout: Share of features dropped before the last layer, 0 to below 1.
        norm_momentum: Momentum of the means and variances that batch normalisation keeps.
    """

    stem_width: int = 0
    widths: tuple[int, ...] = (32, 64, 128, 256)
    blocks: tuple[int, ...] = (1, 2, 3, 2)
    ranks: tuple[int, ...] = ()
    dropout: float = 0.3
    norm_momentum: float = 0.99
    architecture: str = field(default="compact_cnn", kw_only=True)

    def __post_init__(self) -> None:
        _require(
            self.architecture == "compact_cnn",
            "network.architecture",
            self.architecture,
            "compact_cnn",
        )
        _require(len(self.widths) > 0, "network.widths", self.widths, "at least one stage")
        _require(
            all(1 <= width <= _LARGEST_WIDTH for width in self.widths),
            "network.widths",
            self.widths,
            f"numbers from 1 to {_LARGEST_WIDTH}",
        )
        _require(
            0 <= self.stem_width <= _LARGEST_WIDTH,
            "network.stem_width",
            self.stem_width,
            f"0 to {_LARGEST_WIDTH}",
        )
        _require(
            len(self.blocks) == len(self.widths)
            and all(1 <= count <= _MOST_BLOCKS for count in self.blocks),
            "network.blocks",
            self.blocks,
            f"{len(self.widths)} numbers from 1 to {_MOST_BLOCKS}, one a stage",
        )
        _require(
            len(self.ranks) in (0, len(self.widths))
            and all(0 <= rank <= _LARGEST_WIDTH for rank in self.ranks),
            "network.ranks",
            self.ranks,
            f"{len(self.widths)} numbers from 0 to {_LARGEST_WIDTH}, one a stage, or none",
        )
        for name in ("dropout", "norm_momentum"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"network.{name}", value, "0 to below 1")


@dataclass(frozen=True, slots=True)
class ResNet50V2Config:
    """A large network that knows photographs already; see `resnet50v2.build_resnet50v2`.

    Attributes:
        weights: `imagenet` (Keras downloads them once) or the path of a file that holds the
            weights of Keras' ResNet50V2 without its top: these do not learn at first. `none`
            starts with random weights, which all learn.
        architecture: `resnet50v2`.
    """

    weights: str = "imagenet"
    architecture: str = field(default="resnet50v2", kw_only=True)

    def __post_init__(self) -> None:
        _require(
            self.weights != "",
            "network.weights",
            self.weights,
            "imagenet, none or the path of a file",
        )
        _require(
            self.architecture == "resnet50v2",
            "network.architecture",
            self.architecture,
            "resnet50v2",
        )


@dataclass(frozen=True, slots=True)
class AugmentationConfig:
    """How strongly training pictures are changed. Zero switches a change off.

    Attributes:
        horizontal_flip: Mirror half of the pictures.
        vertical_flip: Turn half of the pictures upside down.
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
        mixup_probability: Share of pictures into which another one is mixed.
        mixup_alpha: Both parameters of the beta distribution of the mixture, above 0: small ones
            make most mixtures uneven. The larger part of each is the picture itself.
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
    vertical_flip: bool = False
    mixup_probability: float = 0.0
    mixup_alpha: float = 0.4

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
            "mixup_probability": 1.0,
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
        _require(
            0 < self.mixup_alpha <= 10, "augmentation.mixup_alpha", self.mixup_alpha, "> 0 to 10"
        )


@dataclass(frozen=True, slots=True)
class OptimizationConfig:
    """Stochastic gradient descent with Nesterov momentum and a cosine schedule, or Muon.

    Attributes:
        epochs: Passes over the training split.
        batch_size: Pictures a step.
        learning_rate: Peak of the schedule, reached after the warm-up.
        warmup_epochs: Epochs of linear rise from zero.
        momentum: Nesterov momentum.
        weight_decay: Decoupled weight decay on kernels (Loshchilov & Hutter, arXiv:1711.05101).
        label_smoothing: Share of each target spread evenly over all classes.
        ema_momentum: Momentum of the weights' moving average, which is what is kept.
        muon_rate: Learning rate of the kernels of convolutions, as a share of `learning_rate`,
            while their steps are made orthogonal (see `muon.Muon`), which takes a `momentum` above
            0; 0 for plain steps.
        method: `sgd`.
    """

    epochs: int = 24
    batch_size: int = 128
    learning_rate: float = 0.1
    warmup_epochs: int = 2
    momentum: float = 0.9
    weight_decay: float = 0.005
    label_smoothing: float = 0.0
    ema_momentum: float = 0.998
    muon_rate: float = 0.0
    method: str = field(default="sgd", kw_only=True)

    def __post_init__(self) -> None:
        _require(self.method == "sgd", "optimization.method", self.method, "sgd")
        _require_pace(self)
        _require(
            0 <= self.warmup_epochs < self.epochs,
            "optimization.warmup_epochs",
            self.warmup_epochs,
            "0 to below epochs",
        )
        for name in ("weight_decay", "muon_rate"):
            value = getattr(self, name)
            _require(value >= 0, f"optimization.{name}", value, "0 or more")
        for name in ("momentum", "label_smoothing", "ema_momentum"):
            value = getattr(self, name)
            _require(0 <= value < 1, f"optimization.{name}", value, "0 to below 1")
        _require(
            self.momentum > 0 or self.muon_rate == 0,
            "optimization.momentum",
            self.momentum,
            "above 0 with a muon_rate above 0",
        )


@dataclass(frozen=True, slots=True)
class FineTuningConfig:
    """A second phase, in which the last layers of a network that was frozen learn, too.

    Attributes:
        epochs: Most passes over the training split.
        top_layers: How many layers of the frozen network learn, counted from its end. Its batch
            normalisation stays as it is.
        learning_rate: Learning rate, lower than that of the first phase.
    """

    epochs: int = 10
    top_layers: int = 30
    learning_rate: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("epochs", "top_layers"):
            value = getattr(self, name)
            _require(value >= 1, f"optimization.fine_tuning.{name}", value, "1 or more")
        _require(
            self.learning_rate > 0,
            "optimization.fine_tuning.learning_rate",
            self.learning_rate,
            "> 0",
        )


@dataclass(frozen=True, slots=True)
class AdamConfig:
    """Adam (Kingma & Ba 2014, arXiv:1412.6980), led by the scores on PublicTest.

    The weights of the epoch that was most accurate there are kept.

    Attributes:
        epochs: Most passes over the training split.
        batch_size: Pictures a step.
        learning_rate: Learning rate at first; 0.001 is Adam's default.
        plateau_patience: Epochs without a lower loss on PublicTest, after which the learning rate
            is multiplied by `plateau_factor`.
        plateau_factor: See `plateau_patience`.
        stop_patience: Epochs without a lower loss on PublicTest, after which a phase ends.
        label_smoothing: Share of each target spread evenly over all classes.
        fine_tuning: The second phase, or None for none.
        method: `adam`.
    """

    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 0.001
    plateau_patience: int = 2
    plateau_factor: float = 0.2
    stop_patience: int = 5
    label_smoothing: float = 0.0
    fine_tuning: FineTuningConfig | None = None
    method: str = field(default="adam", kw_only=True)

    def __post_init__(self) -> None:
        _require(self.method == "adam", "optimization.method", self.method, "adam")
        _require_pace(self)
        for name in ("plateau_patience", "stop_patience"):
            value = getattr(self, name)
            _require(value >= 1, f"optimization.{name}", value, "1 or more")
        _require(
            0 < self.plateau_factor < 1,
            "optimization.plateau_factor",
            self.plateau_factor,
            "above 0 to below 1",
        )
        _require(
            0 <= self.label_smoothing < 1,
            "optimization.label_smoothing",
            self.label_smoothing,
            "0 to below 1",
        )


@dataclass(frozen=True, slots=True)
class HeadConfig:
    """One of the outputs that a network is trained for. Each becomes a model of its own.

    Attributes:
        name: Name of the model: letters, digits, `-` and `_`.
        votes_weight: Share of FER+ votes in the targets; the rest is the original label.
        class_balance: How much more a picture of a rare class counts: its weight is the class's
            frequency to the power of minus this number. 0 counts all alike, 1 makes all classes
            count alike.
        teacher_weight: Share of the teachers' answers in the targets ("distillation", Hinton et
            al. 2015, arXiv:1503.02531); `votes_weight` divides the rest.
        teacher_view: What teachers answer to. `original`: the picture and its mirror image, once
            before the training. `augmented`: whatever the picture has become by augmentation and
            mixup, or its mirror image, anew in every epoch (Beyer et al. 2022, arXiv:2106.05237).
            That takes longer, and teaches what the teachers do instead of what they have learned
            by heart.
    """

    name: str = "model"
    votes_weight: float = 0.5
    class_balance: float = 0.0
    teacher_weight: float = 0.0
    teacher_view: str = "original"

    def __post_init__(self) -> None:
        usable = self.name.replace("-", "").replace("_", "").isalnum() and self.name.isascii()
        _require(
            usable and len(self.name) <= _LONGEST_NAME,
            "heads.name",
            self.name,
            f"letters, digits, - and _, {_LONGEST_NAME} at most",
        )
        for name in ("votes_weight", "class_balance", "teacher_weight"):
            value = getattr(self, name)
            _require(0 <= value <= 1, f"heads.{name}", value, "0 to 1")
        _require(
            self.teacher_view in ("original", "augmented"),
            "heads.teacher_view",
            self.teacher_view,
            "original or augmented",
        )

    @property
    def sees_augmented(self) -> bool:
        """Whether it has teachers that answer to augmented pictures."""
        return self.teacher_weight > 0 and self.teacher_view == "augmented"


@dataclass(frozen=True, slots=True)
class TrainingConfig:
    """One recipe: everything besides the data that decides what comes out.

    Attributes:
        name: Name of the recipe, for the run's record and the title of its curves.
        seed: Seed of initial weights, order and augmentation.
        crop_margin: Border that the runtime adds around a detected face, as a share of its side,
            so that crops look like the training pictures.
        dtype_policy: Keras dtype policy while training; the exported model is float32.
        public_test_share: Share of PublicTest that is learned from like Training, 0 to below 1.
            What remains of it watches and calibrates. For the last training, when PublicTest has
            told all that it can about the recipe.
        network: The network: its `architecture` says which.
        augmentation: How strongly training pictures are changed.
        optimization: How the weights are found: its `method` says how.
        heads: What the network learns at the same time, sharing all but the last layer.
    """

    name: str = "deepfer48"
    seed: int = 1
    crop_margin: float = 0.1
    dtype_policy: str = "float32"
    public_test_share: float = 0.0
    network: NetworkConfig | ResNet50V2Config = field(default_factory=NetworkConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    optimization: OptimizationConfig | AdamConfig = field(default_factory=OptimizationConfig)
    heads: tuple[HeadConfig, ...] = field(default_factory=lambda: (HeadConfig(),))

    def __post_init__(self) -> None:
        names = [head.name for head in self.heads]
        _require(
            len(names) > 0 and len(set(names)) == len(names),
            "heads",
            names,
            "one or more of different names",
        )
        _require(0 <= self.seed < 2**32, "seed", self.seed, f"0 to {2**32 - 1}")
        _require(0 <= self.crop_margin <= 1, "crop_margin", self.crop_margin, "0 to 1")
        _require(
            0 <= self.public_test_share < 1,
            "public_test_share",
            self.public_test_share,
            "0 to below 1",
        )
        fine_tuning = isinstance(self.optimization, AdamConfig) and self.optimization.fine_tuning
        frozen = isinstance(self.network, ResNet50V2Config) and self.network.weights != "none"
        _require(
            frozen or not fine_tuning,
            "optimization.fine_tuning",
            fine_tuning,
            "only with network.architecture resnet50v2 and network.weights other than none",
        )
        policies = ("float32", "mixed_bfloat16", "mixed_float16")
        _require(
            self.dtype_policy in policies, "dtype_policy", self.dtype_policy, " or ".join(policies)
        )


class _UniqueKeyLoader(yaml.SafeLoader):
    """Reads YAML, and refuses a field that is there twice, of which PyYAML takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """See `yaml.SafeLoader.construct_mapping`."""
        # Before PyYAML puts in what a merge key (<<) stands for: fields here go before those.
        keys = [key.value for key, _ in node.value]
        mapping = super().construct_mapping(node, deep=deep)
        for key in keys:
            if keys.count(key) > 1:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the field '{key}' is there twice", node.start_mark
                )
        return mapping


def load_config(path: Path) -> TrainingConfig:
    """Read a recipe from a YAML file.

    Raises:
        ConfigError: The file is missing or not YAML, has an unknown field, a value of a wrong
            type or one out of range; the text names the field.
    """
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)
    # PyYAML raises the last two for what looks like a date or a number and is none, and for
    # brackets within brackets within brackets …
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as err:
        raise ConfigError(f"Cannot read the recipe {path}: {err}") from err
    if not values:
        raise ConfigError(
            f"The recipe {path} is empty; give at least one field, such as its name."
        )
    try:
        return config_from_dict(values)
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
        options = [option for option in get_args(hint) if option is not type(None)]
        if value is None and type(None) in get_args(hint):
            return None
        hint = options[0] if len(options) == 1 else _choose(options, value, name)
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, prefix=f"{name}.")  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{name} must be a list, got {value!r}.")
        return tuple(
            _convert(get_args(hint)[0], item, f"{name}[{position}]")
            for position, item in enumerate(value)
        )
    if hint is float and not isinstance(value, bool):
        if isinstance(value, int | float):
            return _to_float(value, name)
        if isinstance(value, str) and _EXPONENT.fullmatch(value):
            return _to_float(value, name)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{name} must be of type {hint.__name__}, got {value!r}.")
    return value


def _to_float(value: float | str, name: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    _require(math.isfinite(number), name, value, "finite numbers")
    return number


def _choose(options: list[type], value: object, name: str) -> type:
    """Return the class that a mapping of fields is for: the first one unless it says so."""
    (chooser,) = (
        entry.name for entry in dataclasses.fields(options[0]) if entry.name in _CHOOSING_FIELDS
    )
    classes = {
        str(entry.default): option
        for option in options
        for entry in dataclasses.fields(option)
        if entry.name == chooser
    }
    if not isinstance(value, dict) or chooser not in value:
        return options[0]
    chosen = [option for tag, option in classes.items() if tag == value[chooser]]
    _require(bool(chosen), f"{name}.{chooser}", value[chooser], " or ".join(classes))
    return chosen[0]


def _require_pace(config: OptimizationConfig | AdamConfig) -> None:
    for name, most in (("epochs", _MOST_EPOCHS), ("batch_size", _LARGEST_BATCH)):
        value = getattr(config, name)
        _require(1 <= value <= most, f"optimization.{name}", value, f"1 to {most}")
    _require(config.learning_rate > 0, "optimization.learning_rate", config.learning_rate, "> 0")


def _require(condition: bool, name: str, value: object, allowed: str) -> None:
    if not condition:
        raise ConfigError(f"{name} is {value!r}, allowed: {allowed}.")
