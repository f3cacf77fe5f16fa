from typing import Any

import numpy as np
import pytest

pytest.importorskip("hri_msgs.msg", reason="needs hri_msgs")
pytest.importorskip("rclpy", reason="needs ROS")

from std_msgs.msg import Header

from deepfer_ros.recognition.types import FaceEmotion
from deepfer_ros.ros4hri_messages import (
    align_face,
    crop_face,
    to_expression,
    to_landmarks,
    to_region,
)

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
NAMES = ("angry", "disgusted", "scared", "happy", "sad", "surprised", "neutral")
HEADER = Header(frame_id="camera")
SIZE_WH = (200, 100)


def face(**changes: Any) -> FaceEmotion:  # noqa: ANN401
    fields: dict[str, Any] = {
        "face_id": "abcde",
        "box_xywh": np.array([20, 10, 40, 50], np.float32),
        "landmarks": np.array([[30, 25], [50, 25], [40, 35], [32, 50], [48, 50]], np.float32),
        "detection_confidence": 0.75,
        "emotion": "happy",
        "confidence": 0.7,
        "labels": LABELS,
        "probabilities": np.array([0.05, 0, 0.05, 0.7, 0.05, 0.05, 0.1], np.float32),
        "frame_probabilities": np.array([0, 0, 0, 1, 0, 0, 0], np.float32),
    }
    return FaceEmotion(**{**fields, **changes})


def test_the_region_is_a_share_of_the_picture() -> None:
    region = to_region(face(), HEADER, SIZE_WH)
    assert region.header == HEADER
    assert (region.xmin, region.ymin) == pytest.approx((0.1, 0.1))
    assert (region.xmax, region.ymax) == pytest.approx((0.3, 0.6))
    assert region.c == pytest.approx(0.75)


def test_rounding_never_leaves_the_picture() -> None:
    box = np.array([199.3, 0, 0.7000122, 100.00001], np.float32)
    region = to_region(face(box_xywh=box), HEADER, SIZE_WH)
    assert (region.xmax, region.ymax) == (1.0, 1.0)


def test_five_landmarks_of_seventy() -> None:
    message = to_landmarks(face(), HEADER, SIZE_WH)
    assert (message.width, message.height) == SIZE_WH
    found = {
        index: (point.x, point.y) for index, point in enumerate(message.landmarks) if point.c > 0
    }
    assert list(found) == [30, 48, 54, 68, 69]
    # The person's own right eye, which is on the left of the picture.
    assert found[68] == pytest.approx((0.15, 0.25))
    assert found[69] == pytest.approx((0.25, 0.25))


def test_a_detector_without_landmarks() -> None:
    message = to_landmarks(face(landmarks=np.full((5, 2), np.nan, np.float32)), HEADER, SIZE_WH)
    assert all(point.c == 0 for point in message.landmarks)


@pytest.mark.parametrize(("label", "name"), list(zip(LABELS, NAMES, strict=True)))
def test_expressions_have_the_names_of_ros4hri(label: str, name: str) -> None:
    message = to_expression(face(emotion=label), HEADER)
    assert message.expression == name
    assert message.confidence == pytest.approx(0.7)


def test_valence_and_arousal_come_from_all_probabilities() -> None:
    message = to_expression(face(), HEADER)
    assert message.valence == pytest.approx(
        0.7 * 0.81 - 0.05 * (0.51 + 0.64 + 0.63) + 0.05 * 0.40, abs=1e-6
    )
    assert message.arousal == pytest.approx(
        0.7 * 0.51 + 0.05 * (0.59 + 0.60 - 0.27 + 0.67), abs=1e-6
    )


def test_an_unknown_expression_is_the_likeliest_word() -> None:
    # For a moment another class may be the one that is not likely enough: it is not sent.
    message = to_expression(face(emotion="unknown", confidence=0.05), HEADER)
    assert message.expression == "happy"
    assert message.confidence == pytest.approx(0.7)


def picture() -> np.ndarray:
    image = np.zeros((100, 200, 3), np.uint8)
    image[10:60, 20:60] = (10, 200, 30)
    return image


def test_a_crop_is_scaled_and_centred_on_black() -> None:
    crop = crop_face(picture(), face())
    assert crop.shape == (128, 128, 3)
    # 40 x 50 pixels become 102 x 128.
    inside = (crop == (10, 200, 30)).all(axis=2)
    assert inside[:, 13:115].all()
    assert not crop[:, :13].any()
    assert not crop[:, 115:].any()


@pytest.mark.parametrize(
    "box",
    [(0, 0, 200, 100), (199, 99, 1, 1), (199.6, 99.7, 0.4, 0.3), (0, 0, 200, 1)],
    ids=["whole", "one pixel", "less than a pixel", "one row"],
)
def test_any_box_has_a_crop(box: tuple[float, ...]) -> None:
    one = face(box_xywh=np.array(box, np.float32))
    assert crop_face(picture(), one).shape == (128, 128, 3)
    assert align_face(picture(), one).shape == (128, 128, 3)


@pytest.mark.parametrize("width", [40_000, 70_000])
def test_faces_of_very_wide_pictures(width: int) -> None:
    """OpenCV warps no picture of 32767 or more pixels a side."""
    wide = np.zeros((100, width, 3), np.uint8)
    wide[:, -200:] = picture()
    shift = np.array([width - 200, 0], np.float32)
    box = face().box_xywh + np.append(shift, (0, 0))
    far = face(box_xywh=box, landmarks=face().landmarks + shift)
    np.testing.assert_array_equal(crop_face(wide, far), crop_face(picture(), face()))
    np.testing.assert_allclose(align_face(wide, far), align_face(picture(), face()), atol=1)
    whole = face(box_xywh=np.array([0, 0, width, 100], np.float32))
    assert align_face(wide, whole).shape == (128, 128, 3)


def test_an_aligned_face_has_level_eyes() -> None:
    image = np.zeros((100, 200, 3), np.uint8)
    right_eye, left_eye = (30, 20), (50, 30)
    for x, y in (right_eye, left_eye):
        image[y - 1 : y + 2, x - 1 : x + 2] = 255
    landmarks = np.array([right_eye, left_eye, (40, 35), (32, 50), (48, 50)], np.float32)
    aligned = align_face(image, face(landmarks=landmarks))
    rows, columns = np.nonzero(aligned[..., 0] > 128)
    left, right = columns < 64, columns >= 64
    assert left.any()
    assert right.any()
    assert rows[left].mean() == pytest.approx(rows[right].mean(), abs=1.0)
