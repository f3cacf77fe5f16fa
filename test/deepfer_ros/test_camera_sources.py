"""Tests of the camera sources. No camera is needed: fakes stand for OpenCV's devices."""

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from video_files import write_matroska

from deepfer_ros import camera_sources
from deepfer_ros.camera_sources import (
    SAMPLE_PERIOD,
    CameraError,
    Frame,
    FrameSource,
    ImageSource,
    SampleSource,
    VideoSource,
    WebcamSource,
    fit_image,
    list_images,
    open_source,
)
from deepfer_ros.cli import node_processes


def picture(value: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    return np.full((height, width, 3), value, np.uint8)


def write_picture(path: Path, value: int, width: int = 64, height: int = 48) -> Path:
    assert cv2.imwrite(str(path), picture(value, width, height))
    return path


def write_video(path: Path, values: tuple[int, ...], rate_hz: float = 25.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate_hz, (64, 48))
    assert writer.isOpened()
    for value in values:
        writer.write(picture(value))
    writer.release()
    return path


def read(source: FrameSource) -> Frame:
    frame = source.read()
    assert frame is not None
    return frame


def levels(source: FrameSource) -> list[int]:
    """Return the mean grey value of every picture until the source ends."""
    means = []
    while (frame := source.read()) is not None:
        means.append(round(float(frame.image_bgr.mean())))
    return means


class FakeCapture:
    """Stands for cv2.VideoCapture: gives pictures, then fails, or hangs."""

    def __init__(
        self,
        images: list[NDArray[np.uint8]],
        *,
        opens: bool = True,
        hang: threading.Event | None = None,
        go: threading.Event | None = None,
    ) -> None:
        self.images = images
        self.opens = opens
        self.hang = hang
        self.go = go
        self.settings: dict[int, float] = {}
        self.released = threading.Event()

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's name
        return self.opens

    def set(self, key: int, value: float) -> bool:
        self.settings[key] = value
        return True

    def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
        if self.hang is not None:
            self.hang.wait(20)
        if self.go is not None:
            self.go.wait(20)
            self.go.clear()
        if not self.images:
            return False, None
        return True, self.images.pop(0)

    def release(self) -> None:
        self.released.set()


def webcam(capture: FakeCapture, *, timeout_s: float = 5.0) -> WebcamSource:
    return WebcamSource(
        Path("/dev/video99"),
        timeout_s=timeout_s,
        open_capture=lambda _: cast(cv2.VideoCapture, capture),
    )


class TestOpenSource:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            pytest.param("", "source is empty", id="empty"),
            pytest.param("nowhere.mp4", "'nowhere.mp4' does not exist", id="missing file"),
            pytest.param("Sample", "'Sample' does not exist", id="wrong case"),
            pytest.param("-1", "'-1' does not exist", id="negative index"),
            pytest.param("97", "Webcam /dev/video97 does not exist", id="missing index"),
            pytest.param(
                "/dev/video98", "Webcam /dev/video98 does not exist", id="missing device"
            ),
            pytest.param("/dev/null", "Webcam /dev/null cannot be opened", id="no camera"),
            pytest.param("9" * 5000, "does not exist; present: ", id="endless index"),
            pytest.param("/dev/video\0", "does not exist; present: ", id="no name of a device"),
            pytest.param("~nobody_here/a.mp4", "'~nobody_here/a.mp4' does not", id="unknown user"),
            pytest.param("x" * 300, "cannot be reached: File name too long", id="long name"),
            pytest.param("a\0.mp4", "cannot be reached: embedded null", id="no name"),
        ],
    )
    def test_refuses_what_is_no_source(self, source: str, expected: str) -> None:
        with pytest.raises(CameraError) as caught:
            open_source(source)
        assert expected in str(caught.value)

    @pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO])
    def test_says_why_a_file_cannot_be_reached(
        self, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(path: Path, **options: bool) -> os.stat_result:
            raise OSError(number, os.strerror(number), str(path))

        with monkeypatch.context() as patch:
            patch.setattr(Path, "stat", fail)
            with pytest.raises(CameraError) as caught:
                open_source("/mnt/film.mp4")
        reason = os.strerror(number)
        assert str(caught.value).startswith(
            f"Source '/mnt/film.mp4' cannot be reached: {reason}; allowed are 'auto'"
        )

    def test_says_what_is_allowed(self) -> None:
        with pytest.raises(CameraError, match=r"'sample'.*webcam.*video file.*folder of images"):
            open_source("nowhere")

    def test_refuses_a_named_pipe_without_waiting_for_its_writer(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.mp4")
        with pytest.raises(CameraError, match="neither a regular file nor a folder"):
            open_source(str(tmp_path / "pipe.mp4"))

    def test_refuses_a_file_that_is_neither_image_nor_video(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("no picture")
        with pytest.raises(CameraError, match="neither an image nor a video"):
            open_source(str(tmp_path / "notes.txt"))

    def test_refuses_an_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "empty.mp4").touch()
        with pytest.raises(CameraError, match="neither an image nor a video"):
            open_source(str(tmp_path / "empty.mp4"))

    def test_refuses_a_truncated_video(self, tmp_path: Path) -> None:
        whole = write_video(tmp_path / "whole.avi", (10, 20, 30)).read_bytes()
        (tmp_path / "cut.avi").write_bytes(whole[:100])
        with pytest.raises(CameraError, match=r"cut\.avi"):
            open_source(str(tmp_path / "cut.avi"))

    def test_refuses_a_damaged_image(self, tmp_path: Path) -> None:
        whole = write_picture(tmp_path / "whole.png", 10).read_bytes()
        (tmp_path / "damaged.png").write_bytes(whole[:20])
        with pytest.raises(CameraError, match="image"):
            open_source(str(tmp_path / "damaged.png"))

    def test_refuses_a_size_without_pixels(self) -> None:
        with pytest.raises(CameraError, match="1x1 or more, got 0x480"):
            open_source("sample", size=(0, 480))

    @pytest.mark.parametrize(
        ("make", "expected"),
        [
            pytest.param(lambda path: write_video(path / "a.avi", (9,)), VideoSource, id="video"),
            pytest.param(lambda path: write_picture(path / "a.jpg", 9), ImageSource, id="image"),
            pytest.param(
                lambda path: write_picture(path / "a.png", 9).parent, ImageSource, id="folder"
            ),
        ],
    )
    def test_tells_files_apart(
        self, make: Callable[[Path], Path], expected: type, tmp_path: Path
    ) -> None:
        source = open_source(str(make(tmp_path)))
        assert isinstance(source, expected)
        assert read(source).image_bgr.shape == (48, 64, 3)
        source.close()

    def test_looks_at_the_content_not_the_suffix(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "clip.avi", (9, 9)).rename(tmp_path / "clip")
        assert isinstance(open_source(str(path)), VideoSource)

    def test_the_name_opens_the_same_source_again(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "a.png", 40)
        again = open_source(open_source(str(tmp_path)).name)
        assert levels(again) == [40]


class TestAuto:
    def test_takes_the_sample_without_a_webcam(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(camera_sources, "list_webcams", lambda: ())
        assert open_source("auto").name == "sample"

    def test_passes_over_a_webcam_that_gives_no_picture(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        captures = {
            "/dev/video0": FakeCapture([], opens=False),
            "/dev/video1": FakeCapture([]),
            "/dev/video2": FakeCapture([picture(70)] * 3),
        }
        monkeypatch.setattr(camera_sources, "list_webcams", lambda: tuple(map(Path, captures)))
        monkeypatch.setattr(camera_sources, "_check_device", lambda device: None)
        monkeypatch.setattr(camera_sources, "_open_webcam", captures.__getitem__)
        reports: list[str] = []
        source = open_source("auto", report=reports.append)
        assert source.description == "webcam /dev/video2"
        assert [report.split()[1] for report in reports] == ["/dev/video0", "/dev/video1"]
        source.close()


class TestWebcamSource:
    def test_gives_each_picture_once(self) -> None:
        go = threading.Event()
        go.set()
        capture = FakeCapture([picture(1), picture(2)], go=go)
        source = webcam(capture)
        assert read(source).image_bgr[0, 0, 0] == 1
        go.set()
        assert read(source).image_bgr[0, 0, 0] == 2
        source.close()

    def test_turns_grey_into_bgr(self) -> None:
        source = webcam(FakeCapture([np.full((4, 6), 7, np.uint8)] * 2))
        assert read(source).image_bgr.shape == (4, 6, 3)
        source.close()

    def test_says_when_the_picture_was_taken(self) -> None:
        before_s = time.monotonic()
        source = webcam(FakeCapture([picture(1)]))
        assert before_s <= read(source).captured_s <= time.monotonic()

    def test_fails_when_unplugged(self) -> None:
        capture = FakeCapture([picture(1)])
        source = webcam(capture)
        read(source)
        with pytest.raises(CameraError, match="/dev/video99 stopped delivering"):
            source.read()
        assert capture.released.wait(5)

    def test_gives_up_on_a_device_that_hangs(self) -> None:
        hang = threading.Event()
        capture = FakeCapture([picture(1)], hang=hang)
        with pytest.raises(CameraError, match=r"no picture within 0\.05 s"):
            webcam(capture, timeout_s=0.05)
        # The device is freed as soon as its driver lets go.
        hang.set()
        assert capture.released.wait(5)

    def test_an_interrupted_wait_frees_the_device(self, monkeypatch: pytest.MonkeyPatch) -> None:
        class EndlessCapture(FakeCapture):
            def read(self) -> tuple[bool, NDArray[np.uint8] | None]:
                return True, picture(1)

        def interrupt(source: WebcamSource) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(WebcamSource, "read", interrupt)
        capture = EndlessCapture([])
        with pytest.raises(KeyboardInterrupt):
            webcam(capture)
        assert capture.released.wait(5)

    def test_one_that_hangs_delays_the_end_less_than_the_parent_waits(self) -> None:
        _, patience_s = node_processes._ENDING[0]
        assert camera_sources._DEVICE_TIMEOUT_S + camera_sources._CLOSE_TIMEOUT_S < patience_s

    def test_close_ends_a_read_that_waits(self) -> None:
        go = threading.Event()
        go.set()
        source = webcam(FakeCapture([picture(1), picture(2)], go=go), timeout_s=30)
        read(source)
        failures: list[str] = []

        def wait_for_a_picture() -> None:
            try:
                source.read()
            except CameraError as err:
                failures.append(str(err))

        reader = threading.Thread(target=wait_for_a_picture)
        reader.start()
        source.close()
        reader.join(10)
        go.set()
        assert not reader.is_alive()
        assert "was closed" in failures[0]

    def test_asks_for_a_size(self) -> None:
        capture = FakeCapture([picture(1)])
        WebcamSource(
            Path("/dev/video99"),
            (1280, 720),
            open_capture=lambda _: cast(cv2.VideoCapture, capture),
        ).close()
        assert capture.settings[cv2.CAP_PROP_FRAME_WIDTH] == 1280
        assert capture.settings[cv2.CAP_PROP_FRAME_HEIGHT] == 720
        assert capture.settings[cv2.CAP_PROP_FOURCC] == cv2.VideoWriter.fourcc(*"MJPG")


class TestVideoSource:
    def test_gives_all_pictures_in_order_and_again(self, tmp_path: Path) -> None:
        source = VideoSource(write_video(tmp_path / "a.avi", (20, 120, 220), rate_hz=12))
        assert source.rate_hz == pytest.approx(12)
        assert levels(source) == pytest.approx([20, 120, 220], abs=3)
        source.rewind()
        assert levels(source) == pytest.approx([20, 120, 220], abs=3)
        source.close()

    def test_is_scaled_with_its_aspect_kept(self, tmp_path: Path) -> None:
        source = VideoSource(write_video(tmp_path / "a.avi", (20,)), (32, 400))
        assert read(source).image_bgr.shape == (24, 32, 3)

    def test_tells_the_times_that_the_file_has(self, tmp_path: Path) -> None:
        times_ms = [0, 150, 300, 700, 701, 2000]
        path = write_matroska(tmp_path / "a.mkv", [picture(9)] * 6, times_ms)
        source = VideoSource(path)
        assert [read(source).position_s for _ in times_ms] == pytest.approx(
            [time_ms / 1e3 for time_ms in times_ms]
        )
        assert source.read() is None

    @pytest.mark.parametrize(
        ("period_ms", "count", "stated_rate_hz", "rate_hz"),
        [
            pytest.param(181, 30, 1000, 1000 / 181, id="ticks of a clock"),
            pytest.param(100, 40, 50, 10.0, id="contradicted by the times"),
            pytest.param(33, 40, 25, 25.0, id="much like the times"),
            pytest.param(2, 40, 500, 500.0, id="high, but true"),
            pytest.param(0, 1, 1000, 25.0, id="ticks, and no times"),
            pytest.param(0, 9, 30, 30.0, id="no times"),
            pytest.param(1, 9, 30, 30.0, id="times too close to be true"),
        ],
    )
    def test_an_implausible_rate_is_not_believed(
        self, tmp_path: Path, period_ms: int, count: int, stated_rate_hz: int, rate_hz: float
    ) -> None:
        times_ms = [index * period_ms for index in range(count)]
        path = write_matroska(
            tmp_path / "a.mkv", [picture(9)] * count, times_ms, stated_rate_hz=stated_rate_hz
        )
        source = VideoSource(path)
        assert source.rate_hz == pytest.approx(rate_hz, rel=0.01)
        # Measuring has used up none of them.
        assert len(levels(source)) == count

    def test_fails_when_the_file_is_gone(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.avi", (20,))
        source = VideoSource(path)
        path.unlink()
        with pytest.raises(CameraError, match="missing"):
            source.rewind()


class TestImageSource:
    def test_folder_is_sorted_and_skips_other_files(self, tmp_path: Path) -> None:
        for name, value in (("b.png", 20), ("a.jpg", 10), ("C.PNG", 5), ("d.webp", 30)):
            write_picture(tmp_path / name, value)
        (tmp_path / "notes.txt").write_text("no picture")
        (tmp_path / "below.png").mkdir()
        assert levels(ImageSource(tmp_path)) == pytest.approx([5, 10, 20, 30], abs=1)

    def test_unreadable_images_are_reported_once_and_skipped(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "a.png", 10)
        (tmp_path / "b.png").write_bytes(b"no picture")
        write_picture(tmp_path / "c.png", 30)
        reports: list[str] = []
        source = ImageSource(tmp_path, report=reports.append)
        assert levels(source) == [10, 30]
        source.rewind()
        assert levels(source) == [10, 30]
        assert len(reports) == 1
        assert str(tmp_path / "b.png") in reports[0]

    def test_rewind_finds_new_images(self, tmp_path: Path) -> None:
        write_picture(tmp_path / "a.png", 10)
        source = ImageSource(tmp_path)
        assert levels(source) == [10]
        write_picture(tmp_path / "b.png", 20)
        source.rewind()
        assert levels(source) == [10, 20]

    def test_a_folder_that_is_gone_is_named(self, tmp_path: Path) -> None:
        folder = tmp_path / "folder"
        folder.mkdir()
        for name in ("a.png", "b.png"):
            write_picture(folder / name, 10)
        source = ImageSource(folder)
        read(source)
        folder.rename(tmp_path / "elsewhere")
        with pytest.raises(CameraError, match=r"b\.png does not exist"):
            source.read()
        with pytest.raises(CameraError, match=r"Cannot list the folder .*folder: No such file"):
            source.rewind()

    def test_one_image(self, tmp_path: Path) -> None:
        source = ImageSource(write_picture(tmp_path / "a.png", 10), (32, 32))
        assert read(source).image_bgr.shape == (24, 32, 3)
        assert source.read() is None

    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            pytest.param(None, "holds no image; looked for .bmp", id="empty"),
            pytest.param(b"no picture", "None of the images in", id="none readable"),
        ],
    )
    def test_refuses_a_folder_without_images(
        self, content: bytes | None, expected: str, tmp_path: Path
    ) -> None:
        if content is not None:
            (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(CameraError, match=expected):
            ImageSource(tmp_path)


class TestSampleSource:
    @pytest.mark.parametrize("size", [(640, 480), (1920, 1080), (480, 640), (64, 64)])
    def test_has_the_size_asked_for(self, size: tuple[int, int]) -> None:
        assert SampleSource(size).render(0).shape == (size[1], size[0], 3)

    def test_is_decided_by_the_frame_number(self) -> None:
        one, other = SampleSource(), SampleSource()
        for _ in range(3):
            read(one)
        np.testing.assert_array_equal(read(one).image_bgr, other.render(3))
        np.testing.assert_array_equal(one.render(5), one.render(5 + SAMPLE_PERIOD))

    def test_moves_and_changes_its_size(self) -> None:
        views = np.array([SampleSource()._view(index) for index in range(SAMPLE_PERIOD)])
        faces_x = (226 - views[:, 0]) * views[:, 2]
        assert np.ptp(faces_x) > 200
        assert views[:, 2].max() / views[:, 2].min() > 1.5

    def test_moves_smoothly(self) -> None:
        source = SampleSource()
        views = np.array([source._view(index) for index in range(2 * SAMPLE_PERIOD)])
        speeds = np.abs(np.diff(views[:, :2], axis=0))
        jerks = np.abs(np.diff(views[:, :2], n=2, axis=0))
        assert speeds.max() < 4
        assert jerks.max() < 0.3

    def test_stays_inside_the_photograph(self) -> None:
        source = SampleSource()
        for index in range(SAMPLE_PERIOD):
            left, top, zoom = source._view(index)
            assert left >= 0
            assert top >= 0
            assert left + 640 / zoom <= 512.001
            assert top + 480 / zoom <= 512.001

    def test_says_how_to_get_the_photograph(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        with pytest.raises(CameraError, match="pip install --no-deps scikit-image"):
            SampleSource()

    def test_does_not_import_the_package(self) -> None:
        code = (
            "import sys; from deepfer_ros.camera_sources import SampleSource; SampleSource(); "
            "sys.exit('skimage' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        pytest.param(None, (48, 64), id="as it is"),
        pytest.param((64, 48), (48, 64), id="same"),
        pytest.param((32, 32), (24, 32), id="smaller"),
        pytest.param((640, 96), (96, 128), id="larger"),
        pytest.param((1, 1), (1, 1), id="tiny"),
    ],
)
def test_fit_image(size: tuple[int, int] | None, expected: tuple[int, int]) -> None:
    assert fit_image(picture(9), size).shape == (*expected, 3)


def test_list_images_of_an_empty_folder(tmp_path: Path) -> None:
    assert list_images(tmp_path) == []
