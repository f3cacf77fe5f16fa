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
    landmarks: NDArray[np.float32] | None = None,
) -> FaceEmotion:
    probabilities = np.full(7, 0.1, np.float32)
    probabilities[3] = 0.4
    return FaceEmotion(
        face_id="a",
        box_xywh=np.array(box_xywh, np.float32),
        landmarks=np.full((5, 2), np.nan, np.float32) if landmarks is None else landmarks,
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
    landmarks = np.full((5, 2), np.nan, np.float32)
    landmarks[2] = (140, 140)
    drawn = draw_emotions(grey(), [face(landmarks=landmarks)])
    assert drawn[140, 140].tolist() == [255, 255, 255]


def test_only_the_surroundings_of_a_face_are_touched() -> None:
    image = grey(1280, 720)
    changed = (draw_emotions(image, [face((600, 300, 80, 80))]) != image).any(axis=2)
    rows, columns = np.nonzero(changed)
    assert columns.min() > 590
    assert columns.max() < 850
    assert rows.min() > 270
    assert rows.max() < 420


@pytest.mark.parametrize("label", [*LABELS, "unknown"])
def test_labels_are_legible_on_their_colour(label: str) -> None:
    """Contrast of the letters as the Web Content Accessibility Guidelines measure it."""
    one = face((200, 200, 200, 200), emotion=label)
    drawn = draw_emotions(grey(), [one])
    panel = np.array(emotion_colour_bgr(one))
    tag = drawn[180:200, 200:340].reshape(-1, 3).astype(float)
    letters = tag[np.abs(tag - panel).sum(axis=1).argmax()]

    def luminance(colour_bgr: NDArray[np.float64]) -> float:
        linear = (colour_bgr / 255) ** 2.2
        return float(linear @ (0.0722, 0.7152, 0.2126))

    lighter, darker = sorted((luminance(panel), luminance(letters)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) >= 4.5


def test_without_room_for_labels_there_are_bars_in_the_models_order() -> None:
    # Unknown, so that its grey box cannot be taken for a bar.
    drawn = draw_emotions(grey(300, 240), [face((20, 18, 260, 190), emotion="unknown")])
    bars = [(drawn == emotion_colour_bgr(face(emotion=label))).all(axis=2) for label in LABELS]
    heights = [int(bar.any(axis=1).sum()) for bar in bars]
    assert heights.index(max(heights)) == 3
    assert max(heights) == pytest.approx(4 * min(heights), abs=4)
    columns = [int(np.nonzero(bar.any(axis=0))[0].min()) for bar in bars]
    assert columns == sorted(columns)


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


def test_many_faces_that_overlap() -> None:
    faces = [face((40.0 * index, 30.0 * index, 100, 100)) for index in range(16)]
    assert draw_emotions(grey(320, 240), faces[:6]).shape == (240, 320, 3)
    assert draw_emotions(grey(), faces).shape == (480, 640, 3)


def test_other_pictures_are_refused() -> None:
    with pytest.raises(ImageError, match=r"uint8 \(480, 640\)"):
        draw_emotions(np.zeros((480, 640), np.uint8), [])
