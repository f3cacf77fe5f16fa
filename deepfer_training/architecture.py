"""Network architectures."""

import keras
from keras import layers

from deepfer_training.config import NetworkConfig


def build_compact_cnn(
    config: NetworkConfig, input_size_px: int, class_count: int, *, dtype_policy: str = "float32"
) -> keras.Model:
    """Build a plain VGG-like network for grey faces.

    Every stage has two 3x3 convolutions, each with batch normalisation and ReLU; stages are
    joined by max pooling, and a global average feeds one dense layer (Simonyan & Zisserman 2014,
    arXiv:1409.1556; Ioffe & Szegedy 2015, arXiv:1502.03167; Lin et al. 2013, arXiv:1312.4400).

    The model takes float32 (N, S, S, 1) grey values from 0 to 255 and scales them itself. It
    returns float32 (N, C) probabilities; the layer before the softmax is called `logits`.

    Args:
        config: Shape of the network.
        input_size_px: S, side of the square input in pixels.
        class_count: C, number of classes.
        dtype_policy: Keras dtype policy of the convolutions, for example `mixed_bfloat16`.
    """
    pixels = layers.Input((input_size_px, input_size_px, 1), name="pixels")
    x = layers.Rescaling(1 / 255, name="rescale", dtype=dtype_policy)(pixels)
    for stage, width in enumerate(config.widths, start=1):
        if stage > 1:
            x = layers.MaxPooling2D(name=f"stage{stage}_pool", dtype=dtype_policy)(x)
        for block in (1, 2):
            name = f"stage{stage}_block{block}"
            x = layers.Conv2D(
                width,
                3,
                padding="same",
                use_bias=False,
                kernel_initializer="he_normal",
                name=f"{name}_conv",
                dtype=dtype_policy,
            )(x)
            x = layers.BatchNormalization(
                momentum=config.norm_momentum, name=f"{name}_norm", dtype=dtype_policy
            )(x)
            x = layers.ReLU(name=f"{name}_relu", dtype=dtype_policy)(x)
    x = layers.GlobalAveragePooling2D(name="pool", dtype=dtype_policy)(x)
    x = layers.Dropout(config.dropout, name="dropout", dtype=dtype_policy)(x)
    logits = layers.Dense(class_count, name="logits", dtype="float32")(x)
    probabilities = layers.Softmax(name="probabilities", dtype="float32")(logits)
    return keras.Model(pixels, probabilities, name="compact_cnn")
