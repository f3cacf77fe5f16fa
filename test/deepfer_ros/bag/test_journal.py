import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fake_extraction import make_face, numbered_picture
from fake_recognition import LABELS

from deepfer_ros.bag.errors import BagError
from deepfer_ros.bag.journal import Journal, Outcome
from deepfer_ros.bag.recording import RecordedImage

SETTINGS = {"model": "fake48", "topics": ("/image_raw",), "every": 1}


def image(index: int) -> RecordedImage:
    return RecordedImage(
        "/image_raw", index, index * 10, index / 1e8, 0, "", lambda: numbered_picture(0)
    )


def open_journal(path: Path) -> Journal:
    return Journal(path, SETTINGS, LABELS)


def fill(path: Path, count: int) -> list[Outcome]:
    """Write outcomes of none, one and two faces, and of images that were skipped."""
    third = (1 / 3, 1 / 7, 0.1, 0.1, 0.1, 0.1, 1 - 1 / 3 - 1 / 7 - 0.4)
    kinds = [
        Outcome(),
        Outcome((make_face("face1", third),)),
        Outcome((make_face("face1"), make_face("face2"))),
        Outcome(error="The encoding 'blue9' is unknown."),
    ]
    outcomes = [kinds[index % 4] for index in range(count)]
    journal = open_journal(path)
    for index, outcome in enumerate(outcomes):
        assert journal.recall(image(index)) is None
        journal.add(image(index), outcome)
    journal.close()
    return outcomes


def test_outcomes_come_back_exactly(tmp_path: Path) -> None:
    outcomes = fill(tmp_path / "journal", 8)
    journal = open_journal(tmp_path / "journal")
    for index, expected in enumerate(outcomes):
        found = journal.recall(image(index))
        assert found is not None
        assert found.error == expected.error
        for face, original in zip(found.faces, expected.faces, strict=True):
            assert face.face_id == original.face_id
            assert face.detection_confidence == original.detection_confidence
            assert face.probabilities.tobytes() == original.probabilities.tobytes()
            assert face.frame_probabilities.tobytes() == original.frame_probabilities.tobytes()
            assert face.box_xywh.tobytes() == original.box_xywh.tobytes()
            assert math.isnan(face.landmarks[0, 0])
            assert face.box_xywh.dtype == np.float32
    assert journal.recall(image(8)) is None
    journal.close()


@pytest.mark.parametrize("cut", [1, 2, 30])
def test_line_that_a_kill_cut_off_is_dropped(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "journal"
    fill(path, 3)
    path.write_bytes(path.read_bytes()[:-cut])
    journal = open_journal(path)
    assert journal.recall(image(0)) is not None
    assert journal.recall(image(1)) is not None
    assert journal.recall(image(2)) is None
    journal.add(image(2), Outcome())
    journal.close()
    journal = open_journal(path)
    assert [journal.recall(image(index)) is None for index in range(4)] == [False] * 3 + [True]
    journal.close()


def test_cut_off_before_the_first_line_was_whole(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    path.write_bytes(b'{"settings": {"mod')
    journal = open_journal(path)
    assert journal.recall(image(0)) is None
    journal.close()
    assert path.read_bytes().startswith(b'{"settings": {"model": "fake48"')


def test_other_settings_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "journal", 1)
    with pytest.raises(BagError, match=r"another every \(1, now 2\)"):
        Journal(tmp_path / "journal", {**SETTINGS, "every": 2}, LABELS)


def test_other_recording_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "journal", 1)
    journal = open_journal(tmp_path / "journal")
    with pytest.raises(BagError, match="not the one that the unfinished result began with"):
        journal.recall(replace(image(0), time_ns=5))
    journal.close()
