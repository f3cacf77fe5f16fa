"""The messages of a bag are what the emotion node would publish."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bag_files import TYPESTORE
from fake_extraction import make_face

pytest.importorskip("rclpy", reason="needs ROS")

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

from deepfer.msg import EmotionArray
from deepfer_ros import messages
from deepfer_ros.bag.messages import MessageFactory
from deepfer_ros.bag.recording import RecordedImage
from deepfer_ros.recognition.types import FaceEmotion

PICTURE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
IMAGE = RecordedImage("/image_raw", 0, 5, 0.0, 12_000_000_034, "camera", lambda: PICTURE)
HEADER = Header(stamp=Time(sec=12, nanosec=34), frame_id="camera")
FACTORY = MessageFactory(TYPESTORE, "fake48")
FACES = {
    "none": (),
    "one": (make_face(),),
    "two": (make_face(), make_face("face2", (0.7, 0.05, 0.05, 0.05, 0.05, 0.05, 0.05))),
}


def check(message: Any, expected: Any) -> None:  # noqa: ANN401 - messages of every type
    data = TYPESTORE.serialize_cdr(message, message.__msgtype__)
    received = deserialize_message(bytes(data), type(expected))
    published = deserialize_message(serialize_message(expected), type(expected))
    # As text, because landmarks that are not a number do not equal themselves.
    assert repr(received) == repr(published)


@pytest.mark.parametrize("faces", FACES.values(), ids=FACES)
def test_emotion_array(faces: tuple[FaceEmotion, ...]) -> None:
    message = FACTORY.emotion_array(IMAGE, faces)
    expected = messages.to_emotion_array(faces, HEADER, "fake48")
    assert isinstance(expected, EmotionArray)
    check(message, expected)


@pytest.mark.parametrize("faces", FACES.values(), ids=FACES)
def test_detection_array(faces: tuple[FaceEmotion, ...]) -> None:
    message = FACTORY.detection_array(IMAGE, faces)
    expected = messages.to_detection_array(faces, HEADER)
    assert isinstance(expected, Detection2DArray)
    check(message, expected)


@pytest.mark.parametrize("part", [slice(None), slice(None, None, 2)], ids=["whole", "part"])
def test_image(part: slice) -> None:
    picture = PICTURE[:, part]
    expected = messages.to_image(picture, HEADER)
    assert isinstance(expected, Image)
    check(FACTORY.image(IMAGE, picture), expected)


def test_compressed_image() -> None:
    expected = messages.to_compressed_image(PICTURE, HEADER, quality=90)
    assert isinstance(expected, CompressedImage)
    check(FACTORY.compressed_image(IMAGE, PICTURE), expected)


@pytest.mark.parametrize("stamp_ns", [0, 1, -1, -(10**9) - 5, 1_700_000_000_999_999_999])
def test_stamps(stamp_ns: int) -> None:
    make: Callable[..., Any] = FACTORY.emotion_array
    message = make(RecordedImage("/a", 0, 0, 0.0, stamp_ns, "", lambda: PICTURE), ())
    stamp = message.header.stamp
    assert stamp.sec * 10**9 + stamp.nanosec == stamp_ns
    assert 0 <= stamp.nanosec < 10**9
