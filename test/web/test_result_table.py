import csv
import io

import pytest
from web_server import LABELS, fake_face

from deepfer_ros.face_json import face_to_json
from deepfer_ros.web.result_table import to_csv

FACE = {"face_id": None, **face_to_json(fake_face())}


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_picture_has_a_row_for_each_face() -> None:
    table = rows(to_csv({"path": "a.jpg", "faces": [FACE, FACE]}, LABELS))
    assert [row["face"] for row in table] == ["0", "1"]
    first = table[0]
    assert (first["path"], first["time_s"], first["face_id"]) == ("a.jpg", "", "")
    assert [first[name] for name in ("x", "y", "width", "height")] == [
        "40.0",
        "30.0",
        "60.0",
        "80.0",
    ]
    assert (first["emotion"], first["confidence"], first["happy"]) == ("happy", "0.7", "0.7")
    assert set(LABELS) <= first.keys()


def test_no_face_is_a_table_with_a_head_alone() -> None:
    text = to_csv({"path": "a.jpg", "faces": []}, LABELS)
    assert rows(text) == []
    assert text.startswith("path,time_s,face,")


def test_a_video_has_the_times_and_the_ids() -> None:
    tracked = {**FACE, "face_id": "7"}
    frames = [{"time_s": 0.0, "faces": [tracked]}, {"time_s": 0.2, "faces": [tracked, tracked]}]
    table = rows(to_csv({"path": "a.mp4", "frames": frames}, LABELS))
    assert [(row["time_s"], row["face_id"]) for row in table] == [
        ("0.0", "7"),
        ("0.2", "7"),
        ("0.2", "7"),
    ]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@a", "\ta"])
def test_a_name_is_no_formula(name: str) -> None:
    table = rows(to_csv({"path": name, "faces": [FACE]}, LABELS))
    assert table[0]["path"] == f"'{name}"


def test_names_with_commas_quotes_and_lines_stay_whole() -> None:
    name = 'a,"b"\nc.jpg'
    assert rows(to_csv({"path": name, "faces": [FACE]}, LABELS))[0]["path"] == name
