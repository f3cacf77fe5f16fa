import numpy as np
import pytest

from deepfer_training.vote_ceiling import estimate_vote_ceiling


def test_voters_who_agree_would_agree_again() -> None:
    votes = np.zeros((5, 10), np.int64)
    votes[:, 1] = 10

    ceiling = estimate_vote_ceiling(votes)

    assert ceiling is not None
    assert ceiling.to_json() == {"majority": 1.0, "strict_majority": 1.0}


def test_divided_voters_cannot_be_foretold() -> None:
    votes = np.zeros((2000, 10), np.int64)
    votes[:, :2] = [6, 4]

    ceiling = estimate_vote_ceiling(votes)

    # Of ten voters, each for neutral with a probability of 0.6, at least five are with 0.834: of a
    # tie the first column counts. A strict majority is more than five: 0.633 against 0.166.
    assert ceiling is not None
    assert ceiling.majority == pytest.approx(0.834, abs=0.005)
    assert ceiling.strict_majority == pytest.approx(0.633 / (0.633 + 0.166), abs=0.005)
    assert ceiling == estimate_vote_ceiling(votes)


def test_without_a_majority_there_is_no_ceiling() -> None:
    votes = np.zeros((3, 10), np.int64)
    votes[:2, 9] = 10  # not a face

    assert estimate_vote_ceiling(votes) is None
    assert estimate_vote_ceiling(votes[:0]) is None
