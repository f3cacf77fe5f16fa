"""Run YuNet through LiteRT, the engine that runs the classifier too.

On one thread LiteRT is faster than OpenCV on two, and several times as fast as libfacedetection
(`docs/performance.md`). So the network is built here from its weights, as a LiteRT model.

Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023.
"""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.errors import DetectorError
from deepfer_ros.recognition.litert_graph import GraphBuilder
from deepfer_ros.recognition.types import LANDMARK_NAMES
from deepfer_ros.recognition.yunet_weights import HEADS, STRIDES_PX, Convolution, YuNetWeights

# Every map has half the side of the one before; sides that are multiples of the last stride go
# through all halvings without a remainder.
_SIDE_STEP_PX = STRIDES_PX[-1]
_NMS_THRESHOLD = 0.3
# An interpreter is kept for each size of picture; single images have all kinds of sizes.
_MAX_INTERPRETERS = 4
_CLS, _OBJ, _BOX, _LANDMARKS = np.split(
    np.arange(sum(HEADS.values())), np.cumsum([*HEADS.values()])[:-1]
)


class YuNetNetwork:
    """Finds faces in pictures of any size. Not thread-safe.

    Args:
        weights: What it has learnt.
        threads: Threads that it may use.

    Raises:
        DetectorError: LiteRT cannot be loaded.
    """

    def __init__(self, weights: YuNetWeights, *, threads: int = 1) -> None:
        try:
            # LiteRT takes a while to load.
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as err:
            raise DetectorError(
                f"LiteRT cannot be loaded: {err}. Install it again with "
                "'pip install --force-reinstall ai-edge-litert'."
            ) from err
        self._interpreter_type = Interpreter
        self._model = build_model(weights)
        self._threads = threads
        self._interpreters: dict[tuple[int, int], Any] = {}

    def find_faces(
        self, image_bgr: NDArray[np.uint8], min_confidence: float
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Find the faces of a picture, the surest first.

        Args:
            image_bgr: uint8 (H, W, 3), BGR.
            min_confidence: Faces below this confidence are left out.

        Returns:
            Boxes (N, 4), left, top, width, height, not clipped to the picture; landmarks
            (N, 5, 2); confidences (N,).
        """
        cells = [
            _read_map(cells, stride_px, min_confidence)
            for cells, stride_px in zip(self._run(image_bgr), STRIDES_PX, strict=True)
        ]
        boxes, landmarks, confidences = map(np.concatenate, zip(*cells, strict=True))
        kept = np.asarray(
            cv2.dnn.NMSBoxes(boxes.tolist(), confidences.tolist(), min_confidence, _NMS_THRESHOLD),
            np.intp,
        ).ravel()
        return boxes[kept], landmarks[kept], confidences[kept]

    def _run(self, image_bgr: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return a map (H / stride, W / stride, `HEADS`) for each of `STRIDES_PX`."""
        height, width = image_bgr.shape[:2]
        rows, columns = (-(-side // _SIDE_STEP_PX) * _SIDE_STEP_PX for side in (height, width))
        # Black around the picture; above and to the left it is what PyTorch pads with.
        padded = np.zeros((1, rows + 1, columns + 1, 3), np.float32)
        padded[0, 1 : height + 1, 1 : width + 1] = image_bgr
        interpreter = self._interpreter(rows, columns)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], padded)
        interpreter.invoke()
        return [
            interpreter.get_tensor(output["index"])[0]
            for output in interpreter.get_output_details()
        ]

    def _interpreter(self, rows: int, columns: int) -> Any:  # noqa: ANN401 - LiteRT ships no types
        interpreter = self._interpreters.pop((rows, columns), None)
        if interpreter is None:
            interpreter = self._interpreter_type(
                model_content=self._model, num_threads=self._threads
            )
            index = interpreter.get_input_details()[0]["index"]
            interpreter.resize_tensor_input(index, [1, rows + 1, columns + 1, 3])
            interpreter.allocate_tensors()
        # The last one is the one used last.
        self._interpreters[rows, columns] = interpreter
        if len(self._interpreters) > _MAX_INTERPRETERS:
            del self._interpreters[next(iter(self._interpreters))]
        return interpreter


def _read_map(
    cells: NDArray[np.float32], stride_px: int, min_confidence: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return boxes (N, 4), landmarks (N, 5, 2) and confidences (N,) of the cells with a face."""
    confidences = np.sqrt(_sigmoid(cells[..., _CLS[0]]) * _sigmoid(cells[..., _OBJ[0]]))
    y, x = np.nonzero(confidences >= min_confidence)
    found, origins = cells[y, x], np.stack([x, y], axis=1).astype(np.float32)
    middles = (origins + found[:, _BOX[:2]]) * stride_px
    sizes = np.exp(found[:, _BOX[2:]]) * stride_px
    landmarks = found[:, _LANDMARKS].reshape(-1, len(LANDMARK_NAMES), 2) + origins[:, None]
    return np.hstack([middles - sizes / 2, sizes]), landmarks * stride_px, confidences[y, x]


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    # The usual formula with an exponential overflows.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * values), np.float32)


def build_model(weights: YuNetWeights) -> bytes:
    """Return YuNet as a LiteRT model.

    Its input is float32 (1, H + 1, W + 1, 3), BGR from 0 to 255, the first row and column zero;
    H and W are multiples of 32. Its outputs are one map for each of `STRIDES_PX`, float32
    (1, H / stride, W / stride, 16), with the channels of all `HEADS`.
    """
    graph = GraphBuilder()
    trunk = iter(weights.trunk)

    def unit(tensor: int, mixing: Convolution, neighbours: Convolution, *, relu: bool) -> int:
        tensor = graph.convolve(tensor, mixing.kernel, mixing.bias)
        return graph.convolve_each(tensor, neighbours.kernel, neighbours.bias, relu=relu)

    def units(tensor: int, count: int) -> int:
        for _ in range(count):
            tensor = unit(tensor, next(trunk), next(trunk), relu=True)
        return tensor

    first = next(trunk)
    picture = graph.add_input(channels=3)
    tensor = graph.convolve(picture, first.kernel, first.bias, stride=2, padded=False, relu=True)
    tensor = graph.halve(units(tensor, 1))
    fine = units(graph.halve(units(tensor, 4)), 2)
    middle = units(graph.halve(fine), 2)
    coarse = units(graph.halve(middle), 2)
    # The neck: what the coarser maps know about the surroundings is added to the finer ones.
    coarse = units(coarse, 1)
    middle = units(graph.add(middle, graph.double(coarse)), 1)
    fine = units(graph.add(fine, graph.double(middle)), 1)
    outputs = [
        unit(tensor, *head, relu=False)
        for tensor, head in zip((fine, middle, coarse), weights.heads, strict=True)
    ]
    return graph.finish(picture, outputs)
