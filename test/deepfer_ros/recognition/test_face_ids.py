import re

from deepfer_ros.recognition.face_ids import FaceIds


def test_ids_have_the_form_of_rep_155() -> None:
    ids = FaceIds()
    assert all(re.fullmatch("[a-z]{5}", ids.new()) for _ in range(1000))


def test_no_id_comes_twice() -> None:
    ids = FaceIds()
    assert len({ids.new() for _ in range(100_000)}) == 100_000


def test_every_source_begins_elsewhere() -> None:
    assert len({FaceIds().new() for _ in range(20)}) == 20


def test_deterministic_ids_are_counted() -> None:
    ids = FaceIds(deterministic=True)
    assert [ids.new() for _ in range(3)] == ["face1", "face2", "face3"]
