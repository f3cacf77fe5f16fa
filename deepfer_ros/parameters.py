"""The parameters of the emotion node."""

import os
import re
from dataclasses import dataclass

from deepfer_ros.parameter_table import find_rate_fault, parameter
from deepfer_ros.recognition.detection import DETECTOR_NAMES

IMAGE_TRANSPORTS = ("raw", "compressed")

# Topics of a camera have longer names, and those of a middleware end at about 250 letters.
_LONGEST_CAMERA_NAME = 100
_CAMERA_NAME = re.compile(r"[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)


def _find_name_fault(names: tuple[str, ...]) -> str | None:
    """Say what camera names must be and are not."""
    wrong = [name for name in names if name and not _CAMERA_NAME.fullmatch(name)]
    if wrong:
        return (
            "hold names of letters, digits, '_' and '/' of which no part begins with a digit, "
            f"got '{wrong[0]}'"
        )
    longest = max(names, key=len, default="")
    if len(longest) > _LONGEST_CAMERA_NAME:
        return (
            f"hold names of at most {_LONGEST_CAMERA_NAME} letters, got one of {len(longest)}: "
            f"'{longest:.30}…'"
        )
    if len(set(names)) < len(names):
        return f"hold every name once, got [{', '.join(names)}]"
    return None


def _find_cameras_fault(names: tuple[str, ...]) -> str | None:
    if not names:
        return "name at least one camera; an empty name is the node's own namespace"
    return _find_name_fault(names)


def _find_folder_fault(path: str) -> str | None:
    # Not pathlib, which raises for a name that is too long or a folder that may not be entered.
    if not path or (os.path.isabs(path) and os.path.isdir(path)):
        return None
    return (
        "be empty or the absolute path of a folder that exists and that this user may enter, "
        f"got '{path:.200}'"
    )


@dataclass(frozen=True, slots=True)
class EmotionParameters:
    """A snapshot of the parameters of the emotion node. Each field is described by its own entry.

    Locked ones are in use while the node is configured; the others take effect on the next frame.
    """

    autostart: bool = parameter(
        True,
        "Configure and activate the node as soon as it starts. False leaves that to a lifecycle "
        "manager.",
        read_only=True,
    )
    model: str = parameter(
        "deepfer48",
        "Name of a model that comes with deepfer, or the path of a bundle folder or of a .tflite "
        "or .keras file inside one.",
        locked=True,
    )
    detector: str = parameter(
        "auto",
        "Face detector; auto takes the best that is present.",
        choices=DETECTOR_NAMES,
        locked=True,
    )
    yunet_file: str = parameter(
        "",
        "Path of the ONNX file of the detector yunet. Empty: the cache folder is searched.",
        locked=True,
    )
    detection_max_side_px: int = parameter(
        320,
        "Faces are searched in a copy of the image reduced to this longer side. 320 finds faces "
        "from a thirty-second of the longer side on, 640 from a sixty-fourth on in three to four "
        "times the time, 160 from a sixteenth on in a third to a half.",
        limits=(64, 4096),
        locked=True,
    )
    detection_min_confidence: float = parameter(
        0.6, "Detections less sure than this are no faces.", limits=(0.01, 1.0), locked=True
    )
    inference_threads: int = parameter(
        1, "Threads that each network may use: detector, classifier.", limits=(1, 64), locked=True
    )
    deterministic_ids: bool = parameter(
        False, "Number the faces in order instead of giving them random ids.", locked=True
    )
    cameras: tuple[str, ...] = parameter(
        ("",),
        "Names of the cameras. A name begins the topics of its camera: front reads "
        "front/image_raw and publishes front/emotions. An empty one is the node's own namespace.",
        locked=True,
        check=_find_cameras_fault,
    )
    on_demand_cameras: tuple[str, ...] = parameter(
        ("",),
        "Those of the cameras that come and go, such as the webcam of a browser: their silence "
        "is no fault. Empty names do not count.",
        locked=True,
        check=_find_name_fault,
    )
    image_transport: str = parameter(
        "raw",
        "raw subscribes to image_raw, compressed to image_raw/compressed.",
        choices=IMAGE_TRANSPORTS,
        locked=True,
    )
    publish_ros4hri: bool = parameter(
        False,
        "Publish the faces as ROS4HRI (REP-155) wants them, below /humans/faces. Needs the "
        "package hri_msgs.",
        locked=True,
    )
    min_confidence: float = parameter(
        0.0, "An emotion less probable than this is reported as unknown.", limits=(0.0, 1.0)
    )
    smoothing_s: float = parameter(
        0.3,
        "Time constant over which the probabilities of a tracked face are smoothed. 0 switches "
        "smoothing off.",
        limits=(0.0, 60.0),
    )
    max_rate_hz: float = parameter(
        0.0,
        "Process at most this many images a second. 0 means every one.",
        limits=(0.0, 1000.0),
        check=find_rate_fault,
    )
    jpeg_quality: int = parameter(90, "Quality of the annotated JPEG images.", limits=(1, 100))
    max_pixels: int = parameter(
        50_000_000, "Images with more pixels are refused.", limits=(1, 1_000_000_000)
    )
    image_root: str = parameter(
        "",
        "If set, classify_image reads files inside this folder only. Empty: any file.",
        check=_find_folder_fault,
    )
    image_timeout_s: float = parameter(
        5.0,
        "Warn when no image has arrived for this long. 0 switches the warning off.",
        limits=(0.0, 3600.0),
    )

    def find_conflict(self) -> str | None:
        """Say what is strange about these values together, each of them all right."""
        strangers = set(self.on_demand_cameras) - {"", *self.cameras}
        if not strangers:
            return None
        return (
            f"on_demand_cameras names '{min(strangers)}', which is none of the cameras "
            f"({', '.join(self.cameras)})."
        )
