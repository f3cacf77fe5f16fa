"""What the encodings of sensor_msgs/Image mean."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np


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
    # In quotes: NumPy 1.21, Ubuntu 22.04's, has no types of this kind.
    dtype: "np.dtype[Any]"
    channels: int
    family: str

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


_DTYPE_OF_DEPTH = {
    "8U": "uint8",
    "8S": "int8",
    "16U": "uint16",
    "16S": "int16",
    "32S": "int32",
    "32F": "float32",
    "64F": "float64",
}

_CHANNELS_OF_COLOUR = {"mono": 1, "bgr": 3, "rgb": 3, "bgra": 4, "rgba": 4}

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
        for colour, channels in _CHANNELS_OF_COLOUR.items():
            family = "GRAY" if colour == "mono" else colour.upper()
            encodings.append(Encoding(f"{colour}{bits}", dtype, channels, family))
        for pattern, family in _BAYER.items():
            encodings.append(Encoding(f"bayer_{pattern}{bits}", dtype, 1, family))
    for name, (family, channels) in _YUV.items():
        encodings.append(Encoding(name, np.dtype("uint8"), channels, family))
    return {encoding.name: encoding for encoding in encodings}


_NAMED = _named_encodings()
_GENERIC = re.compile(r"(8U|8S|16U|16S|32S|32F|64F)C([1-9][0-9]*)")
_MOST_CHANNELS = 512  # CV_CN_MAX, the limit of OpenCV


def find_encoding(name: str) -> Encoding | None:
    """Return what an encoding means, or None if nobody knows.

    Args:
        name: A name of sensor_msgs/image_encodings (rgb8, mono16, bayer_rggb8, yuv422, …) or a
            type of OpenCV with its number of channels (8UC3, 32FC1, …).
    """
    if name in _NAMED:
        return _NAMED[name]
    match = _GENERIC.fullmatch(name)
    if match and int(match[2]) <= _MOST_CHANNELS:
        return Encoding(name, np.dtype(_DTYPE_OF_DEPTH[match[1]]), int(match[2]), "")
    return None
