"""Network architectures."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import layers

from deepfer_training.config import NetworkConfig
from deepfer_training.errors import ConfigError
from deepfer_training.fused_layers import ConvNormRelu, make_convolutions

_STEM_KERNEL_PX = 5


def build_compact_cnn(
    config: NetworkConfig,
    input_size_px: int,
    class_count: int,
    *,
    heads: Sequence[str] = ("logits",),
    dtype_policy: str = "float32",
    fused: bool = False,
) -> keras.Model:
    """Build a plain VGG-like network for grey faces.

    A stem, if there is one, halves the picture with a 5x5 convolution. Every stage is a row of 3x3
    convolutions; stages are joined by max pooling, and a global average feeds one dense layer
    a head. Each convolution is followed by batch normalisation and ReLU (Simonyan & Zisserman
    2014, arXiv:1409.1556; Ioffe & Szegedy 2015, arXiv:1502.03167; Lin et al. 2013,
    arXiv:1312.4400).

    The model takes float32 (N, S, S, 1) grey values from 0 to 255 and scales them itself. It
    returns float32 (N, C) probabilities, one such array a head.

    Args:
        config: Shape of the network.
        input_size_px: S, side of the square input in pixels.
        class_count: C, number of classes.
        heads: Name of each dense layer before a softmax; the softmax of the head `x` is called
            `x_probabilities`.
        dtype_policy: Keras dtype policy of the convolutions, for example `mixed_bfloat16`.
        fused: Use `ConvNormRelu` layers: for training. Without, the model holds only layers that
            every Keras knows. `networks.copy_weights` joins the two.

    Raises:
        ConfigError: More stages than the picture can be halved for, or a head with the name of
            another layer.
    """
    halvings = len(config.widths) - 1 + (config.stem_width > 0)
    if input_size_px >> halvings == 0:
        raise ConfigError(
            f"network.widths is {config.widths!r}, but a picture of {input_size_px} pixels cannot "
            f"be halved {halvings} times: take fewer stages."
        )
    pixels = layers.Input((input_size_px, input_size_px, 1), name="pixels")
    x = layers.Rescaling(1 / 255, name="rescale", dtype=dtype_policy)(pixels)
    convolve = _convolve_fused if fused else _convolve
    options: dict[str, Any] = {"momentum": config.norm_momentum, "dtype": dtype_policy}
    if config.stem_width:
        x = convolve(
            x,
            config.stem_width,
            _STEM_KERNEL_PX,
            stride=2,
            rank=0,
            pool=False,
            name="stem",
            **options,
        )
    ranks = config.ranks or (0,) * len(config.widths)
    stages = zip(config.widths, config.blocks, ranks, strict=True)
    for stage, (width, blocks, rank) in enumerate(stages, 1):
        for block in range(1, blocks + 1):
            x = convolve(
                x,
                width,
                3,
                stride=1,
                rank=rank,
                pool=stage > 1 and block == 1,
                name=f"stage{stage}_block{block}",
                **options,
            )
    x = layers.GlobalAveragePooling2D(name="pool", dtype=dtype_policy)(x)
    x = layers.Dropout(config.dropout, name="dropout", dtype=dtype_policy)(x)
    return join_heads(pixels, x, class_count, heads, name="compact_cnn")


def join_heads(
    pixels: Any,  # noqa: ANN401 - a Keras tensor
    features: Any,  # noqa: ANN401 - a Keras tensor
    class_count: int,
    heads: Sequence[str],
    *,
    name: str,
) -> keras.Model:
    """Return the model that leads from pixels over features to one softmax a head.

    Both layers of a head calculate with float32, whatever the policy of the others.

    Args:
        pixels: The input.
        features: (N, F), what the heads share.
        class_count: C, number of classes.
        heads: Name of each dense layer; the softmax of the head `x` is called `x_probabilities`.
        name: Name of the model.

    Raises:
        ConfigError: A head has the name of another layer.
    """
    taken = {layer.name for layer in keras.Model(pixels, features).layers}
    for head in heads:
        names = {head, f"{head}_probabilities"}
        if names & taken:
            raise ConfigError(
                f"heads.name is {head!r}, the name of a layer of the network; take another one."
            )
        taken |= names
    outputs = [
        layers.Softmax(name=f"{head}_probabilities", dtype="float32")(
            layers.Dense(class_count, name=head, dtype="float32")(features)
        )
        for head in heads
    ]
    return keras.Model(pixels, outputs if len(outputs) > 1 else outputs[0], name=name)


def _convolve_fused(x: Any, width: int, kernel_px: int, **options: Any) -> Any:  # noqa: ANN401 - Keras tensors and layer options
    return ConvNormRelu(width, kernel_px, **options)(x)


def _convolve(
    x: Any,  # noqa: ANN401 - a Keras tensor
    width: int,
    kernel_px: int,
    *,
    stride: int,
    rank: int,
    pool: bool,
    momentum: float,
    name: str,
    dtype: str,
) -> Any:  # noqa: ANN401 - a Keras tensor
    if pool:
        x = layers.MaxPooling2D(name=f"{name}_pool", dtype=dtype)(x)
    for convolution in make_convolutions(
        width, kernel_px, stride=stride, rank=rank, name=name, dtype=dtype
    ):
        x = convolution(x)
    x = layers.BatchNormalization(momentum=momentum, name=f"{name}_norm", dtype=dtype)(x)
    return layers.ReLU(name=f"{name}_relu", dtype=dtype)(x)
