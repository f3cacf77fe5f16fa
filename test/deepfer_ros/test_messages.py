import numpy as np
import pytest
from builtin_interfaces.msg import Time
from fake_recognition import FACE_XYWH, HAPPY, LABELS, LANDMARKS
from numpy.typing import NDArray
from std_msgs.msg import Header

from deepfer_ros import messages
from deepfer_ros.image_conversion import from_image_message
from deepfer_ros.recognition.errors import ModelError
from deepfer_ros.recognition.geometry import clip_boxes
from deepfer_ros.recognition.types import FaceEmotion

HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id="camera")
IMAGE_BGR = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)


def face(face_id: str = "abcde", box_xywh: tuple[float, ...] = FACE_XYWH) -> FaceEmotion:
    return FaceEmotion(
        face_id=face_id,
        box_xywh=np.array(box_xywh, np.float32),
        landmarks=np.array(LANDMARKS, np.float32),
        detection_confidence=0.9,
        emotion="happy",
        confidence=0.7,
        labels=LABELS,
        probabilities=np.array(HAPPY, np.float32),
        frame_probabilities=np.full(7, 1 / 7, np.float32),
    )


@pytest.mark.parametrize("count", [0, 1, 2])
def test_emotion_array(count: int) -> None:
    message = messages.to_emotion_array(
        tuple(face(f"face{index}") for index in range(count)), HEADER, "deepfer48"
    )
    assert message.header == HEADER
    assert message.model == "deepfer48"
    assert [emotion.face_id for emotion in message.emotions] == ["face0", "face1"][:count]


def test_emotion() -> None:
    (emotion,) = messages.to_emotion_array((face(),), HEADER, "m").emotions
    assert emotion.face_id == "abcde"
    assert emotion.emotion == "happy"
    assert emotion.confidence == pytest.approx(0.7)
    assert emotion.detection_confidence == pytest.approx(0.9)
    assert emotion.landmarks.tolist() == [value for point in LANDMARKS for value in point]
    assert emotion.probabilities == pytest.approx(HAPPY)
    assert emotion.frame_probabilities == pytest.approx([1 / 7] * 7)
    assert emotion.probabilities[emotion.HAPPY] == pytest.approx(0.7)


def test_region_never_leaves_the_image() -> None:
    """Corner plus size, each rounded to float32, may sum to more than the image's own size."""
    corners = np.random.default_rng(0).uniform(0, 700, (2000, 4)).astype(np.float32)
    for box_xywh in clip_boxes(corners, 640, 480):
        if (box_xywh[2:] > 0).all():
            message = messages.to_emotion_array((face(box_xywh=box_xywh),), HEADER, "m")
            roi = message.emotions[0].roi
            assert roi.x_offset + roi.width <= 640
            assert roi.y_offset + roi.height <= 480


@pytest.mark.parametrize(
    ("box_xywh", "region"),
    [
        ((10.25, 20.5, 30.5, 40.0), (10, 20, 31, 41)),
        ((10, 20, 30, 40), (10, 20, 30, 40)),
        ((0, 0, 1, 1), (0, 0, 1, 1)),
    ],
)
def test_region_holds_every_pixel_of_the_box(
    box_xywh: tuple[float, ...], region: tuple[int, ...]
) -> None:
    (emotion,) = messages.to_emotion_array((face(box_xywh=box_xywh),), HEADER, "m").emotions
    roi = emotion.roi
    assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == region


def test_detection_array() -> None:
    message = messages.to_detection_array((face(),), HEADER)
    assert message.header == HEADER
    (detection,) = message.detections
    assert detection.header == HEADER
    assert detection.id == "abcde"
    box = detection.bbox
    assert (box.center.position.x, box.center.position.y) == (25.5, 40.5)
    assert (box.size_x, box.size_y, box.center.theta) == (30.5, 40.0, 0.0)
    hypotheses = [result.hypothesis for result in detection.results]
    assert [hypothesis.class_id for hypothesis in hypotheses] == list(LABELS)
    assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx(HAPPY)


def test_no_face_is_an_empty_detection_array() -> None:
    message = messages.to_detection_array((), HEADER)
    assert message.header == HEADER
    assert list(message.detections) == []


@pytest.mark.parametrize(
    "image_bgr", [IMAGE_BGR, IMAGE_BGR[:, ::2], IMAGE_BGR[1:3, 1:]], ids=["whole", "odd", "part"]
)
def test_image_keeps_its_pixels(image_bgr: NDArray[np.uint8]) -> None:
    message = messages.to_image(image_bgr, HEADER)
    height, width = image_bgr.shape[:2]
    assert message.header == HEADER
    assert (message.height, message.width, message.step) == (height, width, 3 * width)
    assert message.encoding == "bgr8"
    assert message.data.tobytes() == image_bgr.tobytes()
    assert (from_image_message(message, max_pixels=100) == image_bgr).all()


def test_compressed_image_keeps_its_picture(astronaut_bgr: NDArray[np.uint8]) -> None:
    message = messages.to_compressed_image(astronaut_bgr, HEADER, quality=95)
    assert message.header == HEADER
    assert message.format == "bgr8; jpeg compressed bgr8"
    image_bgr = from_image_message(message, max_pixels=512 * 512)
    assert image_bgr.shape == astronaut_bgr.shape
    assert np.abs(image_bgr.astype(int) - astronaut_bgr).mean() < 3


def test_lower_quality_is_smaller(astronaut_bgr: NDArray[np.uint8]) -> None:
    sizes = [
        len(messages.to_compressed_image(astronaut_bgr, HEADER, quality=quality).data)
        for quality in (30, 90)
    ]
    assert sizes[0] < sizes[1] / 2


def test_labels_of_the_messages_are_accepted() -> None:
    messages.check_labels(LABELS)


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param(LABELS[:6], id="six"),
        pytest.param((*LABELS, "contempt"), id="eight"),
        pytest.param((*LABELS[:5], "neutral", "surprise"), id="order"),
        pytest.param((*LABELS[:6], "calm"), id="name"),
        pytest.param((*LABELS[:6], "unknown"), id="unknown"),
    ],
)
def test_other_labels_are_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(ModelError, match=labels[-1]):
        messages.check_labels(labels)
