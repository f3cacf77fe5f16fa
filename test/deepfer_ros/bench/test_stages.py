"""Tests of what the floors of the stages are worked out from."""

from pathlib import Path

import cv2
import pytest

from deepfer_ros.bench.stages import YUNET_OPERATIONS_PER_PIXEL, _operations_per_face
from deepfer_ros.recognition.model_bundle import load_bundle
from deepfer_ros.recognition.yunet_weights import STRIDES_PX, read_library

# Steps, in pixels of the picture, at which the convolutions before the heads are evaluated.
TRUNK_STRIDES_PX = [2] * 3 + [4] * 8 + [8] * 4 + [16] * 4 + [32] * 6 + [16] * 2 + [8] * 2


def test_the_arithmetic_of_the_detector_is_counted() -> None:
    yuface = pytest.importorskip("yuface")
    weights = read_library(Path(yuface.__file__).with_name("libfacedetection.so"))
    heads = zip(STRIDES_PX, weights.heads, strict=True)
    evaluated = [
        *zip(TRUNK_STRIDES_PX, weights.trunk, strict=True),
        *((stride_px, part) for stride_px, head in heads for part in head),
    ]
    pairs = sum(part.kernel.size / stride_px**2 for stride_px, part in evaluated)
    assert 2 * pairs == pytest.approx(YUNET_OPERATIONS_PER_PIXEL, abs=1)


def test_the_arithmetic_of_the_model_is_counted_where_opencv_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bundle = load_bundle("deepfer48")
    if hasattr(cv2.dnn, "readNetFromTFLite"):
        # Eight convolutions; most of the pairs are in the third stage.
        assert _operations_per_face(bundle) == pytest.approx(3.7e8, rel=0.2)
        monkeypatch.delattr(cv2.dnn, "readNetFromTFLite")
    assert _operations_per_face(bundle) is None
