"""A worker thread that always takes the latest frame and lets older ones go."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class LatestFrameWorker(Generic[T]):
    """Processes frames one at a time in a thread of its own.

    There is room for a single waiting frame: a newer one replaces it. Nothing ever queues, so that
    a slow consumer falls behind by one frame at most.

    Args:
        process: Called in the thread with each frame that was not replaced.
        on_failure: Called in the thread when `process` has raised, which ends the thread.
            `raise_failure` then raises the same in any other thread.
    """

    def __init__(
        self, process: Callable[[T], None], on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self.min_period_s = 0.0
        """Least time from one start of `process` to the next; a change counts from the next frame.
        """
        self._process = process
        self._changed = threading.Condition()
        self._frame: T | None = None
        self._stopped = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="latest_frame")
        self._loop = self._pool.submit(self._run)
        self._loop.add_done_callback(lambda loop: on_failure() if _has_failed(loop) else None)

    def put(self, frame: T) -> bool:
        """Offer a frame, and return whether an older one has been replaced."""
        with self._changed:
            replaced = self._frame is not None
            self._frame = frame
            self._changed.notify()
        return replaced

    def stop(self) -> None:
        """Finish the frame in progress, forget the one that waits, and end the thread."""
        with self._changed:
            self._stopped = True
            self._frame = None
            self._changed.notify()
        self._pool.shutdown(wait=True)

    def raise_failure(self) -> None:
        """Raise what `process` has raised, if it has."""
        if _has_failed(self._loop):
            self._loop.result()

    def _run(self) -> None:
        last_start_s = -math.inf
        while True:
            frame = self._take(last_start_s)
            if frame is None:
                return
            last_start_s = time.monotonic()
            self._process(frame)

    def _take(self, last_start_s: float) -> T | None:
        """Wait for a frame and for its turn; None means that the worker was stopped."""
        with self._changed:
            while not self._stopped:
                wait_s = last_start_s + self.min_period_s - time.monotonic()
                if self._frame is not None and wait_s <= 0:
                    frame, self._frame = self._frame, None
                    return frame
                self._changed.wait(wait_s if wait_s > 0 else None)
            return None


def _has_failed(loop: "Future[None]") -> bool:
    return loop.done() and loop.exception() is not None
