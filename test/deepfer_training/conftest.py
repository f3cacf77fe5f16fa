"""A tiny data set, and a tiny model trained on it once for all tests."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_training.config import TrainingConfig, config_from_dict
from deepfer_training.fer2013 import FaceDataset

VOTES_HEADER = (
    "Usage,Image name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the user's cache of data sets out of the tests."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def draw_class(label: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a noisy 48x48 picture: plain, or stripes of a width and direction for each class."""
    picture = rng.integers(60, 100, (48, 48))
    if label < 6:
        width_px = (1, 2, 4)[label // 2]
        stripes = np.arange(48) // width_px % 2 * 120
        picture += stripes[:, np.newaxis] if label % 2 else stripes
    return picture.astype(np.uint8)


def make_dataset(counts: dict[str, int]) -> FaceDataset:
    """Return a data set with so many pictures of each class in each split.

    Nine voters see what the picture shows, the tenth sees a neutral face. Outside of Training the
    labels of the first two pictures of each class are wrong.
    """
    rng = np.random.default_rng(3)
    rows = [
        (split, number, shown)
        for split, count in counts.items()
        for number in range(count)
        for shown in range(7)
    ]
    vote_columns = [4, 5, 6, 1, 3, 2, 0]  # FER+ column of each label of FER-2013
    votes = np.zeros((len(rows), 10), np.int64)
    votes[:, 0] = 1
    for row, (_, _, shown) in enumerate(rows):
        votes[row, vote_columns[shown]] += 9
    labels = [
        (shown + 1) % 7 if number < 2 and split != "Training" else shown
        for split, number, shown in rows
    ]
    return FaceDataset(
        np.stack([draw_class(shown, rng) for _, _, shown in rows]),
        np.array(labels, np.int64),
        np.array([split for split, _, _ in rows]),
        votes,
        "tiny.csv",
    )


def write_csv(dataset: FaceDataset, path: Path) -> None:
    """Write a data set as FER-2013 is written."""
    lines = ["emotion,pixels,Usage"]
    for image, label, split in zip(dataset.images, dataset.labels, dataset.splits, strict=True):
        lines.append(f"{label},{' '.join(map(str, image.ravel()))},{split}")
    path.write_text("\n".join(lines) + "\n")


def write_votes(dataset: FaceDataset, path: Path) -> None:
    """Write the votes of a data set as FER+ is written."""
    assert dataset.votes is not None
    lines = [VOTES_HEADER]
    for number, (split, votes) in enumerate(zip(dataset.splits, dataset.votes, strict=True)):
        lines.append(f"{split},fer{number:07}.png,{','.join(map(str, votes))}")
    path.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="session")
def tiny_dataset() -> FaceDataset:
    """16 training pictures a class, 6 in each of the other splits."""
    return make_dataset({"Training": 16, "PublicTest": 6, "PrivateTest": 6})


@pytest.fixture(scope="session")
def tiny_config() -> TrainingConfig:
    """A recipe that learns the tiny data set within seconds."""
    return config_from_dict(
        {
            "name": "tiny",
            "seed": 7,
            "network": {
                "stem_width": 0,
                "widths": [8, 16],
                "blocks": [2, 2],
                "dropout": 0.2,
                "norm_momentum": 0.8,
            },
            "augmentation": {"rotation_deg": 3.0, "scale": 0.02, "erasing_probability": 0.1},
            "optimization": {
                "epochs": 8,
                "batch_size": 16,
                "learning_rate": 0.1,
                "warmup_epochs": 1,
                "ema_momentum": 0.8,
            },
        }
    )


@pytest.fixture(scope="session")
def tiny_files(
    tiny_dataset: FaceDataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The tiny data set as (FER-2013 file, FER+ file)."""
    folder = tmp_path_factory.mktemp("data")
    write_csv(tiny_dataset, folder / "fer2013.csv")
    write_votes(tiny_dataset, folder / "fer2013new.csv")
    return folder / "fer2013.csv", folder / "fer2013new.csv"


@pytest.fixture(scope="session")
def tiny_run(
    tiny_dataset: FaceDataset,
    tiny_config: TrainingConfig,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The run folder of an unbroken training."""
    pytest.importorskip("tensorflow", reason="training needs TensorFlow")
    from deepfer_training.training import train

    folder = tmp_path_factory.mktemp("runs") / "tiny"
    train(tiny_config, tiny_dataset, folder, command="deepfer train tiny.yaml")
    return folder


@pytest.fixture(scope="session")
def tiny_bundle(
    tiny_run: Path, tiny_dataset: FaceDataset, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A bundle exported from the tiny run."""
    from deepfer_training.export import export_bundle

    folder = tmp_path_factory.mktemp("models") / "tiny"
    return export_bundle(tiny_run, folder, tiny_dataset, command="deepfer export runs/tiny")
