"""Read the weights of YuNet from either of the two files that hold them.

One is YuNet's own ONNX file. The other is libfacedetection, the C++ library of YuNet's author: its
weights are the same numbers, rounded to three digits, as a table that its header declares.
"""

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.errors import DetectorError

STRIDES_PX = (8, 16, 32)
"""Pixels from one cell to the next of each of the three maps in which faces are found."""

HEADS = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
"""What the network says about each cell, and in how many channels: whether it shows a face,
whether it shows anything, the box and the landmarks."""

# Channels at the ends of the trunk's units, from the picture to the neck.
_UNIT_CHANNELS = (16, 16, 16, 32, 32, 64, *[64] * 9)
_CELL_CHANNELS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """The weights of one convolution, as PyTorch and ONNX arrange them.

    Attributes:
        kernel: float32 (O, I, K, K); I is 1 where every channel is convolved by itself.
        bias: float32 (O,).
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class YuNetWeights:
    """The weights of the whole network.

    A unit is two convolutions: one that mixes the channels of each pixel, then one that mixes the
    3x3 neighbours in each channel.

    Attributes:
        trunk: The first convolution, the 11 units of the backbone and the 3 of the neck, in the
            order of their evaluation.
        heads: One unit for each of `STRIDES_PX`: all `HEADS` side by side.

    Raises:
        ValueError: Number or shape of the convolutions are not YuNet's.
    """

    trunk: tuple[Convolution, ...]
    heads: tuple[tuple[Convolution, Convolution], ...]

    def __post_init__(self) -> None:
        units = list(pairwise(_UNIT_CHANNELS))
        trunk = [(16, 3, 3, 3), *[shape for unit in units for shape in _unit_shapes(*unit)]]
        heads = _unit_shapes(_CELL_CHANNELS, sum(HEADS.values())) * len(STRIDES_PX)
        _check_shapes(self.trunk, trunk)
        _check_shapes(tuple(part for head in self.heads for part in head), heads)


def read_onnx(path: Path) -> YuNetWeights:
    """Read YuNet's ONNX file.

    Raises:
        DetectorError: It cannot be read, or is something else.
    """
    try:
        graph = _Graph(path.read_bytes())
        heads = [
            [graph.unit_before(f"{name}_{stride_px}") for name in HEADS]
            for stride_px in STRIDES_PX
        ]
        in_heads = {id(node) for level in heads for unit in level for node in unit}
        return YuNetWeights(
            tuple(
                graph.weights_of(node) for node in graph.convolutions if id(node) not in in_heads
            ),
            tuple(
                _side_by_side([tuple(map(graph.weights_of, unit)) for unit in level])
                for level in heads
            ),
        )
    except OSError as err:
        raise DetectorError(f"{path} cannot be read: {err.strerror}.") from err
    # Whatever is wrong with the file becomes one of these.
    except (ValueError, LookupError) as err:
        raise DetectorError(f"{path} is not a YuNet model: {err!r}.") from err


def read_library(path: Path) -> YuNetWeights:
    """Read the weights inside libfacedetection.so of May 2023.

    Raises:
        DetectorError: The library cannot be loaded, or holds something else.
    """
    try:
        library = ctypes.CDLL(str(path))
        table = (_ConvInfo * len(_LIBRARY_SIZES)).in_dll(library, "param_pConvInfo")
        first, *others = _read_table(table)
        units = list(zip(others[::2], others[1::2], strict=True))
        backbone, neck, heads = units[:11], units[11:14], iter(units[14:])
        # The neck is evaluated from the coarsest map to the finest.
        trunk = [part for unit in [*backbone, *reversed(neck)] for part in unit]
        by_name = {name: [next(heads) for _ in STRIDES_PX] for name in _LIBRARY_HEADS}
        return YuNetWeights(
            (first, *trunk),
            tuple(
                _side_by_side([by_name[name][level] for name in HEADS])
                for level in range(len(STRIDES_PX))
            ),
        )
    except (OSError, ValueError) as err:
        raise DetectorError(f"{path} cannot be used: {err}.") from err


def _unit_shapes(inputs: int, outputs: int) -> list[tuple[int, ...]]:
    return [(outputs, inputs, 1, 1), (outputs, 1, 3, 3)]


def _check_shapes(convolutions: tuple[Convolution, ...], expected: list[tuple[int, ...]]) -> None:
    shapes = [convolution.kernel.shape for convolution in convolutions]
    biases = [convolution.bias.shape for convolution in convolutions]
    if shapes != expected or biases != [shape[:1] for shape in expected]:
        raise ValueError(f"the convolutions must be {expected}, got {shapes} and {biases}")


def _side_by_side(units: list[tuple[Convolution, ...]]) -> tuple[Convolution, Convolution]:
    """Return one unit that computes the channels of several, which have the same input."""
    mixing, neighbours = (
        Convolution(
            np.concatenate([part.kernel for part in parts]),
            np.concatenate([part.bias for part in parts]),
        )
        for parts in zip(*units, strict=True)
    )
    return mixing, neighbours


# --- libfacedetection ---

_LIBRARY_HEADS = ("cls", "bbox", "obj", "kps")
# The first convolution sees 3x3 pixels of 3 channels, filled up with zeros to 32 numbers.
_FIRST_INPUTS, _FIRST_FILLED = 27, 32
# Numbers of inputs and outputs of the convolutions, in the library's order.
_LIBRARY_UNITS = (
    *pairwise(_UNIT_CHANNELS),
    *[(_CELL_CHANNELS, HEADS[name]) for name in _LIBRARY_HEADS for _ in STRIDES_PX],
)
_LIBRARY_SIZES = (
    (_FIRST_FILLED, _UNIT_CHANNELS[0]),
    *[size for inputs, outputs in _LIBRARY_UNITS for size in ((inputs, outputs), (outputs,) * 2)],
)


class _ConvInfo(ctypes.Structure):
    """The struct ConvInfoStruct of libfacedetection's header."""

    _fields_ = (
        ("channels", ctypes.c_int),
        ("num_filters", ctypes.c_int),
        ("is_depthwise", ctypes.c_bool),
        ("is_pointwise", ctypes.c_bool),
        ("with_relu", ctypes.c_bool),
        ("weights", ctypes.POINTER(ctypes.c_float)),
        ("biases", ctypes.POINTER(ctypes.c_float)),
    )


def _read_table(table: "ctypes.Array[_ConvInfo]") -> list[Convolution]:
    """Return copies of the weights in the usual arrangement."""
    sizes = tuple((entry.channels, entry.num_filters) for entry in table)
    # What the pointers point at is known for this table only.
    if sizes != _LIBRARY_SIZES:
        raise ValueError(f"its convolutions must be {_LIBRARY_SIZES}, got {sizes}")
    return [_read_entry(entry, is_first=not index) for index, entry in enumerate(table)]


def _read_entry(entry: _ConvInfo, *, is_first: bool) -> Convolution:
    inputs, outputs = entry.channels, entry.num_filters
    if entry.is_depthwise:
        kernel = np.ctypeslib.as_array(entry.weights, (3, 3, 1, outputs)).transpose(3, 2, 0, 1)
    else:
        kernel = np.ctypeslib.as_array(entry.weights, (outputs, inputs, 1, 1))
    if is_first:
        pixels = kernel[:, :_FIRST_INPUTS].reshape(outputs, 3, 3, 3)
        kernel = pixels.transpose(0, 3, 1, 2)
    return Convolution(kernel.copy(), np.ctypeslib.as_array(entry.biases, (outputs,)).copy())


# --- ONNX ---

# Numbers of fields in onnx.proto.
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OUTPUT, _NODE_OPERATOR = 1, 2, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 8, 9
_FLOAT32 = [1]
# Ways in which Protocol Buffers write a value.
_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5


@dataclass(frozen=True, slots=True)
class _Node:
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class _Graph:
    """The part of an ONNX model that is needed here: which convolution has which weights.

    Args:
        data: The file.

    Raises:
        ValueError: It is not an ONNX file.
        IndexError: It is truncated.
    """

    def __init__(self, data: bytes) -> None:
        nodes: list[_Node] = []
        self._tensors: dict[str, NDArray[np.float32]] = {}
        for graph in _chunks(memoryview(data), _MODEL_GRAPH):
            nodes += [_read_node(node) for node in _chunks(graph, _GRAPH_NODE)]
            for tensor in _chunks(graph, _GRAPH_INITIALIZER):
                if _numbers(tensor, _TENSOR_TYPE) == _FLOAT32:
                    (name,) = _texts(tensor, _TENSOR_NAME)
                    self._tensors[name] = _read_float32(tensor)
        self.convolutions = [node for node in nodes if node.operator == "Conv"]
        self._producers = {name: node for node in nodes for name in node.outputs}

    def unit_before(self, output: str) -> tuple[_Node, _Node]:
        """Return the last two convolutions before an output of the network, in their order."""
        last = self._convolution_before(output)
        return self._convolution_before(last.inputs[0]), last

    def weights_of(self, node: _Node) -> Convolution:
        """Return the weights of a convolution."""
        _, kernel, bias = node.inputs
        return Convolution(self._tensors[kernel], self._tensors[bias])

    def _convolution_before(self, name: str) -> _Node:
        node = self._producers[name]
        while node.operator != "Conv":
            node = self._producers[node.inputs[0]]
        return node


def _read_node(message: memoryview) -> _Node:
    (operator,) = _texts(message, _NODE_OPERATOR)
    return _Node(operator, _texts(message, _NODE_INPUT), _texts(message, _NODE_OUTPUT))


def _read_float32(message: memoryview) -> NDArray[np.float32]:
    (raw,) = _chunks(message, _TENSOR_RAW)
    return np.frombuffer(raw, "<f4").reshape(_numbers(message, _TENSOR_DIMS))


def _texts(message: memoryview, number: int) -> tuple[str, ...]:
    return tuple(bytes(chunk).decode() for chunk in _chunks(message, number))


def _chunks(message: memoryview, number: int) -> list[memoryview]:
    """Return the messages, texts or bytes in a field."""
    return [
        value for own, value in _fields(message) if own == number and not isinstance(value, int)
    ]


def _numbers(message: memoryview, number: int) -> list[int]:
    """Return the whole numbers in a field."""
    return [value for own, value in _fields(message) if own == number and isinstance(value, int)]


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of the fields of a Protocol Buffers message."""
    position = 0
    while position < len(message):
        key, position = _read_varint(message, position)
        number, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, position = _read_varint(message, position)
            yield number, value
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            position += 8 if kind == _EIGHT_BYTES else 4
        elif kind == _DELIMITED:
            size, start = _read_varint(message, position)
            position = start + size
            if position > len(message):
                raise ValueError("the file is truncated")
            yield number, message[start:position]
        else:
            raise ValueError(f"there is no kind of field with the number {kind}")


def _read_varint(message: memoryview, position: int) -> tuple[int, int]:
    """Return a number of seven bits a byte, the lowest first, and the position after it."""
    value = shift = 0
    while True:
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
