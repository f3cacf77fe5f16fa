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
    from deepfer_training.metrics import expected_calibration_error

    labels, calibrated, wrong = _predictions(6000, sharpness)

    temperature = fit_temperature(labels, wrong)

    assert temperature == pytest.approx(sharpness, rel=0.06)
    fitted = expected_calibration_error(labels, apply_temperature(wrong, temperature))
    assert fitted < expected_calibration_error(labels, wrong) / 2
    undone = apply_temperature(wrong, sharpness)
    np.testing.assert_allclose(undone, calibrated, atol=1e-5)


def test_what_is_calibrated_stays_as_it_is() -> None:
    from deepfer_training.calibration import fit_temperature

    # Always right for 4 of 5 and always 80 % sure: any other temperature is worse.
    probabilities = np.tile(np.array([0.8, 0.1, 0.1], np.float32), (50, 1))
    labels = np.array([0, 0, 0, 0, 1] * 10)

    assert fit_temperature(labels, probabilities) == 1.0


def test_a_folded_temperature_divides_the_logits() -> None:
    from deepfer_training.architecture import build_compact_cnn
    from deepfer_training.calibration import apply_temperature, fold_temperature
    from deepfer_training.config import NetworkConfig

    model = build_compact_cnn(NetworkConfig(widths=(4,), blocks=(1,)), 48, 7)
    faces = np.random.default_rng(0).uniform(0, 255, (5, 48, 48, 1)).astype(np.float32)
    before = np.asarray(model.predict_on_batch(faces))

    folded = fold_temperature(model, 2.5)

    np.testing.assert_allclose(
        np.asarray(folded.predict_on_batch(faces)), apply_temperature(before, 2.5), atol=1e-6
    )
    np.testing.assert_array_equal(np.asarray(model.predict_on_batch(faces)), before)


def test_a_model_without_logits_is_refused() -> None:
    from deepfer_training.calibration import fold_temperature
    from deepfer_training.errors import ExportError

    pixels = keras.layers.Input((48, 48, 1))
    outputs = keras.layers.Dense(7, activation="softmax")(keras.layers.Flatten()(pixels))

    with pytest.raises(ExportError, match="no dense layer called 'logits'"):
        fold_temperature(keras.Model(pixels, outputs), 2.0)
