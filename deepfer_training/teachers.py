"""Targets from models that were trained before ("knowledge distillation").

Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531. Several
teachers answer together; a network can also be taught by itself (Furlanello et al. 2018,
arXiv:1805.04770).
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from deepfer_training.array_cache import cache_folder, read_arrays, write_arrays
from deepfer_training.batches import Arrays
from deepfer_training.config import HeadConfig
from deepfer_training.errors import ModelFileError, RunError
from deepfer_training.evaluation import order_outputs
from deepfer_training.inference import KerasPredictor, Predictor, load_keras_model, predict
from deepfer_training.model_files import ModelFile, describe_model_file
from deepfer_training.networks import faster_copy, finished_path

# Goes up when the answers to a picture are made differently, so that old ones are not found.
_LAYOUT = 2


def check_teachers(
    heads: Sequence[HeadConfig],
    teachers: Sequence[Path],
    *,
    unlabelled: bool = False,
    distributed: bool = False,
) -> None:
    """Check that teachers are given if and only if the recipe asks for them, and can be asked.

    Args:
        heads: The heads of the recipe.
        teachers: The teachers.
        unlabelled: Whether there are pictures without labels, which every head needs teachers for.
        distributed: Whether the training runs on several devices. Each of them would have to ask
            about its own part of a batch, which Keras' distribution has no way for.

    Raises:
        RunError: One is there without the other, or teachers cannot be asked there.
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
    seeing = [head.name for head in heads if head.sees_augmented]
    if distributed and seeing:
        raise RunError(
            f"The teachers of {', '.join(seeing)} answer to augmented pictures, which works on "
            "one device alone: take the teacher_view original, or leave out --distribute."
        )
    untaught = [head.name for head in heads if head.teacher_weight == 0]
    if unlabelled and untaught:
        raise RunError(
            "Pictures without labels are learned from the teachers alone, but the recipe gives "
            f"{', '.join(untaught)} no teacher_weight above 0."
        )


def add_teachers(
    targets: NDArray[np.float32],
    images: NDArray[np.uint8],
    head: HeadConfig,
    teachers: Sequence[Path],
) -> NDArray[np.float32]:
    """Return targets of which the teachers' answers are a share, float32 (N, C), rows sum to 1.

    A head whose teachers see augmented pictures keeps its targets; see `LiveTeachers`. Otherwise
    each teacher answers for each picture and its mirror image, and all answers are averaged. What
    a teacher answered is kept in the cache: other seeds, and resumed runs, need not ask it again.

    Args:
        targets: float32 (N, C), rows sum to 1.
        images: uint8 (N, H, W), grey, not augmented.
        head: The head to be taught.
        teachers: Bundles, or run folders that hold a model for this head.

    Raises:
        ModelFileError: A teacher has no model for this head, or it is damaged, has other labels,
            does not fit its bundle or gives no probabilities.
    """
    if head.teacher_weight == 0 or head.sees_augmented:
        return targets
    answers = ask_teachers(images, head, teachers)
    return (1 - head.teacher_weight) * targets + head.teacher_weight * answers


def ask_teachers(
    images: NDArray[np.uint8], head: HeadConfig, teachers: Sequence[Path]
) -> NDArray[np.float32]:
    """Return what the teachers answer together, float32 (N, C), rows sum to 1.

    Arguments and errors are those of `add_teachers`.
    """
    answers = np.sum([_answer(finished_path(folder, head), images) for folder in teachers], axis=0)
    return np.asarray(answers / answers.sum(axis=1, keepdims=True), np.float32)


class LiveTeachers:
    """Teachers that answer to augmented pictures while a network is trained.

    Of half of the pictures in a batch a teacher sees the mirror image instead, and the next
    teacher that of the other half. The mean answer to a picture and its mirror image is better
    than that to one of them, and over the epochs this teaches it at no cost.

    Args:
        heads: The heads; those whose teachers see augmented pictures are served.
        teachers: As for `add_teachers`.
        images: uint8 (N, H, W), at least one picture. Every teacher is tried out on the first one:
            a training that has begun must not end because of one.
        dtype_policy: Keras dtype policy that compact networks among them calculate with.

    Raises:
        ModelFileError: As `add_teachers`.
    """

    def __init__(
        self,
        heads: Sequence[HeadConfig],
        teachers: Sequence[Path],
        images: NDArray[np.uint8],
        dtype_policy: str = "float32",
    ) -> None:
        self._taught = [
            (
                position,
                head.teacher_weight,
                [_load_teacher(finished_path(folder, head), dtype_policy) for folder in teachers],
            )
            for position, head in enumerate(heads)
            if head.sees_augmented
        ]
        for _, _, predictors in self._taught:
            for teacher in predictors:
                predict(teacher, images[:1])

    def answer(
        self, batches: Iterator[tuple[NDArray[np.float32], Arrays, Arrays]]
    ) -> Iterator[tuple[NDArray[np.float32], Arrays, Arrays]]:
        """Yield batches with what the teachers answer to their pictures in the targets.

        Args:
            batches: See `batches.augmented_batches`.
        """
        for pictures, targets, weights in batches:
            mixed = list(targets)
            for position, weight, predictors in self._taught:
                images = pictures[..., 0].astype(np.uint8)
                answers = np.mean(
                    [
                        predict(teacher, _mirror_half(images, number))
                        for number, teacher in enumerate(predictors)
                    ],
                    axis=0,
                )
                mixed[position] = np.asarray(
                    (1 - weight) * targets[position] + weight * answers, np.float32
                )
            yield pictures, tuple(mixed), weights


def _mirror_half(images: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Return images (N, H, W) with the mirror images of those in even or in odd places."""
    seen = images.copy()
    seen[number % 2 :: 2] = images[number % 2 :: 2, :, ::-1]
    return seen


def _load_teacher(path: Path, dtype_policy: str = "float32") -> Predictor:
    model = faster_copy(load_keras_model(path), dtype_policy)
    return order_outputs(KerasPredictor(model, str(path)), describe_model_file(path))


def _answer(path: Path, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return a model's answers for pictures and mirror images added up, float32 (N, C).

    The classes are in the order of `fer2013.LABELS`, whatever the order of the model's outputs.

    Raises:
        ModelFileError: The model is missing or damaged, or none of these classes.
    """
    what, model = f"the answers of {path}", describe_model_file(path)
    cached = cache_folder("answers") / _name_of_answers(model, images)
    arrays = read_arrays(cached, what)
    if arrays is None:
        predictor = _load_teacher(path)
        answers = predict(predictor, images) + predict(predictor, images[:, :, ::-1])
        write_arrays(cached, what, answers=answers)
        return answers
    return np.asarray(arrays["answers"], np.float32)


def _name_of_answers(model: ModelFile, images: NDArray[np.uint8]) -> str:
    """Return a name that changes with everything that the answers depend on."""
    digest = hashlib.sha256()
    try:
        digest.update(model.path.read_bytes())
    except OSError as err:
        raise ModelFileError(f"Cannot read the teacher {model.path}: {err.strerror}.") from err
    digest.update(repr(model.labels).encode())
    digest.update(repr(images.shape).encode())
    digest.update(images.tobytes())
    # Another backend rounds differently, and two runs on one backend are to be the same.
    return f"answers-{digest.hexdigest()}-{keras.backend.backend()}-v{_LAYOUT}"
