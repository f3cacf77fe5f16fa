import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from deepfer_ros.diagnostics import (
    ACTIVE,
    INACTIVE,
    PAUSED,
    UNCONFIGURED,
    WINDOW_S,
    CameraCondition,
    NodeCondition,
    StreamStatistics,
    to_camera_status,
    to_node_status,
)

TOPIC = "/image_raw"


class FakeClock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def run_stream(
    clock: FakeClock, *, seconds: int, received_hz: int, processed_hz: int
) -> StreamStatistics:
    statistics = StreamStatistics(clock)
    for _ in range(seconds):
        for index in range(received_hz):
            clock.now_s += 1 / received_hz
            statistics.count_received(replaced_older=index >= processed_hz)
            if index < processed_hz:
                statistics.count_processed(faces=2, inference_s=0.01, latency_s=0.02)
    return statistics


def test_nothing_happened_yet(clock: FakeClock) -> None:
    report = StreamStatistics(clock).report()
    assert (report.received, report.processed, report.dropped, report.bad) == (0, 0, 0, 0)
    assert (report.input_rate_hz, report.output_rate_hz) == (0, 0)
    assert report.latency_median_ms is None
    assert report.latency_max_ms is None
    assert report.inference_median_ms is None


@pytest.mark.parametrize("seconds", [2, 20], ids=["before_window_is_full", "window_is_full"])
def test_rates_and_counts(clock: FakeClock, seconds: int) -> None:
    report = run_stream(clock, seconds=seconds, received_hz=30, processed_hz=10).report()
    assert report.received == 30 * seconds
    assert report.processed == 10 * seconds
    assert report.dropped == 20 * seconds
    assert report.input_rate_hz == pytest.approx(30, rel=0.02)
    assert report.output_rate_hz == pytest.approx(10, rel=0.02)
    assert report.latency_median_ms == pytest.approx(20)
    assert report.inference_median_ms == pytest.approx(10)
    assert report.faces == 2


def test_rates_fall_to_zero_and_counts_stay(clock: FakeClock) -> None:
    statistics = run_stream(clock, seconds=10, received_hz=10, processed_hz=10)
    statistics.count_bad("it was blue")
    clock.now_s += WINDOW_S + 1
    report = statistics.report()
    assert (report.input_rate_hz, report.output_rate_hz) == (0, 0)
    assert report.latency_max_ms is None
    assert (report.received, report.bad, report.bad_in_window) == (100, 1, 0)
    assert report.last_error == "it was blue"


def test_largest_latency_and_frames_without_stamp(clock: FakeClock) -> None:
    statistics = StreamStatistics(clock)
    for latency_s in (0.01, 0.5, 0.03, None):
        statistics.count_processed(faces=0, inference_s=0.001, latency_s=latency_s)
    report = statistics.report()
    assert report.latency_max_ms == pytest.approx(500)
    assert report.latency_median_ms == pytest.approx(30)


@pytest.mark.parametrize(
    ("condition", "bad", "processed", "level", "message"),
    [
        pytest.param(
            CameraCondition(ACTIVE, TOPIC), 0, 5, DiagnosticStatus.OK, "1 face, 2.0 Hz", id="works"
        ),
        pytest.param(
            CameraCondition(ACTIVE, TOPIC),
            1,
            5,
            DiagnosticStatus.WARN,
            "Some images are bad: x",
            id="some",
        ),
        pytest.param(
            CameraCondition(ACTIVE, TOPIC),
            5,
            0,
            DiagnosticStatus.ERROR,
            "All images are bad: x",
            id="all",
        ),
        pytest.param(
            CameraCondition(ACTIVE, TOPIC, silence="No image"),
            0,
            0,
            DiagnosticStatus.WARN,
            "No image",
            id="silence",
        ),
        pytest.param(
            CameraCondition(ACTIVE, TOPIC, silence="No image", on_demand=True),
            0,
            0,
            DiagnosticStatus.OK,
            "No image at present; this camera comes and goes.",
            id="on_demand",
        ),
        pytest.param(
            CameraCondition(INACTIVE, TOPIC), 0, 0, DiagnosticStatus.OK, "inactive", id="inactive"
        ),
        pytest.param(
            CameraCondition(PAUSED, TOPIC), 0, 0, DiagnosticStatus.OK, "paused", id="paused"
        ),
    ],
)
def test_level_and_message_of_a_camera(
    clock: FakeClock,
    condition: CameraCondition,
    bad: int,
    processed: int,
    level: bytes,
    message: str,
) -> None:
    statistics = StreamStatistics(clock)
    for _ in range(bad):
        statistics.count_bad("x")
    for _ in range(processed):
        statistics.count_processed(faces=1, inference_s=0.01, latency_s=None)
    clock.now_s += WINDOW_S / 2
    status = to_camera_status("/emotion_node: camera", condition, statistics.report())
    assert (status.level, status.message) == (level, message)
    assert status.name == "/emotion_node: camera"


def test_values_of_a_camera(clock: FakeClock) -> None:
    statistics = run_stream(clock, seconds=10, received_hz=32, processed_hz=8)
    statistics.count_bad("it was blue")
    status = to_camera_status("n", CameraCondition(ACTIVE, TOPIC), statistics.report())
    values = {entry.key: entry.value for entry in status.values}
    assert values == {
        "state": "active",
        "image topic": "/image_raw",
        "input rate (Hz)": "32.0",
        "output rate (Hz)": "8.0",
        "latency, median (ms)": "20.0",
        "latency, max (ms)": "20.0",
        "inference, median (ms)": "10.0",
        "frames received": "320",
        "frames processed": "80",
        "frames dropped": "240",
        "frames bad": "1",
        "faces": "2",
        "last error": "it was blue",
    }


@pytest.mark.parametrize(
    ("condition", "level", "message"),
    [
        pytest.param(
            NodeCondition(UNCONFIGURED), DiagnosticStatus.OK, "unconfigured", id="unconfigured"
        ),
        pytest.param(
            NodeCondition(UNCONFIGURED, failure="no model"),
            DiagnosticStatus.ERROR,
            "no model",
            id="failed",
        ),
        pytest.param(NodeCondition(ACTIVE), DiagnosticStatus.OK, "active", id="active"),
        pytest.param(
            NodeCondition(ACTIVE, warning="no time"), DiagnosticStatus.WARN, "no time", id="warns"
        ),
    ],
)
def test_level_and_message_of_the_node(
    condition: NodeCondition, level: bytes, message: str
) -> None:
    status = to_node_status("/emotion_node: emotions", condition)
    assert (status.level, status.message) == (level, message)
    assert status.name == "/emotion_node: emotions"


def test_values_of_the_node() -> None:
    condition = NodeCondition(ACTIVE, model="m", detector="d", cameras=("/a", "/b"))
    values = {entry.key: entry.value for entry in to_node_status("n", condition).values}
    assert values == {
        "state": "active",
        "model": "m",
        "detector": "d",
        "image topics": "/a, /b",
        "last error": "",
    }


@pytest.mark.parametrize(
    ("latencies_s", "median_ms", "largest_ms", "stamp_age_s"),
    [
        pytest.param([-0.2, -0.9], 0, 0, None, id="a_little_ahead"),
        pytest.param([7e6], None, None, 7e6, id="bag_without_simulated_time"),
        pytest.param([-50.0], None, None, -50.0, id="far_ahead"),
        pytest.param([0.1, -50.0, 0.3], 200, 300, None, id="a_bag_that_starts_again"),
        pytest.param([-50.0, 7e6], None, None, 7e6, id="latest"),
    ],
)
def test_latencies_are_never_absurd(
    clock: FakeClock,
    latencies_s: list[float],
    median_ms: float | None,
    largest_ms: float | None,
    stamp_age_s: float | None,
) -> None:
    statistics = StreamStatistics(clock)
    for latency_s in latencies_s:
        statistics.count_processed(faces=0, inference_s=0.001, latency_s=latency_s)
    report = statistics.report()
    assert report.latency_median_ms == pytest.approx(median_ms)
    assert report.latency_max_ms == pytest.approx(largest_ms)
    assert report.stamp_age_s == stamp_age_s


@pytest.mark.parametrize(
    ("age_s", "words"), [(7e6, "7000000 s behind this"), (-50.0, "50 s ahead of this")]
)
def test_stamps_of_another_clock_are_told(clock: FakeClock, age_s: float, words: str) -> None:
    statistics = StreamStatistics(clock)
    statistics.count_processed(faces=1, inference_s=0.01, latency_s=age_s)
    status = to_camera_status("n", CameraCondition(ACTIVE, TOPIC), statistics.report())
    assert status.level == DiagnosticStatus.WARN
    assert words in status.message
    assert "use_sim_time" in status.message
