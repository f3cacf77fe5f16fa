import numpy as np
import pytest

from deepfer_training.metrics import (
    calibration_bins,
    expected_calibration_error,
    score,
    worst_mistakes,
)


def _sure(predictions: list[int], classes: int = 3, confidence: float = 1.0) -> np.ndarray:
    rest = (1 - confidence) / (classes - 1)
    probabilities = np.full((len(predictions), classes), rest, np.float32)
    probabilities[np.arange(len(predictions)), predictions] = confidence
    return probabilities


def test_scores_of_known_predictions() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1])

    scores = score(labels, _sure([0, 0, 0, 1, 1, 0]))

    assert scores.images == 6
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.confusion == ((3, 1, 0), (1, 1, 0), (0, 0, 0))
    first, second, third = scores.classes
    assert (first.precision, first.recall, first.f1, first.images) == (0.75, 0.75, 0.75, 4)
    assert (second.precision, second.recall, second.f1, second.images) == (0.5, 0.5, 0.5, 2)
    # A class without pictures has no recall, and no part in the mean of F1.
    assert (third.precision, third.recall, third.f1, third.images) == (0, None, None, 0)
    assert third.recall_interval is None
    assert scores.macro_f1 == pytest.approx((0.75 + 0.5) / 2)
    assert scores.macro_f1_interval[0] < scores.macro_f1 < scores.macro_f1_interval[1]
    # All are sure, a third is wrong.
    assert scores.ece == pytest.approx(2 / 6)


def _answers(seed: int, sureness: float) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of two classes, right at a sureness of 1."""
    rng = np.random.default_rng(seed)
    first = rng.uniform(0.5, 1, 1000)
    labels = (rng.random(1000) > first).astype(np.int64)
    told = first**sureness / (first**sureness + (1 - first) ** sureness)
    return labels, np.stack([told, 1 - told], axis=1).astype(np.float32)


def test_the_interval_of_the_calibration_error_of_right_probabilities_begins_at_zero() -> None:
    scores = [score(*_answers(seed, sureness=1.0)) for seed in range(20)]

    assert sum(each.ece_interval[0] == 0 for each in scores) >= 18
    assert all(each.ece_interval[0] <= each.ece <= each.ece_interval[1] for each in scores)


def test_the_interval_of_a_large_calibration_error_holds_it() -> None:
    labels, probabilities = _answers(0, sureness=3.0)
    many = [_answers(seed, sureness=3.0) for seed in range(200)]
    true_error = expected_calibration_error(
        np.concatenate([labels for labels, _ in many]),
        np.concatenate([probabilities for _, probabilities in many]),
    )

    low, high = score(labels, probabilities).ece_interval

    assert 0 < low < true_error < high


def test_intervals_hold_the_value_and_stay_the_same() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 400)
    predictions = np.where(rng.random(400) < 0.7, labels, rng.integers(0, 3, 400))

    first = score(labels, _sure(predictions.tolist()))

    assert first == score(labels, _sure(predictions.tolist()))
    low, high = first.accuracy_interval
    assert low < first.accuracy < high
    # The normal approximation of the interval is 4 standard errors wide.
    assert high - low == pytest.approx(4 * np.sqrt(0.8 * 0.2 / 400), rel=0.2)
    assert first.macro_f1_interval[0] < first.macro_f1 < first.macro_f1_interval[1]


@pytest.mark.filterwarnings("error")
def test_a_resample_says_nothing_about_a_class_that_it_lacks() -> None:
    # An eighth of the resamples have none of the two pictures of class 1.
    labels = np.array([0] * 20 + [1] * 2)

    scores = score(labels, _sure(labels.tolist()))

    rare = scores.classes[1]
    assert (rare.recall, rare.precision, scores.macro_f1) == (1, 1, 1)
    assert rare.recall_interval == rare.precision_interval == (1, 1)
    assert scores.macro_f1_interval == (1, 1)


@pytest.mark.filterwarnings("error")
def test_a_class_that_is_never_called_has_a_precision_of_0() -> None:
    scores = score(np.array([0, 0, 1, 1]), _sure([0, 0, 0, 0]))

    assert (scores.classes[1].precision, scores.classes[1].precision_interval) == (0, (0, 0))
    assert (scores.classes[1].recall, scores.classes[1].recall_interval) == (0, (0, 0))


@pytest.mark.parametrize(
    ("predictions", "confidence", "error"),
    [
        ([0, 0, 0, 0], 1.0, 0.0),
        ([1, 1, 1, 1], 1.0, 1.0),
        ([0, 0, 0, 1], 0.75, 0.0),
        ([0, 0, 1, 1], 0.75, 0.25),
        ([0, 0, 0, 0], 0.6, 0.4),
    ],
)
def test_calibration_error(predictions: list[int], confidence: float, error: float) -> None:
    labels = np.zeros(4, np.int64)

    found = expected_calibration_error(labels, _sure(predictions, confidence=confidence))

    assert found == pytest.approx(error, abs=1e-6)


def test_bins_do_not_cancel_each_other() -> None:
    labels = np.zeros(4, np.int64)
    # Sure and wrong, unsure and right: the mean confidence fits, the bins do not.
    probabilities = np.concatenate([_sure([1, 1], confidence=0.9), _sure([0, 0], confidence=0.5)])

    assert expected_calibration_error(labels, probabilities) == pytest.approx((0.9 + 0.5) / 2)


def test_bins_hold_every_picture_once() -> None:
    labels = np.array([0, 0, 1, 1])
    probabilities = np.concatenate([_sure([0, 1], confidence=0.9), _sure([1, 1], confidence=0.5)])

    unsure, sure = calibration_bins(labels, probabilities, bins=5)

    assert (unsure.low, unsure.high, unsure.images) == pytest.approx((0.4, 0.6, 2))
    assert (unsure.confidence, unsure.accuracy) == pytest.approx((0.5, 1.0))
    assert (sure.low, sure.high, sure.images) == pytest.approx((0.8, 1.0, 2))
    assert (sure.confidence, sure.accuracy) == pytest.approx((0.9, 0.5))


def test_the_worst_mistakes_are_the_surest() -> None:
    labels = np.array([0, 0, 0, -1, 1])
    probabilities = np.concatenate(
        [_sure([1, 0, 1, 1], confidence=0.9), _sure([0], confidence=0.95)]
    )

    assert worst_mistakes(labels, probabilities, 2).tolist() == [4, 0]
    assert worst_mistakes(labels, probabilities, 9).tolist() == [4, 0, 2]
    assert worst_mistakes(labels[:0], probabilities[:0], 3).tolist() == []
