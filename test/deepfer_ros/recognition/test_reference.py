"""The answers of the core stay what they were: no gain of speed may cost quality unseen.

The tolerances leave room for other processors and other versions of OpenCV, no more.
"""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from box_overlap import intersection_over_union
from numpy.typing import NDArray
from recognition_reference import (
    DETECTORS,
    MODEL_FILES,
    REFERENCE_PATH,
    make_pictures,
    model_sha256,
    recognize_all,
)

from deepfer_ros.recognition.detection import detector_statuses

PLACE_TOLERANCE = 0.05
"""Of a box's corners and landmarks, as a share of the box's longer side."""
SEARCHED_SIDE_PX = 320
STEPS_PX = {"yunet": 0.0, "libfacedetection": 0.0, "haar": 2.1}
"""Steps in which a detector moves and sizes its boxes, in pixels of the copy that it searches: a
grey level that is rounded otherwise may cost one step."""
CONFIDENCE_TOLERANCE = 0.05
PROBABILITY_TOLERANCE = 0.05

RECORD = "python test/support/recognition_reference.py"

Faces = list[dict[str, Any]]


@pytest.fixture(scope="module")
def reference() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads(REFERENCE_PATH.read_text(encoding="utf-8"))
    return recorded


@pytest.fixture(scope="module")
def yunet_file(request: pytest.FixtureRequest, detector: str) -> Path | None:
    return request.getfixturevalue("yunet_path") if detector == "yunet" else None


@pytest.fixture(scope="module", params=DETECTORS)
def detector(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module", params=MODEL_FILES)
def answers(
    request: pytest.FixtureRequest,
    reference: dict[str, Any],
    detector: str,
    yunet_file: Path | None,
) -> tuple[dict[str, Faces], dict[str, Faces]]:
    """What the core says now, and what it said."""
    (status,) = (entry for entry in detector_statuses(yunet_file) if entry.name == detector)
    if not status.available:
        pytest.skip(f"{detector}: {status.reason}")
    file = request.param
    if reference["models"][file] != model_sha256(file):
        pytest.fail(f"{file} is another model than the recorded one; if it is good: {RECORD}")
    return recognize_all(detector, file, yunet_file), reference["answers"][detector][file]


@pytest.mark.parametrize("picture", sorted(make_pictures()))
def test_answers_are_those_that_were_recorded(
    answers: tuple[dict[str, Faces], dict[str, Faces]], detector: str, picture: str
) -> None:
    now, before = answers[0][picture], answers[1][picture]
    assert len(now) == len(before)
    if not before:
        return
    overlap = intersection_over_union(_column(now, "box_xywh"), _column(before, "box_xywh"))
    partners = overlap.argmax(axis=1)
    assert sorted(partners) == list(range(len(before)))
    before = [before[partner] for partner in partners]
    step_px = STEPS_PX[detector] * max(make_pictures()[picture].shape) / SEARCHED_SIDE_PX
    size_px = _column(before, "box_xywh")[:, 2:].max()
    for name in ("box_xywh", "landmarks"):
        np.testing.assert_allclose(
            _column(now, name),
            _column(before, name),
            rtol=0,
            atol=max(PLACE_TOLERANCE * size_px, step_px),
        )
    for name, tolerance in (
        ("confidence", CONFIDENCE_TOLERANCE),
        ("probabilities", PROBABILITY_TOLERANCE),
    ):
        np.testing.assert_allclose(
            _column(now, name), _column(before, name), rtol=0, atol=tolerance
        )


def test_both_files_of_the_network_give_the_same_answers(reference: dict[str, Any]) -> None:
    """The weights of libfacedetection are YuNet's, rounded."""
    yunet, library = (reference["answers"][name] for name in ("yunet", "libfacedetection"))
    for file, picture in itertools.product(MODEL_FILES, make_pictures()):
        own, other = yunet[file][picture], library[file][picture]
        assert len(own) == len(other)
        if own:
            overlap = intersection_over_union(_column(own, "box_xywh"), _column(other, "box_xywh"))
            partners = [other[partner] for partner in overlap.argmax(axis=1)]
            assert overlap.max(axis=1).min() > 0.98
            for name in ("confidence", "probabilities"):
                np.testing.assert_allclose(
                    _column(own, name), _column(partners, name), rtol=0, atol=0.005
                )


def test_the_pictures_show_faces(reference: dict[str, Any]) -> None:
    """A reference of empty answers would compare nothing."""
    for detector in DETECTORS:
        for answers in reference["answers"][detector].values():
            assert set(answers) == set(make_pictures())
            assert sum(map(len, answers.values())) >= 9
            assert answers["noise"] == []


def _column(faces: Faces, name: str) -> NDArray[np.float32]:
    """Return one entry of all faces; None becomes NaN."""
    return np.array([face[name] for face in faces], np.float32)
