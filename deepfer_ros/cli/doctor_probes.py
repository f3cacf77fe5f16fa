"""The checks of `deepfer doctor`, each run in a Python process of its own.

    python -m deepfer_ros.cli.doctor_probes numpy

prints a `Finding` as JSON. A process of its own, because a broken installation may do anything
when it is imported: raise whatever it likes, crash, or hang. A probe therefore catches only what
it can explain better than Python's own last line.
"""

import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
import sys
from collections.abc import Callable
from dataclasses import asdict

from deepfer_ros.cli.doctor_finding import MISSING, OK, OPTIONAL, Finding
from deepfer_ros.cli.doctor_running import probe_nodes, probe_topics
from deepfer_ros.cli.doctor_session import probe_display, probe_recognition

_MESSAGE_PACKAGES = (
    "deepfer.msg",
    "deepfer.srv",
    "sensor_msgs.msg",
    "std_msgs.msg",
    "std_srvs.srv",
    "diagnostic_msgs.msg",
    "lifecycle_msgs.msg",
    "vision_msgs.msg",
)
_TRAINING_PACKAGES = ("tensorflow", "keras", "scikit-learn")


def probe_python() -> Finding:
    """Check the version of Python."""
    detail = f"{platform.python_version()}, {sys.executable}"
    if (3, 10) <= sys.version_info[:2] <= (3, 14):
        return Finding(OK, detail)
    return Finding(MISSING, detail, "deepfer is made for Python 3.10 to 3.14.")


def probe_numpy() -> Finding:
    """Check NumPy."""
    import numpy as np

    return Finding(OK, np.__version__)


def probe_opencv() -> Finding:
    """Check OpenCV."""
    import cv2

    wheels = sorted(set(importlib.metadata.packages_distributions().get("cv2", ())))
    if len(wheels) > 1:
        return Finding(
            OPTIONAL,
            f"{cv2.__version__}, from several wheels that overwrite each other: "
            + ", ".join(wheels),
            f"pip uninstall {' '.join(wheels)}; pip install opencv-python-headless",
        )
    return Finding(OK, cv2.__version__)


def probe_pillow() -> Finding:
    """Check Pillow, which reads image files."""
    import PIL

    return Finding(OK, PIL.__version__)


def probe_litert() -> Finding:
    """Check the engine that runs models."""
    importlib.import_module("ai_edge_litert.interpreter")
    return Finding(OK, importlib.metadata.version("ai-edge-litert"))


def probe_model() -> Finding:
    """Load and run the model that comes with deepfer."""
    from deepfer_ros.recognition.classifier import load_classifier
    from deepfer_ros.recognition.errors import ModelError
    from deepfer_ros.recognition.model_bundle import load_bundle

    try:
        bundle = load_bundle("deepfer48")
        load_classifier(bundle)
    except ModelError as err:
        return Finding(MISSING, str(err), "Install deepfer again, or give --model PATH.")
    return Finding(OK, f"{bundle.name}, {bundle.model_path}")


def probe_detectors() -> Finding:
    """Check which face detectors can be used."""
    from deepfer_ros.recognition.detection import detector_statuses
    from deepfer_ros.recognition.errors import DetectorError

    try:
        statuses = detector_statuses()
    except DetectorError as err:
        return Finding(MISSING, str(err), "Correct or unset DEEPFER_YUNET_FILE.")
    detail = "; ".join(
        f"{status.name}: {status.reason}"
        if status.available
        else f"{status.name} not available: {status.reason}"
        for status in statuses
    )
    if not any(status.available for status in statuses):
        return Finding(
            MISSING, detail, "Run 'deepfer fetch-detector', or: apt install opencv-data."
        )
    if not statuses[0].available:
        return Finding(
            OPTIONAL, detail, "'deepfer fetch-detector' gets the best one; the others work too."
        )
    return Finding(OK, detail)


def probe_ros() -> Finding:
    """Check rclpy and the middleware below it."""
    import rclpy

    distribution = os.environ.get("ROS_DISTRO") or "from wheels"
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    reach = [
        f"{name}={os.environ[name]}"
        for name in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_LOCALHOST_ONLY")
        if os.environ.get(name)
    ]
    parts = [distribution, rclpy.get_rmw_implementation_identifier(), f"ROS_DOMAIN_ID={domain}"]
    return Finding(OK, ", ".join(parts + reach))


def probe_messages() -> Finding:
    """Check the message packages."""
    advice = (
        "Build the workspace (colcon build, or 'make setup' in the repository) and source it "
        "(. install/setup.bash, or . scripts/env.sh)."
    )
    missing = []
    for name in _MESSAGE_PACKAGES:
        try:
            importlib.import_module(name)
        except ImportError as err:
            missing.append(f"{name} ({err})")
    if missing:
        return Finding(MISSING, f"not usable: {', '.join(missing)}", advice)
    _exchange_arrays()
    return Finding(OK, "deepfer, vision_msgs and the standard ones")


def _exchange_arrays() -> None:
    """Send NumPy arrays through a message: what breaks if ROS was built for another NumPy."""
    import numpy as np
    from rclpy.serialization import deserialize_message, serialize_message

    from deepfer.msg import Emotion, EmotionArray

    probabilities = np.full(7, 1 / 7, np.float32)
    message = EmotionArray(emotions=[Emotion(probabilities=probabilities)])
    returned = deserialize_message(serialize_message(message), EmotionArray)
    if not np.array_equal(returned.emotions[0].probabilities, probabilities):
        raise RuntimeError("a message came back changed")


def probe_transport() -> Finding:
    """Check that large images get through."""
    from deepfer_ros.transport import find_profile, transport_problems

    problems = transport_problems()
    if problems:
        return Finding(MISSING, problems[0], " ".join(problems[1:]))
    status = os.statvfs("/dev/shm")
    size = f"/dev/shm {status.f_blocks * status.f_frsize >> 20} MiB"
    profile = find_profile()
    if profile is None:
        return Finding(OK, size)
    return Finding(OK, f"large images pass, with {profile}; {size}")


def probe_webcam() -> Finding:
    """Look for a webcam that delivers a picture."""
    from deepfer_ros.camera_sources import CameraError, WebcamSource, list_webcams

    devices = list_webcams()
    if not devices:
        return Finding(OPTIONAL, "none", "Not needed: the source 'sample' works without one.")
    works, faults = [], []
    for device in devices:
        try:
            source = WebcamSource(device)
        except CameraError as err:
            faults.append(str(err))
            continue
        works.append(str(device))
        source.close()
    if works:
        return Finding(OK, f"{', '.join(works)}")
    return Finding(OPTIONAL, " ".join(faults), "The source 'sample' works without a webcam.")


def probe_sample() -> Finding:
    """Check the built-in sample."""
    from deepfer_ros.camera_sources import CameraError, read_sample_photograph

    try:
        height, width = read_sample_photograph().shape[:2]
    except CameraError as err:
        return Finding(OPTIONAL, str(err))
    return Finding(OK, f"photograph of {width}x{height} pixels")


def probe_training() -> Finding:
    """Look for what only training needs. Not imported: that takes many seconds."""
    present, missing = [], []
    for name in _TRAINING_PACKAGES:
        try:
            present.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(
            OPTIONAL,
            f"not installed: {', '.join(missing)}",
            "Only for train, evaluate, export and .keras models: pip install "
            "'deepfer[training]', or scripts/setup.sh --test in the repository.",
        )
    return Finding(OK, ", ".join(present))


PROBES: dict[str, tuple[Callable[[], Finding], str]] = {
    "python": (probe_python, ""),
    "numpy": (probe_numpy, "pip install numpy"),
    "opencv": (probe_opencv, "pip install opencv-python-headless"),
    "pillow": (probe_pillow, "pip install pillow"),
    "litert": (probe_litert, "pip install ai-edge-litert"),
    "model": (probe_model, ""),
    "detectors": (probe_detectors, ""),
    "recognition": (probe_recognition, "See what the lines above say."),
    "ros": (
        probe_ros,
        "Source ROS 2 (. /opt/ros/<distribution>/setup.bash), or run 'make setup' and "
        "'. scripts/env.sh' in the repository.",
    ),
    "messages": (
        probe_messages,
        "This ROS may have been built with another major version of NumPy: "
        "pip install 'numpy<2' in your environment.",
    ),
    "transport": (probe_transport, ""),
    "webcam": (probe_webcam, ""),
    "sample": (probe_sample, ""),
    "nodes": (probe_nodes, ""),
    "topics": (probe_topics, ""),
    "display": (probe_display, ""),
    "training": (probe_training, ""),
}
"""Every check by name, in the order of the report, and what to do if it breaks down."""


def main(name: str) -> None:
    """Run one check and print what it found as one line of JSON."""
    # On a line of its own: libraries may have written to standard output before.
    print(f"\n{json.dumps(asdict(PROBES[name][0]()))}")


if __name__ == "__main__":
    main(sys.argv[1])
