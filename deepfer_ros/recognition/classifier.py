"""Classifiers: crops of faces in, probabilities of the emotions out."""

import os
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.errors import ImageError, ModelError
from deepfer_ros.recognition.model_bundle import ModelBundle
from deepfer_ros.recognition.types import find_probability_fault

if TYPE_CHECKING:
    from collections.abc import Callable

    _Run = Callable[[NDArray[np.float32]], NDArray[np.float32]]

# A frame's faces are padded up to one of these counts, so that a model is prepared for a few
# shapes once instead of for a new one whenever somebody enters the picture.
_BATCH_SIZES = (1, 2, 4, 8, 16)


class EmotionClassifier(Protocol):
    """What the recognizer needs of a classifier."""

    @property
    def bundle(self) -> ModelBundle:
        """Labels and input of the model."""

    def classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of the emotions.

        Args:
            crops: uint8 (N, S, S), grey, upright faces; N may be 0.

        Returns:
            float32 (N, C), no value below 0, rows sum to 1.

        Raises:
            ImageError: The model gives no probabilities for one of these crops.
        """


def load_classifier(bundle: ModelBundle, *, threads: int = 1) -> EmotionClassifier:
    """Load a model file with the engine that its suffix asks for, and try it out.

    Args:
        bundle: The model.
        threads: Threads that LiteRT may use.

    Raises:
        ModelError: The engine is not installed, or the file is not a model that takes and gives
            what the bundle says, or its outputs are no probabilities.
    """
    if bundle.model_path.suffix == ".keras":
        return KerasClassifier(bundle)
    return LiteRtClassifier(bundle, threads=threads)


class LiteRtClassifier:
    """Runs a LiteRT (`.tflite`) model, one interpreter for each batch size.

    Not thread-safe: use one instance a thread.

    Args:
        bundle: The model.
        threads: Threads that the interpreter may use.

    Raises:
        ModelError: See `load_classifier`.
    """

    def __init__(self, bundle: ModelBundle, *, threads: int = 1) -> None:
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ModuleNotFoundError as err:
            raise ModelError(
                "LiteRT is not installed; install it with 'pip install ai-edge-litert'."
            ) from err
        except ImportError as err:
            raise ModelError(
                f"LiteRT cannot be loaded: {err}. Install it again with "
                "'pip install --force-reinstall ai-edge-litert'."
            ) from err
        self.bundle = bundle
        self._interpreters: dict[int, Any] = {}
        self._threads = threads
        self._interpreter_type = Interpreter
        try:
            probe = self._interpreter(1)
            input_shape, output_shape = (
                tuple(int(side) for side in details[0]["shape"])[1:]
                for details in (probe.get_input_details(), probe.get_output_details())
            )
            _check_shapes(bundle, input_shape=input_shape, output_shape=output_shape)
            _check_outputs(bundle, self._run)
        except (ValueError, RuntimeError) as err:
            raise ModelError(f"{bundle.model_path} is not a usable LiteRT model: {err}.") from err

    def classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `EmotionClassifier.classify`."""
        return _classify_in_batches(self.bundle, crops, self._run)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        interpreter = self._interpreter(len(batch))
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], batch)
        interpreter.invoke()
        output: NDArray[np.float32] = interpreter.get_tensor(
            interpreter.get_output_details()[0]["index"]
        )
        return output

    def _interpreter(self, batch_size: int) -> Any:  # noqa: ANN401 - LiteRT ships no types
        if batch_size not in self._interpreters:
            interpreter = self._interpreter_type(
                model_path=str(self.bundle.model_path), num_threads=self._threads
            )
            details = interpreter.get_input_details()[0]
            shape = [batch_size, *(int(side) for side in details["shape"][1:])]
            interpreter.resize_tensor_input(details["index"], shape)
            interpreter.allocate_tensors()
            self._interpreters[batch_size] = interpreter
        return self._interpreters[batch_size]


class KerasClassifier:
    """Runs a Keras (`.keras`) model through TensorFlow, compiled once for each batch size.

    Args:
        bundle: The model.

    Raises:
        ModelError: See `load_classifier`.
    """

    def __init__(self, bundle: ModelBundle) -> None:
        # Keras reads its backend from the environment when it is first imported.
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        try:
            import keras
            import tensorflow as tf
        except ImportError as err:
            raise ModelError(
                f"{bundle.model_path} needs TensorFlow and Keras; install them with "
                "'pip install tensorflow keras', or use a .tflite model."
            ) from err
        self.bundle = bundle
        try:
            model = keras.saving.load_model(bundle.model_path, compile=False)
        except (ValueError, TypeError, OSError) as err:
            raise ModelError(f"{bundle.model_path} is not a usable Keras model: {err}.") from err
        _check_shapes(
            bundle, input_shape=model.input_shape[1:], output_shape=model.output_shape[1:]
        )
        # Outside a compiled function every layer would be called from Python: ten times slower.
        self._model: Callable[..., Any] = tf.function(
            lambda batch: model(batch, training=False), reduce_retracing=False
        )
        self._constant = tf.constant
        _check_outputs(bundle, self._run)

    def classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """See `EmotionClassifier.classify`."""
        return _classify_in_batches(self.bundle, crops, self._run)

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        output: NDArray[np.float32] = self._model(self._constant(batch)).numpy()
        return output


def _classify_in_batches(
    bundle: ModelBundle, crops: NDArray[np.uint8], run: "_Run"
) -> NDArray[np.float32]:
    """Return what a model says about crops, if that is probabilities.

    Raises:
        ImageError: It is not.
    """
    probabilities = _run_in_batches(bundle, crops, run)
    fault = find_probability_fault(probabilities)
    if fault is not None:
        raise ImageError(
            f"The model {bundle.name} gives no probabilities for a face in it; they must {fault}."
        )
    return probabilities


def _run_in_batches(
    bundle: ModelBundle, crops: NDArray[np.uint8], run: "_Run"
) -> NDArray[np.float32]:
    """Check the crops and run them, padded to the batch sizes that a model is prepared for."""
    expected = (len(crops), bundle.input_size_px, bundle.input_size_px)
    if crops.shape != expected or crops.dtype != np.uint8:
        raise ValueError(f"Crops must be uint8 {expected}, got {crops.dtype} {crops.shape}.")
    outputs = [np.empty((0, len(bundle.labels)), np.float32)]
    for start in range(0, len(crops), _BATCH_SIZES[-1]):
        chunk = crops[start : start + _BATCH_SIZES[-1]]
        batch_size = next(size for size in _BATCH_SIZES if size >= len(chunk))
        batch = np.zeros((batch_size, *expected[1:], 1), np.float32)
        batch[: len(chunk), ..., 0] = chunk
        outputs.append(run(batch)[: len(chunk)])
    return np.concatenate(outputs)


def _check_shapes(
    bundle: ModelBundle, *, input_shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> None:
    expected_input = (bundle.input_size_px, bundle.input_size_px, 1)
    expected_output = (len(bundle.labels),)
    if tuple(input_shape) != expected_input or tuple(output_shape) != expected_output:
        raise ModelError(
            f"{bundle.model_path} takes {tuple(input_shape)} and gives {tuple(output_shape)}, "
            f"but its bundle says {expected_input} and {expected_output}."
        )


def _check_outputs(bundle: ModelBundle, run: "_Run") -> None:
    """Make sure that a model gives probabilities: of black, of white and of noise.

    Raises:
        ModelError: It does not.
    """
    shape = (bundle.input_size_px, bundle.input_size_px)
    noise = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    for crop in (np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8), noise):
        # One at a time: a batch would prepare the model for a size that may never be needed.
        fault = find_probability_fault(_run_in_batches(bundle, crop[None], run))
        if fault is not None:
            raise ModelError(
                f"The outputs of {bundle.model_path} are no probabilities; they must {fault}. End "
                "the model with a softmax, and export it again."
            )
