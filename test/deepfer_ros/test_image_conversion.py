import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from deepfer_ros.image_conversion import from_image_message
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.images import encode_image

# blue, green, red, grey in the order B, G, R
BGR = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [100, 100, 100]]], np.uint8)
OPAQUE = np.full((2, 2, 1), 255, np.uint8)
RED, GREEN, BLUE = 200, 100, 50


@dataclass
class RawMessage:
    """The fields of sensor_msgs/Image, as every library has them."""

    height: int
    width: int
    encoding: str
    step: int
    data: bytes | bytearray
    is_bigendian: int = int(sys.byteorder == "big")


@dataclass
class CompressedMessage:
    """The fields of sensor_msgs/CompressedImage."""

    format: str
    data: bytes


def message_of(values: NDArray[np.generic], encoding: str) -> RawMessage:
    height, width = values.shape[:2]
    return RawMessage(height, width, encoding, values.nbytes // height, values.tobytes())


def convert(message: RawMessage | CompressedMessage, max_pixels: int = 10**6) -> NDArray[np.uint8]:
    image_bgr = from_image_message(message, max_pixels=max_pixels)
    assert image_bgr.dtype == np.uint8
    return image_bgr


def test_bgr_is_a_view_of_the_message() -> None:
    data = bytearray(BGR.tobytes())
    image_bgr = convert(RawMessage(2, 2, "bgr8", 6, data))
    np.testing.assert_array_equal(image_bgr, BGR)
    data[0] = 7
    assert image_bgr[0, 0, 0] == 7


@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ("bgr8", BGR),
        ("8UC3", BGR),
        ("rgb8", BGR[:, :, ::-1]),
        ("bgra8", np.dstack([BGR, OPAQUE])),
        ("rgba8", np.dstack([BGR[:, :, ::-1], OPAQUE])),
        ("bgr16", BGR.astype(np.uint16) * 257),
        ("rgb16", BGR[:, :, ::-1].astype(np.uint16) * 257),
        ("32FC3", BGR.astype(np.float32)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_colours(encoding: str, values: NDArray[np.generic]) -> None:
    np.testing.assert_array_equal(convert(message_of(values, encoding)), BGR)


@pytest.mark.parametrize(
    ("encoding", "values"),
    [
        ("mono8", np.array([[0, 29], [150, 255]], np.uint8)),
        ("mono16", np.array([[0, 29 * 257], [150 * 257, 65535]], np.uint16)),
    ],
)
def test_grey(encoding: str, values: NDArray[np.generic]) -> None:
    image_bgr = convert(message_of(values, encoding))
    for channel in range(3):
        np.testing.assert_array_equal(image_bgr[:, :, channel], [[0, 29], [150, 255]])


def test_16_bits_scale_to_the_full_range() -> None:
    values = np.array([[0, 128, 129, 257, 65535]], np.uint16)
    assert convert(message_of(values, "mono16"))[0, :, 0].tolist() == [0, 0, 1, 1, 255]


def test_floats_are_rounded_and_saturated() -> None:
    values = np.array([[[-3.0, 1.5, 2.4], [300.0, np.nan, 7.0]]], np.float32)
    assert convert(message_of(values, "32FC3")).tolist() == [[[0, 2, 2], [255, 0, 7]]]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
def test_bayer_pattern(pattern: str, bits: int) -> None:
    """A mosaic of one plain colour gives that colour in the middle of the picture."""
    plain = {"r": RED, "g": GREEN, "b": BLUE}
    scale = 257 if bits == 16 else 1
    tile = np.array([plain[letter] * scale for letter in pattern], f"uint{bits}")
    mosaic = np.tile(tile.reshape(2, 2), (4, 4))
    image_bgr = convert(message_of(mosaic, f"bayer_{pattern}{bits}"))
    assert image_bgr[4, 4].tolist() == [BLUE, GREEN, RED]


@pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"])
def test_yuv_422(encoding: str) -> None:
    """Two pixels share U and V: here a dark and a bright red."""
    y0, y1, u, v = 82, 120, 90, 240
    first_u = encoding in ("yuv422", "uyvy")
    raw = bytes([u, y0, v, y1] if first_u else [y0, u, y1, v]) * 2
    image_bgr = convert(RawMessage(2, 2, encoding, 4, raw))
    # ITU-R BT.601: R = 1.164 (Y - 16) + 1.596 (V - 128), B = 1.164 (Y - 16) + 2.018 (U - 128)
    np.testing.assert_allclose(image_bgr[0, 0, [0, 2]], [0, 255], atol=1)
    assert image_bgr[0, 1, 0] == pytest.approx(1.164 * 104 + 2.018 * -38, abs=1)


@pytest.mark.parametrize(("encoding", "chroma"), [("nv12", [90, 240]), ("nv21", [240, 90])])
@pytest.mark.parametrize("padding", [0, 2])
def test_semiplanar(encoding: str, chroma: list[int], padding: int) -> None:
    rows = np.full((3, 4 + padding), 99, np.uint8)
    rows[:2, :4] = 82
    rows[2, :4] = chroma * 2
    image_bgr = convert(RawMessage(2, 4, encoding, 4 + padding, rows.tobytes()))
    assert image_bgr.shape == (2, 4, 3)
    np.testing.assert_allclose(image_bgr[1, 3], [0, 1, 255], atol=1)


def test_padding_of_rows_is_left_out() -> None:
    data = bytes([1, 2, 3, 4, 5, 6, 255, 255, 7, 8, 9, 10, 11, 12, 255, 255])
    assert convert(RawMessage(2, 2, "bgr8", 8, data)).reshape(-1).tolist() == list(range(1, 13))


def test_step_that_is_no_multiple_of_the_value() -> None:
    raw = b"\x00\x10\x00\x20P\x00\x30\x00\x40P"
    message = RawMessage(2, 2, "mono16", 5, raw, is_bigendian=0)
    assert convert(message)[:, :, 0].tolist() == [[0x10, 0x20], [0x30, 0x40]]


@pytest.mark.parametrize(("is_bigendian", "raw"), [(1, b"\xff\x00"), (0, b"\x00\xff")])
def test_byte_order(is_bigendian: int, raw: bytes) -> None:
    message = RawMessage(1, 1, "mono16", 2, raw, is_bigendian)
    assert convert(message).tolist() == [[[254, 254, 254]]]


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_compressed(suffix: str) -> None:
    message = CompressedMessage(suffix[1:], encode_image(BGR, suffix))
    np.testing.assert_array_equal(convert(message), BGR)


def test_compressed_grey() -> None:
    _, data = cv2.imencode(".png", np.array([[0, 77]], np.uint8))
    assert convert(CompressedMessage("png", data.tobytes())).tolist() == [[[0] * 3, [77] * 3]]


GOOD = RawMessage(2, 2, "bgr8", 6, BGR.tobytes())


@pytest.mark.parametrize(
    ("message", "fault"),
    [
        (replace(GOOD, encoding="blue9"), "encoding 'blue9' is unknown; known are those of"),
        (replace(GOOD, encoding=""), "encoding '' is unknown"),
        (replace(GOOD, encoding="8UC0"), "encoding '8UC0' is unknown"),
        (replace(GOOD, encoding="8UC513"), "encoding '8UC513' is unknown"),
        (replace(GOOD, step=5), "step is 5, but 2 pixels of bgr8 take 6 bytes"),
        (replace(GOOD, step=0), "step is 0"),
        (replace(GOOD, height=3), "data has 12 bytes, but 3 rows of 6 bytes take 18"),
        (replace(GOOD, data=b""), "data has 0 bytes"),
        (replace(GOOD, width=0), "no pixels: its size is 0x2"),
        (replace(GOOD, height=0), "no pixels: its size is 2x0"),
        (replace(GOOD, width=10000, height=10001), "10000x10001 pixels; at most 1000000 are"),
        (replace(GOOD, width=2**32 - 1, height=2**32 - 1), "at most 1000000 are allowed"),
        (RawMessage(2, 3, "yuv422", 6, bytes(12)), "yuv422 cannot have 3x2 pixels"),
        (RawMessage(3, 2, "nv12", 2, bytes(12)), "nv12 cannot have 2x3 pixels"),
        (RawMessage(2, 2, "32FC1", 8, bytes(16)), "32FC1 does not say what its 1 channels"),
        (RawMessage(2, 2, "16UC1", 4, bytes(8)), "16UC1 does not say"),
        (CompressedMessage("jpeg", b""), "empty"),
        (CompressedMessage("jpeg", b"no image"), "not a picture"),
        (CompressedMessage("16UC1; compressedDepth png", bytes(40)), "is a depth image"),
        (CompressedMessage("32FC1; compressedDepth", bytes(40)), "is a depth image"),
    ],
    ids=lambda value: "" if isinstance(value, str) else getattr(value, "encoding", "compressed"),
)
def test_refuses_what_is_no_picture(message: RawMessage | CompressedMessage, fault: str) -> None:
    with pytest.raises(ImageError, match=fault):
        convert(message)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize(
    "image_format",
    ["bgr8; jpeg compressed bgr8", "rgb8; png compressed bgr8", "jpeg", "png", "jpg", ""],
)
def test_the_data_decide_whatever_the_format_says(
    astronaut_bgr: NDArray[np.uint8], suffix: str, image_format: str
) -> None:
    """Drivers write many things there; a JPEG or PNG says itself what it is."""
    data = encode_image(astronaut_bgr, suffix, quality=95)
    image_bgr = convert(CompressedMessage(image_format, data))
    assert image_bgr.shape == astronaut_bgr.shape
    assert np.abs(image_bgr.astype(int) - astronaut_bgr).mean() < 4


def test_refuses_truncated_and_large_compressed_images(
    astronaut_bgr: NDArray[np.uint8],
) -> None:
    message = CompressedMessage("jpeg", encode_image(astronaut_bgr, ".jpg"))
    with pytest.raises(ImageError, match="512x512 pixels"):
        convert(message, max_pixels=512 * 512 - 1)
    message.data = message.data[: len(message.data) // 2]
    with pytest.raises(ImageError, match="truncated"):
        convert(message)


@pytest.mark.parametrize("values", [[0, 255, 128, 7], [1, 2, 3, 4]], ids=["first", "second"])
def test_conversion_of_ros_messages(values: Sequence[int]) -> None:
    messages = pytest.importorskip("sensor_msgs.msg", reason="needs ROS")
    message = messages.Image(height=2, width=2, encoding="mono8", step=2, data=bytes(values))
    assert convert(message)[:, :, 1].reshape(-1).tolist() == list(values)


@pytest.mark.parametrize("encoding", ["bgr8", "rgb8", "bgra8", "rgba8", "mono8", "bgr16", "rgb16"])
@pytest.mark.parametrize("padding", [0, 6], ids=["tight", "padded"])
def test_what_cv_bridge_writes_is_read_as_cv_bridge_reads_it(encoding: str, padding: int) -> None:
    cv_bridge = pytest.importorskip("cv_bridge")
    bridge = cv_bridge.CvBridge()
    rng = np.random.default_rng(1)
    dtype = np.uint16 if encoding.endswith("16") else np.uint8
    channels = {"mono": 1, "bgra": 4, "rgba": 4}.get(encoding.rstrip("168"), 3)
    values = rng.integers(0, np.iinfo(dtype).max, (6, 8, channels), dtype, endpoint=True).squeeze()
    message = bridge.cv2_to_imgmsg(values, encoding)
    if padding:
        rows = np.frombuffer(message.data, np.uint8).reshape(6, -1)
        message.step += padding
        message.data = np.pad(rows, ((0, 0), (0, padding))).tobytes()

    np.testing.assert_array_equal(convert(message), bridge.imgmsg_to_cv2(message, "bgr8"))
