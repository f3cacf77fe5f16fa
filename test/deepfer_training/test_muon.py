"""Momentum whose steps change all directions of a kernel alike."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_training.config import TrainingConfig
from deepfer_training.fer2013 import FaceDataset

keras = pytest.importorskip("keras")


def orthogonalize(matrix: NDArray[np.float32]) -> NDArray[np.float32]:
    from deepfer_training import muon

    return np.asarray(keras.ops.convert_to_numpy(muon.orthogonalize(keras.ops.array(matrix))))


@pytest.mark.parametrize(
    ("shape", "length"), [((90, 20), 1.0), ((20, 20), 1.0), ((9, 36), 2.0)], ids=str
)
def test_singular_values_are_brought_near_one(shape: tuple[int, int], length: float) -> None:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=shape).astype(np.float32) * 1e-3
    left, values, right = np.linalg.svd(matrix.astype(np.float64), full_matrices=False)

    found = orthogonalize(matrix)

    # Directions as small as a hundredth of the whole are brought up, too.
    large = values > 0.01 * np.linalg.norm(values)
    inside = left.T @ found @ right.T
    assert large.sum() >= 9
    assert np.all(np.abs(np.diag(inside)[large] / length - 0.95) < 0.3)
    np.testing.assert_allclose(inside - np.diag(np.diag(inside)), 0, atol=2e-3)


def test_nothing_to_learn_moves_nothing() -> None:
    np.testing.assert_array_equal(orthogonalize(np.zeros((9, 4), np.float32)), 0)


def test_kernels_take_orthogonal_steps_and_all_else_plain_ones() -> None:
    from deepfer_training.muon import Muon

    rng = np.random.default_rng(2)
    shapes = [(3, 3, 4, 6), (6, 7), (7,)]
    values = [rng.normal(size=shape).astype(np.float32) for shape in shapes]
    steps = [
        [rng.normal(size=shape).astype(np.float32) for shape in shapes] for _ in ("first", "next")
    ]
    variables = [keras.Variable(value) for value in values]
    plain = [keras.Variable(value) for value in values]
    options = {"momentum": 0.9, "nesterov": True}
    optimizer = Muon(0.1, kernel_rate=0.2, **options)
    reference = keras.optimizers.SGD(0.1, **options)

    for gradients in steps:
        optimizer.apply([keras.ops.array(value) for value in gradients], variables)
        reference.apply([keras.ops.array(value) for value in gradients], plain)

    for found, expected in zip(variables[1:], plain[1:], strict=True):
        np.testing.assert_allclose(np.asarray(found), np.asarray(expected), rtol=1e-6)
    first, second = (step[0] for step in steps)
    directions = (first + 0.9 * first, second + 0.9 * (second + 0.9 * first))
    expected_kernel = values[0] - 0.1 * 0.2 * sum(
        orthogonalize(direction.reshape(36, 6)).reshape(shapes[0]) for direction in directions
    )
    np.testing.assert_allclose(np.asarray(variables[0]), expected_kernel, rtol=1e-4, atol=1e-6)


def test_its_settings_survive_saving() -> None:
    from deepfer_training.muon import Muon

    settings = Muon(0.1, kernel_rate=0.2, momentum=0.9, nesterov=True).get_config()

    again = Muon.from_config(settings)
    assert (again.kernel_rate, again.momentum, again.nesterov) == (0.2, 0.9, True)


@pytest.mark.slow
def test_a_recipe_asks_for_it_and_a_broken_run_goes_on_with_it(
    tiny_config: TrainingConfig, tiny_dataset: FaceDataset, tmp_path: Path
) -> None:
    pytest.importorskip("tensorflow", reason="training needs TensorFlow")
    from deepfer_training.run_report import read_log
    from deepfer_training.training import train

    optimization = dataclasses.replace(
        tiny_config.optimization, epochs=4, muon_rate=0.4, learning_rate=0.05
    )
    config = dataclasses.replace(tiny_config, optimization=optimization)

    class _KilledError(Exception):
        pass

    def die_after_two_epochs(line: str) -> None:
        if line.startswith("epoch 3"):
            raise _KilledError

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(config, tiny_dataset, whole, report=lambda line: None)
    with pytest.raises(_KilledError):
        train(config, tiny_dataset, broken, report=die_after_two_epochs)
    train(config, tiny_dataset, broken, resume=True, report=lambda line: None)

    losses = read_log(whole / "log.csv")["loss"]
    assert losses[-1] < 0.7 * losses[0]
    first, second = (
        keras.saving.load_model(folder / "model.keras", compile=False).get_weights()
        for folder in (whole, broken)
    )
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)
