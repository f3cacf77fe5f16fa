"""Load the recognizers that the parameters of the emotion node ask for."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepfer_ros.parameters import EmotionParameters
from deepfer_ros.recognition.classifier import load_classifier
from deepfer_ros.recognition.detection import detector_statuses, load_detector
from deepfer_ros.recognition.model_bundle import ModelBundle, load_bundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.tracking import FaceTracker

# A still image has no next frame in which a small face could be found, and may take longer.
_STILL_MAX_SIDE_PX = 640
_WARM_UP_SHAPE = (480, 640, 3)


@dataclass(frozen=True, slots=True)
class Recognizers:
    """One recognizer for each thread that recognizes.

    Attributes:
        stream: For the frames of the camera: tracks faces and smooths.
        still: For single images.
        reason: Why this detector was taken.
    """

    stream: EmotionRecognizer
    still: EmotionRecognizer
    reason: str


def load_recognizers(parameters: EmotionParameters) -> Recognizers:
    """Load detectors and classifiers, and run them once so that the first frame is not slow.

    Raises:
        DetectorError: The detector is not available.
        ModelError: The model is missing, damaged or not a model for these messages.
    """
    bundle = load_bundle(parameters.model)
    tracker = FaceTracker(
        smoothing_s=parameters.smoothing_s, deterministic_ids=parameters.deterministic_ids
    )
    stream = _load_recognizer(bundle, parameters, parameters.detection_max_side_px, tracker)
    still_side_px = max(_STILL_MAX_SIDE_PX, parameters.detection_max_side_px)
    still = _load_recognizer(bundle, parameters, still_side_px, None)
    return Recognizers(stream, still, _explain_detector(parameters, stream.detector.name))


def _load_recognizer(
    bundle: ModelBundle,
    parameters: EmotionParameters,
    max_side_px: int,
    tracker: FaceTracker | None,
) -> EmotionRecognizer:
    detector = load_detector(
        parameters.detector,
        yunet_file=_yunet_file(parameters),
        min_confidence=parameters.detection_min_confidence,
        max_side_px=max_side_px,
    )
    classifier = load_classifier(bundle, threads=parameters.inference_threads)
    recognizer = EmotionRecognizer(
        detector, classifier, tracker=tracker, min_confidence=parameters.min_confidence
    )
    recognizer.recognize(np.zeros(_WARM_UP_SHAPE, np.uint8), time_s=0.0)
    return recognizer


def _explain_detector(parameters: EmotionParameters, name: str) -> str:
    if parameters.detector != "auto":
        return "as the parameter says"
    better = []
    for status in detector_statuses(_yunet_file(parameters)):
        if status.name == name:
            break
        better.append(f"{status.name} is not available: {status.reason}")
    return "; ".join(better) or "the best there is"


def _yunet_file(parameters: EmotionParameters) -> Path | None:
    return Path(parameters.yunet_file) if parameters.yunet_file else None
