"""Follow the movement of one face, to know where to look for it in the next picture."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Lengths are in face sizes, so that near and far faces are treated alike. The values were chosen
# on generated scenes (crossing, crowds, shaking cameras); none of them is critical.
# Standard deviation of a detected place: more than a detector's own, for cameras that shake.
_PLACE_NOISE = 0.25
# Speeds that are usual when a face appears, a second; walking past a camera is about 5.
_START_SPEED = 3.0
# How much the speed wanders, a square root of a second, and how long it is remembered.
_WANDER = 3.0
_SPEED_MEMORY_S = 1.0
# Standard deviation of the logarithm of the size: of a detection, and what a second adds.
_SIZE_NOISE = 0.1
_SIZE_WANDER = 0.3
_SIZE_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Forecast:
    """Where a face is expected at some time.

    Attributes:
        x, y: The middle of its box in pixels.
        size_px: The geometric mean of its width and height.
        variance_px2: Of the place of a detection around x and around y.
        size_variance: Of the natural logarithm of a detection's size.
    """

    x: float
    y: float
    size_px: float
    variance_px2: float
    size_variance: float


class FaceMotion:
    """A Kalman filter for a face that moves at a slowly changing speed.

    Its time is in seconds, so frames may come at any rate and may be missing. x and y have the
    same uncertainty, which makes it a filter of two states instead of four.

    Args:
        box_xywh: (4,), where the face was seen first, in pixels.
        time_s: When.
    """

    def __init__(self, box_xywh: NDArray[np.float32], time_s: float) -> None:
        self.time_s = time_s
        self._x, self._y, self._size_px = _place(box_xywh)
        self._speed_x = self._speed_y = 0.0
        # Covariance of place and speed.
        self._place_variance = (_PLACE_NOISE * self._size_px) ** 2
        self._covariance = 0.0
        self._speed_variance = (_START_SPEED * self._size_px) ** 2

    def forecast(self, time_s: float) -> Forecast:
        """Return where the face is expected at a time after the last sighting."""
        elapsed_s = time_s - self.time_s
        way_s, _ = _memory(elapsed_s)
        return Forecast(
            x=self._x + self._speed_x * way_s,
            y=self._y + self._speed_y * way_s,
            size_px=self._size_px,
            variance_px2=self._spread(elapsed_s)[0] + (_PLACE_NOISE * self._size_px) ** 2,
            size_variance=_SIZE_NOISE**2 + _SIZE_WANDER**2 * elapsed_s,
        )

    def correct(self, box_xywh: NDArray[np.float32], time_s: float) -> None:
        """Take in where the face was seen."""
        elapsed_s = time_s - self.time_s
        way_s, memory = _memory(elapsed_s)
        place_variance, covariance, speed_variance = self._spread(elapsed_s)
        total = place_variance + (_PLACE_NOISE * self._size_px) ** 2
        place_gain, speed_gain = place_variance / total, covariance / total
        x, y, size_px = _place(box_xywh)
        surprise_x = x - (self._x + self._speed_x * way_s)
        surprise_y = y - (self._y + self._speed_y * way_s)
        self._x, self._y = x - (1 - place_gain) * surprise_x, y - (1 - place_gain) * surprise_y
        self._speed_x = self._speed_x * memory + speed_gain * surprise_x
        self._speed_y = self._speed_y * memory + speed_gain * surprise_y
        self._place_variance = (1 - place_gain) * place_variance
        self._covariance = (1 - place_gain) * covariance
        self._speed_variance = speed_variance - speed_gain * covariance
        self._size_px *= (size_px / self._size_px) ** _SIZE_WEIGHT
        self.time_s = time_s

    def _spread(self, elapsed_s: float) -> tuple[float, float, float]:
        """Return the covariance of place and speed after some time without a sighting."""
        way_s, memory = _memory(elapsed_s)
        wander = (_WANDER * self._size_px) ** 2
        place_variance = (
            self._place_variance
            + 2 * way_s * self._covariance
            + way_s**2 * self._speed_variance
            + wander * elapsed_s**3 / 3
        )
        covariance = (
            self._covariance + way_s * self._speed_variance
        ) * memory + wander * elapsed_s**2 / 2
        return place_variance, covariance, self._speed_variance * memory**2 + wander * elapsed_s


def _memory(elapsed_s: float) -> tuple[float, float]:
    """Return the seconds that a fading speed still carries, and what share of it is left."""
    left = math.exp(-elapsed_s / _SPEED_MEMORY_S)
    return _SPEED_MEMORY_S * (1 - left), left


def _place(box_xywh: NDArray[np.float32]) -> tuple[float, float, float]:
    """Return the middle of a box, x and y, and its size, in pixels."""
    left, top, width, height = (float(value) for value in box_xywh)
    return left + width / 2, top + height / 2, math.sqrt(width * height)
