"""Fixed changes to face pictures, to measure how much a model minds them.

Crops of a real detector are never as tidy as those of the data set: they sit a little beside the
face, are too large or small, tilted, dark, out of focus or compressed.
"""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

_Image = NDArray[np.uint8]


def change_images(images: _Image, change: str) -> _Image:
    """Return pictures with one of the `CHANGES`, always the same for the same pictures.

    Args:
        images: uint8 (N, H, W), grey.
        change: A key of `CHANGES`.
    """
    rng = np.random.default_rng(0)
    return np.stack([CHANGES[change](image, rng) for image in images])


def _warp(
    image: _Image,
    *,
    angle_deg: float = 0.0,
    scale: float = 1.0,
    shift: tuple[float, float] = (0, 0),
) -> _Image:
    height, width = image.shape
    centre = ((width - 1) / 2, (height - 1) / 2)
    matrix = cv2.getRotationMatrix2D(centre, angle_deg, scale)
    matrix[:, 2] += (shift[0] * width, shift[1] * height)
    return np.asarray(
        cv2.warpAffine(
            image,
            matrix,
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def _shift_a_tenth(image: _Image, rng: np.random.Generator) -> _Image:
    """Shift by a tenth of the side, in a random direction."""
    direction = rng.uniform(0, 2 * np.pi)
    return _warp(image, shift=(0.1 * np.cos(direction), 0.1 * np.sin(direction)))


def _tilt(image: _Image, rng: np.random.Generator) -> _Image:
    """Rotate by 15 degrees to a random side."""
    return _warp(image, angle_deg=float(rng.choice([-15.0, 15.0])))


def _darken(image: _Image, rng: np.random.Generator) -> _Image:
    return (image * 0.4).astype(np.uint8)


def _blur(image: _Image, rng: np.random.Generator) -> _Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), sigmaX=1.0), np.uint8)


def _compress(image: _Image, rng: np.random.Generator) -> _Image:
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 30])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_GRAYSCALE), np.uint8)


CHANGES: dict[str, Callable[[_Image, np.random.Generator], _Image]] = {
    "shift 10 %": _shift_a_tenth,
    "scale +20 %": lambda image, rng: _warp(image, scale=1.2),
    "scale -20 %": lambda image, rng: _warp(image, scale=0.8),
    "rotation 15°": _tilt,
    "brightness 40 %": _darken,
    "blur, sigma 1 px": _blur,
    "JPEG, quality 30": _compress,
}
"""What is tried, by name. Borders repeat the picture's edge."""
