from pathlib import Path

import numpy as np
import pytest
from fake_recognition import FakeClassifier, FakeDetector
from numpy.typing import NDArray

from deepfer_ros.recognition.classifier import load_classifier
from deepfer_ros.recognition.detection import load_detector
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.model_bundle import load_bundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.tracking import FaceTracker

MOSTLY_SAD = (0.05, 0.05, 0.1, 0.1, 0.5, 0.1, 0.1)
IMAGE = np.zeros((100, 200, 3), np.uint8)


class CountingClassifier(FakeClassifier):
    """Counts its calls."""

    calls = 0

    def classify(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        self.calls += 1
        return super().classify(crops)


def test_no_face_gives_an_empty_result() -> None:
    recognizer = EmotionRecognizer(FakeDetector(()), FakeClassifier(MOSTLY_SAD))
    assert recognizer.recognize(IMAGE) == ()


def test_faces_are_described() -> None:
    boxes = ((10, 10, 40, 40), (100, 20, 30, 30))
    recognizer = EmotionRecognizer(FakeDetector(boxes), FakeClassifier(MOSTLY_SAD))
    faces = recognizer.recognize(IMAGE)
    assert [face.face_id for face in faces] == ["0", "1"]
    assert [tuple(face.box_xywh) for face in faces] == list(boxes)
    assert [face.emotion for face in faces] == ["sad", "sad"]
    assert faces[0].confidence == pytest.approx(0.5)
    assert faces[0].detection_confidence == pytest.approx(0.9)
    np.testing.assert_allclose(faces[1].probabilities, MOSTLY_SAD)
    np.testing.assert_allclose(faces[1].frame_probabilities, MOSTLY_SAD)


@pytest.mark.parametrize("count", [1, 5, 40])
def test_one_classifier_call_a_picture(count: int) -> None:
    classifier = CountingClassifier(MOSTLY_SAD)
    detector = FakeDetector(tuple((index, 0, 10, 10) for index in range(count)))
    assert len(EmotionRecognizer(detector, classifier).recognize(IMAGE)) == count
    assert classifier.calls == 1


@pytest.mark.parametrize(
    ("min_confidence", "expected"), [(0.0, "sad"), (0.5, "sad"), (0.51, "unknown")]
)
def test_an_unlikely_winner_is_unknown(min_confidence: float, expected: str) -> None:
    recognizer = EmotionRecognizer(
        FakeDetector(((0, 0, 9, 9),)), FakeClassifier(MOSTLY_SAD), min_confidence=min_confidence
    )
    face = recognizer.recognize(IMAGE)[0]
    assert face.emotion == expected
    assert face.confidence == pytest.approx(0.5)


def test_tracked_faces_keep_their_id_and_are_smoothed() -> None:
    classifier = FakeClassifier((1, 0, 0, 0, 0, 0, 0))
    recognizer = EmotionRecognizer(
        FakeDetector(((0, 0, 9, 9),)), classifier, tracker=FaceTracker(smoothing_s=1.0)
    )
    first = recognizer.recognize(IMAGE, time_s=10.0)[0]
    classifier.probabilities = (0, 0, 0, 0, 0, 0, 1)
    second = recognizer.recognize(IMAGE, time_s=10.1)[0]
    assert second.face_id == first.face_id
    assert second.probabilities[6] == pytest.approx(1 - np.exp(-0.1))
    assert second.frame_probabilities[6] == 1.0
    assert second.emotion == "angry", "one picture does not change the label"


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 0, 3), np.uint8)]
)
def test_what_is_no_picture_is_refused(wrong: NDArray[np.uint8]) -> None:
    recognizer = EmotionRecognizer(load_detector(), FakeClassifier(MOSTLY_SAD))
    with pytest.raises(ImageError):
        recognizer.recognize(wrong)


@pytest.mark.parametrize("detector", ["yunet", "libfacedetection", "haar"])
def test_the_astronaut_smiles(
    detector: str, astronaut_bgr: NDArray[np.uint8], request: pytest.FixtureRequest
) -> None:
    """The whole of it on a real photograph, with every detector and the shipped model."""
    yunet_file: Path | None = None
    if detector == "yunet":
        yunet_file = request.getfixturevalue("yunet_path")
    if detector == "libfacedetection":
        pytest.importorskip("yuface")
    recognizer = EmotionRecognizer(
        load_detector(detector, yunet_file=yunet_file), load_classifier(load_bundle("deepfer48"))
    )
    faces = recognizer.recognize(astronaut_bgr)
    assert [face.emotion for face in faces] == ["happy"]
    assert faces[0].confidence > 0.9
