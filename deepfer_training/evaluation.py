"""Measure a model on a split of FER-2013."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfer_training.errors import ModelFileError
from deepfer_training.fer2013 import LABELS, FaceDataset
from deepfer_training.inference import Predictor, load_predictor, measure_ms_per_face, predict
from deepfer_training.metrics import Interval, Scores, score
from deepfer_training.model_files import ModelFile
from deepfer_training.robustness import CHANGES, change_images

TTA_METHOD = "mean of the probabilities of the picture and of its mirror image"
"""What `tta` stands for: test-time augmentation."""


@dataclass(frozen=True, slots=True)
class LabelSetScores:
    """Scores of the same answers against each set of labels.

    Attributes:
        fer2013: Against the labels of FER-2013.
        ferplus: Against the FER+ majority, or None without FER+ votes. Pictures without a
            majority for one of the seven classes are left out.
        ferplus_strict: Against the FER+ majority by the rules of its authors, which published
            figures use, or None without FER+ votes; see `strict_majority_of_votes`.
    """

    fer2013: Scores
    ferplus: Scores | None
    ferplus_strict: Scores | None


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
        scores: Scores of a single pass a picture.
        label_agreement: Share of the pictures with such a majority whose FER-2013 label is the
            same, or None without FER+ votes.
        ms_per_face: Median time for one picture alone, milliseconds; LiteRT and ONNX
            Runtime use one thread.
        robustness: Accuracy on changed pictures, by the name of the change; empty if not asked
            for.
        comparison: How far the model is from another file of the same model, or None if not
            asked for.
        tta: Scores with test-time augmentation, see `TTA_METHOD`; None if not asked for.
    """

    model: str
    file: str
    split: str
    scores: LabelSetScores
    label_agreement: float | None
    ms_per_face: float
    robustness: dict[str, ChangedAccuracy]
    comparison: Comparison | None = None
    tta: LabelSetScores | None = None

    @property
    def fer2013(self) -> Scores:
        """Scores of a single pass against the labels of FER-2013."""
        return self.scores.fer2013

    @property
    def ferplus(self) -> Scores | None:
        """Scores of a single pass against the FER+ majority, or None without votes."""
        return self.scores.ferplus

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON values; shares are rounded to six decimals."""
        values = {
            "model": self.model,
            "file": self.file,
            "split": self.split,
            **label_sets_to_json(self.scores),
            "label_agreement": _rounded(self.label_agreement),
            "ms_per_face": round(self.ms_per_face, 3),
        }
        if self.tta is not None:
            values["tta"] = {"method": TTA_METHOD, **label_sets_to_json(self.tta)}
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
    tta: bool = False,
    robustness: bool = False,
    reference: Reference | None = None,
    on_progress: Callable[[int], None] = lambda count: None,
) -> Evaluation:
    """Measure a model file on the pictures of one split.

    Args:
        model: The model.
        faces: The pictures, with or without FER+ votes.
        split: Name of their split.
        tta: Measure with test-time augmentation, too; see `TTA_METHOD`.
        robustness: Measure the accuracy on changed pictures, too.
        reference: What another file says about the same pictures, to compare with.
        on_progress: Called after every batch with the number of pictures in it;
            `count_predictions` tells how many there are in all.

    Raises:
        ModelFileError: The model cannot be used for these pictures or labels.
    """
    predictor = load_ordered_predictor(model)
    probabilities = predict(predictor, faces.images, on_progress=on_progress)
    return Evaluation(
        model=model.name,
        file=model.path.name,
        split=split,
        scores=score_label_sets(faces, probabilities),
        label_agreement=_label_agreement(faces),
        ms_per_face=measure_ms_per_face(predictor, faces.images),
        robustness=_measure_changes(predictor, faces, on_progress) if robustness else {},
        comparison=None if reference is None else _compare(probabilities, reference),
        tta=_measure_mirrored(predictor, faces, probabilities, on_progress) if tta else None,
    )


def score_label_sets(faces: FaceDataset, probabilities: NDArray[np.float32]) -> LabelSetScores:
    """Compare predictions with every set of labels that the pictures have.

    Args:
        faces: The pictures, with or without FER+ votes.
        probabilities: float32 (N, C), in the order of `fer2013.LABELS`.
    """
    has_votes = faces.votes is not None
    return LabelSetScores(
        fer2013=score(faces.labels, probabilities),
        ferplus=_score_majority(faces.majority_labels(), probabilities) if has_votes else None,
        ferplus_strict=_score_majority(faces.strict_majority_labels(), probabilities)
        if has_votes
        else None,
    )


def label_sets_to_json(scores: LabelSetScores) -> dict[str, Any]:
    """Return scores as JSON values; shares are rounded to six decimals."""
    strict = scores.ferplus_strict
    return {
        **_scores_to_json(scores.fer2013),
        "ferplus": None if scores.ferplus is None else _scores_to_json(scores.ferplus),
        "ferplus_strict": None if strict is None else _overview_to_json(strict),
    }


def count_predictions(faces: FaceDataset, *, robustness: bool, tta: bool = False) -> int:
    """Return how many pictures `evaluate` runs through the model."""
    return len(faces) * (1 + (len(CHANGES) if robustness else 0) + (1 if tta else 0))


def load_ordered_predictor(model: ModelFile) -> Predictor:
    """Load a model and put its outputs into the order of `fer2013.LABELS`.

    Raises:
        ModelFileError: The model has other labels, or none are known and it has not seven
            outputs.
    """
    return order_outputs(load_predictor(model.path), model)


def order_outputs(predictor: Predictor, model: ModelFile) -> Predictor:
    """Put the outputs of a loaded model into the order of `fer2013.LABELS`.

    Args:
        predictor: The loaded model.
        model: What is known about it.

    Raises:
        ModelFileError: See `load_ordered_predictor`.
    """
    return _Reordered(predictor, _output_order(model, predictor.class_count))


class _Reordered:
    """A predictor whose outputs are put into another order."""

    def __init__(self, predictor: Predictor, order: list[int]) -> None:
        self._predictor = predictor
        self._order = order
        self.name = predictor.name
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


def _measure_mirrored(
    predictor: Predictor,
    faces: FaceDataset,
    probabilities: NDArray[np.float32],
    on_progress: Callable[[int], None],
) -> LabelSetScores:
    """Return the scores of `TTA_METHOD`.

    Args:
        predictor: The model.
        faces: The pictures.
        probabilities: What the model says about the pictures as they are.
        on_progress: See `evaluate`.
    """
    mirrored = np.ascontiguousarray(faces.images[:, :, ::-1])
    of_mirrored = predict(predictor, mirrored, on_progress=on_progress)
    return score_label_sets(faces, (probabilities + of_mirrored) / np.float32(2))


def _label_agreement(faces: FaceDataset) -> float | None:
    if faces.votes is None:
        return None
    majority = faces.majority_labels()
    return _share((majority == faces.labels)[majority >= 0])


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
            label: _to_json(getattr(entry, name))
            for label, entry in zip(LABELS, scores.classes, strict=True)
        }

    return {
        **_overview_to_json(scores),
        "precision": by_label("precision"),
        "precision_interval": by_label("precision_interval"),
        "recall": by_label("recall"),
        "recall_interval": by_label("recall_interval"),
        "f1": by_label("f1"),
        "confusion": [list(row) for row in scores.confusion],
        "calibration": [
            {name: _rounded(value) for name, value in dataclasses.asdict(entry).items()}
            for entry in scores.calibration
        ],
    }


def _overview_to_json(scores: Scores) -> dict[str, Any]:
    return {
        "images": scores.images,
        "accuracy": _rounded(scores.accuracy),
        "accuracy_interval": _to_json(scores.accuracy_interval),
        "macro_f1": _rounded(scores.macro_f1),
        "macro_f1_interval": _to_json(scores.macro_f1_interval),
        "ece": _rounded(scores.ece),
        "ece_interval": _to_json(scores.ece_interval),
    }


def _to_json(value: float | Interval | None) -> Any:  # noqa: ANN401 - a number or a list of two
    return [_rounded(bound) for bound in value] if isinstance(value, tuple) else _rounded(value)


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 6)


def _share(correct: NDArray[np.bool_]) -> float | None:
    return float(correct.mean()) if len(correct) else None
