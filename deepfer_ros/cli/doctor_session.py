"""Checks of `deepfer doctor`: how well and how fast it works here, and whether RViz can."""

import os
import shutil
import statistics
import time
from collections.abc import Mapping

from deepfer_ros.cli.doctor_finding import OK, OPTIONAL, PROBLEM, Finding

_RUNS = 5
_SLOW_S = 0.1
_EXPECTED = "happy"


def probe_recognition() -> Finding:
    """Recognize the smiling face of the sample photograph, and say how long that takes."""
    from deepfer_ros.camera_sources import CameraError, read_sample_photograph
    from deepfer_ros.recognition.classifier import load_classifier
    from deepfer_ros.recognition.detection import load_detector
    from deepfer_ros.recognition.model_bundle import load_bundle
    from deepfer_ros.recognition.recognizer import EmotionRecognizer

    try:
        image_bgr = read_sample_photograph()
    except CameraError as err:
        return Finding(OPTIONAL, f"not tried: {err}")
    recognizer = EmotionRecognizer(
        load_detector("auto"), load_classifier(load_bundle("deepfer48"))
    )
    faces = recognizer.recognize(image_bgr)
    times_s = []
    for _ in range(_RUNS):
        start_s = time.perf_counter()
        recognizer.recognize(image_bgr)
        times_s.append(time.perf_counter() - start_s)
    found = [(face.emotion, face.confidence) for face in faces]
    return judge_recognition(found, statistics.median(times_s), os.getloadavg()[0])


def judge_recognition(found: list[tuple[str, float]], duration_s: float, load: float) -> Finding:
    """Return the finding for what was recognized in the sample photograph.

    Args:
        found: Label and probability of every face; the photograph has one, which smiles.
        duration_s: How long one recognition took.
        load: How many processes were waiting for a processor on average.
    """
    faces = ", ".join(f"{label} {confidence:.2f}" for label, confidence in found) or "no face"
    detail = f"sample photograph: {faces}; {duration_s * 1000:.0f} ms a picture"
    if [label for label, _ in found] != [_EXPECTED]:
        return Finding(
            PROBLEM,
            f"{detail}; it shows one {_EXPECTED} face",
            "Model or detector is damaged: install deepfer again, then 'deepfer fetch-detector'."
            if found
            else "The detector finds nothing: try another one (detector:=haar).",
        )
    if duration_s > _SLOW_S:
        return Finding(
            OPTIONAL,
            f"{detail}; load {load:.1f} on {os.cpu_count()} processors",
            "That is slow. See what else runs, and 'It is slow' in docs/troubleshooting.md.",
        )
    return Finding(OK, detail)


def probe_display() -> Finding:
    """Check whether RViz can open a window here."""
    return judge_display(os.environ, has_rviz=shutil.which("rviz2") is not None)


def judge_display(environment: Mapping[str, str], *, has_rviz: bool) -> Finding:
    """Return the finding for the variables that name the display."""
    if not has_rviz:
        return Finding(
            OPTIONAL,
            "RViz is not installed",
            "Only for rviz:=true: apt install ros-$ROS_DISTRO-rviz2.",
        )
    x11, wayland = environment.get("DISPLAY"), environment.get("WAYLAND_DISPLAY")
    if not (x11 or wayland):
        return Finding(
            OPTIONAL,
            "no display: RViz cannot open a window",
            "Start it in a desktop session, or with 'ssh -X'.",
        )
    if not x11:
        return Finding(
            OPTIONAL, "Wayland without X11: RViz needs X11", "Install and start Xwayland."
        )
    platform = environment.get("QT_QPA_PLATFORM", "")
    if wayland and platform != "xcb":
        return Finding(
            OPTIONAL,
            f"Wayland, QT_QPA_PLATFORM={platform or 'unset'}: RViz may crash or stay black",
            "export QT_QPA_PLATFORM=xcb",
        )
    return Finding(OK, f"DISPLAY={x11}" + (f", QT_QPA_PLATFORM={platform}" if platform else ""))
