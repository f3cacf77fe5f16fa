import numpy as np
import pytest
from builtin_interfaces.msg import Time
from cv_bridge import CvBridge
from fake_recognition import FACE_XYWH, HAPPY, LABELS, LANDMARKS
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from deepfer_ros import messages
from deepfer_ros.recognition.errors import ImageError, ModelError
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
    assert (messages.from_image_message(message, max_pixels=100) == image_bgr).all()


def test_compressed_image_keeps_its_picture(astronaut_bgr: NDArray[np.uint8]) -> None:
    message = messages.to_compressed_image(astronaut_bgr, HEADER, quality=95)
    assert message.header == HEADER
    assert message.format == "jpeg"
    image_bgr = messages.from_image_message(message, max_pixels=512 * 512)
    assert image_bgr.shape == astronaut_bgr.shape
    assert np.abs(image_bgr.astype(int) - astronaut_bgr).mean() < 3


def test_lower_quality_is_smaller(astronaut_bgr: NDArray[np.uint8]) -> None:
    sizes = [
        len(messages.to_compressed_image(astronaut_bgr, HEADER, quality=quality).data)
        for quality in (30, 90)
    ]
    assert sizes[0] < sizes[1] / 2


@pytest.mark.parametrize("encoding", ["bgr8", "rgb8", "mono8", "bgra8", "rgba8"])
def test_colours_of_encodings(encoding: str) -> None:
    channels = {"mono8": 1, "bgra8": 4, "rgba8": 4}.get(encoding, 3)
    pixel = {"bgr8": [1, 2, 3], "rgb8": [3, 2, 1], "mono8": [7], "bgra8": [1, 2, 3, 9]}.get(
        encoding, [3, 2, 1, 9]
    )
    source = np.tile(np.array(pixel, np.uint8), (2, 5, 1)).reshape(2, 5, channels)
    message = CvBridge().cv2_to_imgmsg(source, encoding)
    image_bgr = messages.from_image_message(message, max_pixels=10)
    expected = [7, 7, 7] if encoding == "mono8" else [1, 2, 3]
    assert (image_bgr == np.array(expected)).all()
    assert image_bgr.shape == (2, 5, 3)


def test_padding_of_rows_is_left_out() -> None:
    message = Image(height=2, width=2, encoding="bgr8", step=8)
    message.data.frombytes(bytes([1, 2, 3, 4, 5, 6, 255, 255, 7, 8, 9, 10, 11, 12, 255, 255]))
    image_bgr = messages.from_image_message(message, max_pixels=4)
    assert image_bgr.reshape(-1).tolist() == list(range(1, 13))


def raw(**fields: object) -> Image:
    message = messages.to_image(IMAGE_BGR, HEADER)
    for name, value in fields.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        pytest.param(raw(encoding="blue9"), "encoding 'blue9' is unknown", id="encoding"),
        pytest.param(raw(encoding=""), "encoding '' is unknown", id="no_encoding"),
        pytest.param(raw(step=17), "step is 17, but 6 pixels of bgr8 take 18", id="step"),
        pytest.param(raw(step=0), "step is 0", id="no_step"),
        pytest.param(
            raw(height=5), "data has 72 bytes, but 5 rows of 18 bytes take 90", id="data"
        ),
        pytest.param(Image(), "no pixels: its size is 0x0", id="empty"),
        pytest.param(raw(width=0), "no pixels: its size is 0x4", id="no_width"),
        pytest.param(raw(height=0), "no pixels: its size is 6x0", id="no_height"),
        pytest.param(raw(width=10000, height=10001), "10000x10001 pixels; at most", id="huge"),
        pytest.param(raw(width=2**32 - 1, height=2**32 - 1), "at most 1000 are", id="overflow"),
        pytest.param(CompressedImage(), "empty", id="compressed_empty"),
        pytest.param(CompressedImage(data=b"no image"), "not a picture", id="compressed_no_image"),
    ],
)
def test_refuses_what_is_no_image(message: Image | CompressedImage, fault: str) -> None:
    with pytest.raises(ImageError, match=fault):
        messages.from_image_message(message, max_pixels=1000)


def test_refuses_truncated_and_large_compressed_images(astronaut_bgr: NDArray[np.uint8]) -> None:
    message = messages.to_compressed_image(astronaut_bgr, HEADER, quality=80)
    with pytest.raises(ImageError, match="512x512 pixels"):
        messages.from_image_message(message, max_pixels=512 * 512 - 1)
    message.data = message.data[: len(message.data) // 2]
    with pytest.raises(ImageError, match="truncated"):
        messages.from_image_message(message, max_pixels=512 * 512)


def test_depth_images_cannot_be_converted() -> None:
    message = CvBridge().cv2_to_imgmsg(np.ones((2, 2), np.float32), "32FC1")
    with pytest.raises(ImageError, match="cannot be converted to bgr8"):
        messages.from_image_message(message, max_pixels=4)


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
