import numpy as np
import pytest

from deepfer_training.config import NetworkConfig

keras = pytest.importorskip("keras")


def test_grey_values_in_probabilities_out() -> None:
    from deepfer_training.architecture import build_compact_cnn

    model = build_compact_cnn(NetworkConfig(widths=(4, 8)), 48, 7)
    faces = np.random.default_rng(0).uniform(0, 255, (3, 48, 48, 1)).astype(np.float32)

    probabilities = np.asarray(model.predict_on_batch(faces))

    assert model.input_shape == (None, 48, 48, 1)
    assert probabilities.shape == (3, 7)
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_layers_have_the_names_and_widths_that_are_promised() -> None:
    from deepfer_training.architecture import build_compact_cnn

    model = build_compact_cnn(NetworkConfig(widths=(4, 8), dropout=0.2), 48, 7)

    filters = {
        layer.name: layer.filters
        for layer in model.layers
        if isinstance(layer, keras.layers.Conv2D)
    }
    assert filters == {
        "stage1_block1_conv": 4,
        "stage1_block2_conv": 4,
        "stage2_block1_conv": 8,
        "stage2_block2_conv": 8,
    }
    assert model.get_layer("dropout").rate == 0.2
    assert model.get_layer("logits").units == 7
    assert model.get_layer("stage2_pool").output.shape == (None, 24, 24, 4)


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_logits_are_float32_whatever_the_policy(policy: str) -> None:
    from deepfer_training.architecture import build_compact_cnn

    model = build_compact_cnn(NetworkConfig(widths=(4,)), 48, 7, dtype_policy=policy)

    assert model.get_layer("stage1_block1_conv").dtype_policy.name == policy
    assert model.get_layer("logits").dtype_policy.name == "float32"
    assert model.output.dtype == "float32"
