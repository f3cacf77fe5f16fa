"""Time a call again and again."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

_WARM_UP_CALLS = 3
_MIN_REPEATS = 10


@dataclass(frozen=True, slots=True)
class Timing:
    """How long something took, over all repeats.

    Attributes:
        median_ms: Half of the repeats took no longer.
        p95_ms: 95 % of the repeats took no longer.
        min_ms: The fastest repeat, which other programs have disturbed least.
        repeats: How often it was measured.
    """

    median_ms: float
    p95_ms: float
    min_ms: float
    repeats: int

    @classmethod
    def of(cls, durations_s: Sequence[float]) -> "Timing":
        """Sum up durations in seconds; there must be at least one."""
        durations_ms = 1000 * np.asarray(durations_s, np.float64)
        return cls(
            median_ms=float(np.median(durations_ms)),
            p95_ms=float(np.percentile(durations_ms, 95)),
            min_ms=float(durations_ms.min()),
            repeats=len(durations_ms),
        )


def measure(call: Callable[[], object], *, seconds: float) -> Timing:
    """Call something for so many seconds, at least ten times, and time every call.

    A few calls before that are not counted: they fill caches and allocate buffers.
    """
    for _ in range(_WARM_UP_CALLS):
        call()
    durations_s: list[float] = []
    end_s = time.perf_counter() + seconds
    while len(durations_s) < _MIN_REPEATS or time.perf_counter() < end_s:
        start_s = time.perf_counter()
        call()
        durations_s.append(time.perf_counter() - start_s)
    return Timing.of(durations_s)
