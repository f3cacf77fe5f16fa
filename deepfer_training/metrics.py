"""How good predictions are: accuracy, scores of each class, calibration, intervals."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    precision_recall_fscore_support,
)

ECE_BINS = 15
_RESAMPLES = 1000

Interval: TypeAlias = tuple[float, float]
"""Bounds of a 95 % bootstrap interval."""


@dataclass(frozen=True, slots=True)
class ClassScores:
    """Scores of one class, each from 0 to 1.

    Attributes:
        precision: Share of the pictures called this class that are of this class; 0 if none is
            called so.
        precision_interval: Its 95 % bootstrap interval, of the resamples that have a picture
            called this class.
        recall: Share of the pictures of this class that are called so; None without pictures.
        recall_interval: Its 95 % bootstrap interval, of the resamples that have a picture of this
            class; None without pictures.
        f1: Harmonic mean of the two, 0 where both are; None without pictures.
        images: Number of pictures of this class.
    """

    precision: float
    precision_interval: Interval
    recall: float | None
    recall_interval: Interval | None
    f1: float | None
    images: int


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Pictures whose answers have about the same probability.

    Attributes:
        low: Lower bound of the probability of the answer; not itself in the bin.
        high: Upper bound of that probability.
        images: Number of pictures, at least 1.
        confidence: Mean probability of their answers.
        accuracy: Share of them whose answer is right.
    """

    low: float
    high: float
    images: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Scores against one set of labels.

    Attributes:
        images: Number of pictures.
        accuracy: Share of pictures whose most probable class is the label.
        accuracy_interval: Its 95 % bootstrap interval.
        macro_f1: Mean of the F1 of the classes that have pictures.
        macro_f1_interval: Its 95 % bootstrap interval; the mean of each resample is of the classes
            that have pictures in it.
        ece: Expected calibration error in 15 bins of equal width (Guo et al. 2017,
            arXiv:1706.04599).
        ece_interval: Its 95 % bootstrap interval.
        calibration: The bins that hold pictures, in rising order.
        classes: Scores of each class, in label order.
        confusion: Numbers of pictures, a row for each label, a column for each prediction.
    """

    images: int
    accuracy: float
    accuracy_interval: Interval
    macro_f1: float
    macro_f1_interval: Interval
    ece: float
    ece_interval: Interval
    calibration: tuple[CalibrationBin, ...]
    classes: tuple[ClassScores, ...]
    confusion: tuple[tuple[int, ...], ...]


def score(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> Scores:
    """Compare predictions with labels.

    Args:
        labels: (N,), index of the true class; N is at least 1.
        probabilities: (N, C), rows sum to 1.
    """
    classes = np.arange(probabilities.shape[1])
    predictions = probabilities.argmax(axis=1)
    precision, recall, f1, support = precision_recall_fscore_support(
        labels, predictions, labels=classes, zero_division=0
    )
    confusion = confusion_matrix(labels, predictions, labels=classes)
    intervals = _bootstrap_intervals(labels, probabilities)
    return Scores(
        images=len(labels),
        accuracy=float(accuracy_score(labels, predictions)),
        accuracy_interval=intervals.accuracy,
        macro_f1=float(f1[support > 0].mean()),
        macro_f1_interval=intervals.macro_f1,
        ece=expected_calibration_error(labels, probabilities),
        ece_interval=intervals.ece,
        calibration=calibration_bins(labels, probabilities),
        classes=tuple(
            ClassScores(
                float(precision[i]),
                intervals.precision[i],
                float(recall[i]) if support[i] else None,
                intervals.recall[i] if support[i] else None,
                float(f1[i]) if support[i] else None,
                int(support[i]),
            )
            for i in classes
        ),
        confusion=tuple(tuple(int(count) for count in row) for row in confusion),
    )


def expected_calibration_error(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], bins: int = ECE_BINS
) -> float:
    """Return the mean gap between confidence and accuracy, 0 to 1.

    The gaps of the `calibration_bins` are weighted by the pictures in them.

    Args:
        labels: (N,), index of the true class.
        probabilities: (N, C), rows sum to 1.
        bins: Number of bins between 0 and 1.
    """
    gaps = [
        abs(entry.confidence - entry.accuracy) * entry.images
        for entry in calibration_bins(labels, probabilities, bins)
    ]
    return sum(gaps) / len(labels)


def calibration_bins(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], bins: int = ECE_BINS
) -> tuple[CalibrationBin, ...]:
    """Sort pictures by the probability of their predicted class into bins of equal width.

    Args:
        labels: (N,), index of the true class.
        probabilities: (N, C), rows sum to 1.
        bins: Number of bins between 0 and 1.

    Returns:
        The bins that hold pictures, in rising order.
    """
    confidences = probabilities.max(axis=1).astype(np.float64)
    correct = probabilities.argmax(axis=1) == labels
    edges = np.linspace(0, 1, bins + 1)
    index = _bin_numbers(confidences, bins)
    return tuple(
        CalibrationBin(
            low=float(edges[number]),
            high=float(edges[number + 1]),
            images=int(np.sum(index == number)),
            confidence=float(confidences[index == number].mean()),
            accuracy=float(correct[index == number].mean()),
        )
        for number in np.unique(index)
    )


def worst_mistakes(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32], count: int
) -> NDArray[np.int64]:
    """Return the rows of at most `count` wrong answers, the surest one first.

    Args:
        labels: (N,), index of the true class; rows below 0 have none and are left out.
        probabilities: (N, C), rows sum to 1.
        count: How many rows to return at most.
    """
    wrong = np.flatnonzero((probabilities.argmax(axis=1) != labels) & (labels >= 0))
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return np.asarray(wrong[order][:count], np.int64)


def _bin_numbers(confidences: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    # A confidence on a border belongs to the bin below it; 0 belongs to the first.
    edges = np.linspace(0, 1, bins + 1)
    numbers = np.searchsorted(edges, confidences, side="left") - 1
    return np.asarray(np.clip(numbers, 0, bins - 1), np.int64)


@dataclass(frozen=True, slots=True)
class _Intervals:
    accuracy: Interval
    macro_f1: Interval
    ece: Interval
    precision: tuple[Interval, ...]
    recall: tuple[Interval, ...]


def _bootstrap_intervals(
    labels: NDArray[np.int64], probabilities: NDArray[np.float32]
) -> _Intervals:
    """Return 95 % intervals from pictures drawn with replacement, the same in every call."""
    rng = np.random.default_rng(0)
    picture_count, class_count = probabilities.shape
    predictions = probabilities.argmax(axis=1)
    cells = labels * class_count + predictions
    confidences = probabilities.max(axis=1).astype(np.float64)
    bin_numbers = _bin_numbers(confidences, ECE_BINS)
    gaps = confidences - (predictions == labels)
    counts = np.empty((_RESAMPLES, class_count, class_count))
    eces, chance_eces = np.empty(_RESAMPLES), np.empty(_RESAMPLES)
    chance = np.random.default_rng(1)
    for resample in range(_RESAMPLES):
        drawn = rng.integers(0, picture_count, picture_count)
        counts[resample] = np.bincount(cells[drawn], minlength=class_count**2).reshape(
            class_count, class_count
        )
        eces[resample] = _mean_gap(bin_numbers[drawn], gaps[drawn])
        chance_gaps = confidences - (chance.random(picture_count) < confidences)
        chance_eces[resample] = _mean_gap(bin_numbers, chance_gaps)
    hits = counts.diagonal(axis1=1, axis2=2)
    of_class, called = counts.sum(axis=2), counts.sum(axis=1)
    # F1 is hits over the mean of "is this class" and "is called this class". A resample without a
    # picture of a rare class says nothing about it: counted as 0, it would make the interval of a
    # model without a mistake begin at 0.
    f1 = np.where(of_class > 0, _ratio(hits, (of_class + called) / 2), np.nan)
    return _Intervals(
        accuracy=_percentiles(hits.sum(axis=1) / picture_count),
        macro_f1=_percentiles(np.nanmean(f1, axis=1)),
        ece=_ece_interval(_mean_gap(bin_numbers, gaps), eces, chance_eces),
        precision=tuple(map(_percentiles, _ratio(hits, called).T)),
        recall=tuple(map(_percentiles, _ratio(hits, of_class).T)),
    )


def _mean_gap(bin_numbers: NDArray[np.int64], gaps: NDArray[np.float64]) -> float:
    """Return the expected calibration error of pictures by their bins and gaps, each (N,)."""
    return float(np.abs(np.bincount(bin_numbers, weights=gaps)).sum() / len(gaps))


def _ece_interval(
    ece: float, resampled: NDArray[np.float64], by_chance: NDArray[np.float64]
) -> Interval:
    """Return the interval of an expected calibration error.

    Chance alone makes bins look off: resampling adds to the error what the sample added before, so
    the bounds are mirrored at the estimate (the "basic" bootstrap). Close to 0 that is not enough,
    because no error is below it. There the lower bound is 0 if the error may be one of
    probabilities that are exactly right ("consistency resampling", Bröcker and Smith 2007,
    doi:10.1175/WAF993.1).

    Args:
        ece: The estimate.
        resampled: (R,), of pictures drawn with replacement.
        by_chance: (R,), of the same pictures if each answer were right with its own probability.
    """
    low, high = _percentiles(resampled)
    may_be_chance = ece <= np.percentile(by_chance, 97.5)
    return (0.0 if may_be_chance else max(2 * ece - high, 0.0), max(2 * ece - low, ece))


def _ratio(counts: NDArray[np.float64], totals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return counts / totals, and NaN where a total is 0."""
    return np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0)


def _percentiles(values: NDArray[np.float64]) -> Interval:
    """Return the interval of the values that are numbers, or 0 to 0 if none is."""
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0, 0.0
    low, high = np.percentile(known, [2.5, 97.5])
    return float(low), float(high)
