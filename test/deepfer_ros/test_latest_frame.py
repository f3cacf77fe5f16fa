import threading
import time
from itertools import pairwise

import pytest

from deepfer_ros.latest_frame import LatestFrameWorker

TIMEOUT_S = 20
CAMERA = "front"


class GatedWork:
    """Work that can be held up."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.rounds: list[list[int]] = []
        self.starts_s: list[float] = []
        self.started = threading.Semaphore(0)
        self.finished = threading.Semaphore(0)
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, frames: list[int]) -> None:
        self.starts_s.append(time.monotonic())
        self.started.release()
        assert self.gate.wait(TIMEOUT_S)
        self.done += frames
        self.rounds.append(frames)
        self.finished.release()


def test_every_frame_is_processed_when_there_is_time() -> None:
    work = GatedWork()
    worker = LatestFrameWorker(work)
    for frame in range(5):
        assert worker.put(CAMERA, frame) is False
        assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.stop()
    assert work.done == [0, 1, 2, 3, 4]


def test_only_the_latest_of_waiting_frames_is_processed() -> None:
    work = GatedWork()
    work.gate.clear()
    worker = LatestFrameWorker(work)
    assert worker.put(CAMERA, 0) is False
    assert work.started.acquire(timeout=TIMEOUT_S)
    assert [worker.put(CAMERA, frame) for frame in (1, 2, 3)] == [False, True, True]
    work.gate.set()
    for _ in range(2):
        assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.stop()
    assert work.done == [0, 3]


def test_stop_finishes_the_frame_in_progress_and_forgets_the_waiting_one() -> None:
    work = GatedWork()
    work.gate.clear()
    worker = LatestFrameWorker(work)
    worker.put(CAMERA, 0)
    assert work.started.acquire(timeout=TIMEOUT_S)
    worker.put(CAMERA, 1)
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
    worker.put(CAMERA, 0)
    assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.put(CAMERA, 1, min_period_s=3600)
    worker.stop()
    assert work.done == [0]


def test_turns_keep_their_distance() -> None:
    work = GatedWork()
    worker = LatestFrameWorker(work)
    period_s = 0.1
    for frame in range(3):
        worker.put(CAMERA, frame, min_period_s=period_s)
        assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.stop()
    gaps_s = [later - earlier for earlier, later in pairwise(work.starts_s)]
    assert min(gaps_s) > period_s / 2


def test_shorter_period_counts_from_the_next_frame() -> None:
    work = GatedWork()
    worker = LatestFrameWorker(work)
    for frame, min_period_s in ((0, 3600), (1, 0)):
        worker.put(CAMERA, frame, min_period_s=min_period_s)
        assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.stop()
    assert work.done == [0, 1]


def test_a_round_takes_one_frame_of_every_camera_that_has_one() -> None:
    work = GatedWork()
    work.gate.clear()
    worker = LatestFrameWorker(work)
    worker.put("front", 0)
    assert work.started.acquire(timeout=TIMEOUT_S)
    # One camera floods, one sends a frame, one is dead.
    replaced = [worker.put("front", frame) for frame in range(1, 100)]
    assert replaced == [False, *[True] * 98]
    assert worker.put("rear", 1000) is False
    work.gate.set()
    for _ in range(2):
        assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.stop()
    assert work.rounds == [[0], [99, 1000]]


def test_rates_are_those_of_each_camera() -> None:
    work = GatedWork()
    worker = LatestFrameWorker(work)
    for frame in (0, 1):
        worker.put("slow", frame, min_period_s=3600)
        worker.put("fast", 10 + frame)
        while 10 + frame not in work.done:
            assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.stop()
    assert sorted(work.done) == [0, 10, 11]


def test_forgotten_camera_is_not_processed_and_others_are() -> None:
    work = GatedWork()
    work.gate.clear()
    worker = LatestFrameWorker(work)
    worker.put("front", 0)
    assert work.started.acquire(timeout=TIMEOUT_S)
    worker.put("rear", 1)
    worker.put("side", 2)
    worker.forget("rear")
    work.gate.set()
    for _ in range(2):
        assert work.finished.acquire(timeout=TIMEOUT_S)
    worker.stop()
    assert work.rounds == [[0], [2]]


def test_forgetting_waits_for_the_frame_in_progress() -> None:
    work = GatedWork()
    work.gate.clear()
    worker = LatestFrameWorker(work)
    worker.put("front", 0)
    assert work.started.acquire(timeout=TIMEOUT_S)
    worker.forget("rear")
    forgetting = threading.Thread(target=worker.forget, args=("front",))
    forgetting.start()
    assert forgetting.is_alive()
    work.gate.set()
    forgetting.join(TIMEOUT_S)
    assert not forgetting.is_alive()
    assert work.done == [0]
    worker.stop()


def test_forgetting_does_not_wait_for_a_worker_that_has_failed() -> None:
    told = threading.Event()

    def fail(frames: list[int]) -> None:
        raise ZeroDivisionError

    worker = LatestFrameWorker(fail, on_failure=told.set)
    worker.put("front", 0)
    assert told.wait(TIMEOUT_S)
    worker.forget("front")
    worker.stop()


def test_failure_is_told_and_can_be_raised_elsewhere() -> None:
    told = threading.Event()

    def fail(frames: list[int]) -> None:
        raise ZeroDivisionError(f"frame {frames[0]}")

    worker = LatestFrameWorker(fail, on_failure=told.set)
    worker.raise_failure()
    worker.put(CAMERA, 7)
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
