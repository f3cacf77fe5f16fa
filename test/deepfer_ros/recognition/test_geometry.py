import numpy as np
import pytest

from deepfer_ros.recognition.geometry import clip_boxes, crop_matrix, eye_line_angle_deg


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        pytest.param([10, 20, 30, 40], [10, 20, 30, 40], id="inside"),
        pytest.param([-5, -6, 20, 20], [0, 0, 15, 14], id="top left corner"),
        pytest.param([90, 70, 20, 20], [90, 70, 10, 10], id="bottom right corner"),
        pytest.param([-50, 10, 20, 20], [0, 10, 0, 20], id="outside"),
        pytest.param([-5, -5, 200, 200], [0, 0, 100, 80], id="larger than the picture"),
    ],
)
def test_clip_boxes(box: list[float], expected: list[float]) -> None:
    clipped = clip_boxes(np.array([box], np.float32), width=100, height=80)
    np.testing.assert_array_equal(clipped, [expected])
    assert clipped.dtype == np.float32


def test_clip_boxes_of_no_face() -> None:
    assert clip_boxes(np.empty((0, 4), np.float32), 10, 10).shape == (0, 4)


@pytest.mark.parametrize(
    ("right_eye", "left_eye", "expected_deg"),
    [
        pytest.param((10, 20), (30, 20), 0, id="upright"),
        pytest.param((10, 20), (20, 30), 45, id="45 degrees"),
        pytest.param((10, 20), (30, 10), -26.565, id="tilted the other way"),
        pytest.param((30, 20), (10, 20), 45, id="upside down is limited"),
        pytest.param((10, 20), (10, 20), 0, id="eyes in one point"),
        pytest.param((np.nan, np.nan), (np.nan, np.nan), 0, id="no landmarks"),
    ],
)
def test_eye_line_angle(
    right_eye: tuple[float, float], left_eye: tuple[float, float], expected_deg: float
) -> None:
    landmarks = np.full((5, 2), np.nan, np.float32)
    landmarks[0], landmarks[1] = right_eye, left_eye
    assert eye_line_angle_deg(landmarks) == pytest.approx(expected_deg, abs=1e-3)


def test_crop_matrix_maps_the_box_to_the_crop() -> None:
    matrix = crop_matrix(np.array([100, 50, 24, 24], np.float32), 0.0, margin=0.0, size_px=48)
    # Pixel centres lie half a pixel inside the borders: the box's are 99.5 and 123.5.
    corners = np.array([[99.5, 49.5, 1], [123.5, 73.5, 1]])
    np.testing.assert_allclose(corners @ matrix.T, [[-0.5, -0.5], [47.5, 47.5]], atol=1e-9)


def test_crop_matrix_margin_is_a_share_of_the_longer_side() -> None:
    matrix = crop_matrix(np.array([0, 0, 20, 40], np.float32), 0.0, margin=0.1, size_px=48)
    assert matrix[0, 0] == pytest.approx(48 / (40 * 1.2))


def test_crop_matrix_turns_the_eyes_level() -> None:
    eyes = np.array([[40.0, 40.0], [60.0, 52.0]])
    landmarks = np.full((5, 2), np.nan, np.float32)
    landmarks[:2] = eyes
    matrix = crop_matrix(
        np.array([30, 30, 40, 40], np.float32), eye_line_angle_deg(landmarks), 0.0, 48
    )
    turned = np.hstack([eyes, np.ones((2, 1))]) @ matrix.T
    assert turned[0, 1] == pytest.approx(turned[1, 1], abs=1e-4)
    assert turned[0, 0] < turned[1, 0]
