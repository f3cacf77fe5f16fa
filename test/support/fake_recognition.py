"""Recognizers that need no model and do what a test tells them."""

import threading
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.parameters import EmotionParameters
from deepfer_ros.recognition.face_ids import FaceIds
from deepfer_ros.recognition.model_bundle import ModelBundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.tracking import FaceTracker
from deepfer_ros.recognition.types import FaceDetections
from deepfer_ros.recognizers import Recognizers

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
HAPPY = (0.05, 0.0, 0.05, 0.7, 0.05, 0.05, 0.1)
FACE_XYWH = (10.25, 20.5, 30.5, 40.0)
LANDMARKS = tuple((15.0 + index, 30.0 + index) for index in range(5))


class FakeDetector:
    """Finds the same faces in every picture, once its gate is open.

    Attributes:
        boxes_xywh: The faces.
        seconds: How long that takes.
        images: The pictures so far.
        error: Raised instead of an answer.
    """

    name = "fake"

    def __init__(self, boxes_xywh: tuple[tuple[float, ...], ...] = (FACE_XYWH,)) -> None:
        self.boxes_xywh = boxes_xywh
        self.gate = threading.Event()
        self.gate.set()
        self.images: list[NDArray[np.uint8]] = []
        self.seconds = 0.0
        self.error: Exception | None = None

    def detect(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        self.images.append(image_bgr.copy())
        assert self.gate.wait(60), "nobody opened the gate"
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        count = len(self.boxes_xywh)
        return FaceDetections(
            np.array(self.boxes_xywh, np.float32).reshape(count, 4),
            np.array([LANDMARKS] * count, np.float32).reshape(count, 5, 2),
            np.full(count, 0.9, np.float32),
        )


class FakeClassifier:
    """Gives every face the same probabilities, and notes how many it was given at a time."""

    def __init__(
        self, probabilities: tuple[float, ...] = HAPPY, labels: tuple[str, ...] = LABELS
    ) -> None:
        self.bundle = ModelBundle("fake48", labels, 48, 0.1, Path("fake.tflite"))
        self.probabilities = probabilities
        self.batch_sizes: list[int] = []

    def classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.batch_sizes.append(len(crops))
        return np.tile(np.array(self.probabilities, np.float32), (len(crops), 1))


class FakeLoader:
    """Stands for `load_recognizers`; keeps the detectors for the test to play with."""

    def __init__(self, labels: tuple[str, ...] = LABELS) -> None:
        self.labels = labels
        self.stream_detector = FakeDetector()
        self.still_detector = FakeDetector()
        self.classifier = FakeClassifier(labels=labels)
        self.error: Exception | None = None
        self.parameters: EmotionParameters | None = None

    def __call__(self, parameters: EmotionParameters) -> Recognizers:
        self.parameters = parameters
        if self.error is not None:
            raise self.error
        ids = FaceIds(deterministic=True)
        cameras = {
            name: EmotionRecognizer(
                self.stream_detector,
                self.classifier,
                tracker=FaceTracker(smoothing_s=parameters.smoothing_s, ids=ids),
            )
            for name in parameters.cameras
        }
        still = EmotionRecognizer(self.still_detector, self.classifier)
        return Recognizers(cameras, still, "because the test says so")
