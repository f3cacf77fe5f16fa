import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_ros.recognition.drawing import draw_emotions, emotion_colour_bgr
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.types import FaceEmotion

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


def face(
    box_xywh: tuple[float, float, float, float] = (100, 100, 80, 80),
    emotion: str = "happy",
    landmarks: NDArray[np.float64] | None = None,
) -> FaceEmotion:
    probabilities = np.full(7, 0.1)
    probabilities[3] = 0.4
    return FaceEmotion(
        face_id="a",
        box_xywh=np.array(box_xywh),
        landmarks=np.full((5, 2), np.nan) if landmarks is None else landmarks,
        detection_confidence=1.0,
        emotion=emotion,
        confidence=0.4,
        labels=LABELS,
        probabilities=probabilities,
        frame_probabilities=probabilities,
    )


def grey(width: int = 640, height: int = 480) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 128, np.uint8)


def test_the_picture_itself_is_not_changed() -> None:
    image = grey()
    drawn = draw_emotions(image, [face()])
    np.testing.assert_array_equal(image, grey())
    assert drawn.shape == image.shape
    assert (drawn != image).any()


def test_without_faces_it_is_a_plain_copy() -> None:
    image = grey()
    drawn = draw_emotions(image, [])
    np.testing.assert_array_equal(drawn, image)
    assert not np.shares_memory(drawn, image)


def test_the_box_has_the_emotions_colour() -> None:
    drawn = draw_emotions(grey(), [face()])
    assert tuple(drawn[179, 140].tolist()) == emotion_colour_bgr(face())


def test_colours_differ_between_emotions() -> None:
    colours = {emotion_colour_bgr(face(emotion=label)) for label in (*LABELS, "unknown")}
    assert len(colours) == 8


def test_the_likeliest_class_has_the_longest_bar() -> None:
    drawn = draw_emotions(grey(), [face()])
    lengths = [
        int((drawn[:, 190:] == emotion_colour_bgr(face(emotion=label))).all(axis=2).sum(1).max())
        for label in LABELS
    ]
    assert lengths.index(max(lengths)) == 3
    assert max(lengths) == pytest.approx(4 * sorted(lengths)[0], abs=6)


def test_landmarks_are_drawn() -> None:
    landmarks = np.full((5, 2), np.nan)
    landmarks[2] = (140, 140)
    drawn = draw_emotions(grey(), [face(landmarks=landmarks)])
    assert drawn[140, 140].tolist() == [255, 255, 255]


@pytest.mark.parametrize(
    "box",
    [
        pytest.param((0, 0, 640, 480), id="whole picture"),
        pytest.param((0, 0, 20, 20), id="top left"),
        pytest.param((620, 460, 20, 20), id="bottom right"),
        pytest.param((639, 479, 1, 1), id="one pixel"),
    ],
)
@pytest.mark.parametrize("size", [(640, 480), (64, 48), (8, 8), (3840, 2160)])
def test_boxes_anywhere_and_pictures_of_any_size(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    width, height = size
    assert draw_emotions(grey(width, height), [face(box)]).shape == (height, width, 3)


def test_other_pictures_are_refused() -> None:
    with pytest.raises(ImageError, match=r"uint8 \(480, 640\)"):
        draw_emotions(np.zeros((480, 640), np.uint8), [])
