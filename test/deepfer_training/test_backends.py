"""Keras' backends, and several processes, come to the same result."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from training_runs import finish, start_processes, start_training

from deepfer_training.config import AdamConfig, HeadConfig, TrainingConfig
from deepfer_training.errors import RunError
from deepfer_training.training_records import RUN_FILE

pytest.importorskip("tensorflow", reason="the models are compared on TensorFlow")
pytestmark = pytest.mark.slow


@pytest.fixture
def recipe(tiny_config: TrainingConfig, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(dataclasses.asdict(tiny_config)))
    return path


@pytest.mark.parametrize("muon_rate", [0.0, 0.2], ids=["SGD", "Muon"])
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_model_is_learnt_on_every_backend(
    tiny_config: TrainingConfig,
    tiny_files: tuple[Path, Path],
    tmp_path: Path,
    backend: str,
    muon_rate: float,
) -> None:
    pytest.importorskip(backend)
    import keras

    from deepfer_training.run_report import read_log

    recipe, run = tmp_path / "tiny.yaml", tmp_path / "run"
    optimization = dataclasses.replace(tiny_config.optimization, muon_rate=muon_rate)
    config = dataclasses.replace(tiny_config, optimization=optimization)
    recipe.write_text(json.dumps(dataclasses.asdict(config)))
    finish(start_training(recipe, tiny_files, run, KERAS_BACKEND=backend))

    assert json.loads((run / RUN_FILE).read_text())["backend"] == backend
    # Two labels in six of PublicTest are wrong on purpose.
    assert read_log(run / "log.csv")["val_accuracy"][-1] >= 0.62
    model = keras.saving.load_model(run / "model.keras", compile=False)
    assert model.predict_on_batch(np.zeros((1, 48, 48, 1), np.float32)).shape == (1, 7)


def test_two_processes_learn_what_one_does_with_batches_twice_as_large(
    recipe: Path, tiny_files: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("jax")
    from deepfer_training.run_report import read_log

    alone, together = tmp_path / "alone", tmp_path / "together"
    # The recipe's batch is that of all processes: each takes half of it.
    single = start_training(recipe, tiny_files, alone, KERAS_BACKEND="jax")
    finish(single)
    outputs = [finish(process) for process in start_processes(recipe, tiny_files, together)]

    assert "Devices: 2, processes: 2." in outputs[0]
    assert "epoch 8/8" in outputs[0]
    assert "epoch" not in outputs[1]
    expected, found = read_log(alone / "log.csv"), read_log(together / "log.csv")
    assert expected.keys() == found.keys()
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=0.02)
    np.testing.assert_allclose(found["val_loss"], expected["val_loss"], rtol=0.02)


def test_no_process_waits_for_one_that_has_failed(
    recipe: Path, tiny_files: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("jax")
    run = tmp_path / "run"
    run.mkdir()
    (run / "notes.txt").write_text("no run")

    processes = start_processes(recipe, tiny_files, run)
    errors = [process.communicate(timeout=120)[1].decode() for process in processes]

    assert all(process.returncode == 1 for process in processes), errors
    assert "holds other files (notes.txt) and no run" in errors[0]
    assert "RunError: The first process of this training has failed, and says why." in errors[1]


def test_two_processes_are_taught_and_led_by_their_scores_as_one_is(
    tiny_run: Path,
    tiny_config: TrainingConfig,
    tiny_files: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    pytest.importorskip("jax")
    import keras

    from deepfer_training.run_report import read_log

    config = dataclasses.replace(
        tiny_config,
        heads=(HeadConfig(votes_weight=0.0, teacher_weight=0.5),),
        optimization=AdamConfig(epochs=3, batch_size=16, plateau_patience=1),
    )
    recipe = tmp_path / "taught.yaml"
    recipe.write_text(json.dumps(dataclasses.asdict(config)))
    alone, together = tmp_path / "alone", tmp_path / "together"

    # First: what teachers answered is kept, and these two have to ask.
    for process in start_processes(recipe, tiny_files, together, teachers=[tiny_run]):
        finish(process)
    finish(start_training(recipe, tiny_files, alone, teachers=[tiny_run], KERAS_BACKEND="jax"))

    expected, found = read_log(alone / "log.csv"), read_log(together / "log.csv")
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=0.02)
    np.testing.assert_allclose(found["val_loss"], expected["val_loss"], rtol=0.02)

    def weights() -> list[np.ndarray]:
        model = keras.saving.load_model(together / "model.keras", compile=False)
        return list(model.get_weights())

    before = weights()
    # A run that is over has no epoch left, but all that was remembered is given back.
    for process in start_processes(recipe, tiny_files, together, teachers=[tiny_run]):
        finish(process)
    for one, other in zip(before, weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_several_devices_share_a_batch(
    recipe: Path, tiny_files: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("jax")
    from deepfer_training.run_report import read_log

    logs = []
    for number, flags in (("1", ""), ("2", "--xla_force_host_platform_device_count=2")):
        run = tmp_path / number
        environment = {"KERAS_BACKEND": "jax", "XLA_FLAGS": flags}
        devices = start_training(recipe, tiny_files, run, distribute="devices", **environment)
        assert f"Devices: {number}, processes: 1." in finish(devices)
        logs.append(read_log(run / "log.csv"))

    np.testing.assert_allclose(logs[0]["loss"], logs[1]["loss"], rtol=0.02)
    np.testing.assert_allclose(logs[0]["val_loss"], logs[1]["val_loss"], rtol=0.02)


def test_a_batch_that_devices_cannot_share_is_refused(
    tiny_config: TrainingConfig, tiny_files: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("jax")
    odd = dataclasses.replace(
        tiny_config, optimization=dataclasses.replace(tiny_config.optimization, batch_size=15)
    )
    recipe = tmp_path / "odd.yaml"
    recipe.write_text(json.dumps(dataclasses.asdict(odd)))

    failed = start_training(
        recipe,
        tiny_files,
        tmp_path / "run",
        distribute="devices",
        KERAS_BACKEND="jax",
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    _, errors = failed.communicate(timeout=120)

    assert failed.returncode != 0
    assert (
        "optimization.batch_size is 15, which 2 devices cannot share evenly; take a multiple of 2."
    ) in errors.decode()
    assert not (tmp_path / "run").exists()


def test_another_backend_than_jax_is_refused_with_advice() -> None:
    from deepfer_training.distribution import join_processes

    with pytest.raises(RunError, match=r"Keras runs on tensorflow, but .* set KERAS_BACKEND=jax"):
        join_processes("devices")


@pytest.mark.parametrize(
    ("process", "expected"), [(0, [0, 1, 2]), (1, [3, 4, 5])], ids=["first", "second"]
)
def test_a_process_takes_its_part_of_a_batch(process: int, expected: list[int]) -> None:
    from deepfer_training.distribution import Share

    share = Share(process, process_count=2, device_count=2)

    assert share.rows(np.arange(6)).tolist() == expected
    assert share.is_first == (process == 0)
