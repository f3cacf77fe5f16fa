"""Valence and arousal: where an expression lies between unpleasant and pleasant, calm and excited.

They are the expected values of the coordinates of the seven classes under the probabilities. The
coordinates are the mean ratings of these words in J. A. Russell and A. Mehrabian, "Evidence for a
three-factor theory of emotions", Journal of Research in Personality 11 (1977), 273-294, on scales
from -1 to 1; neutral is the middle of both scales.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_VALENCE_AND_AROUSAL = {
    "angry": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "happy": (0.81, 0.51),
    "sad": (-0.63, -0.27),
    "surprise": (0.40, 0.67),
    "neutral": (0.0, 0.0),
}


def valence_and_arousal(
    labels: Sequence[str], probabilities: NDArray[np.float32]
) -> tuple[float, float]:
    """Return the valence and the arousal of an expression, both from -1 to 1.

    Args:
        labels: The C classes.
        probabilities: (C,), they sum to 1.

    Example:
        >>> valence_and_arousal(("happy", "neutral"), np.array([0.5, 0.5], np.float32))
        (0.405, 0.255)
    """
    coordinates = np.array([_VALENCE_AND_AROUSAL[label] for label in labels])
    valence, arousal = probabilities.astype(np.float64) @ coordinates
    return float(valence), float(arousal)
