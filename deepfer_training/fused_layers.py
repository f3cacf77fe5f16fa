"""Pooling, convolution, normalisation and ReLU as one layer, fast where Keras runs on PyTorch.

On a CPU, Keras' own batch normalisation takes more time than the convolutions: on PyTorch it is
a dozen passes over the picture. Its pooling first moves all channels, and leaves them so that
the next gradients are slow. PyTorch's native operations need one pass each, and the permutations
between them only rename axes.
"""

from typing import Any

import keras


def make_convolution(
    width: int,
    kernel_px: int,
    *,
    stride: int,
    name: str,
    dtype: Any,  # noqa: ANN401 - a policy or the name of one
) -> keras.layers.Conv2D:
    """Return a convolution as batch normalisation follows it: without bias, for a ReLU."""
    return keras.layers.Conv2D(
        width,
        kernel_px,
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer="he_normal",
        name=name,
        dtype=dtype,
    )


class ConvNormRelu(keras.layers.Layer):
    """Max pooling if wanted, convolution without bias, batch normalisation, ReLU.

    Takes and gives (N, H, W, C). On Keras' other backends it is the plain layers in a row.

    Args:
        width: Channels out.
        kernel_px: Side of the square kernel.
        stride: Step of the convolution; the picture is padded so that its side is divided by it.
        pool: Take the maximum of every 2x2 pixels first.
        momentum: Momentum of the means and variances that batch normalisation keeps.
        options: Passed on to `keras.layers.Layer`.
    """

    def __init__(
        self,
        width: int,
        kernel_px: int,
        *,
        stride: int,
        pool: bool,
        momentum: float,
        **options: Any,  # noqa: ANN401 - whatever Keras takes
    ) -> None:
        super().__init__(**options)
        self.pool = keras.layers.MaxPooling2D(name="pool", dtype=self.dtype_policy)
        self.pools = pool
        self.conv = make_convolution(
            width, kernel_px, stride=stride, name="conv", dtype=self.dtype_policy
        )
        self.norm = keras.layers.BatchNormalization(
            momentum=momentum, name="norm", dtype=self.dtype_policy
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights."""
        self.conv.build(self._convolved_shape(input_shape))
        self.norm.build(self.conv.compute_output_shape(self._convolved_shape(input_shape)))
        self.built = True

    def compute_output_spec(self, pixels: keras.KerasTensor, training: bool = False) -> Any:  # noqa: ANN401 - a KerasTensor
        """Return the shape and type of the output, without running anything."""
        shape = self.conv.compute_output_shape(self._convolved_shape(pixels.shape))
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def call(self, pixels: Any, training: bool = False) -> Any:  # noqa: ANN401 - tensors of any backend
        """Return the features of (N, H, W, C) inputs."""
        if keras.backend.backend() == "torch":
            return _call_torch(self, pixels, training)
        if self.pools:
            pixels = self.pool(pixels)
        return keras.ops.relu(self.norm(self.conv(pixels), training=training))

    def _convolved_shape(self, input_shape: Any) -> Any:  # noqa: ANN401 - a shape
        return self.pool.compute_output_shape(input_shape) if self.pools else input_shape


def _call_torch(layer: ConvNormRelu, pixels: Any, training: bool) -> Any:  # noqa: ANN401 - PyTorch tensors
    from torch.nn import functional

    conv, norm = layer.conv, layer.norm
    features = pixels.permute(0, 3, 1, 2)
    if layer.pools:
        features = functional.max_pool2d(features, 2)
    kernel = conv.kernel.value.to(features.dtype).permute(3, 2, 0, 1)
    # Keras pads as TensorFlow does: what is odd goes to the end.
    (stride, _), (kernel_px, _) = conv.strides, conv.kernel_size
    before, after = [], []
    for size in features.shape[2:]:
        padding = max((-(-size // stride) - 1) * stride + kernel_px - size, 0)
        before.append(padding // 2)
        after.append(padding - padding // 2)
    if before == after:
        features = functional.conv2d(features, kernel, stride=stride, padding=tuple(before))
    else:
        padded = functional.pad(features, (before[1], after[1], before[0], after[0]))
        features = functional.conv2d(padded, kernel, stride=stride)
    features = functional.batch_norm(
        features,
        norm.moving_mean.value,
        norm.moving_variance.value,
        norm.gamma.value,
        norm.beta.value,
        training=bool(training),
        # PyTorch's momentum is the weight of the new batch, Keras' that of the old ones.
        momentum=1 - norm.momentum,
        eps=norm.epsilon,
    )
    return functional.relu_(features).permute(0, 2, 3, 1)
