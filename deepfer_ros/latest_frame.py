"""A worker thread that always takes the latest frames and lets older ones go."""

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Slot(Generic[T]):
    """Room for one waiting frame of a camera, and when its turn comes."""

    frame: T | None = None
    min_period_s: float = 0.0
    last_start_s: float = -math.inf

    @property
    def due_s(self) -> float:
        return self.last_start_s + self.min_period_s


class LatestFrameWorker(Generic[T]):
    """Processes the frames of several cameras in a thread of its own.

    Each camera has room for a single waiting frame: a newer one replaces it. Nothing ever queues,
    so that a slow consumer falls behind by one frame at most. Frames are processed in rounds; a
    round takes the waiting frame of every camera whose turn has come. So no camera, however fast,
    delays another by more than one frame of its own.

    Args:
        process: Called in the thread with the frames of a round, one each of some cameras.
        on_failure: Called in the thread when `process` has raised, which ends the thread.
            `raise_failure` then raises the same in any other thread.
    """

    def __init__(
        self, process: Callable[[list[T]], None], on_failure: Callable[[], None] = lambda: None
    ) -> None:
        self._process = process
        self._changed = threading.Condition()
        self._slots: dict[str, _Slot[T]] = {}
        self._in_progress: tuple[str, ...] = ()
        self._stopped = False
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="latest_frame")
        self._loop = self._pool.submit(self._run)
        self._loop.add_done_callback(lambda loop: on_failure() if _has_failed(loop) else None)

    def put(self, camera: str, frame: T, *, min_period_s: float = 0.0) -> bool:
        """Offer a frame, and return whether it has replaced an older one of the same camera.

        Args:
            camera: Name of the camera.
            frame: The frame.
            min_period_s: Least time from one start of processing this camera to the next.
        """
        with self._changed:
            slot = self._slots.setdefault(camera, _Slot())
            replaced = slot.frame is not None
            slot.frame, slot.min_period_s = frame, min_period_s
            self._changed.notify_all()
        return replaced

    def forget(self, camera: str) -> None:
        """Forget the waiting frame of a camera, and wait until one in progress is finished."""
        with self._changed:
            self._slots.pop(camera, None)
            self._changed.wait_for(lambda: camera not in self._in_progress)

    def stop(self) -> None:
        """Finish the round in progress, forget the frames that wait, and end the thread."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._pool.shutdown(wait=True)

    def raise_failure(self) -> None:
        """Raise what `process` has raised, if it has."""
        if _has_failed(self._loop):
            self._loop.result()

    def _run(self) -> None:
        while frames := self._take():
            try:
                self._process(list(frames.values()))
            finally:
                with self._changed:
                    self._in_progress = ()
                    self._changed.notify_all()

    def _take(self) -> dict[str, T]:
        """Wait for frames whose turn has come, and return them by camera; none when stopped."""
        with self._changed:
            while not self._stopped:
                now_s = time.monotonic()
                waiting = [slot for slot in self._slots.values() if slot.frame is not None]
                next_s = min((slot.due_s for slot in waiting), default=math.inf)
                if next_s <= now_s:
                    return self._take_due(now_s)
                self._changed.wait(None if next_s == math.inf else next_s - now_s)
            return {}

    def _take_due(self, now_s: float) -> dict[str, T]:
        frames: dict[str, T] = {}
        for camera, slot in self._slots.items():
            if slot.frame is not None and slot.due_s <= now_s:
                frames[camera], slot.frame = slot.frame, None
                slot.last_start_s = now_s
        self._in_progress = tuple(frames)
        return frames


def _has_failed(loop: "Future[None]") -> bool:
    return loop.done() and loop.exception() is not None
