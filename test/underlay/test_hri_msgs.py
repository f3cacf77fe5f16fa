import json
from pathlib import Path

import pytest

index = pytest.importorskip("ament_index_python.packages", reason="needs ROS")

# Hashes of the original interfaces (hri_msgs 2.0.0; by its changelog, 2.3.2 has changed none of
# these): equal hashes mean that both sides understand each other.
ORIGINAL_HASHES = {
    "Expression": "RIHS01_411b88e0604397d44775d8ec6a4bc69398fb0dfbfe864c33a40fa99ee85f1b00",
    "FacialLandmarks": "RIHS01_f1d6b0ba159f4d6be1632e5dfc9cb79ce5e35da73888da2a4789bd9b35112a63",
    "IdsList": "RIHS01_7e0812d1ac945c98fd3e393568d581ad0ab567f37b24eff633eab778c1bfe62d",
    "NormalizedPointOfInterest2D": (
        "RIHS01_cc1d2f720c82afeb850ff1dbf66f41ecb7caf19f842987f1247e66160cf03953"
    ),
    "NormalizedRegionOfInterest2D": (
        "RIHS01_2e50c93f1ca166ee77af9a5424dc951ae4e452b740162a7f83c082d917dcaff5"
    ),
}
# Constants are no part of a hash.
ORIGINAL_CONSTANTS = {
    "Expression": {
        "NEUTRAL": "neutral",
        "ANGRY": "angry",
        "SAD": "sad",
        "HAPPY": "happy",
        "SURPRISED": "surprised",
        "DISGUSTED": "disgusted",
        "SCARED": "scared",
    },
    "FacialLandmarks": {
        "NOSE": 30,
        "MOUTH_OUTER_RIGHT": 48,
        "MOUTH_OUTER_LEFT": 54,
        "RIGHT_PUPIL": 68,
        "LEFT_PUPIL": 69,
    },
}


@pytest.mark.parametrize("message", ORIGINAL_HASHES)
def test_type_hash_is_that_of_the_original(message: str) -> None:
    pytest.importorskip("hri_msgs.msg")
    share = Path(index.get_package_share_directory("hri_msgs"))
    description = share / "msg" / f"{message}.json"
    if not description.exists():
        pytest.skip("ROS 2 before Iron has no type hashes")
    hashes = {
        entry["type_name"]: entry["hash_string"]
        for entry in json.loads(description.read_text())["type_hashes"]
    }
    assert hashes[f"hri_msgs/msg/{message}"] == ORIGINAL_HASHES[message]


@pytest.mark.parametrize("message", ORIGINAL_CONSTANTS)
def test_constants_are_those_of_the_original(message: str) -> None:
    message_type = getattr(pytest.importorskip("hri_msgs.msg"), message)
    expected = ORIGINAL_CONSTANTS[message]
    assert {name: getattr(message_type, name) for name in expected} == expected
