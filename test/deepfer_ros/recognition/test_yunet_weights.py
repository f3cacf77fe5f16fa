from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from deepfer_ros.recognition.errors import DetectorError
from deepfer_ros.recognition.yunet_weights import (
    HEADS,
    STRIDES_PX,
    Convolution,
    YuNetWeights,
    read_library,
    read_onnx,
)


@pytest.fixture
def library_path() -> Path:
    yuface = pytest.importorskip("yuface")
    return Path(yuface.__file__).with_name("libfacedetection.so")


def all_convolutions(weights: YuNetWeights) -> list[Convolution]:
    return [*weights.trunk, *(part for head in weights.heads for part in head)]


def test_both_files_hold_the_same_numbers(yunet_path: Path, library_path: Path) -> None:
    """The library's are rounded to three digits."""
    exact, rounded = read_onnx(yunet_path), read_library(library_path)
    for own, other in zip(all_convolutions(exact), all_convolutions(rounded), strict=True):
        np.testing.assert_allclose(other.kernel, own.kernel, rtol=0.006, atol=1e-7)
        np.testing.assert_allclose(other.bias, own.bias, rtol=0.006, atol=1e-7)


def test_what_is_read_stays_the_same(library_path: Path) -> None:
    first, second = read_library(library_path), read_library(library_path)
    all_convolutions(first)[0].kernel[:] = 0
    assert all_convolutions(second)[0].kernel.any()
    assert all_convolutions(read_library(library_path))[0].kernel.any()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no model", id="text"),
        pytest.param(b"\x3a\x7f\x0a", id="a message that ends too early"),
        pytest.param(b"\x3a\x00", id="a graph without nodes"),
        pytest.param(b"\xff" * 100, id="a number without end"),
        pytest.param(b"\x3a\x04\x0a\x02\x22\x00", id="a node without a name"),
    ],
)
def test_other_files_are_no_yunet(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "wrong.onnx"
    path.write_bytes(content)
    with pytest.raises(DetectorError, match=r"wrong\.onnx is not a YuNet model"):
        read_onnx(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_no_yunet(yunet_path: Path, tmp_path: Path, share: float) -> None:
    path = tmp_path / "cut.onnx"
    data = yunet_path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(DetectorError, match=r"cut\.onnx is not a YuNet model"):
        read_onnx(path)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match="cannot be read: Is a directory"):
        read_onnx(tmp_path)


def test_a_file_that_is_no_library(tmp_path: Path) -> None:
    path = tmp_path / "libfacedetection.so"
    path.write_bytes(b"no library")
    with pytest.raises(DetectorError, match="cannot be used"):
        read_library(path)


def test_another_library() -> None:
    with pytest.raises(DetectorError, match=r"libm\.so\.6 cannot be used"):
        read_library(Path("libm.so.6"))


def test_other_shapes_are_refused(yunet_path: Path) -> None:
    weights = read_onnx(yunet_path)
    short = replace(weights.trunk[3], bias=weights.trunk[3].bias[1:])
    with pytest.raises(ValueError, match="the convolutions must be"):
        YuNetWeights(weights.trunk[1:], weights.heads)
    with pytest.raises(ValueError, match="the convolutions must be"):
        YuNetWeights((*weights.trunk[:3], short, *weights.trunk[4:]), weights.heads)
    with pytest.raises(ValueError, match="the convolutions must be"):
        YuNetWeights(weights.trunk, weights.heads[:2])


def test_the_heads_are_side_by_side(yunet_path: Path) -> None:
    weights = read_onnx(yunet_path)
    assert len(weights.heads) == len(STRIDES_PX)
    assert {len(part.bias) for head in weights.heads for part in head} == {sum(HEADS.values())}
