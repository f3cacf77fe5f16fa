"""How long each stage of recognition takes, beside the least time that this machine allows."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import cv2

from deepfer_ros.bench.frames import FrameSet
from deepfer_ros.bench.machine import Limits
from deepfer_ros.bench.timing import Timing, measure
from deepfer_ros.recognition.cropping import crop_faces
from deepfer_ros.recognition.detection import FaceDetector
from deepfer_ros.recognition.drawing import draw_emotions
from deepfer_ros.recognition.images import decode_image, encode_image
from deepfer_ros.recognition.model_bundle import ModelBundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.tracking import FaceTracker
from deepfer_ros.recognition.types import FaceDetections

YUNET_OPERATIONS_PER_PIXEL = 1681.0
"""Multiplications and additions of YuNet for each pixel of its input."""
_DETECTION_SIDE_PX = 320
_FRAME_PERIOD_S = 1 / 30


@dataclass(frozen=True, slots=True)
class StageSpeed:
    """What one stage took for frames of one kind.

    Attributes:
        stage: Name of the stage.
        width: Width of the frames in pixels.
        height: Height in pixels.
        faces: How many faces were in the frames.
        timing: Of the stage, for one frame.
        floor_ms: The least time that this machine allows; None where nothing simple says it.
        floor: What the floor is the time of.
    """

    stage: str
    width: int
    height: int
    faces: int
    timing: Timing
    floor_ms: float | None
    floor: str


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage, ready to be measured.

    Attributes:
        name: Name of the stage.
        call: Does its work for one frame.
        floor_ms: See `StageSpeed`.
        floor: See `StageSpeed`.
    """

    name: str
    call: Callable[[], object]
    floor_ms: float | None = None
    floor: str = ""


def measure_stages(
    stages: "tuple[Stage, ...]", frames: FrameSet, *, seconds: float
) -> tuple[StageSpeed, ...]:
    """Measure stages that were prepared for one kind of frames, for so many seconds each."""
    width, height = frames.size_wh
    return tuple(
        StageSpeed(
            stage.name,
            width,
            height,
            frames.faces,
            measure(stage.call, seconds=seconds),
            stage.floor_ms,
            stage.floor,
        )
        for stage in stages
    )


def recognition_stages(
    recognizer: EmotionRecognizer, frames: FrameSet, limits: Limits
) -> tuple[Stage, ...]:
    """Prepare the stages between a picture and its annotated copy."""
    image_bgr = frames.images_bgr[0]
    detector, classifier = recognizer.detector, recognizer.classifier
    bundle = classifier.bundle
    detections = detector.detect(image_bgr)
    crops = crop_faces(
        image_bgr, detections, size_px=bundle.input_size_px, margin=bundle.crop_margin
    )
    probabilities = classifier.classify(crops)
    tracker, times_s = FaceTracker(), itertools.count(step=_FRAME_PERIOD_S)
    faces = recognizer.recognize(image_bgr, 0.0)
    jpeg = encode_image(image_bgr)
    copy_ms = limits.copy_ms(image_bgr.nbytes)
    return (
        Stage(
            f"detect ({detector.name})",
            lambda: detector.detect(image_bgr),
            *_detection_floor(detector, frames, limits),
        ),
        Stage(
            "crop",
            lambda: crop_faces(
                image_bgr, detections, size_px=bundle.input_size_px, margin=bundle.crop_margin
            ),
            limits.copy_ms(_face_bytes(detections)),
            "copying the faces' pixels",
        ),
        Stage(
            "classify",
            lambda: classifier.classify(crops),
            *_classification_floor(bundle, len(crops), limits),
        ),
        Stage("track", lambda: tracker.update(detections, probabilities, next(times_s))),
        Stage("draw", lambda: draw_emotions(image_bgr, faces), copy_ms, "copying the picture"),
        Stage("encode JPEG", lambda: encode_image(image_bgr)),
        Stage("decode JPEG", lambda: decode_image(jpeg)),
    )


def _detection_floor(
    detector: FaceDetector, frames: FrameSet, limits: Limits
) -> tuple[float | None, str]:
    if detector.name == "haar":
        return None, ""
    width, height = frames.size_wh
    scale = min(1.0, _DETECTION_SIDE_PX / max(width, height))
    operations = YUNET_OPERATIONS_PER_PIXEL * width * height * scale**2
    return limits.compute_ms(operations), "arithmetic of the network"


def _classification_floor(
    bundle: ModelBundle, faces: int, limits: Limits
) -> tuple[float | None, str]:
    operations = _operations_per_face(bundle)
    if operations is None:
        return None, ""
    if "int8" in bundle.model_path.stem:
        operations /= limits.int8_factor
    return limits.compute_ms(operations * faces), "arithmetic of the network"


def _operations_per_face(bundle: ModelBundle) -> float | None:
    """Return how many multiplications and additions the network needs, or None if unknown.

    OpenCV counts them in the bundle's float file, which has the same network.
    """
    path = bundle.model_path.with_name("model.tflite")
    # Ubuntu 24.04's OpenCV, 4.6, does not read such files.
    if not path.is_file() or not hasattr(cv2.dnn, "readNetFromTFLite"):
        return None
    try:
        network = cv2.dnn.readNetFromTFLite(str(path))
        side_px = bundle.input_size_px
        return float(network.getFLOPS([1, 1, side_px, side_px]))
    except cv2.error:
        return None


def _face_bytes(detections: FaceDetections) -> float:
    areas = detections.boxes_xywh[:, 2] * detections.boxes_xywh[:, 3]
    return 3 * float(areas.sum())
