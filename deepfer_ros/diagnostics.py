"""Count what happens to the frames, and tell it on `/diagnostics`."""

import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

WINDOW_S = 5.0
"""Rates and latencies are those of this last span of time."""

# An image may be stamped a little ahead: clocks of two machines, or a simulation's clock that
# ticks less often than its cameras. What is farther off was not stamped by the node's clock.
_MAX_AHEAD_S = 1.0
_MAX_LATENCY_S = 60.0

UNCONFIGURED, INACTIVE, ACTIVE = "unconfigured", "inactive", "active"
PAUSED, FINALIZED = "paused", "finalized"
"""States of the node: those of its lifecycle, and active with its input switched off."""


@dataclass(frozen=True, slots=True)
class StreamReport:
    """What happened to the frames. Counts are totals since the start of the statistics.

    Attributes:
        received: Frames that arrived.
        processed: Frames whose result was published.
        dropped: Frames that were replaced by a newer one before their turn came.
        bad: Frames that did not hold a usable image.
        faces: Faces in the latest frame that was processed.
        last_error: What was wrong with the latest bad frame; empty if there was none.
        input_rate_hz: Frames a second that arrived, in the window.
        output_rate_hz: Frames a second that were processed, in the window.
        latency_median_ms: From a frame's stamp to its result, median of the window; None if no
            frame with a stamp was processed.
        latency_max_ms: The same, largest of the window.
        inference_median_ms: Time to recognize, median of the window; None likewise.
        stamp_age_s: Age by its stamp of the latest frame, if no stamp of the window can be of the
            node's clock; None otherwise.
        bad_in_window: Bad frames in the window.
    """

    received: int
    processed: int
    dropped: int
    bad: int
    faces: int
    last_error: str
    input_rate_hz: float
    output_rate_hz: float
    latency_median_ms: float | None
    latency_max_ms: float | None
    inference_median_ms: float | None
    stamp_age_s: float | None
    bad_in_window: int


class StreamStatistics:
    """Counts frames. May be called from any thread.

    Args:
        clock: Returns the time in seconds, for rates.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._start_s = clock()
        self._received = self._processed = self._dropped = self._bad = self._faces = 0
        self._last_error = ""
        # Time and value of what happened in the window.
        self._arrivals: deque[tuple[float, None]] = deque()
        self._faults: deque[tuple[float, None]] = deque()
        self._inferences_s: deque[tuple[float, float]] = deque()
        self._latencies_s: deque[tuple[float, float]] = deque()
        self._wrong_ages_s: deque[tuple[float, float]] = deque()

    def count_received(self, *, replaced_older: bool) -> None:
        """Count a frame that arrived, and the one that it replaced."""
        with self._lock:
            self._received += 1
            self._dropped += replaced_older
            self._arrivals.append((self._clock(), None))

    def count_bad(self, fault: str) -> None:
        """Count a frame without a usable image."""
        with self._lock:
            self._bad += 1
            self._last_error = fault
            self._faults.append((self._clock(), None))

    def count_processed(self, *, faces: int, inference_s: float, latency_s: float | None) -> None:
        """Count a frame whose result was published; `latency_s` is None if it had no stamp."""
        with self._lock:
            now_s = self._clock()
            self._processed += 1
            self._faces = faces
            self._inferences_s.append((now_s, inference_s))
            if latency_s is None:
                return
            if -_MAX_AHEAD_S <= latency_s <= _MAX_LATENCY_S:
                self._latencies_s.append((now_s, max(latency_s, 0.0)))
            else:
                self._wrong_ages_s.append((now_s, latency_s))

    def report(self) -> StreamReport:
        """Return the counts so far and the rates of the window."""
        with self._lock:
            now_s = self._clock()
            for events in (
                self._arrivals,
                self._faults,
                self._inferences_s,
                self._latencies_s,
                self._wrong_ages_s,
            ):
                while events and events[0][0] <= now_s - WINDOW_S:
                    events.popleft()
            span_s = max(min(now_s - self._start_s, WINDOW_S), 1e-3)
            latencies_ms = [1e3 * value for _, value in self._latencies_s]
            inferences_ms = [1e3 * value for _, value in self._inferences_s]
            is_stamped_wrongly = self._wrong_ages_s and not latencies_ms
            return StreamReport(
                received=self._received,
                processed=self._processed,
                dropped=self._dropped,
                bad=self._bad,
                faces=self._faces,
                last_error=self._last_error,
                input_rate_hz=len(self._arrivals) / span_s,
                output_rate_hz=len(self._inferences_s) / span_s,
                latency_median_ms=statistics.median(latencies_ms) if latencies_ms else None,
                latency_max_ms=max(latencies_ms, default=None),
                inference_median_ms=statistics.median(inferences_ms) if inferences_ms else None,
                stamp_age_s=self._wrong_ages_s[-1][1] if is_stamped_wrongly else None,
                bad_in_window=len(self._faults),
            )


@dataclass(frozen=True, slots=True)
class NodeCondition:
    """What the node knows about itself.

    Attributes:
        state: One of the states above.
        failure: Why it could not be configured or activated; empty if it could.
        warning: What else is wrong; empty if nothing is.
        model: Name of the model; empty while none is loaded.
        detector: Name of the face detector; likewise.
        cameras: Topics of the images; empty likewise.
    """

    state: str
    failure: str = ""
    warning: str = ""
    model: str = ""
    detector: str = ""
    cameras: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CameraCondition:
    """What the node knows about one of its cameras, beside the frames.

    Attributes:
        state: `INACTIVE`, `ACTIVE` or `PAUSED`.
        topic: Name of the image topic.
        silence: Why no image arrives; empty if images do, or none should.
        on_demand: Whether silence is no fault.
    """

    state: str
    topic: str
    silence: str = ""
    on_demand: bool = False


def to_node_status(name: str, condition: NodeCondition) -> DiagnosticStatus:
    """Return the status message of the node itself."""
    if condition.failure:
        level = DiagnosticStatus.ERROR
    else:
        level = DiagnosticStatus.WARN if condition.warning else DiagnosticStatus.OK
    message = condition.failure or condition.warning or condition.state
    values = {
        "state": condition.state,
        "model": condition.model,
        "detector": condition.detector,
        "image topics": ", ".join(condition.cameras),
        "last error": condition.failure,
    }
    return _to_status(name, level, message, values)


def to_camera_status(
    name: str, condition: CameraCondition, report: StreamReport
) -> DiagnosticStatus:
    """Return the status message of a camera, with the most serious matter as level and message."""
    level, message = _judge(condition, report)
    values = {
        "state": condition.state,
        "image topic": condition.topic,
        "input rate (Hz)": f"{report.input_rate_hz:.1f}",
        "output rate (Hz)": f"{report.output_rate_hz:.1f}",
        "latency, median (ms)": _milliseconds(report.latency_median_ms),
        "latency, max (ms)": _milliseconds(report.latency_max_ms),
        "inference, median (ms)": _milliseconds(report.inference_median_ms),
        "frames received": str(report.received),
        "frames processed": str(report.processed),
        "frames dropped": str(report.dropped),
        "frames bad": str(report.bad),
        "faces": str(report.faces),
        "last error": report.last_error,
    }
    return _to_status(name, level, message, values)


def _judge(condition: CameraCondition, report: StreamReport) -> tuple[bytes, str]:
    """Return level and message."""
    if condition.state != ACTIVE:
        return DiagnosticStatus.OK, condition.state
    if condition.silence and condition.on_demand:
        return DiagnosticStatus.OK, "No image at present; this camera comes and goes."
    if condition.silence:
        return DiagnosticStatus.WARN, condition.silence
    if report.bad_in_window:
        some = report.output_rate_hz > 0
        level = DiagnosticStatus.WARN if some else DiagnosticStatus.ERROR
        return level, f"{'Some' if some else 'All'} images are bad: {report.last_error}"
    if report.stamp_age_s is not None:
        return DiagnosticStatus.WARN, _explain_stamps(report.stamp_age_s)
    faces = "1 face" if report.faces == 1 else f"{report.faces} faces"
    return DiagnosticStatus.OK, f"{faces}, {report.output_rate_hz:.1f} Hz"


def _explain_stamps(age_s: float) -> str:
    return (
        f"The images' stamps are {abs(age_s):.0f} s {'behind' if age_s > 0 else 'ahead of'} this "
        "node's clock. For a bag or a simulation set use_sim_time and publish /clock; otherwise "
        "set the clocks of both machines alike."
    )


def _to_status(name: str, level: bytes, message: str, values: dict[str, str]) -> DiagnosticStatus:
    return DiagnosticStatus(
        level=level,
        name=name,
        message=message,
        hardware_id="deepfer",
        values=[KeyValue(key=key, value=value) for key, value in values.items()],
    )


def _milliseconds(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
