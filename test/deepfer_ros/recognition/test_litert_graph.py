"""Every operator of a graph against the same arithmetic in NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_ros.recognition.litert_graph import GraphBuilder

interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")

GENERATOR = np.random.default_rng(0)
CHANNELS = 3
MIXING = GENERATOR.normal(size=(5, CHANNELS, 1, 1)).astype(np.float32)
WINDOW = GENERATOR.normal(size=(5, CHANNELS, 3, 3)).astype(np.float32)
EACH = GENERATOR.normal(size=(CHANNELS, 1, 3, 3)).astype(np.float32)
BIAS = GENERATOR.normal(size=5).astype(np.float32)

Tensor = NDArray[np.float32]
Operator = Callable[[GraphBuilder, int], int]


def make_interpreter(operator: Operator) -> Any:  # noqa: ANN401 - LiteRT ships no types
    graph = GraphBuilder()
    picture = graph.add_input(CHANNELS)
    model = graph.finish(picture, [operator(graph, picture)])
    return interpreter_module.Interpreter(model_content=model)


def run(interpreter: Any, values: Tensor) -> Tensor:  # noqa: ANN401
    index = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(index, [1, *values.shape])
    interpreter.allocate_tensors()
    interpreter.set_tensor(index, values[None])
    interpreter.invoke()
    output: Tensor = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])[0]
    return output


def slide(values: Tensor, kernel: Tensor, *, stride: int = 1, padded: bool = True) -> Tensor:
    """Return a convolution, (H, W, O), pixel by pixel."""
    side = kernel.shape[-1]
    if padded:
        border = side // 2
        values = np.pad(values, ((border, border), (border, border), (0, 0)))
    rows, columns = ((length - side) // stride + 1 for length in values.shape[:2])
    output = np.empty((rows, columns, len(kernel)), np.float32)
    for y in range(rows):
        for x in range(columns):
            top, left = y * stride, x * stride
            window = values[top : top + side, left : left + side]
            output[y, x] = np.einsum("hwi,oihw->o", window, kernel)
    return output


def slide_each(values: Tensor, kernel: Tensor) -> Tensor:
    channels = [
        slide(values[..., index : index + 1], kernel[index : index + 1])
        for index in range(len(kernel))
    ]
    return np.concatenate(channels, axis=2)


def halve(values: Tensor) -> Tensor:
    rows, columns = (side // 2 for side in values.shape[:2])
    return values[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, -1).max(axis=(1, 3))


CASES: dict[str, tuple[Operator, Callable[[Tensor], Tensor]]] = {
    "mix channels": (
        lambda graph, tensor: graph.convolve(tensor, MIXING, BIAS),
        lambda values: slide(values, MIXING) + BIAS,
    ),
    "3x3, padded, relu": (
        lambda graph, tensor: graph.convolve(tensor, WINDOW, BIAS, relu=True),
        lambda values: np.maximum(slide(values, WINDOW) + BIAS, 0),
    ),
    "3x3, stride 2": (
        lambda graph, tensor: graph.convolve(tensor, WINDOW, BIAS, stride=2, padded=False),
        lambda values: slide(values, WINDOW, stride=2, padded=False) + BIAS,
    ),
    "each channel": (
        lambda graph, tensor: graph.convolve_each(tensor, EACH, BIAS[:CHANNELS]),
        lambda values: slide_each(values, EACH) + BIAS[:CHANNELS],
    ),
    "each channel, relu": (
        lambda graph, tensor: graph.convolve_each(tensor, EACH, BIAS[:CHANNELS], relu=True),
        lambda values: np.maximum(slide_each(values, EACH) + BIAS[:CHANNELS], 0),
    ),
    "halve": (lambda graph, tensor: graph.halve(tensor), halve),
    "double": (
        lambda graph, tensor: graph.double(tensor),
        lambda values: values.repeat(2, axis=0).repeat(2, axis=1),
    ),
    "add": (lambda graph, tensor: graph.add(tensor, tensor), lambda values: 2 * values),
    "one after the other": (
        lambda graph, tensor: graph.double(graph.halve(graph.convolve(tensor, MIXING, BIAS))),
        lambda values: halve(slide(values, MIXING) + BIAS).repeat(2, axis=0).repeat(2, axis=1),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_an_operator_computes_what_it_says_at_any_size(name: str) -> None:
    operator, expected = CASES[name]
    interpreter = make_interpreter(operator)
    for size in ((6, 8), (9, 5), (6, 8)):
        values = GENERATOR.normal(size=(*size, CHANNELS)).astype(np.float32)
        np.testing.assert_allclose(run(interpreter, values), expected(values), atol=1e-5)
