"""Networks for training, and the models of plain layers that come out of it."""

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from deepfer_training.architecture import build_compact_cnn
from deepfer_training.config import HeadConfig, NetworkConfig, ResNet50V2Config, TrainingConfig
from deepfer_training.errors import ConfigError, ModelFileError
from deepfer_training.factorization import factorize_kernel
from deepfer_training.fer2013 import IMAGE_SIZE_PX, LABELS
from deepfer_training.fused_layers import ConvNormRelu
from deepfer_training.inference import load_keras_model
from deepfer_training.model_files import BUNDLE_FILE, KERAS_FILE, describe_model_file
from deepfer_training.resnet50v2 import build_resnet50v2

_HEAD = "logits"
"""Name of the last dense layer of a model with one head."""


def build_network(config: TrainingConfig) -> keras.Model:
    """Build the network of a recipe with all its heads, to be trained.

    Raises:
        ConfigError: Weights that the recipe starts from cannot be had, or a head has the name of
            another layer.
    """
    try:
        network = _build_network(config)
        # What cannot be taken out in the end should not be trained for hours before.
        for head in config.heads:
            extract_head(network, config, head)
    except (KeyError, ValueError) as err:
        names = ", ".join(head.name for head in config.heads)
        raise ConfigError(
            f"heads.name is the name of another layer of the network, too ({names}); choose "
            f"another one: {err}"
        ) from err
    return network


def _build_network(config: TrainingConfig) -> keras.Model:
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


def faster_copy(model: keras.Model, dtype_policy: str) -> keras.Model:
    """Return a compact network of fused layers with the same weights; any other model as it is.

    Args:
        model: A model of plain layers with one head.
        dtype_policy: Keras dtype policy of the copy's convolutions.
    """
    try:
        copy = build_compact_cnn(
            _find_shape(model),
            model.input_shape[1],
            model.output_shape[-1],
            dtype_policy=dtype_policy,
            fused=True,
        )
        # Growing refuses a model with further layers; nothing has to grow here.
        copy_weights(model, copy, source_head=_HEAD, target_head=_HEAD, grow=True)
    except (AttributeError, ConfigError, KeyError, ValueError):
        return model
    return copy


def _find_shape(model: keras.Model) -> NetworkConfig:
    """Return the shape of a compact network.

    Raises:
        AttributeError, ConfigError, KeyError: The model is another one.
    """
    filters: dict[str, dict[tuple[int, int], int]] = {"conv": {}, "columns": {}, "rows": {}}
    for layer in model.layers:
        found = re.fullmatch(r"stage(\d+)_block(\d+)_(conv|columns|rows)", layer.name)
        if found:
            filters[found[3]][int(found[1]), int(found[2])] = layer.filters
    widths = filters["conv"] | filters["rows"]
    stages = sorted({stage for stage, _ in widths})
    stems = [layer.filters for layer in model.layers if layer.name == "stem_conv"]
    return NetworkConfig(
        stem_width=sum(stems),
        widths=tuple(widths[stage, 1] for stage in stages),
        blocks=tuple(sum(stage == other for other, _ in widths) for stage in stages),
        ranks=tuple(filters["columns"].get((stage, 1), 0) for stage in stages),
    )


def head_path(folder: Path, head: HeadConfig) -> Path:
    """Return where a run folder holds the model of a head."""
    return folder / f"{head.name}.keras"


def finished_path(folder: Path, head: HeadConfig) -> Path:
    """Return the model for a head that a finished run's folder holds, or the one of a bundle."""
    bundled = (folder / BUNDLE_FILE).exists()
    return folder / KERAS_FILE if bundled else head_path(folder, head)


def start_from(network: keras.Model, folder: Path, heads: Sequence[HeadConfig]) -> None:
    """Give a network the weights of a finished run or of a bundle.

    The network may be wider than the other one (see `_grow`), or have convolutions of a low rank
    where the other has full ones (see `factorization.factorize_kernel`).

    Raises:
        ModelFileError: The model is missing or damaged, the run has other heads, or the network
            is another one.
    """
    for head in heads:
        others = {other.name for other in heads if other != head}
        path = finished_path(folder, head)
        try:
            # Of a bundle it compares the checksum.
            describe_model_file(path)
            source = load_keras_model(path)
        except ModelFileError as err:
            raise ModelFileError(
                f"{err}. {folder} must be a bundle, or the run folder of a finished training that "
                f"has the head {head.name}."
            ) from err
        try:
            copy_weights(
                source,
                network,
                source_head=_HEAD,
                target_head=head.name,
                except_for=others,
                grow=True,
            )
        except (KeyError, ValueError) as err:
            raise ModelFileError(f"{path} has another network than the recipe: {err}") from err


def copy_weights(
    source: keras.Model,
    target: keras.Model,
    *,
    source_head: str,
    target_head: str,
    except_for: Collection[str] = (),
    grow: bool = False,
) -> None:
    """Copy the weights of every layer, with or without fused layers on either side.

    Args:
        source: Where the weights come from.
        target: Where they go.
        source_head: Name of the head of `source`.
        target_head: Name of the head of `target` that gets its weights.
        except_for: Layers of `target` that keep their weights: its other heads.
        grow: Allow layers of `target` to be wider than those of `source`, or of a low rank; see
            `start_from`.

    Raises:
        KeyError: `target` has a layer that `source` has not.
        ValueError: The weights of a layer have other shapes, or `source` has further layers where
            all of them are to grow.
    """
    wanted = _layers_with_weights(target)
    found = {name: layer.get_weights() for name, layer in _layers_with_weights(source).items()}
    if grow:
        found = _factorize(found, wanted)
    left_out = found.keys() - wanted.keys() - {source_head}
    if grow and left_out:
        raise ValueError(f"it has the layers {', '.join(sorted(left_out))} besides.")
    for name, layer in wanted.items():
        if name not in except_for:
            weights = found[source_head if name == target_head else name]
            if grow:
                weights = [
                    _grow(small, large)
                    for small, large in zip(weights, layer.get_weights(), strict=True)
                ]
            layer.set_weights(weights)


def _factorize(
    found: Mapping[str, list[NDArray[np.float32]]], wanted: Mapping[str, keras.Layer]
) -> dict[str, list[NDArray[np.float32]]]:
    """Return weights in which kernels that are wanted with a low rank have it."""
    weights = dict(found)
    for name in found:
        block, is_full, _ = name.rpartition("_conv")
        if is_full and f"{block}_columns" in wanted:
            (kernel,) = weights.pop(name)
            gamma, _, _, variance = found[f"{block}_norm"]
            epsilon = wanted[f"{block}_norm"].epsilon
            rank = wanted[f"{block}_columns"].filters
            columns, rows = factorize_kernel(kernel, rank, gamma / np.sqrt(variance + epsilon))
            weights |= {f"{block}_columns": [columns], f"{block}_rows": [rows]}
    return weights


def _grow(small: NDArray[np.float32], large: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return weights for a wider layer, with which the network answers as the narrow one did.

    The features that were there get nothing from the new ones at first, which keep the weights
    that they were drawn with. So nothing is lost by widening, and no two features are alike
    (after Chen et al. 2015, arXiv:1511.05641, who copy features instead).

    Args:
        small: Weights of the narrow layer: (..., I, O) from I to O features, or (O,).
        large: Fresh weights of the wide layer, of as many axes.

    Raises:
        ValueError: The wide layer is not at least as wide, or differs in another way.
    """
    known = tuple(slice(size) for size in small.shape)
    if (
        small.ndim != large.ndim
        or small.shape[:-2] != large.shape[:-2]
        or large[known].shape != small.shape
    ):
        raise ValueError(f"weights of shape {small.shape} do not fit into {large.shape}.")
    grown = large.copy()
    if small.ndim > 1:
        grown[..., : small.shape[-1]] = 0
    grown[known] = small
    return grown


def _layers_with_weights(model: keras.Model) -> dict[str, keras.Layer]:
    layers: dict[str, keras.Layer] = {}
    for layer in model.layers:
        if isinstance(layer, ConvNormRelu):
            layers |= {convolution.name: convolution for convolution in layer.convolutions}
            layers[f"{layer.name}_norm"] = layer.norm
        elif layer.weights:
            layers[layer.name] = layer
    return layers
