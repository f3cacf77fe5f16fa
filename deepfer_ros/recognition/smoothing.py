"""Smooth the probabilities of one face over time, and decide which label it is given."""

import math

import numpy as np
from numpy.typing import NDArray

# How far ahead of the reported label another class must have been, times for how long, in time
# constants. See ExpressionSmoother.
_EVIDENCE_NEEDED = 0.25


class ExpressionSmoother:
    """The expression of one face over time.

    Two things are smoothed in two ways, both in seconds, so that the frame rate does not matter:

    - The probabilities are an exponential moving average.
    - The label changes when enough evidence for another class has come together: the lead of that
      class over the reported one in each single picture is summed up, weighted by time, and never
      falls below zero (a cumulative sum test, Page 1954, the quickest way to detect a change at a
      given rate of false alarms). A clear change passes after half a time constant; noise around
      a tie, which makes an average cross and cross again, hardly ever does.

    Args:
        probabilities: (C,), of the first picture.
    """

    def __init__(self, probabilities: NDArray[np.float32]) -> None:
        self._start(probabilities)

    def _start(self, probabilities: NDArray[np.float32]) -> None:
        self.probabilities = probabilities.copy()
        self.label_index = int(probabilities.argmax())
        self._evidence = np.zeros(len(probabilities), np.float32)

    def update(
        self, probabilities: NDArray[np.float32], elapsed_s: float, time_constant_s: float
    ) -> None:
        """Take in the probabilities of the next picture.

        Args:
            probabilities: (C,), of this picture alone; they sum to 1.
            elapsed_s: Time since the last picture with this face.
            time_constant_s: After this time the probabilities have gone 63 % of the way to a new
                value. 0 switches smoothing off.
        """
        if time_constant_s <= 0:
            self._start(probabilities)
            return
        weight = np.float32(1 - math.exp(-elapsed_s / time_constant_s))
        # A new array: the last one was given away.
        self.probabilities = self.probabilities + weight * (probabilities - self.probabilities)
        lead = probabilities - probabilities[self.label_index]
        self._evidence = np.maximum(self._evidence + weight * lead, 0)
        strongest = int(self._evidence.argmax())
        if self._evidence[strongest] > _EVIDENCE_NEEDED:
            self.label_index = strongest
            self._evidence[:] = 0
