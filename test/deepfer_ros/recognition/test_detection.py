import resource
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
from box_overlap import intersection_over_union
from numpy.typing import NDArray

from deepfer_ros.recognition import detection
from deepfer_ros.recognition.detection import (
    FaceDetector,
    HaarDetector,
    check_detector,
    detector_statuses,
    load_detector,
)
from deepfer_ros.recognition.errors import DetectorError, ImageError

# The face of the photograph, marked by eye: hairline to chin, and the five landmarks.
ASTRONAUT_BOX = np.array([[176, 62, 96, 108]], np.float32)
LANDMARKS = np.array([[204, 101], [245, 101], [223, 124], [205, 143], [241, 142]])


@pytest.fixture(params=["yunet", "libfacedetection", "haar"])
def detector(request: pytest.FixtureRequest) -> FaceDetector:
    name: str = request.param
    yunet_file = request.getfixturevalue("yunet_path") if name == "yunet" else None
    if name == "libfacedetection":
        pytest.importorskip("yuface")
    return load_detector(name, yunet_file=yunet_file)


@pytest.mark.parametrize("scale", [0.5, 1, 2.5])
def test_the_face_is_found_in_pixels_of_the_picture(
    detector: FaceDetector, astronaut_bgr: NDArray[np.uint8], scale: float
) -> None:
    image_bgr = np.asarray(cv2.resize(astronaut_bgr, None, fx=scale, fy=scale), np.uint8)
    faces = detector.detect(image_bgr)
    overlap = intersection_over_union(faces.boxes_xywh, ASTRONAUT_BOX * np.float32(scale))
    assert len(faces) == 1
    assert overlap[0, 0] > 0.7
    if detector.name == "haar":
        assert np.isnan(faces.landmarks).all()
        assert faces.confidences.tolist() == [1.0]
    else:
        np.testing.assert_allclose(faces.landmarks[0], LANDMARKS * scale, atol=5 * max(1, scale))
        assert faces.confidences[0] > 0.8


def test_a_picture_without_face_gives_none(detector: FaceDetector) -> None:
    assert len(detector.detect(np.full((240, 320, 3), 128, np.uint8))) == 0


def test_two_faces_are_found(detector: FaceDetector, astronaut_bgr: NDArray[np.uint8]) -> None:
    portrait = astronaut_bgr[:256, 100:356]
    faces = detector.detect(np.hstack([portrait, portrait]))
    assert len(faces) == 2
    lefts = sorted(faces.boxes_xywh[:, 0].tolist())
    assert lefts[1] - lefts[0] == pytest.approx(256, abs=6)


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 2000), (2000, 1), (7, 5), (31, 33), (480, 640), (2160, 3840)]
)
def test_every_size_is_allowed(detector: FaceDetector, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    boxes = detector.detect(noise).boxes_xywh
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= (size[1], size[0])).all()


def test_boxes_are_clipped(detector: FaceDetector, astronaut_bgr: NDArray[np.uint8]) -> None:
    """A face that leaves the picture on the left keeps a box inside it."""
    image_bgr = np.ascontiguousarray(astronaut_bgr[:256, 195:451])
    boxes = detector.detect(image_bgr).boxes_xywh
    if detector.name != "haar":  # Haar needs the whole face.
        assert len(boxes) == 1
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, :2] + boxes[:, 2:] <= 256).all()


def test_views_with_strides_are_allowed(
    detector: FaceDetector, astronaut_bgr: NDArray[np.uint8]
) -> None:
    mirrored = astronaut_bgr[:, ::-1]
    assert len(detector.detect(mirrored)) == 1


@pytest.mark.parametrize(
    ("wrong", "received"),
    [
        pytest.param(np.zeros((4, 4), np.uint8), r"uint8 \(4, 4\)", id="grey"),
        pytest.param(np.zeros((4, 4, 4), np.uint8), r"uint8 \(4, 4, 4\)", id="alpha"),
        pytest.param(np.zeros((4, 4, 3), np.float32), "float32", id="float"),
        pytest.param(np.zeros((0, 4, 3), np.uint8), r"must have pixels", id="no rows"),
        pytest.param(None, "NoneType", id="none"),
    ],
)
def test_other_pictures_are_refused(
    detector: FaceDetector, wrong: NDArray[np.uint8], received: str
) -> None:
    with pytest.raises(ImageError, match=received):
        detector.detect(wrong)


def test_auto_takes_the_first_that_is_available(yunet_path: Path) -> None:
    assert load_detector("auto", yunet_file=yunet_path).name == "yunet"
    statuses = detector_statuses(yunet_path)
    assert [status.name for status in statuses] == ["yunet", "libfacedetection", "haar"]
    assert statuses[0].available
    assert str(yunet_path) in statuses[0].reason


@pytest.mark.usefixtures("no_yunet")
def test_auto_goes_on_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detection, "find_spec", lambda name: None)
    assert isinstance(load_detector("auto"), HaarDetector)
    monkeypatch.delattr(cv2, "CascadeClassifier")
    with pytest.raises(DetectorError, match=r"'auto' is not available \(yunet: no YuNet file"):
        load_detector("auto")


@pytest.mark.parametrize("name", ["yunet", "libfacedetection"])
def test_the_network_needs_litert(
    monkeypatch: pytest.MonkeyPatch, yunet_path: Path, name: str
) -> None:
    pytest.importorskip("yuface")
    monkeypatch.setattr(
        detection, "find_spec", lambda name: None if name == "ai_edge_litert" else find_spec(name)
    )
    with pytest.raises(DetectorError, match=rf"{name}: LiteRT is not installed; install it with"):
        load_detector(name, yunet_file=yunet_path)
    assert load_detector("auto", yunet_file=yunet_path).name == "haar"


@pytest.fixture
def no_yunet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DEEPFER_YUNET_FILE", raising=False)


@pytest.mark.usefixtures("no_yunet")
def test_a_detector_that_is_not_there_says_what_to_do() -> None:
    with pytest.raises(DetectorError, match="run 'deepfer fetch-detector'"):
        load_detector("yunet")


def test_an_unknown_detector_is_refused() -> None:
    with pytest.raises(DetectorError, match="'mtcnn'; choose one of auto, yunet"):
        load_detector("mtcnn")


@pytest.mark.parametrize("name", ["yunet", "haar"])
@pytest.mark.parametrize("file", ["gone.onnx", "x" * 300], ids=["missing", "long"])
def test_a_missing_yunet_file_is_named(tmp_path: Path, name: str, file: str) -> None:
    with pytest.raises(DetectorError, match=r"YuNet file .* does not exist or cannot be reached"):
        load_detector(name, yunet_file=tmp_path / file)


def test_haar_needs_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", f"/{'x' * 300}")
    monkeypatch.delenv("DEEPFER_YUNET_FILE", raising=False)
    assert load_detector("haar").name == "haar"


@pytest.mark.parametrize("content", [b"", b"no model"], ids=["empty", "text"])
def test_a_file_that_is_not_yunet_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wrong.onnx"
    path.write_bytes(content)
    for use in (load_detector, check_detector):
        with pytest.raises(DetectorError, match=r"wrong\.onnx is not a YuNet model"):
            use("yunet", yunet_file=path)


@pytest.mark.parametrize("name", ["auto", "yunet", "haar"])
def test_a_detector_can_be_checked_without_loading_it(
    monkeypatch: pytest.MonkeyPatch, yunet_path: Path, name: str
) -> None:
    monkeypatch.setattr(detection, "YuNetNetwork", None)
    check_detector(name, yunet_file=yunet_path)


def test_memory_does_not_grow(detector: FaceDetector, astronaut_bgr: NDArray[np.uint8]) -> None:
    """Over 400 pictures."""
    small = np.ascontiguousarray(astronaut_bgr[::4, ::4])

    def resident_bytes() -> int:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    for _ in range(50):
        detector.detect(small)
    before = resident_bytes()
    for _ in range(400):
        detector.detect(small)
    assert resident_bytes() - before < 5_000_000
