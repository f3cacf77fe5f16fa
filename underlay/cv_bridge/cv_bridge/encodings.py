"""What the encodings of sensor_msgs/Image mean."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np


class CvBridgeError(TypeError):
    """An image cannot be converted; the message says what was received and what is possible."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """The pixels of an encoding.

    Attributes:
        name: As in the field `encoding` of sensor_msgs/Image.
        dtype: Of one value, in the byte order of this machine.
        channels: Values of a pixel. 1 for those encodings whose channels lie in separate planes.
        family: How colours are coded, in OpenCV's words: GRAY, BGR, RGB, BGRA, RGBA, BayerBG,
            BayerGB, BayerRG, BayerGR, YUV_UYVY, YUV_YUY2, YUV_NV12, YUV_NV21; or an empty string
            where the encoding does not say, as in 8UC3.
    """

    name: str
    dtype: np.dtype[Any]
    channels: int
    family: str

    @property
    def cvtype_name(self) -> str:
        """OpenCV's name of the type, for example 8UC3."""
        return f"{DEPTH_OF_DTYPE[self.dtype.name]}C{self.channels}"

    @property
    def is_semiplanar(self) -> bool:
        """Whether a plane with the colours at half resolution follows the grey picture."""
        return self.family in ("YUV_NV12", "YUV_NV21")

    @property
    def is_subsampled(self) -> bool:
        """Whether two pixels share their colour, so that the width must be even."""
        return self.family.startswith("YUV")

    def rows(self, height: int) -> int:
        """Return how many rows of data an image of that height has."""
        return height * 3 // 2 if self.is_semiplanar else height


DEPTH_OF_DTYPE = {
    "uint8": "8U",
    "int8": "8S",
    "uint16": "16U",
    "int16": "16S",
    "int32": "32S",
    "float32": "32F",
    "float64": "64F",
}
DTYPE_OF_DEPTH = {depth: name for name, depth in DEPTH_OF_DTYPE.items()}

_CHANNELS_OF_COLOR = {"mono": 1, "bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4}

# OpenCV names a Bayer pattern by the second and third pixel of the second row, ROS by the first
# two of the first and the second row.
_BAYER = {"rggb": "BayerBG", "gbrg": "BayerGR", "bggr": "BayerRG", "grbg": "BayerGB"}

_YUV = {
    "yuv422": ("YUV_UYVY", 2),
    "uyvy": ("YUV_UYVY", 2),
    "yuv422_yuy2": ("YUV_YUY2", 2),
    "yuyv": ("YUV_YUY2", 2),
    "nv12": ("YUV_NV12", 1),
    "nv21": ("YUV_NV21", 1),
}


def _named_encodings() -> dict[str, Encoding]:
    encodings = []
    for bits in (8, 16):
        dtype = np.dtype(f"uint{bits}")
        for color, channels in _CHANNELS_OF_COLOR.items():
            family = "GRAY" if color == "mono" else color.upper()
            encodings.append(Encoding(f"{color}{bits}", dtype, channels, family))
        for pattern, family in _BAYER.items():
            encodings.append(Encoding(f"bayer_{pattern}{bits}", dtype, 1, family))
    for name, (family, channels) in _YUV.items():
        encodings.append(Encoding(name, np.dtype("uint8"), channels, family))
    return {encoding.name: encoding for encoding in encodings}


_NAMED = _named_encodings()
_GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C([1-9][0-9]*)")
_MOST_CHANNELS = 512  # CV_CN_MAX, the limit of OpenCV


def parse_encoding(name: str) -> Encoding:
    """Return what an encoding means.

    Args:
        name: A name of sensor_msgs/image_encodings (rgb8, mono16, bayer_rggb8, yuv422, ...) or a
            type of OpenCV with its number of channels (8UC3, 32FC1, ...).

    Raises:
        CvBridgeError: It is none of these.
    """
    if name in _NAMED:
        return _NAMED[name]
    match = _GENERIC.fullmatch(name)
    if match and int(match[2]) <= _MOST_CHANNELS:
        return Encoding(name, np.dtype(DTYPE_OF_DEPTH[match[1]]), int(match[2]), "")
    raise CvBridgeError(
        f"unknown encoding {name!r}; known are {', '.join(_NAMED)} and types such as 8UC3, 32FC1"
    )
