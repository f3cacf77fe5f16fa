"""Turn Keras models into LiteRT and ONNX files.

Keras must run on TensorFlow: its converter reads TensorFlow's graphs.
"""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from deepfer_training.errors import ExportError


def convert_to_float32(model: keras.Model, examples: NDArray[np.uint8]) -> bytes:
    """Return a LiteRT file with float32 weights.

    Args:
        model: The Keras model.
        examples: Not needed.
    """
    return _with_litert_converter(model, lambda converter: converter.convert())


def convert_to_float16(model: keras.Model, examples: NDArray[np.uint8]) -> bytes:
    """Return a LiteRT file of half the size: its weights are float16.

    On a CPU they become float32 when the file is loaded, so that it is as fast as a float32 file;
    GPUs calculate with float16.

    Args:
        model: The Keras model.
        examples: Not needed.
    """
    import tensorflow as tf

    def convert(converter: Any) -> bytes:  # noqa: ANN401 - TensorFlow has no types
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.target_spec.supported_types = [tf.float16]
        return bytes(converter.convert())

    return _with_litert_converter(model, convert)


def convert_to_int8(model: keras.Model, examples: NDArray[np.uint8]) -> bytes:
    """Return a LiteRT file that calculates with 8-bit integers.

    Input and output stay float32, and so does the softmax at the end: with 8 bits its
    probabilities would come in steps of 1/256 and not sum to 1.

    Args:
        model: The Keras model.
        examples: uint8 (N, S, S) grey pictures that show which values occur in the network.
    """
    import tensorflow as tf

    def batches_of_one() -> Iterator[list[NDArray[np.float32]]]:
        for image in examples:
            yield [image[np.newaxis, ..., np.newaxis].astype(np.float32)]

    def convert(converter: Any) -> bytes:  # noqa: ANN401 - TensorFlow has no types
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = batches_of_one
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        # The converter itself cannot leave out an operation, its debugger can.
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter,
            debug_dataset=batches_of_one,
            debug_options=tf.lite.experimental.QuantizationDebugOptions(
                denylisted_ops=["SOFTMAX"]
            ),
        )
        return bytes(debugger.get_nondebug_quantized_model())

    return _with_litert_converter(model, convert)


def convert_to_onnx(model: keras.Model, examples: NDArray[np.uint8]) -> bytes:
    """Return an ONNX file with float32 weights, for pictures in any number.

    Args:
        model: The Keras model.
        examples: Not needed.
    """
    _require_tensorflow()
    # Said explicitly: Keras does not know it of a model that has not been called.
    pixels = keras.InputSpec(shape=model.input_shape, dtype="float32", name="pixels")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        # Keras looks for a name that NumPy 2 no longer has.
        warnings.filterwarnings("ignore", r".*`np\.object`", FutureWarning)
        path = Path(folder) / "model.onnx"
        model.export(str(path), format="onnx", input_signature=[pixels], verbose=False)
        return path.read_bytes()


def _with_litert_converter(model: keras.Model, convert: Callable[[Any], bytes]) -> bytes:
    _require_tensorflow()
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        return bytes(convert(tf.lite.TFLiteConverter.from_saved_model(folder)))


def _require_tensorflow() -> None:
    backend = keras.backend.backend()
    if backend != "tensorflow":
        raise ExportError(
            f"Keras runs on {backend}, but models are converted by TensorFlow: "
            "set KERAS_BACKEND=tensorflow."
        )
