"""How often something happens."""

import time
from collections import deque

_WINDOW_S = 2.0


class RateMeter:
    """Counts events of the last two seconds."""

    def __init__(self) -> None:
        self._times_s: deque[float] = deque(maxlen=1000)
        self._last_s: float | None = None

    def count(self) -> None:
        """Note an event that happens now."""
        self._last_s = time.monotonic()
        self._times_s.append(self._last_s)

    @property
    def age_s(self) -> float | None:
        """Seconds since the last event; None if there was none."""
        return None if self._last_s is None else time.monotonic() - self._last_s

    @property
    def rate_hz(self) -> float | None:
        """Events a second; None if there were fewer than two in the last two seconds."""
        horizon_s = time.monotonic() - _WINDOW_S
        while self._times_s and self._times_s[0] < horizon_s:
            self._times_s.popleft()
        if len(self._times_s) < 2:
            return None
        duration_s = self._times_s[-1] - self._times_s[0]
        return (len(self._times_s) - 1) / duration_s if duration_s > 0 else None
