"""The one class that turns a picture into faces with emotions."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.classifier import EmotionClassifier
from deepfer_ros.recognition.cropping import crop_faces
from deepfer_ros.recognition.detection import FaceDetector
from deepfer_ros.recognition.tracking import FaceTracker, TrackedFace
from deepfer_ros.recognition.types import UNKNOWN_EMOTION, FaceDetections, FaceEmotion


@dataclass(frozen=True, slots=True, eq=False)
class FoundFaces:
    """The faces that were found in a picture, ready to be classified.

    Attributes:
        image_bgr: uint8 (H, W, 3), BGR, the picture.
        detections: N faces.
        crops: uint8 (N, S, S), grey, what the classifier takes.
    """

    image_bgr: NDArray[np.uint8]
    detections: FaceDetections
    crops: NDArray[np.uint8]


class EmotionRecognizer:
    """Finds the faces of a picture and reads their expressions.

    Not thread-safe. Recognizers of one thread, such as those of several cameras, may share
    detector and classifier; each thread needs its own.

    Args:
        detector: Finds the faces.
        classifier: Reads the expressions; called once a picture, for all faces together.
        tracker: Gives lasting ids and smoothed probabilities. Without one every picture stands
            alone: ids count from "0", and nothing is smoothed.
        min_confidence: A face whose class is less likely than this, 0 to 1, is reported as
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
            ImageError: It is not such a picture, or the model has no answer for a face in it.
        """
        found = self.find_faces(image_bgr)
        return self.describe(found, self.classifier.classify(found.crops), time_s)

    def find_faces(self, image_bgr: NDArray[np.uint8]) -> FoundFaces:
        """Do the first part of `recognize`: all that comes before the classifier.

        Raises:
            ImageError: It is not a picture of uint8 (H, W, 3).
        """
        detections = self.detector.detect(image_bgr)
        bundle = self.classifier.bundle
        crops = crop_faces(
            image_bgr, detections, size_px=bundle.input_size_px, margin=bundle.crop_margin
        )
        return FoundFaces(image_bgr, detections, crops)

    def describe(
        self,
        found: FoundFaces,
        frame_probabilities: NDArray[np.float32],
        time_s: float | None = None,
    ) -> tuple[FaceEmotion, ...]:
        """Do the last part of `recognize`: all that comes after the classifier.

        Args:
            found: What `find_faces` has returned.
            frame_probabilities: float32 (N, C), what the classifier says about its crops.
            time_s: As for `recognize`.
        """
        faces = self._track(
            found.detections, frame_probabilities, time.monotonic() if time_s is None else time_s
        )
        return tuple(
            self._describe(found.detections, index, face, frame_probabilities[index])
            for index, face in enumerate(faces)
        )

    def _track(
        self, detections: FaceDetections, probabilities: NDArray[np.float32], time_s: float
    ) -> tuple[TrackedFace, ...]:
        if self.tracker is None:
            return tuple(
                TrackedFace(str(index), row, int(row.argmax()))
                for index, row in enumerate(probabilities)
            )
        return self.tracker.update(detections, probabilities, time_s)

    def _describe(
        self,
        detections: FaceDetections,
        index: int,
        face: TrackedFace,
        frame_probabilities: NDArray[np.float32],
    ) -> FaceEmotion:
        labels = self.classifier.bundle.labels
        confidence = float(face.probabilities[face.label_index])
        return FaceEmotion(
            face_id=face.face_id,
            box_xywh=detections.boxes_xywh[index],
            landmarks=detections.landmarks[index],
            detection_confidence=float(detections.confidences[index]),
            emotion=labels[face.label_index]
            if confidence >= self.min_confidence
            else UNKNOWN_EMOTION,
            confidence=confidence,
            labels=labels,
            probabilities=face.probabilities,
            frame_probabilities=frame_probabilities,
        )


def classify_all(
    classifier: EmotionClassifier, pictures: Sequence[FoundFaces]
) -> list[NDArray[np.float32]]:
    """Classify the faces of several pictures in one call.

    Returns:
        For each picture float32 (N, C), in the order of its faces.
    """
    if not pictures:
        return []
    crops = np.concatenate([found.crops for found in pictures])
    ends = np.cumsum([len(found.crops) for found in pictures])
    return np.split(classifier.classify(crops), ends[:-1])
