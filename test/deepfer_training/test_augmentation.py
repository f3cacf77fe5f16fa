import numpy as np
import pytest

from deepfer_training.augmentation import augment_picture
from deepfer_training.config import AugmentationConfig

_NONE = {
    "horizontal_flip": False,
    "rotation_deg": 0.0,
    "scale": 0.0,
    "shift": 0.0,
    "contrast": 0.0,
    "brightness": 0.0,
    "blur_probability": 0.0,
    "jpeg_probability": 0.0,
    "erasing_probability": 0.0,
}


def _faces(count: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 48, 48)).astype(np.uint8)


def augment(faces: np.ndarray, config: AugmentationConfig, rng: np.random.Generator) -> np.ndarray:
    return np.stack([augment_picture(face, config, rng) for face in faces])


def test_nothing_changes_when_everything_is_off() -> None:
    faces = _faces()

    changed = augment(faces, AugmentationConfig(**_NONE), np.random.default_rng(1))

    np.testing.assert_array_equal(changed, faces)


def test_equal_randomness_gives_equal_pictures() -> None:
    faces, config = _faces(), AugmentationConfig()

    first = augment(faces, config, np.random.default_rng(1))

    np.testing.assert_array_equal(first, augment(faces, config, np.random.default_rng(1)))
    assert not np.array_equal(first, augment(faces, config, np.random.default_rng(2)))


def test_the_source_stays_as_it_is() -> None:
    faces = _faces()
    before = faces.copy()

    augment(faces, AugmentationConfig(), np.random.default_rng(1))

    np.testing.assert_array_equal(faces, before)


@pytest.mark.parametrize(
    ("name", "axis"), [("horizontal_flip", 1), ("vertical_flip", 0)], ids=["sides", "top"]
)
def test_about_half_of_the_pictures_are_mirrored(name: str, axis: int) -> None:
    faces = _faces(200)
    config = AugmentationConfig(**_NONE | {name: True})

    changed = augment(faces, config, np.random.default_rng(1))

    mirrored = [
        np.array_equal(new, np.flip(old, axis)) for new, old in zip(changed, faces, strict=True)
    ]
    kept = [np.array_equal(new, old) for new, old in zip(changed, faces, strict=True)]
    assert np.logical_xor(mirrored, kept).all()
    assert 70 <= sum(mirrored) <= 130


def test_a_shift_moves_by_no_more_than_its_limit() -> None:
    face = np.zeros((48, 48), np.uint8)
    face[24, 24] = 255
    config = AugmentationConfig(**_NONE | {"shift": 0.125})  # 6 pixels

    changed = augment(np.stack([face] * 200), config, np.random.default_rng(1))

    rows, columns = np.indices((48, 48))
    weights = changed / changed.sum(axis=(1, 2), keepdims=True)
    offsets = np.stack([(weights * axis).sum(axis=(1, 2)) - 24 for axis in (rows, columns)])
    assert np.abs(offsets).max() <= 6.1
    assert np.abs(offsets).max() >= 5


@pytest.mark.parametrize(("area_min", "area_max"), [(0.1, 0.1), (0.02, 0.3)])
def test_a_rectangle_of_the_wanted_size_is_erased(area_min: float, area_max: float) -> None:
    faces = _faces()
    config = AugmentationConfig(
        **_NONE
        | {
            "erasing_probability": 1.0,
            "erasing_area_min": area_min,
            "erasing_area_max": area_max,
        }
    )

    changed = augment(faces, config, np.random.default_rng(1))

    for new, old in zip(changed, faces, strict=True):
        rows, columns = np.nonzero(new != old)
        box = new[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert len(np.unique(box)) == 1
        assert area_min * 0.8 <= box.size / new.size <= area_max * 1.2


def test_brightness_and_contrast_stay_in_range() -> None:
    # Half black, half white: brighter or darker, each half stays what it is or comes nearer to
    # the other, and never wraps around to it.
    faces = np.zeros((64, 48, 48), np.uint8)
    faces[:, :, 24:] = 255
    config = AugmentationConfig(**_NONE | {"contrast": 0.4, "brightness": 0.3})

    changed = augment(faces, config, np.random.default_rng(1))

    assert changed.dtype == np.uint8
    dark, bright = changed[:, 0, 0].astype(int), changed[:, 0, -1].astype(int)
    assert (bright - dark >= 100).all()
    assert dark.max() > 50
    assert bright.min() < 205
    assert (dark == 0).any()
    assert (bright == 255).any()


def test_a_rotation_turns_by_no_more_than_its_limit() -> None:
    # A dot 20 pixels to the right of the middle.
    faces = np.zeros((64, 48, 48), np.uint8)
    faces[:, 23:25, 43:45] = 255
    config = AugmentationConfig(**_NONE | {"rotation_deg": 15.0})

    changed = augment(faces, config, np.random.default_rng(1)).astype(float)

    grid = np.arange(48) - 23.5
    weight = changed.sum(axis=(1, 2))
    x = (changed.sum(axis=1) * grid).sum(axis=1) / weight
    y = (changed.sum(axis=2) * grid).sum(axis=1) / weight
    angles_deg = np.degrees(np.arctan2(-y, x))
    assert np.abs(angles_deg).max() <= 15.5
    assert angles_deg.min() < -10
    assert angles_deg.max() > 10


def test_a_scale_changes_the_size_by_no_more_than_its_limit() -> None:
    # A square of 20 pixels.
    faces = np.zeros((64, 48, 48), np.uint8)
    faces[:, 14:34, 14:34] = 255
    config = AugmentationConfig(**_NONE | {"scale": 0.2})

    changed = augment(faces, config, np.random.default_rng(1))

    sides_px = np.sqrt(changed.sum(axis=(1, 2)) / 255.0)
    assert 15.5 <= sides_px.min() < 18
    assert 22 < sides_px.max() <= 24.5


@pytest.mark.parametrize(
    ("changes", "roughness_kept"),
    [
        ({"blur_probability": 1.0, "blur_sigma_px": 3.0}, False),
        ({"jpeg_probability": 1.0, "jpeg_quality_min": 5}, True),
    ],
    ids=["blur", "JPEG"],
)
def test_cameras_blur_and_compress(changes: dict[str, float], roughness_kept: bool) -> None:
    faces = _faces()

    changed = augment(faces, AugmentationConfig(**_NONE | changes), np.random.default_rng(1))

    roughness = [np.abs(np.diff(images.astype(int), axis=2)).mean() for images in (faces, changed)]
    assert (changed != faces).any(axis=(1, 2)).all()
    assert (roughness[1] > 0.5 * roughness[0]) == roughness_kept
