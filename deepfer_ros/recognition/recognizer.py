"""The one class that turns a picture into faces with emotions."""

import time

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.classifier import EmotionClassifier
from deepfer_ros.recognition.cropping import crop_faces
from deepfer_ros.recognition.detection import FaceDetector
from deepfer_ros.recognition.tracking import FaceTracker, TrackedFace
from deepfer_ros.recognition.types import UNKNOWN_EMOTION, FaceDetections, FaceEmotion


class EmotionRecognizer:
    """Finds the faces of a picture and reads their expressions.

    Not thread-safe: use one recognizer, with a detector and a classifier of its own, a thread.

    Args:
        detector: Finds the faces.
        classifier: Reads the expressions; called once a picture, for all faces together.
        tracker: Gives lasting ids and smoothed probabilities. Without one every picture stands
            alone: ids count from "0", and nothing is smoothed.
        min_confidence: A face whose best class is less likely than this, 0 to 1, is reported as
            `UNKNOWN_EMOTION`. May be changed at any time.
    """

    def __init__(
        self,
        detector: FaceDetector,
        classifier: EmotionClassifier,
        *,
        tracker: FaceTracker | None = None,
        min_confidence: float = 0.0,
    ) -> None:
        self.detector = detector
        self.classifier = classifier
        self.tracker = tracker
        self.min_confidence = min_confidence

    def recognize(
        self, image_bgr: NDArray[np.uint8], time_s: float | None = None
    ) -> tuple[FaceEmotion, ...]:
        """Return the faces of a picture with their emotions, in the detector's order.

        Args:
            image_bgr: uint8 (H, W, 3), BGR. Not changed.
            time_s: When the picture was taken, in seconds of any one clock; now if left out.

        Raises:
            ImageError: It is not such a picture.
        """
        detections = self.detector.detect(image_bgr)
        bundle = self.classifier.bundle
        crops = crop_faces(
            image_bgr, detections, size_px=bundle.input_size_px, margin=bundle.crop_margin
        )
        frame_probabilities = self.classifier.classify(crops)
        faces = self._track(
            detections, frame_probabilities, time.monotonic() if time_s is None else time_s
        )
        return tuple(
            self._describe(detections, index, face, frame_probabilities[index])
            for index, face in enumerate(faces)
        )

    def _track(
        self, detections: FaceDetections, probabilities: NDArray[np.float32], time_s: float
    ) -> tuple[TrackedFace, ...]:
        if self.tracker is None:
            return tuple(TrackedFace(str(index), row) for index, row in enumerate(probabilities))
        return self.tracker.update(detections, probabilities, time_s)

    def _describe(
        self,
        detections: FaceDetections,
        index: int,
        face: TrackedFace,
        frame_probabilities: NDArray[np.float32],
    ) -> FaceEmotion:
        labels = self.classifier.bundle.labels
        best = int(face.probabilities.argmax())
        confidence = float(face.probabilities[best])
        return FaceEmotion(
            face_id=face.face_id,
            box_xywh=detections.boxes_xywh[index],
            landmarks=detections.landmarks[index],
            detection_confidence=float(detections.confidences[index]),
            emotion=labels[best] if confidence >= self.min_confidence else UNKNOWN_EMOTION,
            confidence=confidence,
            labels=labels,
            probabilities=face.probabilities,
            frame_probabilities=frame_probabilities,
        )
