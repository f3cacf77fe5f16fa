import numpy as np
import pytest

from deepfer_ros.recognition.affect import valence_and_arousal

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@pytest.mark.parametrize(
    ("label", "valence", "arousal"),
    [
        ("angry", -0.51, 0.59),
        ("disgust", -0.60, 0.35),
        ("fear", -0.64, 0.60),
        ("happy", 0.81, 0.51),
        ("sad", -0.63, -0.27),
        ("surprise", 0.40, 0.67),
        ("neutral", 0.0, 0.0),
    ],
)
def test_a_sure_expression_is_at_the_published_place(
    label: str, valence: float, arousal: float
) -> None:
    probabilities = np.array([name == label for name in LABELS], np.float32)
    assert valence_and_arousal(LABELS, probabilities) == pytest.approx((valence, arousal))


def test_an_unsure_one_is_between() -> None:
    probabilities = np.array([0, 0, 0, 0.5, 0.3, 0, 0.2], np.float32)
    expected = (0.5 * 0.81 - 0.3 * 0.63, 0.5 * 0.51 - 0.3 * 0.27)
    assert valence_and_arousal(LABELS, probabilities) == pytest.approx(expected)


def test_the_order_of_the_labels_is_the_callers() -> None:
    probabilities = np.array([0.9, 0.1], np.float32)
    assert valence_and_arousal(("sad", "happy"), probabilities)[0] == pytest.approx(-0.486)
