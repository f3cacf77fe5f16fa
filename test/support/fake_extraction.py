"""Extraction from recordings with recognizers that need no model."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from fake_recognition import LABELS, FakeClassifier
from numpy.typing import NDArray

from deepfer_ros.bag.extraction import Summary, extract, open_recording
from deepfer_ros.bag.output import Workplace, choose_output
from deepfer_ros.bag.recognizers import CameraRecognizers, RecognitionOptions
from deepfer_ros.bag.recording import Selection
from deepfer_ros.recognition.types import FaceDetections, FaceEmotion


class MovingDetector:
    """Finds one face whose place tells the picture's own number, which is its first pixel.

    A picture whose number is 200 or more has no face.
    """

    name = "moving"

    def __init__(self) -> None:
        self.numbers: list[int] = []

    def detect(self, image_bgr: NDArray[np.uint8]) -> FaceDetections:
        number = int(image_bgr[0, 0, 0])
        self.numbers.append(number)
        if number >= 200:
            return FaceDetections.empty()
        return FaceDetections(
            np.array([[number, 5, 20, 20]], np.float32),
            np.full((1, 5, 2), np.nan, np.float32),
            np.array([0.9], np.float32),
        )


class DriftingClassifier(FakeClassifier):
    """Says something else of every picture, so that smoothing has something to do."""

    def classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = np.zeros((len(crops), len(LABELS)), np.float32)
        if len(crops):
            rows[:, 3] = 0.2 + (crops.reshape(len(crops), -1).mean(axis=1) % 7) / 10
            rows[:, 6] = 1 - rows[:, 3]
        return rows


class Extractor:
    """Runs `extract` with recognizers that need no model."""

    def __init__(self) -> None:
        self.detector = MovingDetector()
        self.classifier = DriftingClassifier()

    def __call__(
        self,
        source: Path,
        output: Path,
        *,
        selection: Selection | None = None,
        annotate: str = "",
        copy: bool = False,
        resume: bool = False,
        overwrite: bool = False,
        progress: Callable[[object], None] = lambda image: None,
        options: RecognitionOptions | None = None,
        rate_hz: float | None = None,
    ) -> Summary:
        selection = selection or Selection()
        recording = open_recording(source, selection, copy=copy, rate_hz=rate_hz)
        try:
            target = choose_output(output, "", source, "mcap")
            workplace = Workplace(target, source, resume=resume, overwrite=overwrite)
            recognizers = CameraRecognizers(
                self.detector,
                self.classifier,
                recording.topics,
                options or RecognitionOptions(),
            )
            return extract(
                recording,
                recognizers,
                target,
                workplace,
                selection=selection,
                annotate=annotate,
                progress=progress,
            )
        finally:
            recording.close()


def numbered_picture(number: int) -> NDArray[np.uint8]:
    """Return a picture that `MovingDetector` knows, uint8 (48, 240, 3)."""
    picture = np.full((48, 240, 3), 40 + number % 50, np.uint8)
    picture[0, 0] = number
    return picture


def make_face(
    face_id: str = "face1", probabilities: Sequence[float] = (0.1, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1)
) -> FaceEmotion:
    rows = np.array(probabilities, np.float32)
    return FaceEmotion(
        face_id=face_id,
        box_xywh=np.array([10.256, 20.5, 30.1, 40.9], np.float32),
        landmarks=np.full((5, 2), np.nan, np.float32),
        detection_confidence=0.87654321,
        emotion=LABELS[int(rows.argmax())],
        confidence=float(rows.max()),
        labels=LABELS,
        probabilities=rows,
        frame_probabilities=rows[::-1].copy(),
    )
