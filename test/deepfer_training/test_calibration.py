import numpy as np
import pytest

keras = pytest.importorskip("keras")


def _predictions(
    count: int, sharpness: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, calibrated probabilities and the same made more or less sure."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 1.5, (count, 5))
    calibrated = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(5, p=row) for row in calibrated])
    sharpened = np.exp(logits * sharpness)
    return (
        labels,
        calibrated.astype(np.float32),
        (sharpened / sharpened.sum(axis=1, keepdims=True)).astype(np.float32),
    )


@pytest.mark.parametrize("sharpness", [0.6, 1.5, 2.5])
def test_the_temperature_undoes_wrong_sureness(sharpness: float) -> None:
    from deepfer_training.calibration import apply_temperature, fit_temperature

    labels, calibrated, wrong = _predictions(6000, sharpness)

    calibration = fit_temperature(labels, wrong)

    assert calibration.temperature == pytest.approx(sharpness, rel=0.06)
    assert calibration.ece_after < calibration.ece_before / 2
    undone = apply_temperature(wrong, sharpness)
    np.testing.assert_allclose(undone, calibrated, atol=1e-5)


def test_what_is_calibrated_stays_as_it_is() -> None:
    from deepfer_training.calibration import fit_temperature

    # Always right for 4 of 5 and always 80 % sure: any other temperature is worse.
    probabilities = np.tile(np.array([0.8, 0.1, 0.1], np.float32), (50, 1))
    labels = np.array([0, 0, 0, 0, 1] * 10)

    calibration = fit_temperature(labels, probabilities)

    assert calibration.temperature == 1.0
    assert calibration.ece_after == calibration.ece_before


def test_a_folded_temperature_divides_the_logits() -> None:
    from deepfer_training.architecture import build_compact_cnn
    from deepfer_training.calibration import apply_temperature, fold_calibration
    from deepfer_training.config import NetworkConfig

    model = build_compact_cnn(NetworkConfig(widths=(4,), blocks=(1,)), 48, 7)
    faces = np.random.default_rng(0).uniform(0, 255, (5, 48, 48, 1)).astype(np.float32)
    before = np.asarray(model.predict_on_batch(faces))

    folded = fold_calibration(model, 2.5)

    np.testing.assert_allclose(
        np.asarray(folded.predict_on_batch(faces)), apply_temperature(before, 2.5), atol=1e-6
    )
    np.testing.assert_array_equal(np.asarray(model.predict_on_batch(faces)), before)


def test_folded_offsets_are_added_before_the_logits_are_divided() -> None:
    from deepfer_training.architecture import build_compact_cnn
    from deepfer_training.calibration import (
        adjust_logits,
        apply_temperature,
        fold_calibration,
        logit_offsets,
    )
    from deepfer_training.config import NetworkConfig

    model = build_compact_cnn(NetworkConfig(widths=(4,), blocks=(1,)), 48, 7)
    faces = np.random.default_rng(0).uniform(0, 255, (5, 48, 48, 1)).astype(np.float32)
    before = np.asarray(model.predict_on_batch(faces))
    frequencies = np.array([0.02, 0.08, 0.1, 0.3, 0.1, 0.1, 0.3])

    folded = fold_calibration(model, 0.5, logit_offsets(frequencies, 0.2))

    expected = apply_temperature(adjust_logits(before, frequencies, 0.2), 0.5)
    np.testing.assert_allclose(np.asarray(folded.predict_on_batch(faces)), expected, atol=1e-6)
    # A rare class is named less readily, a frequent one more.
    assert (expected[:, 0] < apply_temperature(before, 0.5)[:, 0]).all()
    assert (expected[:, 3] > apply_temperature(before, 0.5)[:, 3]).all()


# A rare and a frequent class. The network takes some frequent ones for rare ones.
_FREQUENCIES = np.array([0.1, 0.9])


def _answers(*rare_probabilities: float) -> np.ndarray:
    rare = np.array(rare_probabilities, np.float32)
    return np.stack([rare, 1 - rare], axis=1)


def test_class_balance_is_taken_back_as_far_as_it_helps() -> None:
    from deepfer_training.calibration import adjust_logits, fit_logit_adjustment

    labels = np.array([0, 0, 1, 1, 1])
    # The odds of the last one, 1.22, are multiplied by 0.90 with 0.05 and by 0.80 with 0.1.
    probabilities = _answers(0.9, 0.7, 0.2, 0.3, 0.55)

    adjustment = fit_logit_adjustment(labels, probabilities, _FREQUENCIES, 0.3)

    # The smallest of those that are right about all five.
    assert adjustment == 0.1
    adjusted = adjust_logits(probabilities, _FREQUENCIES, adjustment)
    np.testing.assert_array_equal(adjusted.argmax(axis=1), labels)
    np.testing.assert_allclose(adjusted.sum(axis=1), 1, atol=1e-6)
    assert fit_logit_adjustment(labels, probabilities, _FREQUENCIES, 0.05) == 0.0
    assert fit_logit_adjustment(labels, probabilities, _FREQUENCIES, 0.1) == 0.1


def test_class_balance_is_kept_where_taking_it_back_costs_a_rare_class() -> None:
    from deepfer_training.calibration import adjust_logits, fit_logit_adjustment
    from deepfer_training.metrics import macro_f1

    # Five frequent pictures are taken for rare ones by so little that any adjustment rights
    # them, but it loses all four rare ones.
    labels = np.array([0] * 4 + [1] * 9)
    probabilities = _answers(*[0.51] * 4, *[0.52] * 5, *[0.1] * 4)
    adjusted = adjust_logits(probabilities, _FREQUENCIES, 0.05)
    assert (probabilities.argmax(axis=1) == labels).sum() == 8
    assert (adjusted.argmax(axis=1) == labels).sum() == 9
    assert macro_f1(labels, adjusted) < macro_f1(labels, probabilities)

    assert fit_logit_adjustment(labels, probabilities, _FREQUENCIES, 0.3) == 0.0


def test_a_model_without_logits_is_refused() -> None:
    from deepfer_training.calibration import fold_calibration
    from deepfer_training.errors import ExportError

    pixels = keras.layers.Input((48, 48, 1))
    outputs = keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(pixels))

    with pytest.raises(ExportError, match="no dense layer called 'logits'"):
        fold_calibration(keras.Model(pixels, outputs), 2.0)
