import array
import time

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sensor_msgs", reason="needs ROS")
pytest.importorskip("cv_bridge.encodings", reason="this ROS installation has its own cv_bridge")

from cv_bridge import CvBridge, CvBridgeError
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

BRIDGE = CvBridge()

# blue, green, red, grey in the order B, G, R
BGR = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [100, 100, 100]]], np.uint8)
GRAY = np.array([[29, 150], [76, 100]], np.uint8)  # 0.114 B + 0.587 G + 0.299 R


def image_message(
    data: bytes | NDArray[np.generic],
    *,
    encoding: str,
    width: int,
    height: int,
    step: int,
    is_bigendian: bool = False,
) -> Image:
    """Build a message from its raw fields."""
    raw = data if isinstance(data, bytes) else data.tobytes()
    return Image(
        width=width,
        height=height,
        step=step,
        encoding=encoding,
        is_bigendian=int(is_bigendian),
        data=array.array("B", raw),
    )


class TestViews:
    def test_bgr_is_a_view_of_the_message(self) -> None:
        message = image_message(BGR, encoding="bgr8", width=2, height=2, step=6)
        image = BRIDGE.imgmsg_to_cv2(message)
        np.testing.assert_array_equal(image, BGR)
        message.data[0] = 7
        assert image[0, 0, 0] == 7

    def test_same_encoding_is_a_view(self) -> None:
        message = image_message(BGR, encoding="bgr8", width=2, height=2, step=6)
        image = BRIDGE.imgmsg_to_cv2(message, "bgr8")
        message.data[0] = 7
        assert image[0, 0, 0] == 7

    @pytest.mark.parametrize("last_row_padded", [True, False])
    def test_padding_of_rows_is_skipped(self, last_row_padded: bool) -> None:
        raw = b"\x01\x02\x03PP\x04\x05\x06" + (b"PP" if last_row_padded else b"")
        message = image_message(raw, encoding="mono8", width=3, height=2, step=5)
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), [[1, 2, 3], [4, 5, 6]])

    def test_padded_colour_image_converts(self) -> None:
        rows = np.zeros((2, 11), np.uint8)
        rows[:, :6] = BGR.reshape(2, 6)
        message = image_message(rows, encoding="bgr8", width=2, height=2, step=11)
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "rgb8"), BGR[:, :, ::-1])

    @pytest.mark.parametrize(("is_bigendian", "raw"), [(True, b"\x01\x02"), (False, b"\x02\x01")])
    def test_byte_order(self, is_bigendian: bool, raw: bytes) -> None:
        message = image_message(
            raw, encoding="mono16", width=1, height=1, step=2, is_bigendian=is_bigendian
        )
        image = BRIDGE.imgmsg_to_cv2(message)
        assert image.dtype.isnative
        assert image[0, 0] == 0x0102

    def test_step_that_is_no_multiple_of_the_value(self) -> None:
        raw = b"\x01\x00\x02\x00P\x03\x00\x04\x00P"
        message = image_message(raw, encoding="16UC1", width=2, height=2, step=5)
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), [[1, 2], [3, 4]])

    def test_floats_with_two_channels(self) -> None:
        flow = np.array([[[0.5, -1.5], [2.0, 3.0]]], np.float32)
        message = image_message(flow, encoding="32FC2", width=2, height=1, step=16)
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), flow)


class TestColors:
    @pytest.mark.parametrize(
        ("encoding", "image"),
        [
            ("bgr8", BGR),
            ("rgb8", BGR[:, :, ::-1]),
            ("bgra8", np.dstack([BGR, np.full((2, 2), 255, np.uint8)])),
            ("rgba8", np.dstack([BGR[:, :, ::-1], np.full((2, 2), 255, np.uint8)])),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    @pytest.mark.parametrize("target", ["bgr8", "rgb8", "bgra8", "rgba8", "mono8"])
    def test_every_pair(self, encoding: str, image: NDArray[np.uint8], target: str) -> None:
        result = BRIDGE.imgmsg_to_cv2(BRIDGE.cv2_to_imgmsg(image, encoding), target)
        if target == "mono8":
            np.testing.assert_array_equal(result, GRAY)
            return
        colors = BGR if target.startswith("bgr") else BGR[:, :, ::-1]
        np.testing.assert_array_equal(result[:, :, :3], colors)
        assert result.shape[2] == (4 if "a" in target else 3)
        assert (result[:, :, 3:] == 255).all()

    @pytest.mark.parametrize("target", ["bgr8", "rgb8", "bgra8", "rgba8"])
    def test_grey_becomes_colour(self, target: str) -> None:
        result = BRIDGE.imgmsg_to_cv2(BRIDGE.cv2_to_imgmsg(GRAY, "mono8"), target)
        for channel in range(3):
            np.testing.assert_array_equal(result[:, :, channel], GRAY)

    @pytest.mark.parametrize("bits", [8, 16])
    @pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
    @pytest.mark.parametrize("target", ["bgr8", "rgb8", "rgba8", "mono8"])
    def test_bayer_pattern(self, pattern: str, bits: int, target: str) -> None:
        """A mosaic of one plain colour gives that colour in the middle of the picture."""
        plain = {"r": 200, "g": 100, "b": 50}
        scale = 257 if bits == 16 else 1
        tile = np.array([plain[letter] * scale for letter in pattern], f"uint{bits}")
        mosaic = np.tile(tile.reshape(2, 2), (4, 4))
        message = BRIDGE.cv2_to_imgmsg(mosaic, f"bayer_{pattern}{bits}")
        pixel = BRIDGE.imgmsg_to_cv2(message, target)[4, 4]
        if target == "mono8":
            assert pixel == pytest.approx(0.299 * 200 + 0.587 * 100 + 0.114 * 50, abs=1)
        else:
            expected = [200, 100, 50] if target.startswith("rgb") else [50, 100, 200]
            np.testing.assert_array_equal(pixel[:3], expected)

    @pytest.mark.parametrize("encoding", ["yuv422", "uyvy", "yuv422_yuy2", "yuyv"])
    @pytest.mark.parametrize("target", ["bgr8", "rgb8", "bgra8", "mono8"])
    def test_yuv_422(self, encoding: str, target: str) -> None:
        """Two pixels share U and V: here a dark and a bright red."""
        y0, y1, u, v = 82, 120, 90, 240
        first_u = encoding in ("yuv422", "uyvy")
        raw = bytes([u, y0, v, y1] if first_u else [y0, u, y1, v]) * 2
        message = image_message(raw, encoding=encoding, width=2, height=2, step=4)
        image = BRIDGE.imgmsg_to_cv2(message, target)
        if target == "mono8":
            np.testing.assert_array_equal(image, [[y0, y1], [y0, y1]])
            return
        red, blue = (0, 2) if target == "rgb8" else (2, 0)
        # ITU-R BT.601: R = 1.164 (Y - 16) + 1.596 (V - 128), B = 1.164 (Y - 16) + 2.018 (U - 128)
        assert image[0, 0, red] == pytest.approx(255, abs=1)
        assert image[0, 0, blue] == pytest.approx(0, abs=1)
        assert image[0, 1, blue] == pytest.approx(1.164 * 104 + 2.018 * -38, abs=1)

    @pytest.mark.parametrize(("encoding", "chroma"), [("nv12", [90, 240]), ("nv21", [240, 90])])
    def test_semiplanar(self, encoding: str, chroma: list[int]) -> None:
        raw = bytes([82] * 8 + chroma * 2)
        message = image_message(raw, encoding=encoding, width=4, height=2, step=4)
        assert BRIDGE.imgmsg_to_cv2(message).shape == (3, 4)
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "mono8"), np.full((2, 4), 82))
        image = BRIDGE.imgmsg_to_cv2(message, "bgr8")
        assert image.shape == (2, 4, 3)
        np.testing.assert_allclose(image[1, 3], [0, 1, 255], atol=1)

    def test_semiplanar_padding(self) -> None:
        rows = np.full((3, 6), 99, np.uint8)
        rows[:2, :4] = 82
        rows[2, :4] = [90, 240, 90, 240]
        message = image_message(rows, encoding="nv12", width=4, height=2, step=6)
        np.testing.assert_allclose(
            BRIDGE.imgmsg_to_cv2(message, "rgb8")[0, 0], [255, 1, 0], atol=1
        )


class TestDepths:
    def test_16_to_8_bits_scales_to_the_full_range(self) -> None:
        image = np.array([[0, 128, 129, 257, 65535]], np.uint16)
        message = BRIDGE.cv2_to_imgmsg(image, "mono16")
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "mono8"), [[0, 0, 1, 1, 255]])

    def test_8_to_16_bits_scales_to_the_full_range(self) -> None:
        message = BRIDGE.cv2_to_imgmsg(np.array([[0, 1, 255]], np.uint8), "mono8")
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "mono16"), [[0, 257, 65535]])

    def test_colour_and_depth_at_once(self) -> None:
        message = BRIDGE.cv2_to_imgmsg(BGR.astype(np.uint16) * 257, "bgr16")
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "rgb8"), BGR[:, :, ::-1])

    def test_floats_are_rounded_and_saturated(self) -> None:
        image = np.array([[-3.0, 1.5, 2.4, 300.0, np.nan]], np.float32)
        message = BRIDGE.cv2_to_imgmsg(image)
        assert message.encoding == "32FC1"
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "8UC1"), [[0, 2, 2, 255, 0]])

    def test_generic_type_takes_the_meaning_that_is_asked_for(self) -> None:
        message = BRIDGE.cv2_to_imgmsg(BGR)
        assert message.encoding == "8UC3"
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message, "bgr8"), BGR)


class TestOutgoing:
    @pytest.mark.parametrize(
        ("encoding", "image"),
        [
            ("mono8", GRAY),
            ("bgr8", BGR),
            ("rgba16", np.arange(24, dtype=np.uint16).reshape(2, 3, 4)),
            ("32FC1", np.array([[0.25, -1.0]], np.float32)),
            ("64FC5", np.arange(10, dtype=np.float64).reshape(1, 2, 5)),
            ("16SC1", np.array([[-1, 2]], np.int16)),
            ("8UC1", GRAY[:, :, None]),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_round_trip(self, encoding: str, image: NDArray[np.generic]) -> None:
        header = Header(frame_id="camera")
        message = BRIDGE.cv2_to_imgmsg(image, encoding, header)
        height, width = image.shape[:2]
        assert (message.height, message.width) == (height, width)
        assert message.step * height == len(message.data) == image.nbytes
        assert message.header.frame_id == "camera"
        result = BRIDGE.imgmsg_to_cv2(message)
        assert result.dtype == image.dtype
        np.testing.assert_array_equal(result, image.squeeze() if encoding == "8UC1" else image)

    def test_part_of_a_larger_array(self) -> None:
        large = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
        part = large[1:4, ::2]
        message = BRIDGE.cv2_to_imgmsg(part, "bgr8")
        assert message.step == 12
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), part)

    def test_big_endian_array(self) -> None:
        message = BRIDGE.cv2_to_imgmsg(np.array([[0x0102]], ">u2"), "mono16")
        assert message.is_bigendian
        assert bytes(message.data) == b"\x01\x02"
        assert BRIDGE.imgmsg_to_cv2(message)[0, 0] == 0x0102

    def test_nv12_height_is_that_of_the_picture(self) -> None:
        message = BRIDGE.cv2_to_imgmsg(np.zeros((6, 8), np.uint8), "nv12")
        assert (message.height, message.width, message.step) == (4, 8, 8)

    def test_data_are_a_copy(self) -> None:
        image = BGR.copy()
        message = BRIDGE.cv2_to_imgmsg(image, "bgr8")
        image[:] = 0
        np.testing.assert_array_equal(BRIDGE.imgmsg_to_cv2(message), BGR)

    def test_full_hd_is_fast(self) -> None:
        """Value by value it takes about half a second, as one block a few milliseconds."""
        image = np.zeros((1080, 1920, 3), np.uint8)
        durations = []
        for _ in range(5):
            start = time.perf_counter()
            message = BRIDGE.cv2_to_imgmsg(image, "bgr8")
            BRIDGE.imgmsg_to_cv2(message, "bgr8")
            durations.append(time.perf_counter() - start)
        assert min(durations) < 0.1


class TestBadImages:
    @pytest.mark.parametrize(
        ("fields", "complaint"),
        [
            ({"encoding": "bgr9"}, "unknown encoding 'bgr9'"),
            ({"encoding": ""}, "unknown encoding ''"),
            ({"encoding": "8UC0"}, "unknown encoding '8UC0'"),
            ({"width": 0}, "its size is 0x2"),
            ({"height": 0}, "its size is 2x0"),
            ({"step": 5}, "step is 5, but a row of 2 pixels of 'bgr8' has 6 bytes"),
            ({"step": 0}, "step is 0"),
            ({"height": 3}, "data has 12 bytes, but 2x3 pixels of 'bgr8' with step 6 need 18"),
            ({"encoding": "yuv422", "width": 3}, "needs an even width, not 3"),
            ({"encoding": "nv12", "height": 1}, "needs an even height, not 1"),
            ({"height": 2**32 - 1, "width": 2**31, "step": 2**32 - 1}, "a row of 2147483648"),
        ],
        ids=lambda value: str(value) if isinstance(value, dict) else "",
    )
    def test_message(self, fields: dict[str, object], complaint: str) -> None:
        message = image_message(BGR, encoding="bgr8", width=2, height=2, step=6)
        for name, value in fields.items():
            setattr(message, name, value)
        with pytest.raises(CvBridgeError, match=complaint):
            BRIDGE.imgmsg_to_cv2(message, "bgr8")

    @pytest.mark.parametrize(
        ("encoding", "target", "complaint"),
        [
            ("8UC3", "mono8", "'8UC3' does not say what its 3 channels are"),
            ("bgr8", "8UC1", "'8UC1' does not say what its 1 channels are"),
            ("bgr8", "bayer_rggb8", "only mono, rgb, bgr, rgba and bgra"),
            ("bgr8", "yuv422", "only mono, rgb, bgr, rgba and bgra"),
            ("8UC3", "8UC2", "it has 3 channels, not 2"),
            ("bgr8", "nonsense", "unknown encoding 'nonsense'"),
        ],
    )
    def test_conversion(self, encoding: str, target: str, complaint: str) -> None:
        message = BRIDGE.cv2_to_imgmsg(BGR, encoding)
        with pytest.raises(CvBridgeError, match=complaint):
            BRIDGE.imgmsg_to_cv2(message, target)

    @pytest.mark.parametrize(
        ("image", "encoding", "complaint"),
        [
            (GRAY, "bgr8", r"needs the type 8UC3, but the array has the shape \(2, 2\)"),
            (BGR.astype(np.uint16), "bgr8", "type uint16"),
            (BGR > 0, "passthrough", "no encoding holds values of the type bool"),
            (BGR.astype(complex), "passthrough", "complex128"),
            (np.zeros((0, 3), np.uint8), "mono8", "must have the shape"),
            (np.zeros(3, np.uint8), "mono8", "must have the shape"),
            (np.zeros((4, 4), np.uint8), "nv12", "3 rows for every 2"),
            (np.zeros((2, 3, 2), np.uint8), "yuv422", "even width"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    def test_array(self, image: NDArray[np.generic], encoding: str, complaint: str) -> None:
        with pytest.raises(CvBridgeError, match=complaint):
            BRIDGE.cv2_to_imgmsg(image, encoding)

    def test_no_array(self) -> None:
        with pytest.raises(TypeError, match="not list"):
            BRIDGE.cv2_to_imgmsg([[1]], "mono8")  # type: ignore[arg-type]


class TestCompressed:
    @pytest.mark.parametrize("file_format", ["png", "bmp", "webp"])
    @pytest.mark.parametrize("target", ["passthrough", "bgr8", "rgb8", "mono8"])
    def test_lossless(self, file_format: str, target: str) -> None:
        if file_format == "webp":
            _, data = cv2.imencode(".webp", BGR, [cv2.IMWRITE_WEBP_QUALITY, 101])
            message = CompressedImage(format="webp", data=array.array("B", data.tobytes()))
        else:
            message = BRIDGE.cv2_to_compressed_imgmsg(BGR, file_format)
        assert message.format == file_format
        image = BRIDGE.compressed_imgmsg_to_cv2(message, target)
        expected = {"rgb8": BGR[:, :, ::-1], "mono8": GRAY}.get(target, BGR)
        np.testing.assert_array_equal(image, expected)

    def test_jpeg(self) -> None:
        image = np.full((16, 16, 3), (200, 100, 50), np.uint8)
        message = BRIDGE.cv2_to_compressed_imgmsg(image)
        assert message.format == "jpg"
        np.testing.assert_allclose(BRIDGE.compressed_imgmsg_to_cv2(message), image, atol=3)

    def test_grey_png_with_16_bits(self) -> None:
        image = np.array([[0, 257], [514, 65535]], np.uint16)
        message = BRIDGE.cv2_to_compressed_imgmsg(image, "png")
        np.testing.assert_array_equal(BRIDGE.compressed_imgmsg_to_cv2(message), image)
        colors = BRIDGE.compressed_imgmsg_to_cv2(message, "bgr8")
        np.testing.assert_array_equal(colors[:, :, 1], [[0, 1], [2, 255]])

    @pytest.mark.parametrize("data", [b"", b"not an image", b"\x89PNG\r\n\x1a\n"])
    def test_not_an_image(self, data: bytes) -> None:
        message = CompressedImage(format="jpeg", data=array.array("B", data))
        with pytest.raises(CvBridgeError, match=f"cannot be decoded: {len(data)} bytes"):
            BRIDGE.compressed_imgmsg_to_cv2(message)

    def test_unknown_format(self) -> None:
        with pytest.raises(CvBridgeError, match="unknown format 'doc'"):
            BRIDGE.cv2_to_compressed_imgmsg(BGR, "doc")


class TestTypes:
    @pytest.mark.parametrize(
        ("encoding", "cvtype", "dtype", "channels"),
        [
            ("mono8", cv2.CV_8UC1, "uint8", 1),
            ("bgr8", cv2.CV_8UC3, "uint8", 3),
            ("rgba16", cv2.CV_16UC4, "uint16", 4),
            ("bayer_rggb8", cv2.CV_8UC1, "uint8", 1),
            ("yuv422", cv2.CV_8UC2, "uint8", 2),
            ("32FC1", cv2.CV_32FC1, "float32", 1),
            ("64FC4", cv2.CV_64FC4, "float64", 4),
            ("16SC2", cv2.CV_16SC2, "int16", 2),
        ],
    )
    def test_encoding(self, encoding: str, cvtype: int, dtype: str, channels: int) -> None:
        assert BRIDGE.encoding_to_cvtype2(encoding) == cvtype
        assert BRIDGE.encoding_to_dtype_with_channels(encoding) == (dtype, channels)
        assert BRIDGE.cvtype2_to_dtype_with_channels(cvtype) == (dtype, channels)

    def test_name_of_a_type(self) -> None:
        assert BRIDGE.dtype_with_channels_to_cvtype2(np.uint8, 3) == "8UC3"
        assert BRIDGE.dtype_with_channels_to_cvtype2(np.dtype("float32"), 1) == "32FC1"
        with pytest.raises(CvBridgeError, match="float16"):
            BRIDGE.dtype_with_channels_to_cvtype2(np.float16, 1)
