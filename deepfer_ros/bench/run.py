"""Run the sections of the benchmark and collect what they measured."""

import dataclasses
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from deepfer_ros import __version__
from deepfer_ros.bench.detection_reach import measure_reach
from deepfer_ros.bench.frames import FACE_COUNTS, SIZES_WH, FrameSet, make_frames
from deepfer_ros.bench.machine import Limits, describe_machine, measure_limits
from deepfer_ros.bench.recognition_speed import measure_recognition
from deepfer_ros.bench.sections import SECTIONS
from deepfer_ros.bench.stages import measure_stages, recognition_stages
from deepfer_ros.bench.timing import Timing
from deepfer_ros.recognition.classifier import load_classifier
from deepfer_ros.recognition.detection import load_detector
from deepfer_ros.recognition.model_bundle import load_bundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.tracking import FaceTracker

if TYPE_CHECKING:
    from deepfer_ros.bench.node_speed import NodeLoad, NodeParameters, NodeSpeed

_ROS_SECTIONS = frozenset({"messages", "node", "cameras", "flood", "soak"})
_SOAK_WINDOWS = 10
_FLOOD_RATE_HZ = 400.0
_SOAK_RATE_HZ = 120.0
_CAMERA_RATE_HZ = 30.0
_CAMERA_COUNTS = (1, 2, 3, 4)
_IMPORT_REPEATS = 5

Results = dict[str, Any]
Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What is measured, and how long.

    Attributes:
        sections: Some of `SECTIONS`.
        left_out: Sections that were wished for and cannot be measured, with the reason.
        model: Name or path of the model.
        detector: Name of the detector.
        sizes_wh: Widths and heights of the frames, in pixels.
        face_counts: Numbers of faces in the frames.
        camera_counts: Numbers of cameras that the node serves.
        seconds: Time for each single figure of the sections without ROS.
        node_seconds: Time for each figure of the node.
        soak_seconds: Time of the soak.
    """

    sections: tuple[str, ...]
    left_out: dict[str, str]
    model: str
    detector: str
    sizes_wh: tuple[tuple[int, int], ...]
    face_counts: tuple[int, ...]
    camera_counts: tuple[int, ...]
    seconds: float
    node_seconds: float
    soak_seconds: float


def plan_bench(
    only: Iterable[str] = (),
    *,
    quick: bool = False,
    model: str = "deepfer48",
    detector: str = "auto",
    soak_seconds: float = 120.0,
) -> BenchPlan:
    """Decide what is measured.

    Args:
        only: The sections to measure; empty for all but the soak.
        quick: Measure the smallest frames only, and not for long.
        model: Name or path of the model.
        detector: Name of the detector.
        soak_seconds: Time of the soak.
    """
    wished = tuple(name for name in SECTIONS if name in set(only)) or SECTIONS[:-1]
    missing = find_spec("rclpy") is None or find_spec("deepfer") is None
    left_out = {
        name: "ROS 2 with deepfer's messages is not on the path"
        for name in wished
        if missing and name in _ROS_SECTIONS
    }
    return BenchPlan(
        sections=tuple(name for name in wished if name not in left_out),
        left_out=left_out,
        model=model,
        detector=detector,
        sizes_wh=SIZES_WH[:1] if quick else SIZES_WH,
        face_counts=FACE_COUNTS[:1] if quick else FACE_COUNTS,
        camera_counts=_CAMERA_COUNTS[:1] if quick else _CAMERA_COUNTS,
        seconds=0.2 if quick else 1.5,
        node_seconds=2.0 if quick else 10.0,
        soak_seconds=soak_seconds,
    )


def run_bench(plan: BenchPlan, report: Report = lambda text: None) -> Results:
    """Measure what a plan says.

    Args:
        plan: What is measured.
        report: Told what is measured next.

    Returns:
        What `deepfer bench --json` prints: lists, dictionaries, texts and numbers only.

    Raises:
        CameraError: The sample photograph is not installed.
        RecognitionError: The detector or the model cannot be used.
        BenchError: The node gave no result.
    """
    recognizer = _load(plan)
    results: Results = {
        "version": __version__,
        "machine": describe_machine(),
        "model": str(recognizer.classifier.bundle.model_path.name),
        "detector": recognizer.detector.name,
        "left_out": plan.left_out,
    }
    if {"stages", "messages"} & set(plan.sections):
        report("Measuring what this machine can do at best")
        results["limits"] = measure_limits()
    measuring = {
        "import": _measure_import,
        "stages": lambda: _measure_stages(plan, recognizer, results["limits"]),
        "messages": lambda: _measure_messages(plan, recognizer, results["limits"]),
        "recognize": lambda: measure_recognition(
            recognizer, _frame_sets(plan), seconds=plan.seconds
        ),
        "reach": lambda: measure_reach(recognizer.detector.name, seconds=plan.seconds / 3),
        "node": lambda: _measure_node(plan, report),
        "cameras": lambda: _measure_cameras(plan),
        "flood": lambda: _measure_flood(plan),
        "soak": lambda: _soak(plan),
    }
    for section in plan.sections:
        report(f"Measuring: {section}")
        results[section] = measuring[section]()
    return {name: _plain(value) for name, value in results.items()}


def _load(plan: BenchPlan) -> EmotionRecognizer:
    return EmotionRecognizer(
        load_detector(plan.detector),
        load_classifier(load_bundle(plan.model)),
        tracker=FaceTracker(),
    )


def _frame_sets(plan: BenchPlan) -> Iterable[FrameSet]:
    """Make the frames one kind after the other: all together would fill much memory."""
    return (make_frames(size_wh, faces) for size_wh in plan.sizes_wh for faces in plan.face_counts)


def _measure_import() -> Timing:
    """Time `import deepfer_ros` in new processes, without the start of Python itself."""
    code = (
        "import time; start = time.perf_counter(); import deepfer_ros; "
        "print(time.perf_counter() - start)"
    )
    return Timing.of(
        [
            float(subprocess.check_output([sys.executable, "-c", code], text=True))
            for _ in range(_IMPORT_REPEATS)
        ]
    )


def _measure_stages(
    plan: BenchPlan, recognizer: EmotionRecognizer, limits: Limits
) -> list[object]:
    return [
        speed
        for frames in _frame_sets(plan)
        for speed in measure_stages(
            recognition_stages(recognizer, frames, limits), frames, seconds=plan.seconds / 3
        )
    ]


def _measure_messages(
    plan: BenchPlan, recognizer: EmotionRecognizer, limits: Limits
) -> list[object]:
    from deepfer_ros.bench.message_stages import message_stages

    return [
        speed
        for frames in _frame_sets(plan)
        if frames.faces == 1
        for speed in measure_stages(
            message_stages(recognizer, frames, limits), frames, seconds=plan.seconds / 3
        )
    ]


def _measure_node(plan: BenchPlan, report: Report) -> Results:
    """Measure the node with a camera's load, with and without somebody watching its picture."""
    from deepfer_ros.bench.node_speed import NodeLoad

    speeds = []
    for width, height in plan.sizes_wh:
        for annotated in (False, True):
            report(f"Measuring: node, {width}x{height}, annotation {'on' if annotated else 'off'}")
            load = NodeLoad(width, height, rate_hz=_CAMERA_RATE_HZ, annotated=annotated)
            speeds.append(_watch(plan, load, 1, plan.node_seconds)[0])
    starts_s = [speed.start_s for speed in speeds]
    return {"start_median_s": statistics.median(starts_s), "runs": speeds}


def _measure_cameras(plan: BenchPlan) -> list[object]:
    """Measure what more cameras cost, all in one node."""
    from deepfer_ros.bench.node_speed import NodeLoad

    return [
        speed
        for cameras in plan.camera_counts
        for speed in _watch(
            plan, NodeLoad(rate_hz=_CAMERA_RATE_HZ, cameras=cameras), 1, plan.node_seconds
        )
    ]


def _measure_flood(plan: BenchPlan) -> list[object]:
    """Give the node more than it can do: what it does then is the highest rate it sustains."""
    from deepfer_ros.bench.node_speed import NodeLoad

    return [
        speed
        for width, height in plan.sizes_wh
        for speed in _watch(
            plan, NodeLoad(width, height, rate_hz=_FLOOD_RATE_HZ), 1, plan.node_seconds
        )
    ]


def _soak(plan: BenchPlan) -> Results:
    """Keep the node busy for long, in windows: neither latency nor memory may grow."""
    from deepfer_ros.bench.node_speed import NodeLoad

    load = NodeLoad(rate_hz=_SOAK_RATE_HZ)
    windows = _watch(plan, load, _SOAK_WINDOWS, plan.soak_seconds / _SOAK_WINDOWS)
    return {
        "frames_processed": sum(window.received for window in windows),
        "latency_growth_ms": windows[-1].latency.median_ms - windows[0].latency.median_ms,
        # The first window fills what is kept: buffers, an interpreter for each batch size.
        "rss_growth_mib": windows[-1].rss_mib - windows[0].rss_mib,
        "windows": windows,
    }


def _watch(plan: BenchPlan, load: "NodeLoad", windows: int, seconds: float) -> "list[NodeSpeed]":
    """Start the node and watch it for some windows of so many seconds each."""
    from deepfer_ros.bench.node_speed import NodeUnderLoad

    parameters: NodeParameters = {"model": plan.model, "detector": plan.detector}
    with NodeUnderLoad(load, parameters) as node:
        return [node.watch(seconds) for _ in range(windows)]


def _plain(value: object) -> object:
    """Turn results into what JSON knows, with numbers that can be read."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)
        }
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return float(f"{value:.4g}") if isinstance(value, float) else value
