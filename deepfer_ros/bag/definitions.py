"""The message types of bags: those of ROS 2, and ours from the same files that ROS builds."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING

from deepfer_ros.bag.errors import BagError

if TYPE_CHECKING:
    from rosbags.typesys.store import Typestore

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
EMOTION_ARRAY = "deepfer/msg/EmotionArray"
DETECTION_ARRAY = "vision_msgs/msg/Detection2DArray"

# Of the folder that holds "msg" and "underlay": in the repository its root, once installed
# share/deepfer.
_PACKAGES = {"deepfer": Path("msg"), "vision_msgs": Path("underlay/vision_msgs/msg")}


@functools.cache
def load_typestore() -> "Typestore":
    """Return the types of ROS 2, with those of deepfer and vision_msgs.

    Raises:
        BagError: Our definitions are not installed.
    """
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    root = find_definitions_folder()
    typestore = get_typestore(Stores.LATEST)
    types = {}
    for package, folder in _PACKAGES.items():
        for path in sorted((root / folder).glob("*.msg")):
            name = f"{package}/msg/{path.stem}"
            types.update(get_types_from_msg(path.read_text(encoding="utf-8"), name))
    typestore.register(types)
    return typestore


def find_definitions_folder() -> Path:
    """Return the folder with the message definitions.

    A source tree and a symbolic-link installation have it beside the Python package; other
    installations have it under `share/deepfer` of the prefix.

    Raises:
        BagError: They are not installed.
    """
    for parent in Path(__file__).resolve().parents:
        for candidate in (parent / "share" / "deepfer", parent):
            if all(any((candidate / path).glob("*.msg")) for path in _PACKAGES.values()):
                return candidate
    raise BagError("The definitions of deepfer's messages are not installed; install it again.")
