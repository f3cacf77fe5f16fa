import dataclasses
import errno
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from training_runs import copy_run, run_until_killed

from deepfer_training.config import (
    AdamConfig,
    AugmentationConfig,
    HeadConfig,
    NetworkConfig,
    OptimizationConfig,
    ResNet50V2Config,
    TrainingConfig,
)
from deepfer_training.distribution import Share
from deepfer_training.errors import ConfigError, DatasetError, ModelFileError, RunError
from deepfer_training.fer2013 import LABELS, FaceDataset

keras = pytest.importorskip("keras")
pytest.importorskip("tensorflow", reason="training needs TensorFlow")

_RECIPES = Path(__file__).parents[2] / "config" / "training"


def _weights(run: Path) -> list[np.ndarray]:
    model = keras.saving.load_model(run / "model.keras", compile=False)
    return list(model.get_weights())


def _assert_equal_weights(first: Path, second: Path) -> None:
    pairs = zip(_weights(first), _weights(second), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_model_is_learnt(tiny_run: Path) -> None:
    rows = (tiny_run / "log.csv").read_text().splitlines()
    header, last = rows[0].split(","), rows[-1].split(",")

    # Two labels in six of PublicTest are wrong on purpose.
    assert float(last[header.index("val_accuracy")]) >= 0.62
    assert [row.split(",")[0] for row in rows[1:]] == list("01234567")


def test_the_run_folder_says_how_the_model_came_about(
    tiny_run: Path, tiny_config: TrainingConfig
) -> None:
    run = json.loads((tiny_run / "run.json").read_text())
    recipe = json.loads((tiny_run / "recipe.json").read_text())

    assert run["command"] == "deepfer train tiny.yaml"
    assert run["images"] == {"Training": 112, "PublicTest": 42, "PrivateTest": 42}
    assert len(run["data_sha256"]) == 64
    assert {"python", "keras", "tensorflow", "numpy"} <= set(run["versions"])
    assert recipe == json.loads(json.dumps(dataclasses.asdict(tiny_config)))


def test_two_runs_with_one_seed_are_equal_bit_for_bit(
    tiny_run: Path, tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.training import train

    steps = []
    train(
        tiny_config,
        tiny_dataset,
        tmp_path / "again",
        report=lambda line: None,
        on_step=lambda done, total: steps.append((done, total)),
    )

    _assert_equal_weights(tiny_run, tmp_path / "again")
    assert (tmp_path / "again" / "log.csv").read_text() == (tiny_run / "log.csv").read_text()
    assert steps == [(done, 56) for done in range(1, 57)]


def test_a_run_that_was_killed_is_resumed_to_the_same_model(
    tiny_run: Path,
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tiny_files: tuple[Path, Path],
    tmp_path: Path,
) -> None:
    from deepfer_training.training import train

    recipe, run = tmp_path / "recipe.yaml", tmp_path / "run"
    recipe.write_text(json.dumps(dataclasses.asdict(tiny_config)))
    # An epoch has 7 steps.
    for epochs_done, kill_at_step in ((3, 3 * 7 + 4), (7, 7 * 7 + 2)):
        run_until_killed(recipe, tiny_files, run, kill_at_step=kill_at_step)
        assert not (run / "model.keras").exists()
        # A kill between log and checkpoint leaves the row of an epoch that is done again.
        with (run / "log.csv").open("a") as log:
            log.write(f"{epochs_done},0.1,9.9,0.1,9.9\n")

    lines: list[str] = []
    train(tiny_config, tiny_dataset, run, resume=True, report=lines.append)

    assert "Resuming after epoch 7." in lines
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == ["8/8"]
    _assert_equal_weights(tiny_run, run)
    assert (run / "log.csv").read_text() == (tiny_run / "log.csv").read_text()


@pytest.mark.parametrize("is_cut", [False, True], ids=["whole", "cut"])
def test_a_run_that_was_killed_in_the_first_epoch_of_a_phase_is_resumed_to_the_same_model(
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    is_cut: bool,
) -> None:
    from deepfer_training import training
    from deepfer_training.phases import Phase
    from deepfer_training.run_report import read_log

    # The first phase learns next to nothing and stops early: the second one's first epoch is
    # better, and takes the place of the best weights.
    phases = (Phase("training", 20, 1e-9), Phase("fine-tuning", 2, 0.003))
    monkeypatch.setattr(training, "plan_phases", lambda config: phases)
    config = dataclasses.replace(
        tiny_config, optimization=AdamConfig(batch_size=16, stop_patience=1)
    )
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    best, kept = killed / "best.weights.h5", list[bytes]()

    class _KilledError(Exception):
        pass

    def die_before_the_checkpoint(line: str) -> None:
        if line.startswith("Phase 2") or kept:
            kept.append(best.read_bytes())
        if line.startswith("epoch") and kept:
            raise _KilledError

    training.train(config, tiny_dataset, unbroken, report=lambda line: None)
    with pytest.raises(_KilledError):
        training.train(config, tiny_dataset, killed, report=die_before_the_checkpoint)
    before, after = kept
    assert before != after
    if is_cut:
        best.write_bytes(after[: len(after) // 2])
    training.train(config, tiny_dataset, killed, resume=True, report=lambda line: None)

    assert len(read_log(unbroken / "log.csv")["loss"]) < 22
    assert (killed / "log.csv").read_text() == (unbroken / "log.csv").read_text()
    _assert_equal_weights(unbroken, killed)
    # One checkpoint is kept, and no other.
    assert len(list((unbroken / "checkpoint").glob("*.weights.h5"))) == 1


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_model_is_learnt_in_mixed_precision_and_resumed(
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tiny_files: tuple[Path, Path],
    tmp_path: Path,
    policy: str,
) -> None:
    from deepfer_training.training import train

    config = dataclasses.replace(tiny_config, dtype_policy=policy)
    recipe, unbroken, killed = (tmp_path / name for name in ("recipe.yaml", "unbroken", "killed"))
    recipe.write_text(json.dumps(dataclasses.asdict(config)))

    train(config, tiny_dataset, unbroken, report=lambda line: None)
    run_until_killed(recipe, tiny_files, killed, kill_at_step=4 * 7 + 3)
    train(config, tiny_dataset, killed, resume=True, report=lambda line: None)

    rows = (unbroken / "log.csv").read_text().splitlines()
    assert float(rows[-1].split(",")[rows[0].split(",").index("val_accuracy")]) >= 0.62
    _assert_equal_weights(unbroken, killed)
    assert {weights.dtype.name for weights in _weights(unbroken)} == {"float32"}


def test_gradients_are_scaled_where_they_would_vanish() -> None:
    from deepfer_training.networks import build_network
    from deepfer_training.phases import begin_phase, plan_phases

    for policy, scaled in (("float32", False), ("mixed_bfloat16", False), ("mixed_float16", True)):
        config = TrainingConfig(dtype_policy=policy, network=NetworkConfig(0, (4,), (1,)))
        network = build_network(config)
        (phase,) = plan_phases(config.optimization)
        begin_phase(network, config, phase, steps_per_epoch=10)
        assert isinstance(network.optimizer, keras.optimizers.LossScaleOptimizer) == scaled


def test_two_heads_learn_different_labels_from_one_trunk(
    tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.inference import KerasPredictor, predict
    from deepfer_training.training import train

    # The voters of the first head see in every picture the class that follows the label.
    assert tiny_dataset.votes is not None
    shifted = dataclasses.replace(
        tiny_dataset,
        votes=np.eye(10, dtype=np.int64)[[5, 6, 1, 3, 2, 0, 4]][tiny_dataset.labels] * 10,
    )
    config = dataclasses.replace(
        tiny_config, heads=(HeadConfig("votes", 1.0), HeadConfig("labels", 0.0, 0.5))
    )
    lines: list[str] = []

    paths = train(config, shifted, tmp_path / "run", report=lines.append)

    assert [path.name for path in paths] == ["votes.keras", "labels.keras"]
    votes, labels = (keras.saving.load_model(path, compile=False) for path in paths)
    for one, other in zip(votes.layers[:-2], labels.layers[:-2], strict=True):
        for first, second in zip(one.get_weights(), other.get_weights(), strict=True):
            np.testing.assert_array_equal(first, second)
    training = shifted.split("Training")
    seen = predict(KerasPredictor(votes), training.images).argmax(axis=1)
    named = predict(KerasPredictor(labels), training.images).argmax(axis=1)
    assert np.mean(seen == (training.labels + 1) % 7) >= 0.8
    assert np.mean(named == training.labels) >= 0.8
    # Each head is watched on its own labels.
    votes_accuracy, labels_accuracy = (
        float(lines[-1].split(f"{name} ")[1][:6]) for name in ("votes", "labels")
    )
    public = shifted.split("PublicTest")
    for model, truth, logged in (
        (votes, public.majority_labels(), votes_accuracy),
        (labels, public.labels, labels_accuracy),
    ):
        found = predict(KerasPredictor(model), public.images).argmax(axis=1)
        assert np.mean(found == truth) == pytest.approx(logged, abs=0.03)


@pytest.mark.parametrize("view", ["original", "augmented"])
def test_a_run_starts_from_another_and_learns_from_it(
    tiny_run: Path,
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tmp_path: Path,
    view: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepfer_training.inference import KerasPredictor, predict
    from deepfer_training.training import train

    # Wrong labels only: what is right can come from the first run alone.
    wrong = dataclasses.replace(tiny_dataset, labels=(tiny_dataset.labels + 1) % 7, votes=None)
    config = dataclasses.replace(
        tiny_config,
        heads=(HeadConfig(votes_weight=0.0, teacher_weight=1.0, teacher_view=view),),
        optimization=dataclasses.replace(
            tiny_config.optimization, epochs=1, warmup_epochs=0, learning_rate=0.01
        ),
    )
    run = tmp_path / "second"

    monkeypatch.chdir(tiny_run)
    train(config, wrong, run, start=tiny_run, teachers=[Path(".")], report=lambda line: None)

    training = tiny_dataset.split("Training")
    first, second = (
        predict(KerasPredictor(folder / "model.keras"), training.images).argmax(axis=1)
        for folder in (tiny_run, run)
    )
    assert np.mean(first == second) >= 0.9
    described = json.loads((run / "run.json").read_text())
    assert (described["start"], described["teachers"]) == ("tiny", ["tiny"])
    assert described["builds_on"] == ["deepfer train tiny.yaml"]
    with pytest.raises(RunError, match="was started with other weights to start from"):
        train(config, wrong, run, resume=True, teachers=[tiny_run])
    # Another model under the name of the first.
    shutil.copytree(run, tmp_path / "tiny")
    with pytest.raises(RunError, match="when the models that it builds on were others"):
        train(config, wrong, run, resume=True, start=tmp_path / "tiny", teachers=[tiny_run])
    # Refused at once, before a teacher is asked anything: this one does not even exist.
    with pytest.raises(RunError, match="holds a run already"):
        train(config, wrong, run, teachers=[tmp_path / "missing"])


@pytest.mark.parametrize("role", ["start", "teachers"])
def test_who_learned_from_more_of_public_test_is_no_start_and_no_teacher(
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tiny_run: Path,
    tmp_path: Path,
    role: str,
) -> None:
    from deepfer_training.training import train

    before = copy_run(tiny_run, tmp_path / "before", public_test_share=0.5)
    config = dataclasses.replace(
        tiny_config,
        public_test_share=0.4,
        heads=(dataclasses.replace(tiny_config.heads[0], teacher_weight=float(role != "start")),),
    )

    with pytest.raises(ConfigError, match=r"is 0\.4, but .*before has learned from 0\.5 of"):
        train(
            config,
            tiny_dataset,
            tmp_path / "run",
            **{role: before if role == "start" else [before]},
        )
    assert not (tmp_path / "run").exists()


def test_a_share_of_public_test_is_learned_from_like_training(
    tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.training import train

    short = dataclasses.replace(
        tiny_config, optimization=dataclasses.replace(tiny_config.optimization, epochs=2)
    )
    sharing = dataclasses.replace(short, public_test_share=0.5)
    moved = tiny_dataset.learn_from_public_test(0.5)

    train(sharing, tiny_dataset, tmp_path / "shared", report=lambda line: None)
    train(short, moved, tmp_path / "moved", report=lambda line: None)

    _assert_equal_weights(tmp_path / "shared", tmp_path / "moved")
    report = json.loads((tmp_path / "shared" / "model_report.json").read_text())
    assert report["images"] == len(moved.split("PublicTest")) < 42
    run = json.loads((tmp_path / "shared" / "run.json").read_text())
    assert run["images"] == {"Training": 112, "PublicTest": 42, "PrivateTest": 42}


def test_pictures_without_labels_are_learned_from_the_teachers(
    tiny_run: Path, tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.inference import KerasPredictor, predict
    from deepfer_training.training import train

    # One picture of each class is labelled, and wrongly; all others lie about without labels.
    training = tiny_dataset.split("Training")
    labelled = np.array([np.flatnonzero(training.labels == label)[0] for label in range(7)])
    others = np.setdiff1d(np.arange(len(training)), labelled)
    faces = tmp_path / "faces" / "any" / "folder"
    faces.mkdir(parents=True)
    for row in others:
        Image.fromarray(training.images[row]).save(faces / f"{row}.png")
    public = tiny_dataset.split("PublicTest")
    # A copy of a picture that is tested on teaches nothing.
    Image.fromarray(public.images[0]).save(faces / "copy.png")
    wrong = FaceDataset(
        np.concatenate([training.images[labelled], public.images]),
        np.concatenate([(training.labels[labelled] + 1) % 7, public.labels]),
        np.array(["Training"] * 7 + ["PublicTest"] * len(public)),
    )
    config = dataclasses.replace(
        tiny_config, heads=(HeadConfig(votes_weight=0.0, teacher_weight=0.01),)
    )
    run = tmp_path / "run"

    def learn(*, resume: bool = False, unlabelled: Path | None = tmp_path / "faces") -> None:
        train(
            config,
            wrong,
            run,
            resume=resume,
            teachers=[tiny_run],
            unlabelled=unlabelled,
            report=lambda line: None,
        )

    learn()

    first, second = (
        predict(KerasPredictor(folder / "model.keras"), public.images).argmax(axis=1)
        for folder in (tiny_run, run)
    )
    assert np.mean(first == second) >= 0.9
    assert json.loads((run / "run.json").read_text())["unlabelled_images"] == len(others)
    with pytest.raises(RunError, match="was started with other pictures without labels"):
        learn(resume=True, unlabelled=None)
    (faces / f"{others[0]}.png").unlink()
    with pytest.raises(RunError, match="was started with other pictures without labels"):
        learn(resume=True)


def test_pictures_without_labels_need_teachers_for_every_head(
    tiny_run: Path, tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.training import train

    heads = (HeadConfig(name="model", teacher_weight=0.5), HeadConfig(name="untaught"))
    config = dataclasses.replace(tiny_config, heads=heads)
    with pytest.raises(RunError, match="but the recipe gives untaught no teacher_weight above 0"):
        train(config, tiny_dataset, tmp_path / "run", teachers=[tiny_run], unlabelled=tmp_path)
    assert not (tmp_path / "run").exists()


def start_with_its_answers(
    config: TrainingConfig, bundle: Path, dataset: FaceDataset
) -> keras.Model:
    """Return a network that starts from a bundle, after checking that it answers the same."""
    from deepfer_training.inference import KerasPredictor, predict
    from deepfer_training.networks import build_network, extract_head, start_from

    network = build_network(config)
    start_from(network, bundle, config.heads)

    answers = [
        predict(KerasPredictor(model), dataset.images)
        for model in (bundle / "model.keras", extract_head(network, config, config.heads[0]))
    ]
    np.testing.assert_allclose(answers[0], answers[1], atol=1e-5)
    return network


def test_a_run_starts_from_the_narrower_network_of_a_bundle(
    tiny_bundle: Path, tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.training import train

    head = HeadConfig(name="wide", votes_weight=0.0)
    config = dataclasses.replace(
        tiny_config,
        heads=(head,),
        network=dataclasses.replace(tiny_config.network, widths=(10, 24)),
        optimization=dataclasses.replace(tiny_config.optimization, epochs=1, warmup_epochs=0),
    )

    # At first it answers as the narrow one does, but its new features are there to learn.
    network = start_with_its_answers(config, tiny_bundle, tiny_dataset)
    kernel = network.get_layer("stage2_block2").convolutions[0].get_weights()[0]
    assert np.all(kernel[:, :, 16:, :16] == 0)
    assert np.all(np.abs(kernel[..., 16:]).sum(axis=(0, 1, 2)) > 0)

    run = tmp_path / "run"
    train(config, tiny_dataset, run, start=tiny_bundle, report=lambda line: None)
    described = json.loads((run / "run.json").read_text())
    assert described["start"] == "tiny"
    assert described["builds_on"] == ["deepfer train tiny.yaml", "deepfer export runs/tiny"]


@pytest.mark.parametrize("widths", [(8, 16), (10, 24)], ids=["as wide", "wider"])
def test_a_run_starts_from_the_network_of_a_bundle_with_factors(
    tiny_bundle: Path,
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    widths: tuple[int, ...],
) -> None:
    head = HeadConfig(name="factors")
    # As many channels between the factors as lose nothing.
    network_config = dataclasses.replace(tiny_config.network, widths=widths, ranks=(0, 64))
    config = dataclasses.replace(tiny_config, heads=(head,), network=network_config)

    start_with_its_answers(config, tiny_bundle, tiny_dataset)


def test_errors_of_a_low_rank_count_after_normalisation(
    tiny_bundle: Path, tiny_config: TrainingConfig
) -> None:
    import keras

    from deepfer_training.factorization import factorize_kernel
    from deepfer_training.networks import build_network, start_from

    head = HeadConfig(name="low")
    network_config = dataclasses.replace(tiny_config.network, ranks=(0, 5))
    config = dataclasses.replace(tiny_config, heads=(head,), network=network_config)

    network = build_network(config)
    start_from(network, tiny_bundle, config.heads)

    full = keras.models.load_model(tiny_bundle / "model.keras", compile=False)
    gamma, _, _, variance = full.get_layer("stage2_block1_norm").get_weights()
    (kernel,) = full.get_layer("stage2_block1_conv").get_weights()
    expected = factorize_kernel(kernel, 5, gamma / np.sqrt(variance + 1e-3))
    for layer, factor in zip(
        network.get_layer("stage2_block1").convolutions, expected, strict=True
    ):
        np.testing.assert_allclose(layer.get_weights()[0], factor, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("path", sorted(_RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_recipes_that_come_with_deepfer_can_be_built(path: Path) -> None:
    from deepfer_training.config import load_config
    from deepfer_training.networks import build_network

    config = load_config(path)
    if isinstance(config.network, ResNet50V2Config):
        # Random weights need no download, and have nothing to be fine-tuned.
        config = dataclasses.replace(
            config,
            network=ResNet50V2Config("none"),
            optimization=dataclasses.replace(config.optimization, fine_tuning=None),
        )

    network = build_network(config)

    assert network.output_names == [f"{head.name}_probabilities" for head in config.heads]


@pytest.mark.parametrize(
    ("recipe", "bundle"),
    [
        ("deepfer48-wide", "deepfer48-fer2013"),
        ("deepfer48-wider", "deepfer48"),
        ("deepfer48-mixed", "deepfer48"),
        ("deepfer48-lowrank", "deepfer48"),
        ("deepfer48-taught", "deepfer48"),
    ],
)
def test_recipes_start_from_the_bundles_that_they_name(recipe: str, bundle: str) -> None:
    from deepfer_training.config import load_config
    from deepfer_training.model_files import shipped_models
    from deepfer_training.networks import build_network, start_from

    config = load_config(_RECIPES / f"{recipe}.yaml")
    network = build_network(dataclasses.replace(config, dtype_policy="float32"))
    before = network.get_layer("stage2_block1").get_weights()[0]

    start_from(network, shipped_models()[bundle], config.heads)

    assert not np.array_equal(network.get_layer("stage2_block1").get_weights()[0], before)


def test_targets_are_shared_between_labels_and_teachers(
    tiny_run: Path, tiny_dataset: FaceDataset
) -> None:
    from deepfer_training.teachers import add_teachers

    training = tiny_dataset.split("Training")
    labels = training.soft_targets(0.0)

    alone = add_teachers(labels, training.images, HeadConfig(teacher_weight=1.0), [tiny_run])
    mixed = add_teachers(
        labels, training.images, HeadConfig(teacher_weight=0.25), [tiny_run, tiny_run]
    )
    none = add_teachers(labels, training.images, HeadConfig(), [])

    np.testing.assert_allclose(alone.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(mixed, 0.75 * labels + 0.25 * alone, atol=1e-5)
    np.testing.assert_array_equal(none, labels)


def test_a_teacher_is_asked_once(
    tiny_run: Path,
    tiny_dataset: FaceDataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepfer_training import teachers
    from deepfer_training.inference import load_keras_model

    asked = []

    def load(path: Path) -> object:
        asked.append(path.parent.name)
        return load_keras_model(path)

    monkeypatch.setattr(teachers, "load_keras_model", load)
    other_run = tmp_path / "other"
    other_run.mkdir()
    labels, head = np.eye(7, dtype=np.float32)[[0] * 6], HeadConfig(teacher_weight=1.0)

    def answers(folder: Path, first: int = 0) -> NDArray[np.float32]:
        return teachers.add_teachers(
            labels, tiny_dataset.images[first : first + 6], head, [folder]
        )

    once, again = answers(tiny_run), answers(tiny_run)
    np.testing.assert_array_equal(once, again)
    assert asked == ["tiny"]
    shutil.copy(tiny_run / "model.keras", other_run)
    np.testing.assert_array_equal(answers(other_run), once)
    assert asked == ["tiny"]
    # Other pictures, and another file in the same place, are other questions.
    assert not np.array_equal(answers(tiny_run, first=1), once)
    (other_run / "model.keras").write_bytes(b"another")
    with pytest.raises(ModelFileError, match="is not a usable Keras model"):
        answers(other_run)
    assert asked == ["tiny", "tiny", "other"]


@pytest.mark.parametrize(
    ("weight", "given", "message"),
    [
        (0.5, False, r"gives model a teacher_weight, but no teacher was named: add --teacher RUN"),
        (0.0, True, r"Teachers were named, but no head of the recipe has a teacher_weight above"),
    ],
    ids=["no teacher", "no weight"],
)
def test_teachers_are_named_where_the_recipe_wants_them_only(
    tiny_run: Path,
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tmp_path: Path,
    weight: float,
    given: bool,
    message: str,
) -> None:
    from deepfer_training.training import train

    config = dataclasses.replace(tiny_config, heads=(HeadConfig(teacher_weight=weight),))
    with pytest.raises(RunError, match=message):
        train(config, tiny_dataset, tmp_path / "run", teachers=[tiny_run] if given else [])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"heads": (HeadConfig("other"),)},
            r"other\.keras is not a usable .* a bundle, or the run .* that has the head other",
        ),
        ({"network": NetworkConfig(0, (8, 8), (2, 2))}, "has another network than the recipe"),
        ({"network": NetworkConfig(0, (8, 16), (2, 3))}, "has another network than the recipe"),
        (
            {"network": NetworkConfig(0, (8, 16), (2, 1))},
            "another network than the recipe: it has the layers stage2_block2.* besides",
        ),
    ],
    ids=["another head", "other widths", "more layers", "fewer layers"],
)
def test_a_start_that_does_not_fit_is_refused(
    tiny_run: Path,
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tmp_path: Path,
    changes: dict[str, object],
    message: str,
) -> None:
    from deepfer_training.training import train

    config = dataclasses.replace(tiny_config, **changes)  # type: ignore[arg-type]
    with pytest.raises(ModelFileError, match=message):
        train(config, tiny_dataset, tmp_path / "run", start=tiny_run)
    assert not (tmp_path / "run").exists()


def test_a_recipe_that_cannot_be_built_leaves_no_folder(
    tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.training import train

    config = dataclasses.replace(tiny_config, network=NetworkConfig(0, (4,) * 8, (1,) * 8))

    with pytest.raises(ConfigError, match="take fewer stages"):
        train(config, tiny_dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_folder_that_cannot_be_written_is_refused(
    tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.training import train

    (tmp_path / "file").write_text("no folder")

    with pytest.raises(RunError, match=r"file cannot be a run folder: Not a directory\. Give one"):
        train(tiny_config, tiny_dataset, tmp_path / "file")


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_other_files_is_no_run_folder(
    tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path, resume: bool
) -> None:
    from deepfer_training.training import train

    (tmp_path / "log.csv").write_text("mine")

    with pytest.raises(RunError, match=r"holds other files \(log\.csv\) and no run"):
        train(tiny_config, tiny_dataset, tmp_path, resume=resume)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]
    assert (tmp_path / "log.csv").read_text() == "mine"


@pytest.mark.parametrize("failing", ["run.json", "recipe.json"])
def test_a_run_that_was_ended_while_it_began_can_begin_again(
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    failing: str,
) -> None:
    from deepfer_training import run_folder

    run = run_folder.describe_run(tiny_config, tiny_dataset, "deepfer train")

    def replace_or_fail(source: Path, target: Path) -> None:
        if target.name == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        source.rename(target)

    with monkeypatch.context() as patch:
        patch.setattr(run_folder.os, "replace", replace_or_fail)
        with pytest.raises(RunError, match="No space left on device"):
            run_folder.open_run_folder(tmp_path / "run", tiny_config, run, resume=False)
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert failing.replace(".json", ".new") in left

    run_folder.open_run_folder(tmp_path / "run", tiny_config, run, resume=False)

    assert {path.name for path in (tmp_path / "run").iterdir()} == {"run.json", "recipe.json"}


def test_a_head_is_not_called_like_a_layer(
    tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.training import train

    config = dataclasses.replace(tiny_config, heads=(HeadConfig("stage1_block1_conv"),))

    with pytest.raises(ConfigError, match=r"name of another layer .*\(stage1_block1_conv\)"):
        train(config, tiny_dataset, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_training_that_diverges_says_so_and_leaves_no_model(
    tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.training import train

    optimization = dataclasses.replace(tiny_config.optimization, learning_rate=1e30)
    config = dataclasses.replace(tiny_config, optimization=optimization)

    with pytest.raises(RunError, match=r"diverged: the loss of epoch 1 is nan.* than 1e\+30 and"):
        train(config, tiny_dataset, tmp_path / "run", report=lambda line: None)
    assert not list((tmp_path / "run").rglob("*.keras"))
    assert not list((tmp_path / "run").rglob("*.weights.h5"))


def test_a_full_disk_says_what_to_do(
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from deepfer_training import training

    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(training, "write_run_report", fail)
    optimization = dataclasses.replace(tiny_config.optimization, epochs=1, warmup_epochs=0)
    config = dataclasses.replace(tiny_config, optimization=optimization)

    with pytest.raises(RunError, match=r"run: No space left on device\. Make room, then go on"):
        training.train(config, tiny_dataset, tmp_path / "run", report=lambda line: None)


def test_the_run_folder_shows_how_good_the_model_is(
    tiny_run: Path, tiny_dataset: FaceDataset
) -> None:
    from deepfer_training.inference import KerasPredictor, predict

    for name in ("curves", "model_confusion", "model_reliability", "model_mistakes"):
        assert (tiny_run / f"{name}.png").read_bytes().startswith(b"\x89PNG"), name
    report = json.loads((tiny_run / "model_report.json").read_text())
    public = tiny_dataset.split("PublicTest")
    answers = predict(KerasPredictor(tiny_run / "model.keras"), public.images).argmax(axis=1)
    # Half of the targets are votes: the labels of FER-2013 are what it is watched on.
    assert (report["split"], report["labels"], report["images"]) == ("PublicTest", "fer2013", 42)
    assert report["accuracy"] == pytest.approx(np.mean(answers == public.labels), abs=1e-6)
    assert list(report["classes"]) == list(LABELS)
    happy = public.labels == LABELS.index("happy")
    recall = np.mean(answers[happy] == LABELS.index("happy"))
    assert report["classes"]["happy"]["recall"] == pytest.approx(recall, abs=1e-6)
    events = list((tiny_run / "tensorboard").rglob("events.out.tfevents.*"))
    assert {path.parent.name for path in events} == {"train", "validation"}


@pytest.mark.parametrize(
    "content", [None, "", "epoch,loss\n", "epoch,loss\n0\n", "epoch,loss\n0,x\n", "\xff"]
)
def test_a_damaged_log_is_named(tmp_path: Path, content: str | None) -> None:
    from deepfer_training.run_report import read_log

    path = tmp_path / "log.csv"
    if content is not None:
        path.write_text(content, encoding="latin-1")

    with pytest.raises(RunError, match=r"Cannot read the log .*log\.csv"):
        read_log(path)


def test_rare_classes_count_more() -> None:
    from deepfer_training.batches import class_weights

    targets = np.eye(2, dtype=np.float32)[[0, 0, 0, 0, 1]]

    np.testing.assert_allclose(class_weights(targets, 0.0), 1)
    weights = class_weights(targets, 0.5)
    assert weights[4] / weights[0] == pytest.approx(2)
    assert weights.mean() == pytest.approx(1)
    full = class_weights(targets, 1.0)
    assert full[:4].sum() == pytest.approx(full[4])


def test_a_finished_run_can_be_resumed(
    tiny_run: Path, tiny_dataset: FaceDataset, tiny_config: TrainingConfig
) -> None:
    from deepfer_training.training import train

    before = _weights(tiny_run)

    train(tiny_config, tiny_dataset, tiny_run, resume=True, report=lambda line: None)

    pairs = zip(before, _weights(tiny_run), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_a_run_is_not_overwritten(
    tiny_run: Path, tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.training import train

    with pytest.raises(RunError, match=r"holds a run already\. Give --resume"):
        train(tiny_config, tiny_dataset, tiny_run)
    with pytest.raises(RunError, match=r"was started with another recipe; see .*recipe\.json"):
        train(dataclasses.replace(tiny_config, seed=8), tiny_dataset, tiny_run, resume=True)
    described = json.loads((tiny_run / "run.json").read_text()) | {"backend": "torch"}
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(tiny_run, elsewhere)
    (elsewhere / "run.json").write_text(json.dumps(described))
    with pytest.raises(RunError, match=r"started with Keras on torch.*Set KERAS_BACKEND=torch to"):
        train(tiny_config, tiny_dataset, elsewhere, resume=True)
    other = dataclasses.replace(tiny_dataset, images=255 - tiny_dataset.images)
    with pytest.raises(RunError, match=r"was started with other data; see .*run\.json"):
        train(tiny_config, other, tiny_run, resume=True)


@pytest.mark.parametrize("file", ["run.json", "recipe.json", "state.json", "epoch8.weights.h5"])
def test_a_damaged_run_is_named(
    tiny_run: Path,
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tmp_path: Path,
    file: str,
) -> None:
    from deepfer_training.training import train

    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (damaged,) = run.rglob(file)
    content = damaged.read_bytes()
    # Cut, of another kind, and with a hole.
    for wrong in (content[:20], b"[]", content[: len(content) // 2].ljust(len(content), b"\0")):
        damaged.write_bytes(wrong)
        with pytest.raises(RunError, match="Start again in another folder"):
            train(tiny_config, tiny_dataset, run, resume=True)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (lambda data: data.splits == "Training", "no row in split 'PublicTest'"),
        (lambda data: data.splits != "Training", "no row in split 'Training'"),
        (
            lambda data: (data.labels != 1) | (data.splits != "Training"),
            "no row of class disgust in split 'Training'",
        ),
    ],
    ids=["no PublicTest", "no Training", "no disgust"],
)
def test_data_that_lacks_something_is_refused_before_a_folder_is_made(
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tmp_path: Path,
    rows: object,
    message: str,
) -> None:
    from deepfer_training.training import train

    kept = rows(tiny_dataset)  # type: ignore[operator]
    assert tiny_dataset.votes is not None
    part = FaceDataset(
        tiny_dataset.images[kept],
        tiny_dataset.labels[kept],
        tiny_dataset.splits[kept],
        tiny_dataset.votes[kept],
        "part.csv",
    )

    with pytest.raises(DatasetError, match=f"part.csv has {message}"):
        train(tiny_config, part, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_votes_that_give_no_majority_to_watch_are_refused(
    tiny_dataset: FaceDataset, tiny_config: TrainingConfig, tmp_path: Path
) -> None:
    from deepfer_training.training import train

    assert tiny_dataset.votes is not None
    votes = tiny_dataset.votes.copy()
    votes[tiny_dataset.splits == "PublicTest"] = np.eye(10, dtype=np.int64)[9] * 10
    config = dataclasses.replace(tiny_config, heads=(HeadConfig("seen", votes_weight=1.0),))

    with pytest.raises(DatasetError, match="no picture in split 'PublicTest' with a FER"):
        train(config, dataclasses.replace(tiny_dataset, votes=votes), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_more_devices_than_pictures_are_refused(
    tiny_dataset: FaceDataset, tiny_config: TrainingConfig
) -> None:
    from deepfer_training.teachers import LiveTeachers
    from deepfer_training.training import _Material

    training, validation = tiny_dataset.split("Training"), tiny_dataset.split("PublicTest")
    targets = (training.soft_targets(0.0),)
    nobody = LiveTeachers(tiny_config.heads, [], training.images)

    with pytest.raises(DatasetError, match=r"are 112 pictures to learn from, .* devices \(200\);"):
        _Material.prepare(
            tiny_config,
            training.images,
            targets,
            validation,
            Share(device_count=200),
            nobody,
        )


def test_batches_depend_on_seed_epoch_and_position_alone() -> None:
    from deepfer_training.batches import augmented_batches

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (10, 48, 48)).astype(np.uint8)
    targets = np.eye(10, dtype=np.float32)
    weights = np.arange(10, dtype=np.float32)

    def batches(count: int, **changes: object) -> list[tuple[np.ndarray, ...]]:
        options = {"batch_size": 4, "seed": 1, "first_epoch": 0} | changes
        endless = augmented_batches(
            images,
            (targets,),
            (weights,),
            augmentation=AugmentationConfig(),
            **options,  # type: ignore[arg-type]
        )
        return [(x, y[0], w[0]) for x, y, w in itertools.islice(endless, count)]

    six = batches(6)

    assert six[0][0].shape == (4, 48, 48, 1)
    assert six[0][0].dtype == np.float32
    # Two whole batches an epoch, eight different rows of ten.
    assert len(np.unique(np.concatenate([y.argmax(axis=1) for _, y, _ in six[:2]]))) == 8
    for _, y, w in six:
        np.testing.assert_array_equal(y.argmax(axis=1), w)
    for resumed, unbroken in zip(batches(2, first_epoch=2), six[4:], strict=True):
        np.testing.assert_array_equal(resumed[0], unbroken[0])
        np.testing.assert_array_equal(resumed[1], unbroken[1])
    # Two processes together see what one sees.
    halves = [batches(1, share=Share(number, 2, 2))[0] for number in range(2)]
    for alone, one, other in zip(six[0], *halves, strict=True):
        np.testing.assert_array_equal(np.concatenate([one, other]), alone)
    assert not np.array_equal(six[0][0], batches(1, seed=2)[0][0])
    assert not np.array_equal(six[0][0], six[2][0])


def test_mixup_mixes_pictures_with_their_targets_and_weights() -> None:
    from deepfer_training.batches import augmented_batches

    # Plain pictures, each of its own grey, which no other change touches.
    greys = np.arange(0, 250, 25)
    images = np.broadcast_to(greys[:, np.newaxis, np.newaxis], (10, 48, 48)).astype(np.uint8)
    targets = np.eye(10, dtype=np.float32)
    weights = np.arange(1, 11, dtype=np.float32)
    augmentation = AugmentationConfig(
        contrast=0,
        brightness=0,
        jpeg_probability=0,
        erasing_probability=0,
        mixup_probability=0.7,
    )

    def batches(share: Share) -> list[tuple[np.ndarray, ...]]:
        endless = augmented_batches(
            images,
            (targets,),
            (weights,),
            batch_size=10,
            augmentation=augmentation,
            seed=1,
            share=share,
        )
        return [(x, y[0], w[0]) for x, y, w in itertools.islice(endless, 20)]

    both = batches(Share())
    pictures, mixed, counting = (np.concatenate(parts) for parts in zip(*both, strict=True))

    np.testing.assert_array_equal(pictures, np.rint(pictures))
    np.testing.assert_allclose(pictures[:, 5, 7, 0], mixed @ greys, atol=0.5)
    np.testing.assert_allclose(counting, mixed @ weights, rtol=1e-5)
    np.testing.assert_allclose(mixed.sum(axis=1), 1, rtol=1e-5)
    assert np.count_nonzero(mixed, axis=1).max() == 2
    # The larger part is the picture itself, and every picture has its turn.
    for _, targets_of_epoch, _ in both:
        assert sorted(targets_of_epoch.argmax(axis=1)) == list(range(10))
    # 30 % are left alone, and a tenth of the others meet themselves.
    assert 0.27 <= (mixed.max(axis=1) > 0.9999).mean() <= 0.48
    # Two processes together see what one sees.
    halves = [batches(Share(number, 2, 2)) for number in range(2)]
    for alone, one, other in zip(both, *halves, strict=True):
        for whole, first, second in zip(alone, one, other, strict=True):
            np.testing.assert_array_equal(np.concatenate([first, second]), whole)


@pytest.mark.parametrize("warmup_epochs", [0, 2])
def test_the_learning_rate_rises_and_falls_as_the_recipe_says(warmup_epochs: int) -> None:
    from deepfer_training.architecture import build_compact_cnn
    from deepfer_training.phases import begin_phase, plan_phases

    model = build_compact_cnn(NetworkConfig(0, widths=(4,), blocks=(2,)), 48, 7)
    config = OptimizationConfig(epochs=10, warmup_epochs=warmup_epochs, learning_rate=0.4)
    (phase,) = plan_phases(config)
    begin_phase(model, TrainingConfig(optimization=config), phase, steps_per_epoch=100)
    rate = model.optimizer._learning_rate  # the schedule; `learning_rate` is its present value

    warmup_steps = 100 * warmup_epochs
    middle = warmup_steps + (1000 - warmup_steps) // 2
    assert float(rate(warmup_steps)) == pytest.approx(0.4)
    assert float(rate(middle)) == pytest.approx(0.2)
    assert float(rate(1000)) == pytest.approx(0, abs=1e-6)
    if warmup_steps:
        assert float(rate(0)) == 0
        assert float(rate(warmup_steps // 2)) == pytest.approx(0.2)


def test_only_kernels_decay() -> None:
    from deepfer_training.architecture import build_compact_cnn
    from deepfer_training.phases import begin_phase, plan_phases

    model = build_compact_cnn(NetworkConfig(0, widths=(4, 8), blocks=(2, 2)), 48, 7)
    config = OptimizationConfig(
        epochs=1, warmup_epochs=0, learning_rate=0.5, weight_decay=0.1, momentum=0.0
    )
    (phase,) = plan_phases(config)
    begin_phase(model, TrainingConfig(optimization=config), phase, steps_per_epoch=10)
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape, np.float32))

    still = [np.zeros(variable.shape, np.float32) for variable in model.trainable_variables]
    model.optimizer.apply(
        [keras.ops.convert_to_tensor(gradient) for gradient in still], model.trainable_variables
    )

    for variable in model.trainable_variables:
        expected = 0.95 if variable.name == "kernel" else 1.0
        np.testing.assert_allclose(variable.numpy(), expected, err_msg=variable.path)
    assert sum(variable.name == "kernel" for variable in model.trainable_variables) == 5
