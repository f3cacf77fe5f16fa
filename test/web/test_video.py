"""Pictures are taken from videos that are in memory."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.video import open_video


def make_video(path: Path, frames: int, *, rate_hz: float = 10, codec: str = "MJPG") -> bytes:
    """Return a video whose frame k is of grey 10 * k."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate_hz, (64, 48))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(np.full((48, 64, 3), 10 * index % 256, np.uint8))
    writer.release()
    return path.read_bytes()


def times_and_greys(data: bytes, limits: WebLimits) -> list[tuple[float, int]]:
    with open_video(data, "clip", limits) as video:
        return [
            (frame.time_s, round(float(frame.image_bgr.mean()) / 10)) for frame in video.frames()
        ]


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.avi", "MJPG"), ("a.mp4", "mp4v"), ("a.webm", "VP80"), ("a.mkv", "MJPG")],
)
def test_kinds_of_files(tmp_path: Path, name: str, codec: str) -> None:
    data = make_video(tmp_path / name, 10, codec=codec)
    with open_video(data, "clip", WebLimits()) as video:
        assert (video.width, video.height) == (64, 48)
        assert video.duration_s == pytest.approx(1.0, abs=0.2)
        times_s = [frame.time_s for frame in video.frames()]
    assert times_s == pytest.approx([0.0, 0.2, 0.4, 0.6, 0.8], abs=0.01)
    assert video.truncated is None


@pytest.mark.parametrize(
    ("rate_hz", "sampled"),
    [
        pytest.param(5.0, [0, 2, 4, 6, 8], id="every second"),
        pytest.param(10.0, list(range(10)), id="every one"),
        pytest.param(100.0, list(range(10)), id="no more than there are"),
        pytest.param(1.0, [0], id="one"),
    ],
)
def test_the_rate_of_the_limits_is_taken(
    tmp_path: Path, rate_hz: float, sampled: list[int]
) -> None:
    data = make_video(tmp_path / "a.avi", 10)
    found = times_and_greys(data, WebLimits(video_rate_hz=rate_hz))
    assert [grey for _, grey in found] == sampled
    assert [time_s for time_s, _ in found] == pytest.approx([0.1 * index for index in sampled])


def test_slow_videos_are_taken_as_they_are(tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.avi", 4, rate_hz=1)
    assert [time_s for time_s, _ in times_and_greys(data, WebLimits())] == [0.0, 1.0, 2.0, 3.0]


def test_a_long_video_is_cut_and_says_so(tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.avi", 20)
    with open_video(data, "clip", WebLimits(video_seconds=1.0)) as video:
        assert len(list(video.frames())) == 5
        assert video.truncated == "Only the first 1 s were read, which is the limit."


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "clip is empty", id="empty"),
        pytest.param(b"garbage", "no video of a known format", id="garbage"),
        pytest.param(b"#EXTM3U\nfile:///etc/passwd", "no video of a known", id="play list"),
        pytest.param(b"ffconcat version 1.0\nfile /etc/passwd", "no video", id="concat"),
        pytest.param(b"GIF89a", "no video of a known format", id="GIF"),
        pytest.param(b"RIFF" + bytes(100), "damaged", id="RIFF"),
        pytest.param(b"\0\0\0\x18ftypmp42" + bytes(100), "damaged", id="MP4"),
        pytest.param(b"\x1aE\xdf\xa3" + bytes(100), "damaged", id="Matroska"),
    ],
)
def test_what_is_no_video_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason), open_video(data, "clip", WebLimits()):
        pass


def test_a_video_that_is_cut_off_gives_what_there_is(tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.avi", 100)
    found = times_and_greys(data[: len(data) * 2 // 3], WebLimits(video_rate_hz=10))
    assert 0 < len(found) < 100


def test_pictures_that_are_too_large_are_refused(tmp_path: Path) -> None:
    data = make_video(tmp_path / "a.avi", 1)
    with (
        pytest.raises(ImageError, match="64x48 pixels, at most 3000"),
        open_video(data, "clip", WebLimits(video_pixels=3000)),
    ):
        pass
