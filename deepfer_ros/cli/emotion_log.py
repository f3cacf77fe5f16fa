"""What has arrived on the topic `emotions` so far: counts, rate, latency. Needs no ROS."""

import statistics
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass

_WINDOW_S = 2.0
_STALE_S = 5.0
# About an hour at 30 Hz; a demo that runs for days must not fill the memory.
_KEPT_LATENCIES = 100_000


@dataclass(frozen=True, slots=True)
class FaceReading:
    """One face of one message.

    Attributes:
        face_id: Stable while the face is tracked.
        emotion: The most probable emotion, or `unknown`.
        confidence: Its probability, 0 to 1.
        probabilities: Of all labels, in their order, each 0 to 1.
    """

    face_id: str
    emotion: str
    confidence: float
    probabilities: tuple[float, ...]


class EmotionLog:
    """Collects messages and says how it goes.

    Args:
        labels: Names of the emotions, in the order of the probabilities.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        self.labels = tuple(labels)
        self.model = ""
        self.frames = 0
        self.faces: tuple[FaceReading, ...] = ()
        self.seen: Counter[str] = Counter()
        self._order: dict[str, int] = {}
        self._first_s = 0.0
        self._last_s = 0.0
        # (when it arrived, its latency), as far back as the display looks.
        self._recent: deque[tuple[float, float]] = deque()
        self._latencies_s: deque[float] = deque(maxlen=_KEPT_LATENCIES)

    def add(
        self, faces: Sequence[FaceReading], *, model: str, latency_s: float, now_s: float
    ) -> None:
        """Take in one message.

        Args:
            faces: Its faces, in any order.
            model: Name of the model.
            latency_s: Time from the picture to the arrival, seconds.
            now_s: When it arrived, seconds of a steady clock.
        """
        if not self.frames:
            self._first_s = now_s
        self._last_s = now_s
        self.frames += 1
        self.model = model
        self.seen.update(face.emotion for face in faces)
        self._recent.append((now_s, latency_s))
        self._latencies_s.append(latency_s)
        self._forget(now_s)
        self._order = {face.face_id: self._order.get(face.face_id, self.frames) for face in faces}
        # Who came first stays first: columns do not jump.
        self.faces = tuple(
            sorted(faces, key=lambda face: (self._order[face.face_id], face.face_id))
        )

    @property
    def duration_s(self) -> float:
        """Seconds from the first message to the last."""
        return self._last_s - self._first_s

    @property
    def mean_rate_hz(self) -> float:
        """Messages a second over the whole time, 0 if there were fewer than two."""
        return (self.frames - 1) / self.duration_s if self.duration_s > 0 else 0.0

    @property
    def median_latency_s(self) -> float | None:
        """Median latency over the whole time, seconds; None before the first message."""
        return statistics.median(self._latencies_s) if self._latencies_s else None

    def rate_hz(self, now_s: float) -> float:
        """Return messages a second over the last two seconds, or the last two messages."""
        self._forget(now_s)
        if len(self._recent) < 2:
            return 0.0
        # Up to now, not to the last message: a stream that has stopped shows a falling rate.
        span_s = now_s - self._recent[0][0]
        return (len(self._recent) - 1) / span_s if span_s > 0 else 0.0

    def recent_latency_s(self, now_s: float) -> float | None:
        """Return the median latency of what `rate_hz` counts; None before the first message."""
        self._forget(now_s)
        if not self._recent:
            return None
        return statistics.median(latency_s for _, latency_s in self._recent)

    def is_stale(self, now_s: float) -> bool:
        """Tell whether messages have stopped coming, so that the last one is no news."""
        period_s = 1 / self.mean_rate_hz if self.mean_rate_hz else 0.0
        return self.frames > 0 and now_s - self._last_s > max(_STALE_S, 3 * period_s)

    def _forget(self, now_s: float) -> None:
        while len(self._recent) > 2 and self._recent[0][0] < now_s - _WINDOW_S:
            self._recent.popleft()
