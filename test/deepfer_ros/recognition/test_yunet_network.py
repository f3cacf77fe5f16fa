import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from recognition_reference import make_pictures

from deepfer_ros.recognition import yunet_network
from deepfer_ros.recognition.errors import DetectorError
from deepfer_ros.recognition.yunet_network import YuNetNetwork, build_model
from deepfer_ros.recognition.yunet_weights import read_onnx

MIN_CONFIDENCE = 0.6


@pytest.fixture(scope="module")
def network(yunet_path: Path) -> YuNetNetwork:
    return YuNetNetwork(read_onnx(yunet_path))


@pytest.mark.parametrize("picture", sorted(make_pictures()))
@pytest.mark.parametrize("max_side_px", [160, 333, 640])
def test_it_finds_what_opencv_finds(
    network: YuNetNetwork, yunet_path: Path, picture: str, max_side_px: int
) -> None:
    """OpenCV's own YuNet runs the file as it is."""
    # Older ones have no such class, or cannot read files of today.
    if tuple(map(int, cv2.__version__.split(".")[:2])) < (4, 8):
        pytest.skip(f"OpenCV {cv2.__version__} cannot run this file")
    image_bgr = make_pictures()[picture]
    scale = max_side_px / max(image_bgr.shape)
    image_bgr = np.asarray(cv2.resize(image_bgr, None, fx=scale, fy=scale), np.uint8)
    size_wh = image_bgr.shape[1], image_bgr.shape[0]
    opencv = cv2.FaceDetectorYN.create(str(yunet_path), "", size_wh, MIN_CONFIDENCE, 0.3)
    _, rows = opencv.detect(image_bgr)
    rows = np.empty((0, 15), np.float32) if rows is None else rows

    boxes, landmarks, confidences = network.find_faces(image_bgr, MIN_CONFIDENCE)
    assert len(boxes) == len(rows)
    if not len(rows):
        return
    # Faces that are alike may come in another order.
    ours = np.hstack([boxes, landmarks.reshape(-1, 10), confidences[:, None]])
    partners = np.linalg.norm(ours[:, None, :2] - rows[None, :, :2], axis=2).argmin(axis=1)
    np.testing.assert_allclose(ours[:, :14], rows[partners, :14], atol=0.01)
    np.testing.assert_allclose(ours[:, 14], rows[partners, 14], atol=1e-4)


def test_the_surest_face_comes_first(network: YuNetNetwork) -> None:
    image_bgr = make_pictures()["sixteen faces, 1280x720"]
    _, _, confidences = network.find_faces(image_bgr, MIN_CONFIDENCE)
    assert len(confidences) == 16
    assert (np.diff(confidences) <= 0).all()


def test_no_face_has_the_shapes_of_many(network: YuNetNetwork) -> None:
    grey = np.full((100, 200, 3), 128, np.uint8)
    boxes, landmarks, confidences = network.find_faces(grey, MIN_CONFIDENCE)
    assert (boxes.shape, landmarks.shape, confidences.shape) == ((0, 4), (0, 5, 2), (0,))


def test_a_size_gives_the_same_answer_whatever_came_before(
    network: YuNetNetwork, astronaut_bgr: NDArray[np.uint8]
) -> None:
    """More sizes than interpreters that are kept."""
    first = network.find_faces(astronaut_bgr, MIN_CONFIDENCE)
    for side_px in range(32, 32 * 8, 32):
        network.find_faces(np.ascontiguousarray(astronaut_bgr[:side_px]), MIN_CONFIDENCE)
    assert len(network._interpreters) == yunet_network._MAX_INTERPRETERS
    again = network.find_faces(astronaut_bgr, MIN_CONFIDENCE)
    assert len(first[0]) == 1
    for before, now in zip(first, again, strict=True):
        np.testing.assert_array_equal(before, now)


def test_a_litert_that_does_not_load_is_told(
    monkeypatch: pytest.MonkeyPatch, yunet_path: Path
) -> None:
    weights = read_onnx(yunet_path)
    name = "ai_edge_litert.interpreter"
    # As after an installation that went wrong: the package is there, its content is not.
    monkeypatch.setitem(sys.modules, name, ModuleType(name))
    with pytest.raises(DetectorError, match=r"LiteRT cannot be loaded: cannot import name .*pip"):
        YuNetNetwork(weights)


def test_threads_change_nothing(
    network: YuNetNetwork, yunet_path: Path, astronaut_bgr: NDArray[np.uint8]
) -> None:
    two = YuNetNetwork(read_onnx(yunet_path), threads=2)
    for one, other in zip(
        network.find_faces(astronaut_bgr, MIN_CONFIDENCE),
        two.find_faces(astronaut_bgr, MIN_CONFIDENCE),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_the_fast_kernels_take_all_of_it(yunet_path: Path) -> None:
    """One operator outside of them would double the time."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=build_model(read_onnx(yunet_path)))
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], [1, 257, 321, 3])
    interpreter.allocate_tensors()
    # LiteRT has no public way to ask.
    names = [operator["op_name"] for operator in interpreter._get_ops_details()]
    if "DELEGATE" not in names:
        pytest.skip("this LiteRT has no fast kernels for this processor")
    assert names.count("DELEGATE") == 1
