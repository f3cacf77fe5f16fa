"""Run Keras, LiteRT and ONNX models over whole data sets."""

import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepfer_training.errors import ModelFileError

_BATCH_SIZE = 64

# Seven outputs of a softmax with 8 bits, each rounded to 1/256, add up to 1 within 7/512.
_SUM_TOLERANCE = 0.02


class Predictor(Protocol):
    """A loaded model.

    Attributes:
        name: What errors call it.
        input_size_px: Side of the square grey picture that the model takes, in pixels.
        class_count: Number of its outputs.
    """

    name: str
    input_size_px: int
    class_count: int

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return float32 (N, C) probabilities of float32 (N, S, S, 1) grey values 0 to 255.

        Raises:
            ModelFileError: The model cannot be run: it is damaged, say.
        """


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
        model = keras.saving.load_model(path, compile=False)
        # Without them it was never built.
        _ = model.input_shape, model.output_shape
    # Keras lets through whatever its ZIP, JSON and HDF5 readers and its layers say of a damaged
    # file: zipfile.BadZipFile, zlib.error, KeyError, AttributeError and many more.
    except Exception as err:
        raise ModelFileError(f"{path} is not a usable Keras model: {_reason(err)}") from err
    return model


class KerasPredictor:
    """A Keras model, from a file or from memory.

    Args:
        model: Path of a file, or the model itself.
        name: What errors call a model from memory.

    Raises:
        ModelFileError: See `load_predictor`.
    """

    def __init__(self, model: Any, name: str = "The model") -> None:  # noqa: ANN401
        self.name = name
        if isinstance(model, Path):
            self.name = str(model)
            model = load_keras_model(model)
        # XLA would compile anew for every batch size, and its convolutions are slow on CPUs.
        model.jit_compile = False
        self._model = model
        self.input_size_px, self.class_count = _check_shapes(
            self.name, model.input_shape, model.output_shape
        )
        self._one_by_one = model.input_shape[0] == 1

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Predictor.run`."""
        return _run(self.name, self._model.predict_on_batch, batch, self._one_by_one)


class LiteRtPredictor:
    """A LiteRT model, run on one thread.

    Raises:
        ModelFileError: See `load_predictor`.
    """

    def __init__(self, path: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.name = str(path)
        try:
            self._interpreter: Any = Interpreter(model_path=self.name, num_threads=1)
            self._input = self._interpreter.get_input_details()[0]
            self._output = self._interpreter.get_output_details()[0]
        # An IndexError means a model without inputs or outputs.
        except (ValueError, RuntimeError, IndexError) as err:
            raise ModelFileError(f"{path} is not a usable LiteRT model: {_reason(err)}") from err
        if self._input["dtype"] != np.float32 or self._output["dtype"] != np.float32:
            raise ModelFileError(
                f"{path} takes {self._input['dtype'].__name__} and gives "
                f"{self._output['dtype'].__name__}, but both must be float32."
            )
        self.input_size_px, self.class_count = _check_shapes(
            self.name, tuple(self._input["shape"]), tuple(self._output["shape"])
        )
        # Where any number of pictures may come, the signature has -1. Not every model that was
        # made for one picture can be resized for more.
        self._one_by_one = self._input["shape_signature"][0] == 1
        self._batch_size = 0

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Predictor.run`."""
        return _run(self.name, self._invoke, batch, self._one_by_one)

    def _invoke(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
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

        self.name = str(path)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # It throws errors, too: these lines would only come before the one of the error.
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(
                self.name, options, providers=["CPUExecutionProvider"]
            )
        # ONNX Runtime has an error for each of its status codes, without a base of their own.
        except Exception as err:
            raise ModelFileError(f"{path} is not a usable ONNX model: {_reason(err)}") from err
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if [entry.type for entry in (*inputs, *outputs)] != ["tensor(float)"] * 2:
            raise ModelFileError(
                f"{path} takes {_join_types(inputs)} and gives {_join_types(outputs)}, but must "
                "take and give one tensor(float)."
            )
        self._input_name = inputs[0].name
        self.input_size_px, self.class_count = _check_shapes(
            self.name, _numeric_shape(inputs[0].shape), _numeric_shape(outputs[0].shape)
        )
        self._one_by_one = inputs[0].shape[0] == 1

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Predictor.run`."""
        return _run(self.name, self._answer, batch, self._one_by_one)

    def _answer(self, batch: NDArray[np.float32]) -> Any:  # noqa: ANN401 - an array of any shape
        (output,) = self._session.run(None, {self._input_name: batch})
        return output


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
        ModelFileError: The model takes pictures of another size, cannot be run, or gives something
            other than probabilities.
    """
    _check_size(predictor, images)
    outputs = [np.empty((0, predictor.class_count), np.float32)]
    for batch in _batches(images, _BATCH_SIZE):
        probabilities = predictor.run(batch)
        _check_probabilities(predictor, probabilities, len(batch))
        outputs.append(probabilities)
        on_progress(len(batch))
    return np.concatenate(outputs)


def measure_ms_per_face(
    predictor: Predictor, images: NDArray[np.uint8], repeats: int = 200
) -> float:
    """Return the median time that the model takes for one picture alone, milliseconds.

    Raises:
        ModelFileError: The model takes pictures of another size, or cannot be run.
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


def _run(
    name: str,
    answer: Callable[[NDArray[np.float32]], Any],
    batch: NDArray[np.float32],
    one_by_one: bool,
) -> NDArray[np.float32]:
    """Return what a model answers, float32.

    Args:
        name: What errors call the model.
        answer: Runs the model on pictures (N, S, S, 1).
        batch: The pictures, at least one.
        one_by_one: Run each picture alone: the model was made for a single one.

    Raises:
        ModelFileError: The model cannot be run.
    """
    batches = np.split(batch, len(batch)) if one_by_one else [batch]
    try:
        return np.concatenate([np.asarray(answer(part), np.float32) for part in batches])
    # A damaged model fails with an error of ONNX Runtime, LiteRT, TensorFlow, JAX or torch.
    except Exception as err:
        raise ModelFileError(f"{name} cannot be run: {_reason(err)}") from err


def _reason(err: Exception) -> str:
    """Return what an error says, in one line: some libraries write whole pages."""
    return textwrap.shorten(str(err), 300, placeholder=" …") or type(err).__name__


def _check_probabilities(
    predictor: Predictor, probabilities: NDArray[np.float32], image_count: int
) -> None:
    """Refuse answers that no score should be made of.

    Raises:
        ModelFileError: They have another shape, are not finite or no probabilities.
    """
    expected = (image_count, predictor.class_count)
    if probabilities.shape != expected:
        raise ModelFileError(
            f"{predictor.name} gives {probabilities.shape} values for {image_count} pictures, "
            f"expected {expected}."
        )
    if not np.isfinite(probabilities).all():
        raise ModelFileError(
            f"{predictor.name} gives values that are no numbers (NaN or infinite): it is damaged, "
            "or its training diverged. Train it again, with a lower learning rate."
        )
    sums, low, high = probabilities.sum(axis=1), probabilities.min(), probabilities.max()
    if (
        low < -_SUM_TOLERANCE
        or high > 1 + _SUM_TOLERANCE
        or (np.abs(sums - 1) > _SUM_TOLERANCE).any()
    ):
        raise ModelFileError(
            f"{predictor.name} gives no probabilities: its values go from {low:.3g} to "
            f"{high:.3g}, and those of a picture add up to {sums.min():.3g} to {sums.max():.3g} "
            "instead of 1. It must end in a softmax."
        )


def _check_size(predictor: Predictor, images: NDArray[np.uint8]) -> None:
    size_px = predictor.input_size_px
    if images.shape[1:] != (size_px, size_px):
        raise ModelFileError(
            f"{predictor.name} takes pictures of {size_px}x{size_px} pixels, but the data set has "
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
