"""Tests of the times of videos: those of the file, a steady rate, or what is left of them."""

from pathlib import Path

import pytest
from fake_extraction import numbered_picture
from video_files import write_matroska

from deepfer_ros.bag.errors import BagError
from deepfer_ros.bag.picture_recording import PictureRecording
from deepfer_ros.bag.recording import RecordedImage, Selection

# As a browser records a page on which little happens.
TIMES_MS = [0, 181, 362, 400, 1500, 1533, 5430]


def write_video(path: Path, times_ms: list[int], stated_rate_hz: int | None = 1000) -> Path:
    pictures = [numbered_picture(index) for index in range(len(times_ms))]
    return write_matroska(path, pictures, times_ms, stated_rate_hz=stated_rate_hz)


def read_times(
    path: Path, *, selection: Selection | None = None, rate_hz: float | None = None
) -> list[float]:
    recording = PictureRecording(path, selection or Selection(), rate_hz=rate_hz)
    images = [image for image in recording.entries() if isinstance(image, RecordedImage)]
    recording.close()
    assert [image.stamp_ns for image in images] == [
        round(image.elapsed_s * 10**9) for image in images
    ]
    return [image.elapsed_s for image in images]


def in_seconds(times_ms: list[int]) -> list[float]:
    return [time_ms / 1e3 for time_ms in times_ms]


def test_a_video_has_its_own_times(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", TIMES_MS)
    assert read_times(path) == pytest.approx(in_seconds(TIMES_MS))


def test_another_rate_overrides_them(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", TIMES_MS)
    expected = [index / 10 for index in range(len(TIMES_MS))]
    assert read_times(path, rate_hz=10.0) == pytest.approx(expected)


def test_a_part_is_selected_by_them(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", TIMES_MS)
    times_s = read_times(path, selection=Selection(start_s=0.3, end_s=1.6))
    assert times_s == pytest.approx([0.362, 0.4, 1.5, 1.533])


@pytest.mark.parametrize(
    ("times_ms", "expected_ms"),
    [
        ([0, 0, 0, 0], [0, 40, 80, 120]),
        ([0, 40, 40, 80, 120], [0, 40, 80, 81, 120]),
        ([0, 50, 100, 0, 0, 0], [0, 50, 100, 140, 180, 220]),
        ([0, 50, 100, 0, 50, 100], [0, 50, 100, 140, 190, 240]),
    ],
    ids=["none", "twice the same", "only at the beginning", "begin again"],
)
def test_times_always_grow(tmp_path: Path, times_ms: list[int], expected_ms: list[int]) -> None:
    path = write_video(tmp_path / "a.mkv", times_ms, stated_rate_hz=25)
    assert read_times(path) == pytest.approx(in_seconds(expected_ms))


@pytest.mark.parametrize(
    ("rate_hz", "duration_s"), [(None, 5.431), (10.0, 3.0)], ids=["own", "another rate"]
)
def test_duration(tmp_path: Path, rate_hz: float | None, duration_s: float) -> None:
    path = write_video(tmp_path / "a.mkv", [index * 187 for index in range(30)])
    recording = PictureRecording(path, Selection(), rate_hz=rate_hz)
    recording.close()
    assert recording.duration_s == pytest.approx(duration_s, rel=0.05)


def test_a_video_that_goes_away_is_told(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mkv", TIMES_MS)
    recording = PictureRecording(path, Selection())
    path.unlink()
    with pytest.raises(BagError, match=r"a\.mkv is missing"):
        list(recording.entries())
    recording.close()
