import threading
import time
from itertools import pairwise

import pytest

from deepfer_ros.latest_frame import LatestFrameWorker

TIMEOUT_S = 20


class GatedWork:
    """Work that can be held up."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.starts_s: list[float] = []
        self.started = threading.Semaphore(0)
        self.finished = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, frame: int) -> None:
        self.starts_s.append(time.monotonic())
        self.started.release()
        assert self.gate.wait(TIMEOUT_S)
        self.done.append(frame)
        self.finished.release()


def test_every_frame_is_processed_when_there_is_time() -> None:
    work = GatedWork()
    worker = LatestFrameWorker(work)
    for frame in range(5):
        assert worker.put(frame) is False
        assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.stop()
    assert work.done == [0, 1, 2, 3, 4]


def test_only_the_latest_of_waiting_frames_is_processed() -> None:
    work = GatedWork()
    work.gate.clear()
    worker = LatestFrameWorker(work)
    assert worker.put(0) is False
    assert work.started.acquire(timeout=TIMEOUT_S)
    assert [worker.put(frame) for frame in (1, 2, 3)] == [False, True, True]
    work.gate.set()
    for _ in range(2):
        assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.stop()
    assert work.done == [0, 3]


def test_stop_finishes_the_frame_in_progress_and_forgets_the_waiting_one() -> None:
    work = GatedWork()
    work.gate.clear()
    worker = LatestFrameWorker(work)
    worker.put(0)
    assert work.started.acquire(timeout=TIMEOUT_S)
    worker.put(1)
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    assert stopping.is_alive()
    work.gate.set()
    stopping.join(TIMEOUT_S)
    assert not stopping.is_alive()
    assert work.done == [0]


def test_stop_does_not_wait_for_the_next_turn() -> None:
    work = GatedWork()
    worker = LatestFrameWorker(work)
    worker.min_period_s = 3600
    worker.put(0)
    assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.put(1)
    worker.stop()
    assert work.done == [0]


def test_turns_keep_their_distance() -> None:
    work = GatedWork()
    worker = LatestFrameWorker(work)
    worker.min_period_s = 0.1
    for frame in range(3):
        worker.put(frame)
        assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.stop()
    gaps_s = [later - earlier for earlier, later in pairwise(work.starts_s)]
    assert min(gaps_s) > worker.min_period_s / 2


def test_shorter_period_counts_from_the_next_frame() -> None:
    work = GatedWork()
    worker = LatestFrameWorker(work)
    worker.min_period_s = 3600
    for frame in (0, 1):
        worker.put(frame)
        assert work.finished.acquire(timeout=TIMEOUT_S)
        worker.min_period_s = 0
    worker.stop()
    assert work.done == [0, 1]


def test_failure_is_told_and_can_be_raised_elsewhere() -> None:
    told = threading.Event()

    def fail(frame: int) -> None:
        raise ZeroDivisionError(f"frame {frame}")

    worker = LatestFrameWorker(fail, on_failure=told.set)
    worker.raise_failure()
    worker.put(7)
    assert told.wait(TIMEOUT_S)
    with pytest.raises(ZeroDivisionError, match="frame 7"):
        worker.raise_failure()
    worker.stop()


def test_stop_is_no_failure() -> None:
    told = threading.Event()
    worker = LatestFrameWorker(lambda frame: None, on_failure=told.set)
    worker.stop()
    worker.raise_failure()
    assert not told.is_set()
