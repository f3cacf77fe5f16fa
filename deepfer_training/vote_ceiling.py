"""How right a model can be about what ten people see, if ten other people are asked again."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deepfer_training.fer2013 import majority_of_votes, strict_majority_of_votes

_RESAMPLES = 100


@dataclass(frozen=True, slots=True)
class VoteCeiling:
    """Accuracy of somebody who knows how the voters' answers are distributed.

    Attributes:
        majority: Against the FER+ majority of newly drawn votes.
        strict_majority: The same by the rules of FER+'s authors; see `strict_majority_of_votes`.
    """

    majority: float
    strict_majority: float

    def to_json(self) -> dict[str, Any]:
        """Return the accuracies as JSON can hold them."""
        return {
            "majority": round(self.majority, 6),
            "strict_majority": round(self.strict_majority, 6),
        }


def estimate_vote_ceiling(votes: NDArray[np.int64]) -> VoteCeiling | None:
    """Estimate how often the most frequent answer is that of as many newly asked people.

    A parametric bootstrap: the votes of a picture are taken for the shares of all people who
    would give each answer, and as many votes are drawn from them again. The answer to be judged
    is the majority of the votes that there are. As in an evaluation, pictures whose new votes have
    no majority for one of the seven classes are left out.

    The true ceiling is lower: ten votes look more united than the people they were drawn from,
    and the answer to be judged is of the very votes that the new ones are drawn from.

    Args:
        votes: int64 (N, 10), in FER+ column order.

    Returns:
        The accuracies, the same in every call, or None where no picture has a majority.
    """
    majority = majority_of_votes(votes)
    rows = majority >= 0
    if not rows.any():
        return None
    counts = votes[rows].sum(axis=1)
    shares, answers = votes[rows] / counts[:, np.newaxis], majority[rows]
    rng = np.random.default_rng(0)
    found: list[tuple[float, float]] = []
    for _ in range(_RESAMPLES):
        drawn = rng.multinomial(counts, shares)
        found.append(
            (
                _agreement(answers, majority_of_votes(drawn)),
                _agreement(answers, strict_majority_of_votes(drawn)),
            )
        )
    plurality, strict = np.mean(found, axis=0)
    return VoteCeiling(float(plurality), float(strict))


def _agreement(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    counted = labels >= 0
    return float(np.mean(answers[counted] == labels[counted])) if counted.any() else 0.0
