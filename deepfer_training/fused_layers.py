"""Pooling, convolution, normalisation and ReLU as one layer, fast where Keras runs on PyTorch.

On a CPU, Keras' own batch normalisation takes more time than the convolutions: on PyTorch it is
a dozen passes over the picture. Its pooling first moves all channels, and leaves them so that
the next gradients are slow. PyTorch's native operations need one pass each, and the permutations
between them only rename axes.
"""

from typing import Any

import keras


def make_convolutions(
    width: int,
    kernel_px: int,
    *,
    stride: int,
    rank: int,
    name: str,
    dtype: Any,  # noqa: ANN401 - a policy or the name of one
) -> list[keras.layers.Conv2D]:
    """Return convolutions without bias, to be run in turn before batch normalisation and ReLU.

    Args:
        width: Channels out.
        kernel_px: Side of the square kernel.
        stride: Step; the picture is padded so that its side is divided by it.
        rank: 0 for one convolution called `{name}_conv`. Otherwise two: `{name}_columns` looks at
            columns of `kernel_px` pixels and has `rank` channels out, `{name}_rows` at rows
            (Jaderberg et al. 2014, arXiv:1405.3866).
        name: Where their names begin.
        dtype: Keras dtype policy.
    """

    def make(suffix: str, channels: int, kernel: tuple[int, int], strides: tuple[int, int]) -> Any:  # noqa: ANN401 - Keras has no types
        return keras.layers.Conv2D(
            channels,
            kernel,
            strides=strides,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=f"{name}_{suffix}",
            dtype=dtype,
        )

    if rank == 0:
        return [make("conv", width, (kernel_px, kernel_px), (stride, stride))]
    return [
        make("columns", rank, (kernel_px, 1), (stride, 1)),
        make("rows", width, (1, kernel_px), (1, stride)),
    ]


class ConvNormRelu(keras.layers.Layer):
    """Max pooling if wanted, convolutions without bias, batch normalisation, ReLU.

    Takes and gives (N, H, W, C). On Keras' other backends it is the plain layers in a row.

    Args:
        width: Channels out.
        kernel_px: Side of the square kernel.
        stride: Step of the convolution; the picture is padded so that its side is divided by it.
        rank: 0 for one convolution, or the rank of two; see `make_convolutions`.
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
        rank: int,
        pool: bool,
        momentum: float,
        **options: Any,  # noqa: ANN401 - whatever Keras takes
    ) -> None:
        super().__init__(**options)
        self.pool = keras.layers.MaxPooling2D(name="pool", dtype=self.dtype_policy)
        self.pools = pool
        self.convolutions = make_convolutions(
            width, kernel_px, stride=stride, rank=rank, name=self.name, dtype=self.dtype_policy
        )
        self.norm = keras.layers.BatchNormalization(
            momentum=momentum, name="norm", dtype=self.dtype_policy
        )

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Create the weights."""
        shape = self._pooled_shape(input_shape)
        for convolution in self.convolutions:
            convolution.build(shape)
            shape = convolution.compute_output_shape(shape)
        self.norm.build(shape)
        self.built = True

    def compute_output_spec(self, pixels: keras.KerasTensor, training: bool = False) -> Any:  # noqa: ANN401 - a KerasTensor
        """Return the shape and type of the output, without running anything."""
        shape = self._pooled_shape(pixels.shape)
        for convolution in self.convolutions:
            shape = convolution.compute_output_shape(shape)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def call(self, pixels: Any, training: bool = False) -> Any:  # noqa: ANN401 - tensors of any backend
        """Return the features of (N, H, W, C) inputs."""
        if keras.backend.backend() == "torch":
            return _call_torch(self, pixels, training)
        if self.pools:
            pixels = self.pool(pixels)
        for convolution in self.convolutions:
            pixels = convolution(pixels)
        return keras.ops.relu(self.norm(pixels, training=training))

    def _pooled_shape(self, input_shape: Any) -> Any:  # noqa: ANN401 - a shape
        return self.pool.compute_output_shape(input_shape) if self.pools else input_shape


def _call_torch(layer: ConvNormRelu, pixels: Any, training: bool) -> Any:  # noqa: ANN401 - PyTorch tensors
    from torch.nn import functional

    features = pixels.permute(0, 3, 1, 2)
    if layer.pools:
        features = functional.max_pool2d(features, 2)
    for convolution in layer.convolutions:
        features = _convolve_torch(convolution, features)
    norm = layer.norm
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


def _convolve_torch(convolution: keras.layers.Conv2D, features: Any) -> Any:  # noqa: ANN401 - PyTorch tensors
    from torch.nn import functional

    kernel = convolution.kernel.value.to(features.dtype).permute(3, 2, 0, 1)
    # Keras pads as TensorFlow does: what is odd goes to the end.
    before, after = [], []
    for size, stride, kernel_px in zip(
        features.shape[2:], convolution.strides, convolution.kernel_size, strict=True
    ):
        padding = max((-(-size // stride) - 1) * stride + kernel_px - size, 0)
        before.append(padding // 2)
        after.append(padding - padding // 2)
    if before == after:
        return functional.conv2d(
            features, kernel, stride=convolution.strides, padding=tuple(before)
        )
    padded = functional.pad(features, (before[1], after[1], before[0], after[0]))
    return functional.conv2d(padded, kernel, stride=convolution.strides)
