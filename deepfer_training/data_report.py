"""Look through labelled faces for what spoils training and measuring."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfer_training.fer2013 import IMAGE_SIZE_PX, LABELS, SPLITS, FaceDataset, FaceSource
from deepfer_training.vote_ceiling import VoteCeiling, estimate_vote_ceiling

# A picture whose grey values all lie in so small a range shows nothing.
_BLANK_RANGE = 2
_MOST_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Finding:
    """Pictures that have something in common.

    Attributes:
        count: How many.
        examples: Where some of them are.
    """

    count: int
    examples: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON can hold it."""
        return {"count": self.count, "examples": list(self.examples)}


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Pictures that are there more than once, pixel for pixel.

    Attributes:
        extra: How many are copies of an earlier picture. The examples name all places of a group.
        across_splits: Of these, how many are in another split than the first: a model that has
            learnt the one knows the other.
        other_labels: How many have another label than the first.
    """

    extra: Finding
    across_splits: Finding
    other_labels: Finding


@dataclass(frozen=True, slots=True)
class DataReport:
    """What is in a data set.

    Attributes:
        path: Where it was read from.
        form: "table" or "folders".
        counts: Pictures of each label in each split that has any.
        duplicates: Pictures that are there more than once.
        blank: Pictures that show nothing.
        wrong_sizes: Pictures that were not 48x48.
        sizes: How many pictures had each size, as "WIDTHxHEIGHT", most frequent first.
        majority: Pictures of each FER+ majority, in each split; those without one of the seven
            as "none". None without votes.
        ceiling: What a model can reach against the FER+ majority, in each split that has one;
            None without votes.
        notes: How the data were understood.
    """

    path: str
    form: str
    counts: dict[str, dict[str, int]]
    duplicates: Duplicates
    blank: Finding
    wrong_sizes: Finding
    sizes: dict[str, int]
    majority: dict[str, dict[str, int]] | None
    ceiling: dict[str, VoteCeiling] | None
    notes: tuple[str, ...]

    @property
    def images(self) -> int:
        """How many pictures there are."""
        return sum(sum(row.values()) for row in self.counts.values())

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON can hold it."""
        return {
            "path": self.path,
            "form": self.form,
            "images": self.images,
            "counts": self.counts,
            "duplicates": self.duplicates.extra.to_json(),
            "duplicates_across_splits": self.duplicates.across_splits.to_json(),
            "duplicates_with_other_labels": self.duplicates.other_labels.to_json(),
            "blank": self.blank.to_json(),
            "wrong_sizes": {**self.wrong_sizes.to_json(), "sizes": self.sizes},
            "ferplus_majority": self.majority,
            "ferplus_ceiling": None
            if self.ceiling is None
            else {split: ceiling.to_json() for split, ceiling in self.ceiling.items()},
            "notes": list(self.notes),
        }


def inspect_source(source: FaceSource) -> DataReport:
    """Look through all pictures of a source."""
    faces = source.faces
    flat = faces.images.reshape(len(faces), -1)
    blank = flat.max(axis=1).astype(int) - flat.min(axis=1) <= _BLANK_RANGE
    is_wrong = (source.sizes_hw != IMAGE_SIZE_PX).any(axis=1)
    sizes = Counter(f"{width}x{height}" for height, width in source.sizes_hw.tolist())
    majority = ceiling = None
    if faces.votes is not None:
        majority = _count(faces, faces.majority_labels())
        ceiling = _estimate_ceilings(faces, faces.votes)
    return DataReport(
        path=faces.source,
        form=source.form,
        counts=_count(faces, faces.labels),
        duplicates=_find_duplicates(source),
        blank=_finding(source, np.flatnonzero(blank)),
        wrong_sizes=_finding(source, np.flatnonzero(is_wrong)),
        sizes=dict(sizes.most_common()),
        majority=majority,
        ceiling=ceiling,
        notes=source.notes,
    )


def _count(faces: FaceDataset, labels: NDArray[np.int64]) -> dict[str, dict[str, int]]:
    """Return how many pictures of each label are in each split; -1 counts as "none"."""
    counts = {}
    for split in SPLITS:
        of_split = labels[faces.splits == split]
        if len(of_split):
            row = {name: int((of_split == index).sum()) for index, name in enumerate(LABELS)}
            if (of_split == -1).any():
                row["none"] = int((of_split == -1).sum())
            counts[split] = row
    return counts


def _estimate_ceilings(faces: FaceDataset, votes: NDArray[np.int64]) -> dict[str, VoteCeiling]:
    found = {split: estimate_vote_ceiling(votes[faces.splits == split]) for split in SPLITS}
    return {split: ceiling for split, ceiling in found.items() if ceiling is not None}


def _find_duplicates(source: FaceSource) -> Duplicates:
    faces = source.faces
    groups: dict[bytes, list[int]] = defaultdict(list)
    for index, image in enumerate(faces.images):
        groups[hashlib.sha256(image.tobytes()).digest()].append(index)
    repeated = [group for group in groups.values() if len(group) > 1]
    return Duplicates(
        _group_finding(source, repeated, lambda first, other: True),
        _group_finding(
            source, repeated, lambda first, other: bool(faces.splits[first] != faces.splits[other])
        ),
        _group_finding(
            source, repeated, lambda first, other: bool(faces.labels[first] != faces.labels[other])
        ),
    )


def _group_finding(
    source: FaceSource, groups: list[list[int]], differs: Callable[[int, int], bool]
) -> Finding:
    """Return the copies that differ in some way from the first picture of their group."""
    count, examples = 0, []
    for first, *others in groups:
        found = [index for index in others if differs(first, index)]
        count += len(found)
        if found:
            examples.append(" = ".join(_describe(source, index) for index in (first, *found)))
    return Finding(count, tuple(examples[:_MOST_EXAMPLES]))


def _finding(source: FaceSource, indices: NDArray[np.int64]) -> Finding:
    examples = tuple(_describe(source, int(index)) for index in indices[:_MOST_EXAMPLES])
    return Finding(len(indices), examples)


def _describe(source: FaceSource, index: int) -> str:
    label = LABELS[source.faces.labels[index]]
    return f"{source.place(index)} ({label}, {source.faces.splits[index]})"
