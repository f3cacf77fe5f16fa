import pytest
from diagnostic_msgs.msg import DiagnosticStatus

from deepfer_ros.diagnostics import (
    ACTIVE,
    INACTIVE,
    PAUSED,
    UNCONFIGURED,
    WINDOW_S,
    NodeCondition,
    StreamStatistics,
    to_diagnostic_status,
)


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
            NodeCondition(ACTIVE), 0, 5, DiagnosticStatus.OK, "1 face, 2.0 Hz", id="works"
        ),
        pytest.param(
            NodeCondition(ACTIVE), 1, 5, DiagnosticStatus.WARN, "Some images are bad: x", id="some"
        ),
        pytest.param(
            NodeCondition(ACTIVE), 5, 0, DiagnosticStatus.ERROR, "All images are bad: x", id="all"
        ),
        pytest.param(
            NodeCondition(ACTIVE, silence="No image"),
            0,
            0,
            DiagnosticStatus.WARN,
            "No image",
            id="silence",
        ),
        pytest.param(
            NodeCondition(INACTIVE), 0, 0, DiagnosticStatus.OK, "inactive", id="inactive"
        ),
        pytest.param(NodeCondition(PAUSED), 0, 0, DiagnosticStatus.OK, "paused", id="paused"),
        pytest.param(
            NodeCondition(UNCONFIGURED), 0, 0, DiagnosticStatus.OK, "unconfigured", id="waits"
        ),
        pytest.param(
            NodeCondition(UNCONFIGURED, failure="no model"),
            0,
            0,
            DiagnosticStatus.ERROR,
            "no model",
            id="failed",
        ),
    ],
)
def test_level_and_message(
    clock: FakeClock,
    condition: NodeCondition,
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
    status = to_diagnostic_status("/emotion_node: emotions", condition, statistics.report())
    assert (status.level, status.message) == (level, message)
    assert status.name == "/emotion_node: emotions"


def test_values(clock: FakeClock) -> None:
    statistics = run_stream(clock, seconds=10, received_hz=32, processed_hz=8)
    statistics.count_bad("it was blue")
    condition = NodeCondition(ACTIVE, model="m", detector="d", topic="/image_raw")
    status = to_diagnostic_status("n", condition, statistics.report())
    values = {entry.key: entry.value for entry in status.values}
    assert values == {
        "state": "active",
        "image topic": "/image_raw",
        "model": "m",
        "detector": "d",
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
