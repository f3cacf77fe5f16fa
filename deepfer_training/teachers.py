"""Targets from models that were trained before ("knowledge distillation").

Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531. Several
teachers answer together; a network can also be taught by itself (Furlanello et al. 2018,
arXiv:1805.04770).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfer_training.config import HeadConfig
from deepfer_training.errors import RunError
from deepfer_training.inference import KerasPredictor, predict
from deepfer_training.networks import head_path


def check_teachers(heads: Sequence[HeadConfig], teachers: Sequence[Path]) -> None:
    """Check that teachers are given if and only if the recipe asks for them.

    Raises:
        RunError: One is there without the other.
    """
    taught = [head.name for head in heads if head.teacher_weight > 0]
    if taught and not teachers:
        raise RunError(
            f"The recipe gives {', '.join(taught)} a teacher_weight, but no teacher was named: "
            "add --teacher RUN, once or several times."
        )
    if teachers and not taught:
        raise RunError(
            "Teachers were named, but no head of the recipe has a teacher_weight above 0."
        )


def add_teachers(
    targets: NDArray[np.float32],
    images: NDArray[np.uint8],
    head: HeadConfig,
    teachers: Sequence[Path],
) -> NDArray[np.float32]:
    """Return targets of which the teachers' answers are a share, float32 (N, C), rows sum to 1.

    Each teacher answers for each picture and its mirror image, and all answers are averaged.

    Args:
        targets: float32 (N, C), rows sum to 1.
        images: uint8 (N, H, W), grey, not augmented.
        head: The head to be taught.
        teachers: Run folders that hold a model for this head.

    Raises:
        ModelFileError: A teacher has no model for this head, or it is damaged.
    """
    if head.teacher_weight == 0:
        return targets
    answers = np.zeros_like(targets)
    for folder in teachers:
        predictor = KerasPredictor(head_path(folder, head))
        for pictures in (images, images[:, :, ::-1]):
            answers += predict(predictor, pictures)
    answers /= answers.sum(axis=1, keepdims=True)
    return np.asarray(
        (1 - head.teacher_weight) * targets + head.teacher_weight * answers, np.float32
    )
