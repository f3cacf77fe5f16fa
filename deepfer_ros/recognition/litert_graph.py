"""Put a convolutional network together as a LiteRT model, without TensorFlow.

Only what YuNet needs is here. LiteRT's package brings the classes that stand for the parts of a
model file; see "schema.fbs" of TensorFlow Lite for what they mean.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_FILE_IDENTIFIER = b"TFL3"
_SCHEMA_VERSION = 3


class GraphBuilder:
    """Builds a model operator by operator. Tensors are float32 (1, H, W, C), known by a number.

    LiteRT must be installed.
    """

    def __init__(self) -> None:
        import ai_edge_litert.schema_py_generated as schema

        self._schema: Any = schema
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[int, int] = {}
        # The first buffer stands for "no values".
        self._buffers: list[Any] = [schema.BufferT()]

    def add_input(self, channels: int) -> int:
        """Return the picture."""
        return self._add_map(channels)

    def convolve(
        self,
        tensor: int,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        stride: int = 1,
        padded: bool = True,
        relu: bool = False,
    ) -> int:
        """Return a convolution.

        Args:
            tensor: Its input.
            kernel: (O, I, K, K).
            bias: (O,).
            stride: Step from one output to the next.
            padded: With zeros around the input, so that the output has the same size.
            relu: Negative outputs become 0.
        """
        options = self._schema.Conv2DOptionsT()
        self._set_window(options, stride, padded=padded, relu=relu)
        values = [self._add_constant(kernel.transpose(0, 2, 3, 1)), self._add_constant(bias)]
        return self._add_operator("CONV_2D", [tensor, *values], options, len(kernel))

    def convolve_each(
        self,
        tensor: int,
        kernel: NDArray[np.float32],
        bias: NDArray[np.float32],
        *,
        relu: bool = False,
    ) -> int:
        """Return a padded convolution of every channel by itself; `kernel` is (O, 1, K, K)."""
        options = self._schema.DepthwiseConv2DOptionsT()
        self._set_window(options, 1, padded=True, relu=relu)
        options.depthMultiplier = 1
        values = [self._add_constant(kernel.transpose(1, 2, 3, 0)), self._add_constant(bias)]
        return self._add_operator("DEPTHWISE_CONV_2D", [tensor, *values], options, len(kernel))

    def halve(self, tensor: int) -> int:
        """Return the largest of every 2x2 values."""
        options = self._schema.Pool2DOptionsT()
        self._set_window(options, 2, padded=False, relu=False)
        options.filterWidth = options.filterHeight = 2
        return self._add_operator("MAX_POOL_2D", [tensor], options, self._channels(tensor))

    def double(self, tensor: int) -> int:
        """Return every value four times, as 2x2 values.

        The operator made for it wants to know the size beforehand; this one takes any.
        """
        channels = self._channels(tensor)
        joined = self._schema.ConcatenationOptionsT()
        joined.axis = 3
        four = self._add_operator("CONCATENATION", [tensor] * 4, joined, 4 * channels)
        spread = self._schema.DepthToSpaceOptionsT()
        spread.blockSize = 2
        return self._add_operator("DEPTH_TO_SPACE", [four], spread, channels)

    def add(self, left: int, right: int) -> int:
        """Return the sum of two tensors of one shape."""
        options = self._schema.AddOptionsT()
        return self._add_operator("ADD", [left, right], options, self._channels(left))

    def finish(self, picture: int, outputs: list[int]) -> bytes:
        """Return the model file."""
        graph = self._schema.SubGraphT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = [picture], outputs
        model = self._schema.ModelT()
        model.version = _SCHEMA_VERSION
        model.operatorCodes = [self._make_code(number) for number in self._codes]
        model.subgraphs, model.buffers = [graph], self._buffers
        # The package that the classes are made for comes with them.
        builder = self._schema.flatbuffers.Builder()
        builder.Finish(model.Pack(builder), _FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _set_window(
        self,
        options: Any,  # noqa: ANN401 - the classes of the schema have no types
        stride: int,
        *,
        padded: bool,
        relu: bool,
    ) -> None:
        padding, activation = self._schema.Padding, self._schema.ActivationFunctionType
        options.padding = padding.SAME if padded else padding.VALID
        options.strideW = options.strideH = stride
        options.fusedActivationFunction = activation.RELU if relu else activation.NONE
        if hasattr(options, "dilationWFactor"):
            options.dilationWFactor = options.dilationHFactor = 1

    def _make_code(self, number: int) -> Any:  # noqa: ANN401
        code = self._schema.OperatorCodeT()
        # Readers of old files look at the first of the two.
        code.deprecatedBuiltinCode = code.builtinCode = number
        code.version = 1
        return code

    def _add_operator(
        self,
        name: str,
        inputs: list[int],
        options: Any,  # noqa: ANN401
        channels: int,
    ) -> int:
        number = getattr(self._schema.BuiltinOperator, name)
        output = self._add_map(channels)
        operator = self._schema.OperatorT()
        operator.opcodeIndex = self._codes.setdefault(number, len(self._codes))
        operator.inputs, operator.outputs = inputs, [output]
        kind = type(options).__name__.removesuffix("T")
        operator.builtinOptionsType = getattr(self._schema.BuiltinOptions, kind)
        operator.builtinOptions = options
        self._operators.append(operator)
        return output

    def _add_constant(self, values: NDArray[np.float32]) -> int:
        buffer = self._schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values, "<f4").tobytes(), np.uint8)
        self._buffers.append(buffer)
        return self._add_tensor(values.shape, buffer=len(self._buffers) - 1)

    def _add_map(self, channels: int) -> int:
        """Add a tensor whose height and width LiteRT works out from those of the picture."""
        return self._add_tensor((1, 1, 1, channels))

    def _channels(self, tensor: int) -> int:
        return int(self._tensors[tensor].shape[-1])

    def _add_tensor(self, shape: tuple[int, ...], *, buffer: int = 0) -> int:
        tensor = self._schema.TensorT()
        tensor.type = self._schema.TensorType.FLOAT32
        tensor.shape = list(shape)
        tensor.buffer = buffer
        self._tensors.append(tensor)
        return len(self._tensors) - 1
