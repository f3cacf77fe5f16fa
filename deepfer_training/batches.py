"""What a network is shown in training: pictures, targets and how much each picture counts."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfer_training.augmentation import augment_picture
from deepfer_training.config import AugmentationConfig, HeadConfig
from deepfer_training.distribution import Share
from deepfer_training.errors import DatasetError
from deepfer_training.fer2013 import LABELS, FaceDataset

Arrays = tuple[NDArray[np.float32], ...]
"""One array for each head."""


def augmented_batches(
    images: NDArray[np.uint8],
    targets: Arrays,
    weights: Arrays,
    *,
    batch_size: int,
    augmentation: AugmentationConfig,
    seed: int,
    first_epoch: int = 0,
    share: Share | None = None,
) -> Iterator[tuple[NDArray[np.float32], Arrays, Arrays]]:
    """Yield batches for ever, shuffled and augmented anew in every epoch.

    The order depends on (seed, epoch) alone, and what a picture becomes on (seed, epoch, picture),
    so that a resumed run sees the same pictures as an unbroken one, and several processes
    together see the same as one. Rows that fill no whole batch wait for another epoch.

    Where the recipe says so, pictures are mixed with others of their batch, and their targets and
    weights with them ("mixup", Zhang et al. 2018, arXiv:1710.09412).

    Args:
        images: uint8 (N, H, W), grey.
        targets: Of each head: float32 (N, C), rows sum to 1.
        weights: Of each head: float32 (N,), how much a picture counts.
        batch_size: B, pictures a batch, at most N.
        augmentation: How strongly pictures are changed.
        seed: Seed of order and augmentation.
        first_epoch: Epoch to begin with, counted from 0.
        share: Which part of every batch is yielded; all of it if None.

    Yields:
        float32 images (B, H, W, 1), whole numbers from 0 to 255, and the targets and weights of
        each head.
    """
    share = Share() if share is None else share

    def show(rows: NDArray[np.int64], epoch: int) -> NDArray[np.float32]:
        changed = [
            augment_picture(images[row], augmentation, np.random.default_rng((seed, epoch, row)))
            for row in rows
        ]
        return np.stack(changed)[..., np.newaxis].astype(np.float32)

    for epoch in itertools.count(first_epoch):
        order = np.random.default_rng((seed, epoch)).permutation(len(images))
        for position in range(len(images) // batch_size):
            batch = order[position * batch_size : (position + 1) * batch_size]
            rows = share.rows(batch)
            pictures = show(rows, epoch)
            if augmentation.mixup_probability == 0:
                yield (
                    pictures,
                    tuple(values[rows] for values in targets),
                    tuple(values[rows] for values in weights),
                )
                continue
            # Drawn for the whole batch: a picture's partner may be another process's. The 1 keeps
            # this generator apart from those of the pictures.
            rng = np.random.default_rng((seed, epoch, position, 1))
            partners = share.rows(rng.permutation(batch))
            kept = share.rows(_draw_kept_shares(len(batch), augmentation, rng))
            yield (
                np.rint(_mix(pictures, show(partners, epoch), kept)),
                tuple(_mix(values[rows], values[partners], kept) for values in targets),
                tuple(_mix(values[rows], values[partners], kept) for values in weights),
            )


def _draw_kept_shares(
    count: int, augmentation: AugmentationConfig, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return how much of each picture stays when its partner is mixed in, float32 (N,).

    At least half of it does, all of it where nothing is mixed in.
    """
    drawn = rng.beta(augmentation.mixup_alpha, augmentation.mixup_alpha, count)
    kept = np.maximum(drawn, 1 - drawn)
    kept[rng.random(count) >= augmentation.mixup_probability] = 1
    return kept.astype(np.float32)


def _mix(
    own: NDArray[np.float32], others: NDArray[np.float32], kept: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return weighted means of the rows of two arrays."""
    kept = kept.reshape(-1, *[1] * (own.ndim - 1))
    return kept * own + (1 - kept) * others


def class_weights(targets: NDArray[np.float32], class_balance: float) -> NDArray[np.float32]:
    """Return how much each picture counts, float32 (N,), 1 on average.

    Args:
        targets: float32 (N, C), rows sum to 1.
        class_balance: See `HeadConfig`.
    """
    frequencies = np.maximum(targets.mean(axis=0, dtype=np.float64), 1e-6)
    weights = targets @ frequencies**-class_balance
    return np.asarray(weights / weights.mean(), np.float32)


def watched_labels(votes_weight: float, *, has_votes: bool) -> str:
    """Return the labels that a head is mostly trained for, `fer2013` or `ferplus`."""
    return "ferplus" if votes_weight > 0.5 and has_votes else "fer2013"


def meant_labels(head: Mapping[str, Any] | None, calibrated_for: str, *, has_votes: bool) -> str:
    """Return the labels that a model is meant for, `fer2013` or `ferplus`.

    Args:
        head: What the recipe says about its head: it is meant for what it was trained for. None
            if nobody knows: then for what it was calibrated for.
        calibrated_for: `fer2013`, `ferplus` or `none`.
        has_votes: Whether the data has FER+ votes.
    """
    if head is not None:
        return watched_labels(head["votes_weight"], has_votes=has_votes)
    return "ferplus" if calibrated_for == "ferplus" and has_votes else "fer2013"


def watched_truth(faces: FaceDataset, head: HeadConfig) -> NDArray[np.int64]:
    """Return the labels that a head is watched on, int64 (N,); -1 where there is no majority."""
    if watched_labels(head.votes_weight, has_votes=faces.votes is not None) == "ferplus":
        return faces.majority_labels()
    return faces.labels


def require_truth(faces: FaceDataset, heads: Sequence[HeadConfig]) -> None:
    """Check that there is something to watch every head on.

    Raises:
        DatasetError: No picture has a FER+ majority, which a head is watched on.
    """
    for head in heads:
        if not (watched_truth(faces, head) >= 0).any():
            raise DatasetError(
                f"{faces.source} has no picture in split '{faces.splits[0]}' with a FER+ majority "
                f"for one of the seven classes, which {head.name} is watched on."
            )


def validation_arrays(
    validation: FaceDataset, heads: Sequence[HeadConfig], *, multiple: int, share: Share
) -> tuple[NDArray[np.float32], Arrays, Arrays]:
    """Return pictures, and targets and weights of each head.

    A head that learns mostly from votes is watched on the FER+ majority; pictures without one
    get the weight 0.

    Args:
        validation: The pictures.
        heads: The heads.
        multiple: Black pictures of weight 0 are added until the number is a multiple of this.
        share: Which part is returned.
    """
    count = len(validation)
    total = -(-count // multiple) * multiple
    images = np.zeros((total, *validation.images.shape[1:], 1), np.float32)
    images[:count, ..., 0] = validation.images
    targets, weights = [], []
    for head in heads:
        labels = np.full(total, -1)
        labels[:count] = watched_truth(validation, head)
        counted = (labels >= 0).astype(np.float32)
        targets.append(np.eye(len(LABELS), dtype=np.float32)[np.maximum(labels, 0)])
        # 1 on average: the loss does not depend on how many pictures do not count.
        weights.append(np.asarray(counted / counted.mean(), np.float32))
    rows = share.rows(np.arange(total))
    return (
        images[rows],
        tuple(values[rows] for values in targets),
        tuple(values[rows] for values in weights),
    )
