"""ResNet50V2 below the classifier of DeepFER."""

from collections.abc import Sequence

import keras
from keras import layers

from deepfer_training.architecture import join_heads
from deepfer_training.config import ResNet50V2Config
from deepfer_training.errors import ConfigError

BASE = "resnet50v2"
"""Name of the layer that holds ResNet50V2 itself."""


def build_resnet50v2(
    config: ResNet50V2Config,
    input_size_px: int,
    class_count: int,
    *,
    heads: Sequence[str] = ("logits",),
    dtype_policy: str = "float32",
) -> keras.Model:
    """Build ResNet50V2 (He et al. 2016, arXiv:1603.05027) with DeepFER's layers on top.

    These are: dropout 0.25, batch normalisation, flatten, 64 units with ReLU, batch
    normalisation, dropout 0.5, and one unit a class with a softmax. Weights that are given do not
    learn until `release_top_layers` says so.

    The model takes float32 (N, S, S, 1) grey values from 0 to 255, scales them to 0 to 1 and
    repeats them for the three colours. It returns float32 (N, C) probabilities, one such array
    a head.

    Args:
        config: Where the weights come from.
        input_size_px: S, side of the square input in pixels, at least 32.
        class_count: C, number of classes.
        heads: Name of each dense layer before a softmax; the softmax of the head `x` is called
            `x_probabilities`.
        dtype_policy: Keras dtype policy of all layers but the heads.

    Raises:
        ConfigError: The weights cannot be fetched, or the file does not hold them.
    """
    pixels = layers.Input((input_size_px, input_size_px, 1), name="pixels")
    x = layers.Rescaling(1 / 255, name="rescale", dtype=dtype_policy)(pixels)
    x = layers.Concatenate(name="colours", dtype=dtype_policy)([x, x, x])
    base = _build_base(config, input_size_px, dtype_policy)
    base.trainable = config.weights == "none"
    x = base(x)
    x = layers.Dropout(0.25, name="base_dropout", dtype=dtype_policy)(x)
    x = layers.BatchNormalization(name="base_norm", dtype=dtype_policy)(x)
    x = layers.Flatten(name="flatten", dtype=dtype_policy)(x)
    x = layers.Dense(64, activation="relu", name="dense", dtype=dtype_policy)(x)
    x = layers.BatchNormalization(name="dense_norm", dtype=dtype_policy)(x)
    x = layers.Dropout(0.5, name="dropout", dtype=dtype_policy)(x)
    return join_heads(pixels, x, class_count, heads, name="deepfer")


def release_top_layers(network: keras.Model, count: int) -> None:
    """Let the last layers of a frozen base learn, except its batch normalisation.

    The means and variances of a pretrained network stay as they are: they were found on far more
    pictures than there are here.
    """
    base = network.get_layer(BASE)
    base.trainable = True
    for layer in base.layers[:-count]:
        layer.trainable = False
    for layer in base.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False


def _build_base(config: ResNet50V2Config, input_size_px: int, dtype_policy: str) -> keras.Model:
    previous = keras.config.dtype_policy()
    # Keras' applications take the policy from here only.
    keras.config.set_dtype_policy(dtype_policy)
    try:
        return keras.applications.ResNet50V2(
            include_top=False,
            weights=None if config.weights == "none" else config.weights,
            input_shape=(input_size_px, input_size_px, 3),
            name=BASE,
        )
    except Exception as err:
        # Whatever a download, h5py or Keras raise: there is no common base.
        raise ConfigError(
            f"network.weights is {config.weights!r}, but these weights cannot be had: {err} "
            "Give the path of a file that holds ResNet50V2 without its top, or none."
        ) from err
    finally:
        keras.config.set_dtype_policy(previous)
