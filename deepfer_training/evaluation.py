"""Measure a model on a split of FER-2013."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfer_training.errors import ModelFileError
from deepfer_training.fer2013 import LABELS, FaceDataset
from deepfer_training.inference import Predictor, load_predictor, measure_ms_per_face, predict
from deepfer_training.metrics import Scores, score
from deepfer_training.model_files import ModelFile
from deepfer_training.robustness import CHANGES, change_images


@dataclass(frozen=True, slots=True)
class ChangedAccuracy:
    """Accuracy on pictures that were changed in one way; see `robustness`.

    Attributes:
        accuracy: Share of pictures recognised by their FER-2013 label.
        ferplus_accuracy: Share of pictures recognised by their FER+ majority, or None without
            FER+ votes.
    """

    accuracy: float
    ferplus_accuracy: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Reference:
    """What another file of the same model says about the same pictures.

    Attributes:
        file: Name of that file.
        probabilities: float32 (N, C), in the order of `fer2013.LABELS`.
    """

    file: str
    probabilities: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far a model is from another file of the same model.

    Attributes:
        file: Name of the other file.
        largest_difference: Largest difference of any probability of any picture.
        same_answers: Share of pictures that both put into the same class.
    """

    file: str
    largest_difference: float
    same_answers: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was measured of one model file on one split.

    Attributes:
        model: Name of the model.
        file: Name of the model file.
        split: Name of the split.
        fer2013: Scores against the labels of FER-2013.
        ferplus: Scores against the FER+ majority, or None without FER+ votes. Pictures without a
            majority for one of the seven classes are left out.
        label_agreement: Share of the pictures with such a majority whose FER-2013 label is the
            same, or None without FER+ votes.
        ms_per_face: Median time for one picture alone, milliseconds; LiteRT uses one thread.
        robustness: Accuracy on changed pictures, by the name of the change; empty if not asked
            for.
        comparison: How far the model is from another file of the same model, or None if not
            asked for.
    """

    model: str
    file: str
    split: str
    fer2013: Scores
    ferplus: Scores | None
    label_agreement: float | None
    ms_per_face: float
    robustness: dict[str, ChangedAccuracy]
    comparison: Comparison | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values; shares are rounded to six decimals."""
        values = {
            "model": self.model,
            "file": self.file,
            "split": self.split,
            **_scores_to_json(self.fer2013),
            "ferplus": None if self.ferplus is None else _scores_to_json(self.ferplus),
            "label_agreement": _rounded(self.label_agreement),
            "ms_per_face": round(self.ms_per_face, 3),
        }
        if self.comparison is not None:
            values["comparison"] = {
                "file": self.comparison.file,
                "largest_difference": float(f"{self.comparison.largest_difference:.2g}"),
                "same_answers": _rounded(self.comparison.same_answers),
            }
        if self.robustness:
            values["robustness"] = {
                change: {
                    "accuracy": _rounded(changed.accuracy),
                    "ferplus_accuracy": _rounded(changed.ferplus_accuracy),
                }
                for change, changed in self.robustness.items()
            }
        return values


def evaluate(
    model: ModelFile,
    faces: FaceDataset,
    split: str,
    *,
    robustness: bool = False,
    reference: Reference | None = None,
    on_progress: Callable[[int], None] = lambda count: None,
) -> Evaluation:
    """Measure a model file on the pictures of one split.

    Args:
        model: The model.
        faces: The pictures, with or without FER+ votes.
        split: Name of their split.
        robustness: Measure the accuracy on changed pictures, too.
        reference: What another file says about the same pictures, to compare with.
        on_progress: Called after every batch with the number of pictures in it;
            `count_predictions` tells how many there are in all.

    Raises:
        ModelFileError: The model cannot be used for these pictures or labels.
    """
    predictor = load_ordered_predictor(model)
    probabilities = predict(predictor, faces.images, on_progress=on_progress)
    majority = None if faces.votes is None else faces.majority_labels()
    return Evaluation(
        model=model.name,
        file=model.path.name,
        split=split,
        fer2013=score(faces.labels, probabilities),
        ferplus=None if majority is None else _score_majority(majority, probabilities),
        label_agreement=None
        if majority is None
        else _share((majority == faces.labels)[majority >= 0]),
        ms_per_face=measure_ms_per_face(predictor, faces.images),
        robustness=_measure_changes(predictor, faces, on_progress) if robustness else {},
        comparison=None if reference is None else _compare(probabilities, reference),
    )


def count_predictions(faces: FaceDataset, *, robustness: bool) -> int:
    """Return how many pictures `evaluate` runs through the model."""
    return len(faces) * (1 + (len(CHANGES) if robustness else 0))


def load_ordered_predictor(model: ModelFile) -> Predictor:
    """Load a model and put its outputs into the order of `fer2013.LABELS`.

    Raises:
        ModelFileError: The model has other labels, or none are known and it has not seven
            outputs.
    """
    predictor = load_predictor(model.path)
    return _Reordered(predictor, _output_order(model, predictor.class_count))


class _Reordered:
    """A predictor whose outputs are put into another order."""

    def __init__(self, predictor: Predictor, order: list[int]) -> None:
        self._predictor = predictor
        self._order = order
        self.input_size_px = predictor.input_size_px
        self.class_count = predictor.class_count

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        return self._predictor.run(batch)[:, self._order]


def _output_order(model: ModelFile, class_count: int) -> list[int]:
    """Return for every label of FER-2013 the output of the model that stands for it."""
    labels = LABELS if model.labels is None else model.labels
    if len(labels) != class_count:
        known = "is assumed to have" if model.labels is None else "says that it has"
        raise ModelFileError(
            f"{model.path} has {class_count} outputs, but {known} the {len(labels)} labels "
            f"{', '.join(labels)}."
        )
    if sorted(labels) != sorted(LABELS):
        raise ModelFileError(
            f"{model.path} has the labels {', '.join(labels)}; FER-2013 has {', '.join(LABELS)}."
        )
    return [labels.index(label) for label in LABELS]


def _measure_changes(
    predictor: Predictor, faces: FaceDataset, on_progress: Callable[[int], None]
) -> dict[str, ChangedAccuracy]:
    majority = None if faces.votes is None else faces.majority_labels()
    accuracies = {}
    for change in CHANGES:
        changed = change_images(faces.images, change)
        predictions = predict(predictor, changed, on_progress=on_progress).argmax(axis=1)
        accuracies[change] = ChangedAccuracy(
            float(np.mean(predictions == faces.labels)),
            None if majority is None else _share((predictions == majority)[majority >= 0]),
        )
    return accuracies


def _score_majority(
    majority: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> Scores | None:
    """Return scores of the pictures that have a majority, or None where none has one."""
    rows = majority >= 0
    return score(majority[rows], probabilities[rows]) if rows.any() else None


def _compare(probabilities: NDArray[np.float32], reference: Reference) -> Comparison:
    return Comparison(
        reference.file,
        float(np.abs(probabilities - reference.probabilities).max()),
        float(np.mean(probabilities.argmax(axis=1) == reference.probabilities.argmax(axis=1))),
    )


def _scores_to_json(scores: Scores) -> dict[str, Any]:
    def by_label(name: str) -> dict[str, Any]:
        return {
            label: _rounded(getattr(entry, name))
            for label, entry in zip(LABELS, scores.classes, strict=True)
        }

    return {
        "images": scores.images,
        "accuracy": _rounded(scores.accuracy),
        "accuracy_interval": [_rounded(bound) for bound in scores.accuracy_interval],
        "macro_f1": _rounded(scores.macro_f1),
        "macro_f1_interval": [_rounded(bound) for bound in scores.macro_f1_interval],
        "precision": by_label("precision"),
        "recall": by_label("recall"),
        "f1": by_label("f1"),
        "ece": _rounded(scores.ece),
        "confusion": [list(row) for row in scores.confusion],
    }


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def _share(correct: NDArray[np.bool_]) -> float | None:
    return float(correct.mean()) if len(correct) else None
