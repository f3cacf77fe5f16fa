"""Keras' backends, and several processes, come to the same result."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from training_runs import finish, free_port, start_training

from deepfer_training.config import TrainingConfig
from deepfer_training.errors import RunError
from deepfer_training.run_folder import RUN_FILE

pytest.importorskip("tensorflow", reason="the models are compared on TensorFlow")
pytestmark = pytest.mark.slow


@pytest.fixture
def recipe(tiny_config: TrainingConfig, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(json.dumps(dataclasses.asdict(tiny_config)))
    return path


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_model_is_learnt_on_every_backend(
    recipe: Path, tiny_files: tuple[Path, Path], tmp_path: Path, backend: str
) -> None:
    pytest.importorskip(backend)
    import keras

    from deepfer_training.run_report import read_log

    run = tmp_path / "run"
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
    address = f"127.0.0.1:{free_port()}"
    processes = [
        start_training(
            recipe,
            tiny_files,
            together,
            distribute="processes",
            KERAS_BACKEND="jax",
            KERAS_DISTRIBUTION_JOB_ADDRESSES=address,
            KERAS_DISTRIBUTION_NUM_PROCESSES="2",
            KERAS_DISTRIBUTION_PROCESS_ID=str(number),
        )
        for number in range(2)
    ]
    outputs = [finish(process) for process in processes]

    assert "epoch 8/8" in outputs[0]
    assert "epoch" not in outputs[1]
    expected, found = read_log(alone / "log.csv"), read_log(together / "log.csv")
    assert expected.keys() == found.keys()
    np.testing.assert_allclose(found["loss"], expected["loss"], rtol=0.02)
    np.testing.assert_allclose(found["val_loss"], expected["val_loss"], rtol=0.02)


def test_several_devices_share_a_batch(
    recipe: Path, tiny_files: tuple[Path, Path], tmp_path: Path
) -> None:
    pytest.importorskip("jax")
    from deepfer_training.run_report import read_log

    run = tmp_path / "run"
    finish(
        start_training(
            recipe,
            tiny_files,
            run,
            distribute="devices",
            KERAS_BACKEND="jax",
            XLA_FLAGS="--xla_force_host_platform_device_count=2",
        )
    )

    assert read_log(run / "log.csv")["val_accuracy"][-1] >= 0.62


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
    from deepfer_training.distribution import distributed

    with (
        pytest.raises(RunError, match=r"Keras runs on tensorflow, but .* set KERAS_BACKEND=jax"),
        distributed("devices", 128),
    ):
        pass


@pytest.mark.parametrize(
    ("process", "expected"), [(0, [0, 1, 2]), (1, [3, 4, 5])], ids=["first", "second"]
)
def test_a_process_takes_its_part_of_a_batch(process: int, expected: list[int]) -> None:
    from deepfer_training.distribution import Share

    share = Share(process, process_count=2, device_count=2)

    assert share.rows(np.arange(6)).tolist() == expected
    assert share.is_first == (process == 0)
