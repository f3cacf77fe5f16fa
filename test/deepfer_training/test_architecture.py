import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepfer_training.config import NetworkConfig
from deepfer_training.errors import ConfigError

keras = pytest.importorskip("keras")


def test_grey_values_in_probabilities_out() -> None:
    from deepfer_training.architecture import build_compact_cnn

    model = build_compact_cnn(NetworkConfig(0, (4, 8), (2, 2)), 48, 7)
    faces = np.random.default_rng(0).uniform(0, 255, (3, 48, 48, 1)).astype(np.float32)

    probabilities = np.asarray(model.predict_on_batch(faces))

    assert model.input_shape == (None, 48, 48, 1)
    assert probabilities.shape == (3, 7)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_layers_have_the_names_and_widths_that_are_promised() -> None:
    from deepfer_training.architecture import build_compact_cnn

    config = NetworkConfig(3, (4, 8, 9), (1, 2, 1), (0, 0, 5), dropout=0.2)
    model = build_compact_cnn(config, 48, 7)

    filters = {
        layer.name: (layer.filters, layer.kernel_size)
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    assert filters == {
        "stem_conv": (3, (5, 5)),
        "stage1_block1_conv": (4, (3, 3)),
        "stage2_block1_conv": (8, (3, 3)),
        "stage2_block2_conv": (8, (3, 3)),
        "stage3_block1_columns": (5, (3, 1)),
        "stage3_block1_rows": (9, (1, 3)),
    }
    assert model.get_layer("dropout").rate == 0.2
    assert model.get_layer("logits").units == 7
    assert model.get_layer("stage2_block1_pool").output.shape == (None, 12, 12, 4)


@pytest.mark.parametrize(
    ("stem_width", "stages", "fits"), [(0, 6, True), (0, 7, False), (4, 5, True), (4, 6, False)]
)
def test_more_stages_than_a_picture_can_be_halved_for_are_refused(
    stem_width: int, stages: int, fits: bool
) -> None:
    from deepfer_training.architecture import build_compact_cnn

    config = NetworkConfig(stem_width, (4,) * stages, (1,) * stages)
    if fits:
        assert build_compact_cnn(config, 48, 7).output.shape == (None, 7)
        return
    with pytest.raises(ConfigError, match=r"a picture of 48 pixels cannot be halved 6 times"):
        build_compact_cnn(config, 48, 7)


@pytest.mark.parametrize(
    "heads", [("dropout",), ("rescale",), ("x", "x_probabilities"), ("x_probabilities", "x")]
)
def test_a_head_with_the_name_of_another_layer_is_refused(heads: tuple[str, ...]) -> None:
    from deepfer_training.architecture import build_compact_cnn

    with pytest.raises(ConfigError, match=r"heads\.name is .* the name of a layer of the network"):
        build_compact_cnn(NetworkConfig(0, (4,), (1,)), 48, 7, heads=heads)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_logits_are_float32_whatever_the_policy(policy: str) -> None:
    from deepfer_training.architecture import build_compact_cnn

    model = build_compact_cnn(NetworkConfig(0, (4,), (1,)), 48, 7, dtype_policy=policy)

    assert model.get_layer("stage1_block1_conv").dtype_policy.name == policy
    assert model.get_layer("logits").dtype_policy.name == "float32"
    assert model.output.dtype == "float32"


@pytest.mark.parametrize("stem_width", [0, 3])
@pytest.mark.parametrize("ranks", [(), (0, 3)])
def test_fused_layers_calculate_what_the_plain_ones_do(
    stem_width: int, ranks: tuple[int, ...]
) -> None:
    from deepfer_training.architecture import build_compact_cnn
    from deepfer_training.networks import copy_weights

    config = NetworkConfig(stem_width, (4, 8), (1, 2), ranks)
    fused = build_compact_cnn(config, 48, 7, heads=("a", "b"), fused=True)
    rng = np.random.default_rng(0)
    # Weights as after a training, or means of 0 and variances of 1 would hide a mistake.
    fused.set_weights([rng.uniform(0.2, 1, value.shape) for value in fused.get_weights()])
    plain = build_compact_cnn(config, 48, 7)
    faces = rng.uniform(0, 255, (3, 48, 48, 1)).astype(np.float32)

    copy_weights(fused, plain, source_head="b", target_head="logits")

    found = np.asarray(fused.predict_on_batch(faces)[1])
    np.testing.assert_allclose(found, np.asarray(plain.predict_on_batch(faces)), atol=1e-5)
    np.testing.assert_array_equal(
        plain.get_layer("logits").get_weights()[0], fused.get_layer("b").get_weights()[0]
    )


@pytest.mark.parametrize("stem_width", [0, 3])
@pytest.mark.parametrize("ranks", [(), (3, 0)])
def test_the_faster_copy_of_a_compact_network_answers_the_same(
    stem_width: int, ranks: tuple[int, ...]
) -> None:
    from deepfer_training.architecture import build_compact_cnn
    from deepfer_training.fused_layers import ConvNormRelu
    from deepfer_training.networks import faster_copy

    plain = build_compact_cnn(NetworkConfig(stem_width, (4, 8), (1, 2), ranks), 48, 7)
    rng = np.random.default_rng(0)
    plain.set_weights([rng.uniform(0.2, 1, value.shape) for value in plain.get_weights()])
    faces = rng.uniform(0, 255, (3, 48, 48, 1)).astype(np.float32)

    fast = faster_copy(plain, "float32")

    assert any(isinstance(layer, ConvNormRelu) for layer in fast.layers)
    np.testing.assert_allclose(
        np.asarray(fast.predict_on_batch(faces)),
        np.asarray(plain.predict_on_batch(faces)),
        atol=1e-5,
    )
    low = faster_copy(plain, "mixed_bfloat16")
    assert low.get_layer("stage1_block1").compute_dtype == "bfloat16"


@pytest.mark.parametrize(
    "layer",
    [
        keras.layers.Conv2D(4, 3, name="stage1_block1_conv"),
        keras.layers.Conv2D(4, 3, name="stage1_block2_conv"),
        keras.layers.Dense(4, name="stage1_block1_conv"),
        keras.layers.Conv2D(4, 3),
    ],
    ids=["without normalisation", "second block alone", "no convolution", "another name"],
)
def test_there_is_no_faster_copy_of_another_network(layer: keras.Layer) -> None:
    from deepfer_training.networks import faster_copy

    pixels = keras.layers.Input((48, 48, 1))
    x = keras.layers.GlobalAveragePooling2D()(layer(pixels))
    other = keras.Model(pixels, keras.layers.Dense(7, activation="softmax")(x))

    assert faster_copy(other, "float32") is other


def test_there_is_no_faster_copy_of_a_compact_network_with_another_layer() -> None:
    from deepfer_training.architecture import build_compact_cnn
    from deepfer_training.networks import faster_copy

    plain = build_compact_cnn(NetworkConfig(0, (4, 8), (1, 1)), 48, 7)
    longer = keras.Model(plain.input, keras.layers.Dense(7, name="more")(plain.output))

    assert faster_copy(longer, "float32") is longer


_TRAIN_ONE_STEP = """
import sys
import keras, numpy as np
from deepfer_training.architecture import build_compact_cnn
from deepfer_training.config import NetworkConfig

config = NetworkConfig(3, (4, 8), (1, 2), (0, 5), dropout=0.0)
model = build_compact_cnn(config, 48, 7, fused=True)
rng = np.random.default_rng(0)
model.set_weights([rng.uniform(0.2, 1, value.shape) for value in model.get_weights()])
model.compile(keras.optimizers.SGD(0.5), "categorical_crossentropy", jit_compile=False)
faces = rng.uniform(0, 255, (8, 48, 48, 1)).astype(np.float32)
loss = model.train_on_batch(faces, np.eye(7, dtype=np.float32)[rng.integers(0, 7, 8)])
np.savez(sys.argv[1], *model.get_weights(), loss=loss)
"""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_a_training_step_is_the_same_on_every_backend(tmp_path: Path, backend: str) -> None:
    pytest.importorskip(backend)

    def train_one_step(name: str) -> dict[str, np.ndarray]:
        subprocess.run(
            [sys.executable, "-c", _TRAIN_ONE_STEP, tmp_path / f"{name}.npz"],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "KERAS_BACKEND": name},
            check=True,
        )
        return dict(np.load(tmp_path / f"{name}.npz"))

    reference, found = train_one_step("tensorflow"), train_one_step(backend)

    assert reference.keys() == found.keys()
    for name, value in reference.items():
        np.testing.assert_allclose(found[name], value, rtol=2e-3, atol=2e-3, err_msg=name)
