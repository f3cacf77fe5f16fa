"""Run Keras, LiteRT and ONNX models over whole data sets."""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepfer_training.errors import ModelFileError

_BATCH_SIZE = 64


class Predictor(Protocol):
    """A loaded model.

    Attributes:
        input_size_px: Side of the square grey picture that the model takes, in pixels.
        class_count: Number of its outputs.
    """

    input_size_px: int
    class_count: int

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (N, C) probabilities of float32 (N, S, S, 1) grey values 0 to 255."""


def load_predictor(path: Path) -> Predictor:
    """Load a `.keras`, `.tflite` or `.onnx` file. LiteRT and ONNX Runtime use one thread.

    Raises:
        ModelFileError: The file is not a model that takes square grey pictures and gives
            probabilities.
    """
    if path.suffix == ".keras":
        return KerasPredictor(path)
    return OnnxPredictor(path) if path.suffix == ".onnx" else LiteRtPredictor(path)


def load_keras_model(path: Path) -> Any:  # noqa: ANN401 - a Keras model, and Keras loads slowly
    """Load a `.keras` file as a Keras model that cannot be trained further.

    Raises:
        ModelFileError: The file is missing, damaged, or no Keras model.
    """
    import keras

    try:
        return keras.saving.load_model(path, compile=False)
    # A KeyError means an archive without a part that every model has.
    except (ValueError, TypeError, KeyError, OSError) as err:
        raise ModelFileError(f"{path} is not a usable Keras model: {err}") from err


class KerasPredictor:
    """A Keras model, from a file or from memory.

    Raises:
        ModelFileError: See `load_predictor`.
    """

    def __init__(self, model: Any) -> None:  # noqa: ANN401 - a path or a Keras model
        self._name = "The model"
        if isinstance(model, Path):
            self._name = str(model)
            model = load_keras_model(model)
        # XLA would compile anew for every batch size, and its convolutions are slow on CPUs.
        model.jit_compile = False
        self._model = model
        self.input_size_px, self.class_count = _check_shapes(
            self._name, model.input_shape, model.output_shape
        )

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Predictor.run`."""
        return np.asarray(self._model.predict_on_batch(batch), np.float32)


class LiteRtPredictor:
    """A LiteRT model, run on one thread.

    Raises:
        ModelFileError: See `load_predictor`.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        try:
            self._interpreter: Any = Interpreter(model_path=str(path), num_threads=1)
        except (ValueError, RuntimeError) as err:
            raise ModelFileError(f"{path} is not a usable LiteRT model: {err}") from err
        self._input = self._interpreter.get_input_details()[0]
        self._output = self._interpreter.get_output_details()[0]
        if self._input["dtype"] != np.float32 or self._output["dtype"] != np.float32:
            raise ModelFileError(
                f"{path} takes {self._input['dtype'].__name__} and gives "
                f"{self._output['dtype'].__name__}, but both must be float32."
            )
        self.input_size_px, self.class_count = _check_shapes(
            str(path), tuple(self._input["shape"]), tuple(self._output["shape"])
        )
        self._batch_size = 0

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Predictor.run`."""
        if len(batch) != self._batch_size:
            self._interpreter.resize_tensor_input(self._input["index"], batch.shape)
            self._interpreter.allocate_tensors()
            self._batch_size = len(batch)
        self._interpreter.set_tensor(self._input["index"], batch)
        self._interpreter.invoke()
        output: NDArray[np.float32] = self._interpreter.get_tensor(self._output["index"])
        return output


class OnnxPredictor:
    """An ONNX model, run by ONNX Runtime on one thread.

    Raises:
        ModelFileError: See `load_predictor`.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime
        from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        # ONNX Runtime's errors have no common base but this.
        except (ort_errors.Fail, ort_errors.InvalidProtobuf, RuntimeError, ValueError) as err:
            raise ModelFileError(f"{path} is not a usable ONNX model: {err}") from err
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [entry.type for entry in (*inputs, *outputs)] != ["tensor(float)"] * 2:
            raise ModelFileError(
                f"{path} takes {_join_types(inputs)} and gives {_join_types(outputs)}, but must "
                "take and give one tensor(float)."
            )
        self._input_name = inputs[0].name
        self.input_size_px, self.class_count = _check_shapes(
            str(path), _numeric_shape(inputs[0].shape), _numeric_shape(outputs[0].shape)
        )

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Predictor.run`."""
        (output,) = self._session.run(None, {self._input_name: batch})
        return np.asarray(output, np.float32)


def predict(
    predictor: Predictor,
    images: NDArray[np.uint8],
    *,
    on_progress: Callable[[int], None] = lambda count: None,
) -> NDArray[np.float32]:
    """Return the probabilities of every class for every picture, float32 (N, C).

    Args:
        predictor: The model.
        images: uint8 (N, S, S), grey.
        on_progress: Called after every batch with the number of pictures in it.

    Raises:
        ModelFileError: The model takes pictures of another size.
    """
    _check_size(predictor, images)
    outputs = [np.empty((0, predictor.class_count), np.float32)]
    for batch in _batches(images, _BATCH_SIZE):
        outputs.append(predictor.run(batch))
        on_progress(len(batch))
    return np.concatenate(outputs)


def measure_ms_per_face(
    predictor: Predictor, images: NDArray[np.uint8], repeats: int = 200
) -> float:
    """Return the median time that the model takes for one picture alone, milliseconds.

    Raises:
        ModelFileError: The model takes pictures of another size.
    """
    _check_size(predictor, images)
    batches = list(_batches(images[: min(len(images), 16)], 1))
    for batch in batches[:4]:
        predictor.run(batch)
    times_s = []
    for repeat in range(repeats):
        start_s = time.perf_counter()
        predictor.run(batches[repeat % len(batches)])
        times_s.append(time.perf_counter() - start_s)
    return float(np.median(times_s)) * 1000


def _batches(images: NDArray[np.uint8], size: int) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(images), size):
        yield images[start : start + size, ..., np.newaxis].astype(np.float32)


def _check_size(predictor: Predictor, images: NDArray[np.uint8]) -> None:
    size_px = predictor.input_size_px
    if images.shape[1:] != (size_px, size_px):
        raise ModelFileError(
            f"The model takes pictures of {size_px}x{size_px} pixels, but the data set has "
            f"{images.shape[2]}x{images.shape[1]}."
        )


def _join_types(arguments: Sequence[Any]) -> str:
    return ", ".join(argument.type for argument in arguments) or "nothing"


def _numeric_shape(shape: Sequence[int | str | None]) -> tuple[int | None, ...]:
    """Return the shape of an ONNX argument with None where a name stands for any size."""
    return tuple(size if isinstance(size, int) else None for size in shape)


def _check_shapes(
    name: str, input_shape: tuple[int | None, ...], output_shape: tuple[int | None, ...]
) -> tuple[int, int]:
    """Return (side of the input in pixels, number of outputs)."""
    fits = (
        len(input_shape) == 4
        and input_shape[1] == input_shape[2]
        and input_shape[1] is not None
        and input_shape[3] == 1
        and len(output_shape) == 2
        # A model with two outputs has a list of two shapes here.
        and isinstance(output_shape[1], int | np.integer)
    )
    if not fits:
        raise ModelFileError(
            f"{name} takes {input_shape} and gives {output_shape}, but it must take "
            "(batch, side, side, 1) and give (batch, classes)."
        )
    return int(input_shape[1] or 0), int(output_shape[1] or 0)
