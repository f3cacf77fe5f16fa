import json
from pathlib import Path

import pytest

index = pytest.importorskip("ament_index_python.packages", reason="needs ROS")

# Hashes of the original interfaces: equal hashes mean that both sides understand each other.
ORIGINAL_HASHES = {
    "BoundingBox2D": "RIHS01_008eacbb0cf8f26e83795547bed013eec3675485ef386ec056d80eaaf1c1ce2f",
    "Detection2D": "RIHS01_0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea",
    "Detection2DArray": "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "ObjectHypothesisWithPose": (
        "RIHS01_41c12344c0396c48b81df12467c192d99b2a0eb1463c5c37194e4223251c80bc"
    ),
}


@pytest.mark.parametrize("message", ORIGINAL_HASHES)
def test_type_hash_is_that_of_the_original(message: str) -> None:
    share = Path(index.get_package_share_directory("vision_msgs"))
    description = share / "msg" / f"{message}.json"
    if not description.exists():
        pytest.skip("ROS 2 before Iron has no type hashes")
    hashes = {
        entry["type_name"]: entry["hash_string"]
        for entry in json.loads(description.read_text())["type_hashes"]
    }
    assert hashes[f"vision_msgs/msg/{message}"] == ORIGINAL_HASHES[message]


def test_seven_hypotheses_of_a_detection() -> None:
    """The fields that the emotion node fills are there under their names."""
    msg = pytest.importorskip("vision_msgs.msg")
    detection = msg.Detection2D(id="face-1")
    detection.bbox.center.position.x = 10.5
    detection.bbox.center.theta = 0.25
    detection.bbox.size_x = 21.0
    for index_of_label in range(7):
        result = msg.ObjectHypothesisWithPose()
        result.hypothesis.class_id = str(index_of_label)
        result.hypothesis.score = index_of_label / 21
        detection.results.append(result)
    array = msg.Detection2DArray(detections=[detection])
    assert [r.hypothesis.class_id for r in array.detections[0].results] == list("0123456")
    assert array.detections[0].bbox.center.position.x == 10.5
