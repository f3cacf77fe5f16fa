import json
import os
from pathlib import Path

import pytest
from bag_files import TYPESTORE

from deepfer_ros.bag import definitions
from deepfer_ros.bag.errors import BagError

# Of the original vision_msgs.
VISION_HASHES = {
    "Detection2DArray": "RIHS01_214274120007f4a683866481336b70310268cfa107aebe9d594a6acf75bda968",
    "Detection2D": "RIHS01_0d12b69df5c593b3455b7346fac8205437a7d4bcb09b9e0e0b2dde787ded38ea",
}


def built_hash(name: str) -> str:
    """Return the type hash that the ROS build has computed."""
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        path = Path(prefix, "share/deepfer/msg", f"{name}.json")
        if path.is_file():
            hashes = json.loads(path.read_text())["type_hashes"]
            return str(
                next(
                    entry["hash_string"]
                    for entry in hashes
                    if entry["type_name"] == f"deepfer/msg/{name}"
                )
            )
    pytest.skip("the ROS package is not built, or by a ROS that has no type hashes")


@pytest.mark.parametrize("name", ["Emotion", "EmotionArray"])
def test_hash_is_that_of_the_built_package(name: str) -> None:
    assert TYPESTORE.hash_rihs01(f"deepfer/msg/{name}") == built_hash(name)


@pytest.mark.parametrize("name", VISION_HASHES)
def test_hash_is_that_of_vision_msgs(name: str) -> None:
    assert TYPESTORE.hash_rihs01(f"vision_msgs/msg/{name}") == VISION_HASHES[name]


def test_definitions_that_are_not_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(definitions, "__file__", str(tmp_path / "definitions.py"))
    with pytest.raises(BagError, match="not installed"):
        definitions.find_definitions_folder()
