"""Networks for training, and the models of plain layers that come out of it."""

from collections.abc import Collection, Sequence
from pathlib import Path

import keras

from deepfer_training.architecture import build_compact_cnn
from deepfer_training.config import HeadConfig, ResNet50V2Config, TrainingConfig
from deepfer_training.errors import ModelFileError
from deepfer_training.fer2013 import IMAGE_SIZE_PX, LABELS
from deepfer_training.fused_layers import ConvNormRelu
from deepfer_training.inference import load_keras_model
from deepfer_training.resnet50v2 import build_resnet50v2

_HEAD = "logits"
"""Name of the last dense layer of a model with one head."""


def build_network(config: TrainingConfig) -> keras.Model:
    """Build the network of a recipe with all its heads, to be trained.

    Raises:
        ConfigError: Weights that the recipe starts from cannot be had.
    """
    names = [head.name for head in config.heads]
    if isinstance(config.network, ResNet50V2Config):
        return build_resnet50v2(
            config.network,
            IMAGE_SIZE_PX,
            len(LABELS),
            heads=names,
            dtype_policy=config.dtype_policy,
        )
    return build_compact_cnn(
        config.network,
        IMAGE_SIZE_PX,
        len(LABELS),
        heads=names,
        dtype_policy=config.dtype_policy,
        fused=True,
    )


def extract_head(network: keras.Model, config: TrainingConfig, head: HeadConfig) -> keras.Model:
    """Return one head of a trained network as a model of plain float32 layers."""
    if isinstance(config.network, ResNet50V2Config):
        # All weights are copied below; nothing needs to be fetched for them.
        plain = build_resnet50v2(ResNet50V2Config("none"), IMAGE_SIZE_PX, len(LABELS))
    else:
        plain = build_compact_cnn(config.network, IMAGE_SIZE_PX, len(LABELS))
    copy_weights(network, plain, source_head=head.name, target_head=_HEAD)
    return plain


def head_path(folder: Path, head: HeadConfig) -> Path:
    """Return where a run folder holds the model of a head."""
    return folder / f"{head.name}.keras"


def load_head(folder: Path, head: HeadConfig) -> keras.Model:
    """Load the model of one head from the folder of a finished run.

    Raises:
        ModelFileError: The folder lacks it, or the file is not a Keras model.
    """
    path = head_path(folder, head)
    try:
        return load_keras_model(path)
    except ModelFileError as err:
        raise ModelFileError(
            f"{err}. {folder} must be the run folder of a finished training that has the head "
            f"{head.name}."
        ) from err


def start_from(network: keras.Model, folder: Path, heads: Sequence[HeadConfig]) -> None:
    """Give a network the weights of a finished run.

    Raises:
        ModelFileError: The run has other heads or another network.
    """
    for head in heads:
        others = {other.name for other in heads if other != head}
        source = load_head(folder, head)
        try:
            copy_weights(
                source, network, source_head=_HEAD, target_head=head.name, except_for=others
            )
        except (KeyError, ValueError) as err:
            raise ModelFileError(
                f"{head_path(folder, head)} has another network than the recipe: {err}"
            ) from err


def copy_weights(
    source: keras.Model,
    target: keras.Model,
    *,
    source_head: str,
    target_head: str,
    except_for: Collection[str] = (),
) -> None:
    """Copy the weights of every layer, with or without fused layers on either side.

    Args:
        source: Where the weights come from.
        target: Where they go.
        source_head: Name of the head of `source`.
        target_head: Name of the head of `target` that gets its weights.
        except_for: Layers of `target` that keep their weights: its other heads.

    Raises:
        KeyError: `target` has a layer that `source` has not.
        ValueError: The weights of a layer have other shapes.
    """
    found = _layers_with_weights(source)
    for name, layer in _layers_with_weights(target).items():
        if name not in except_for:
            layer.set_weights(found[source_head if name == target_head else name].get_weights())


def _layers_with_weights(model: keras.Model) -> dict[str, keras.Layer]:
    layers = {}
    for layer in model.layers:
        if isinstance(layer, ConvNormRelu):
            layers[f"{layer.name}_conv"] = layer.conv
            layers[f"{layer.name}_norm"] = layer.norm
        elif layer.weights:
            layers[layer.name] = layer
    return layers
