"""One model for all cameras of a recording, and a tracker for each."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from deepfer_ros.bag.journal import Outcome
from deepfer_ros.bag.recording import RecordedImage
from deepfer_ros.frame_clock import FrameClock
from deepfer_ros.recognition.classifier import EmotionClassifier, load_classifier
from deepfer_ros.recognition.detection import FaceDetector, load_detector
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.face_ids import FaceIds
from deepfer_ros.recognition.model_bundle import load_bundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.tracking import FaceTracker
from deepfer_ros.recognition.types import FaceDetections


@dataclass(frozen=True, slots=True)
class RecognitionOptions:
    """How faces are recognized. The names and defaults are those of the node's parameters."""

    model: str = "deepfer48"
    detector: str = "auto"
    detection_max_side_px: int = 320
    detection_min_confidence: float = 0.6
    min_confidence: float = 0.0
    smoothing_s: float = 0.3


class CameraRecognizers:
    """Recognizes the faces of several cameras, each with a tracker of its own.

    Ids count from "face1" over all cameras, so that one recording always gives one result.

    Args:
        detector: For all cameras.
        classifier: For all cameras.
        topics: The cameras.
        options: How to recognize.
    """

    def __init__(
        self,
        detector: FaceDetector,
        classifier: EmotionClassifier,
        topics: Sequence[str],
        options: RecognitionOptions,
    ) -> None:
        self.bundle = classifier.bundle
        ids = FaceIds(deterministic=True)
        self._trackers = {
            topic: FaceTracker(smoothing_s=options.smoothing_s, ids=ids) for topic in topics
        }
        self._recognizers = {
            topic: EmotionRecognizer(
                detector, classifier, tracker=tracker, min_confidence=options.min_confidence
            )
            for topic, tracker in self._trackers.items()
        }
        self._clocks = {topic: FrameClock() for topic in topics}
        self.settings = {
            "model": self.bundle.name,
            "model file": hashlib.sha256(self.bundle.model_path.read_bytes()).hexdigest()
            if self.bundle.model_path.is_file()
            else "",
            "detector": detector.name,
            "detection size": options.detection_max_side_px,
            "detection confidence": options.detection_min_confidence,
            "confidence": options.min_confidence,
            "smoothing": options.smoothing_s,
        }
        """What the results depend on."""

    def recognize(self, image: RecordedImage) -> Outcome:
        """Recognize the next image of a camera."""
        recognizer = self._recognizers[image.topic]
        try:
            found = recognizer.find_faces(image.decode())
            frame_probabilities = recognizer.classifier.classify(found.crops)
        except ImageError as err:
            return Outcome(error=str(err))
        # Bad images do not come to the clock, neither here nor in `replay` or the emotion node.
        return Outcome(recognizer.describe(found, frame_probabilities, self._time_of(image)))

    def replay(self, image: RecordedImage, outcome: Outcome) -> None:
        """Let the tracker see the faces of an image that was recognized in an earlier run."""
        if outcome.error:
            return
        count, faces = len(outcome.faces), outcome.faces
        detections = FaceDetections(
            np.array([face.box_xywh for face in faces], np.float32).reshape(count, 4),
            np.array([face.landmarks for face in faces], np.float32).reshape(count, 5, 2),
            np.array([face.detection_confidence for face in faces], np.float32),
        )
        probabilities = np.array([face.frame_probabilities for face in faces], np.float32)
        self._trackers[image.topic].update(
            detections,
            probabilities.reshape(count, len(self.bundle.labels)),
            self._time_of(image),
        )

    def _time_of(self, image: RecordedImage) -> float:
        """Return when an image was taken, in seconds; it is recorded when it arrives."""
        return self._clocks[image.topic].time_of(image.stamp_ns, image.time_ns)


def load_recognizers(topics: Sequence[str], options: RecognitionOptions) -> CameraRecognizers:
    """Load the model once for all cameras.

    Raises:
        RecognitionError: Model or detector cannot be used.
    """
    detector = load_detector(
        options.detector,
        min_confidence=options.detection_min_confidence,
        max_side_px=options.detection_max_side_px,
    )
    classifier = load_classifier(load_bundle(options.model), threads=1)
    return CameraRecognizers(detector, classifier, topics, options)
