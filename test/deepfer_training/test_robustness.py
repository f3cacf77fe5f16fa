import numpy as np
import pytest

from deepfer_training.robustness import CHANGES, change_images


def _blob(row: float = 24.0, column: float = 24.0) -> np.ndarray:
    rows, columns = np.indices((48, 48))
    return np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 18) * 200


def _centres(images: np.ndarray) -> np.ndarray:
    rows, columns = np.indices((48, 48))
    weights = images / images.sum(axis=(1, 2), keepdims=True)
    return np.stack([(weights * axis).sum(axis=(1, 2)) for axis in (rows, columns)], axis=1)


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_changes_every_picture_in_the_same_way_each_time(change: str) -> None:
    faces = np.random.default_rng(0).integers(0, 256, (20, 48, 48)).astype(np.uint8)
    before = faces.copy()

    changed = change_images(faces, change)

    assert changed.shape == faces.shape
    assert changed.dtype == np.uint8
    assert all(not np.array_equal(new, old) for new, old in zip(changed, faces, strict=True))
    np.testing.assert_array_equal(changed, change_images(faces, change))
    np.testing.assert_array_equal(faces, before)


def test_a_shift_is_a_tenth_of_the_side() -> None:
    faces = np.stack([_blob().astype(np.uint8)] * 30)

    offsets = _centres(change_images(faces, "shift 10 %")) - _centres(faces)

    np.testing.assert_allclose(np.hypot(*offsets.T), 4.8, atol=0.1)
    assert len(np.unique(np.rint(np.arctan2(*offsets.T)))) >= 5


@pytest.mark.parametrize(("change", "factor"), [("scale +20 %", 1.2), ("scale -20 %", 0.8)])
def test_scaling_is_about_the_centre(change: str, factor: float) -> None:
    face = _blob(row=33.5, column=23.5).astype(np.uint8)[np.newaxis]

    centre = _centres(change_images(face, change))[0]

    np.testing.assert_allclose(centre, [23.5 + 10 * factor, 23.5], atol=0.4)


def test_rotation_is_15_degrees_to_either_side() -> None:
    faces = np.stack([_blob(row=23.5, column=38.5).astype(np.uint8)] * 30)

    centres = _centres(change_images(faces, "rotation 15°"))

    angles_deg = np.degrees(np.arctan2(centres[:, 0] - 23.5, centres[:, 1] - 23.5))
    np.testing.assert_allclose(np.abs(angles_deg), 15, atol=1)
    assert {-1, 1} == set(np.sign(angles_deg))


def test_darkening_keeps_40_percent() -> None:
    face = np.full((1, 48, 48), 200, np.uint8)

    assert change_images(face, "brightness 40 %").tolist() == np.full((1, 48, 48), 80).tolist()
