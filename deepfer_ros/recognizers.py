"""Load the recognizers that the parameters of the emotion node ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deepfer_ros.parameters import EmotionParameters
from deepfer_ros.recognition.classifier import EmotionClassifier, load_classifier
from deepfer_ros.recognition.detection import FaceDetector, detector_statuses, load_detector
from deepfer_ros.recognition.face_ids import FaceIds
from deepfer_ros.recognition.model_bundle import ModelBundle, load_bundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.tracking import FaceTracker

# A still image has no next frame in which a small face could be found, and may take longer.
_STILL_MAX_SIDE_PX = 640
_WARM_UP_SHAPE = (480, 640, 3)


@dataclass(frozen=True, slots=True)
class Recognizers:
    """What recognizes, for each of the two threads that do so.

    Attributes:
        cameras: For the stream, one for each camera by its name: they share detector and
            classifier; each tracks and smooths the faces of its own camera.
        still: For single images, with a detector and a classifier of its own.
        reason: Why this detector was taken.
    """

    cameras: Mapping[str, EmotionRecognizer]
    still: EmotionRecognizer
    reason: str

    @property
    def detector(self) -> FaceDetector:
        """The detector of the stream."""
        return next(iter(self.cameras.values())).detector

    @property
    def classifier(self) -> EmotionClassifier:
        """The classifier of the stream."""
        return next(iter(self.cameras.values())).classifier


class RecognizerLoader:
    """Loads recognizers as often as it is called; no face id is ever given again."""

    def __init__(self) -> None:
        self._ids = {
            deterministic: FaceIds(deterministic=deterministic) for deterministic in (False, True)
        }

    def __call__(self, parameters: EmotionParameters) -> Recognizers:
        """See `load_recognizers`."""
        return load_recognizers(parameters, self._ids[parameters.deterministic_ids])


def load_recognizers(parameters: EmotionParameters, ids: FaceIds) -> Recognizers:
    """Load detectors and classifiers, and run them once so that the first frame is not slow.

    Args:
        parameters: What to load.
        ids: Where the ids of faces come from.

    Raises:
        DetectorError: The detector is not available.
        ModelError: The model is missing, damaged or not a model for these messages.
    """
    bundle = load_bundle(parameters.model)
    stream = _load_recognizer(bundle, parameters, parameters.detection_max_side_px)
    cameras = {
        name: EmotionRecognizer(
            stream.detector,
            stream.classifier,
            tracker=FaceTracker(smoothing_s=parameters.smoothing_s, ids=ids),
        )
        for name in parameters.cameras
    }
    still_side_px = max(_STILL_MAX_SIDE_PX, parameters.detection_max_side_px)
    still = _load_recognizer(bundle, parameters, still_side_px)
    return Recognizers(cameras, still, _explain_detector(parameters, stream.detector.name))


def _load_recognizer(
    bundle: ModelBundle, parameters: EmotionParameters, max_side_px: int
) -> EmotionRecognizer:
    detector = load_detector(
        parameters.detector,
        yunet_file=_yunet_file(parameters),
        min_confidence=parameters.detection_min_confidence,
        max_side_px=max_side_px,
        threads=parameters.inference_threads,
    )
    classifier = load_classifier(bundle, threads=parameters.inference_threads)
    recognizer = EmotionRecognizer(detector, classifier)
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
