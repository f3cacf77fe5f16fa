"""Tests of the pictures that are measured."""

import numpy as np
import pytest

from deepfer_ros.bench.frames import FACE_COUNTS, FRAME_COUNT, SIZES_WH, make_frames
from deepfer_ros.recognition.detection import load_detector


@pytest.mark.parametrize("size_wh", SIZES_WH, ids=str)
@pytest.mark.parametrize("faces", FACE_COUNTS)
def test_the_detector_finds_just_these_faces(size_wh: tuple[int, int], faces: int) -> None:
    frames = make_frames(size_wh, faces)
    assert frames.size_wh == size_wh
    detector = load_detector()
    if detector.name == "haar" and faces == 16:
        pytest.skip("the Haar cascade finds no faces as small as these")
    assert {len(detector.detect(image)) for image in frames.images_bgr} == {faces}


def test_frames_differ_and_repeat() -> None:
    first, second = make_frames((640, 480), 1), make_frames((640, 480), 1)
    assert len(first.images_bgr) == FRAME_COUNT
    assert all(map(np.array_equal, first.images_bgr, second.images_bgr))
    assert not np.array_equal(first.images_bgr[0], first.images_bgr[1])


def test_a_size_that_is_no_multiple() -> None:
    (image, *_) = make_frames((323, 243), 4).images_bgr
    assert image.shape == (243, 323, 3)
    assert image.dtype == np.uint8


def test_a_number_of_faces_that_cannot_be_tiled() -> None:
    with pytest.raises(ValueError, match=r"one of \(1, 4, 16\), got 3"):
        make_frames((640, 480), 3)
