"""Turn Keras models into LiteRT files."""

import tempfile
from collections.abc import Iterator

import keras
import numpy as np
from numpy.typing import NDArray


def convert_to_float32(model: keras.Model, examples: NDArray[np.uint8]) -> bytes:
    """Return a LiteRT file with float32 weights.

    Args:
        model: The Keras model.
        examples: Not needed.
    """
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        return bytes(tf.lite.TFLiteConverter.from_saved_model(folder).convert())


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

    with tempfile.TemporaryDirectory() as folder:
        model.export(folder, format="tf_saved_model", verbose=False)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
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
