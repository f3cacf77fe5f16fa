import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_ros.recognition.cropping import crop_faces
from deepfer_ros.recognition.types import FaceDetections


def one_face(box_xywh: list[float], eyes: list[list[float]] | None = None) -> FaceDetections:
    landmarks = np.full((1, 5, 2), np.nan, np.float32)
    if eyes is not None:
        landmarks[0, :2] = eyes
    return FaceDetections(np.array([box_xywh], np.float32), landmarks, np.array([0.9], np.float32))


def gradient(width: int, height: int) -> NDArray[np.uint8]:
    """A picture whose grey value is its column, scaled to 0 to 255."""
    row = np.linspace(0, 255, width)
    return np.repeat(np.tile(row, (height, 1))[..., None], 3, axis=2).round().astype(np.uint8)


def test_no_face_gives_no_crop() -> None:
    crops = crop_faces(gradient(64, 48), FaceDetections.empty(), size_px=48, margin=0.1)
    assert crops.shape == (0, 48, 48)
    assert crops.dtype == np.uint8


@pytest.mark.parametrize("factor", [1, 2, 3, 5, 8, 10.5], ids=lambda value: f"{value} times")
def test_a_crop_equals_the_area_average_of_its_box(factor: float) -> None:
    """Whatever the size of a face, the crop shows the same part of the picture."""
    side = round(48 * factor)
    image = gradient(3 * side, 2 * side)
    crop = crop_faces(image, one_face([side, side // 2, side, side]), size_px=48, margin=0.0)[0]
    box = image[side // 2 : side // 2 + side, side : 2 * side, 0]
    expected = cv2.resize(box, (48, 48), interpolation=cv2.INTER_AREA)
    np.testing.assert_allclose(crop, expected, atol=1.5)


def test_large_faces_are_averaged_not_sampled() -> None:
    """A fine checkerboard turns grey; plain sampling would show a pattern (aliasing)."""
    board = np.indices((480, 480)).sum(axis=0) % 2 * 255
    image = np.repeat(board[..., None], 3, axis=2).astype(np.uint8)
    crop = crop_faces(image, one_face([40, 40, 400, 400]), size_px=48, margin=0.0)[0]
    assert abs(int(crop.max()) - int(crop.min())) <= 2
    assert crop.mean() == pytest.approx(127.5, abs=2)


def test_very_wide_pictures() -> None:
    """OpenCV warps no picture of 32767 or more pixels a side."""
    image = np.full((60, 70_000, 3), 77, np.uint8)
    for box in ([69_950, 0, 50, 60], [0, 0, 70_000, 60]):
        crop = crop_faces(image, one_face(box), size_px=48, margin=0.02)[0]
        np.testing.assert_array_equal(crop, np.full((48, 48), 77))


@pytest.mark.parametrize(
    "box",
    [
        pytest.param([0, 0, 10, 10], id="corner"),
        pytest.param([90, 70, 10, 10], id="other corner"),
        pytest.param([0, 0, 100, 80], id="whole picture"),
        pytest.param([50, 40, 1, 1], id="one pixel"),
        pytest.param([99, 79, 1, 1], id="last pixel"),
    ],
)
@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_boxes_at_the_border_repeat_it(box: list[float], margin: float) -> None:
    image = np.full((80, 100, 3), 77, np.uint8)
    crop = crop_faces(image, one_face(box), size_px=48, margin=margin)
    np.testing.assert_array_equal(crop, np.full((1, 48, 48), 77))


def test_tilted_face_comes_out_upright(astronaut_bgr: NDArray[np.uint8]) -> None:
    """Turning the picture about the face must not change the crop much."""
    box, eyes = [180, 62, 100, 100], [[209, 101], [246, 100]]
    upright = crop_faces(astronaut_bgr, one_face(box, eyes), size_px=48, margin=0.0)[0]
    turn = cv2.getRotationMatrix2D((229.5, 111.5), -20, 1.0)
    turned_eyes = np.hstack([np.array(eyes), np.ones((2, 1))]) @ turn.T
    turned_bgr = np.asarray(cv2.warpAffine(astronaut_bgr, turn, (512, 512)), np.uint8)
    crop = crop_faces(turned_bgr, one_face(box, turned_eyes.tolist()), size_px=48, margin=0.0)[0]
    ignored = crop_faces(turned_bgr, one_face(box), size_px=48, margin=0.0)[0]

    def difference(other: NDArray[np.uint8]) -> float:
        inner = np.s_[8:-8, 8:-8]
        return float(np.abs(other[inner].astype(int) - upright[inner].astype(int)).mean())

    assert difference(crop) < 4
    assert difference(ignored) > 12
