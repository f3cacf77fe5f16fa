import numpy as np
import pytest

from deepfer_ros.recognition.types import FaceDetections, FaceEmotion, find_probability_fault

LABELS = ("angry", "happy")


def face(**changes: object) -> FaceEmotion:
    values: dict[str, object] = {
        "face_id": "a",
        "box_xywh": np.array([1, 2, 3, 4]),
        "landmarks": np.zeros((5, 2)),
        "detection_confidence": 0.9,
        "emotion": "happy",
        "confidence": 0.8,
        "labels": LABELS,
        "probabilities": np.array([0.2, 0.8]),
        "frame_probabilities": np.array([0.4, 0.6]),
        **changes,
    }
    return FaceEmotion(**values)  # type: ignore[arg-type]


def test_no_faces_is_a_value_of_length_0() -> None:
    empty = FaceDetections.empty()
    assert len(empty) == 0
    assert empty.boxes_xywh.shape == (0, 4)
    assert empty.landmarks.shape == (0, 5, 2)


def test_arrays_become_read_only_float32() -> None:
    box = face().box_xywh
    assert box.dtype == np.float32
    with pytest.raises(ValueError, match="read-only"):
        box[0] = 5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        pytest.param({"box_xywh": np.zeros(3)}, r"\(4,\), got \(3,\)", id="box shape"),
        pytest.param({"landmarks": np.zeros((5, 3))}, r"\(5, 2\), got \(5, 3\)", id="landmarks"),
        pytest.param({"probabilities": np.array([0.2, 0.2])}, "sum to 1", id="sum"),
        pytest.param({"probabilities": np.array([np.nan, 1.0])}, "sum to 1", id="nan"),
        pytest.param({"probabilities": np.array([-1.0, 2.0])}, "be 0 or more", id="negative"),
        pytest.param({"frame_probabilities": np.ones(3)}, r"\(2,\), got \(3,\)", id="count"),
        pytest.param({"emotion": "calm"}, "'calm', expected one of angry, happy", id="label"),
    ],
)
def test_wrong_face_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        face(**changes)


@pytest.mark.parametrize(
    ("boxes", "confidences", "message"),
    [
        pytest.param([[0, 0, 0, 5]], [0.5], "above 0", id="no width"),
        pytest.param([[0, 0, 5, 5]], [1.5], "from 0 to 1", id="confidence"),
        pytest.param([[0, 0, 5, 5]], [0.5, 0.5], r"\(1,\), got \(2,\)", id="count"),
    ],
)
def test_wrong_detections_are_refused(
    boxes: list[list[float]], confidences: list[float], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        FaceDetections(
            np.array(boxes, np.float32),
            np.zeros((len(boxes), 5, 2), np.float32),
            np.array(confidences, np.float32),
        )


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(np.empty((0, 2)), id="none"),
        pytest.param([0.0, 1.0], id="one"),
        pytest.param([[0.25, 0.75], [0.5, 0.5]], id="two"),
        pytest.param([0.5, 0.5009], id="rounded"),
    ],
)
def test_probabilities(rows: list[float]) -> None:
    assert find_probability_fault(np.array(rows, np.float32)) is None


@pytest.mark.parametrize(
    ("rows", "got"),
    [
        pytest.param([0.5, 0.502], "0.5, 0.502 with a sum of 1.002", id="sum"),
        pytest.param([[0.5, 0.5], [3.5, -2.5]], "3.5, -2.5 with a sum of 1", id="negative"),
        pytest.param([0.5, np.nan], "0.5, nan with a sum of nan", id="nan"),
        pytest.param([np.inf, -np.inf], "inf, -inf with a sum of nan", id="infinite"),
        pytest.param([3e38, 3e38], "3e+38, 3e+38 with a sum of 6e+38", id="huge"),
    ],
)
def test_what_is_no_probability_is_told(rows: list[float], got: str) -> None:
    fault = find_probability_fault(np.array(rows, np.float32))
    assert fault == f"be 0 or more and sum to 1, got {got}"
