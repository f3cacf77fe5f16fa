"""What this machine is, and what it could do at best: the floors that stages are compared with."""

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

_COPY_BYTES = 64 * 2**20
_MATRIX_SIDE = 1024
_REPEATS = 7


@dataclass(frozen=True, slots=True)
class Machine:
    """A description for the report.

    Attributes:
        processor: Name of the processor.
        cores: Cores that this process may use.
        system: Operating system.
        python: Version of Python.
        opencv: Version of OpenCV.
        opencv_threads: Threads that OpenCV uses.
        load: Average number of programs that wanted to run in the last minute, this one included.
            Far above zero at the start, it means that others disturb the measurement.
    """

    processor: str
    cores: int
    system: str
    python: str
    opencv: str
    opencv_threads: int
    load: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What one core can do at best, measured.

    Attributes:
        copy_bytes_per_s: Bytes copied from memory to memory in a second.
        operations_per_s: Multiplications and additions of 32-bit floats in a second, in a product
            of large matrices.
        int8_factor: How many times as many there are with 8-bit integers, by the instructions
            that the processor has.
    """

    copy_bytes_per_s: float
    operations_per_s: float
    int8_factor: float

    def copy_ms(self, byte_count: float) -> float:
        """Return the least time for copying bytes."""
        return 1000 * byte_count / self.copy_bytes_per_s

    def compute_ms(self, operations: float) -> float:
        """Return the least time for so many multiplications and additions."""
        return 1000 * operations / self.operations_per_s


def describe_machine() -> Machine:
    """Describe the machine that this runs on."""
    return Machine(
        processor=_processor_name(),
        cores=len(os.sched_getaffinity(0)),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        opencv=str(cv2.__version__),
        opencv_threads=cv2.getNumThreads(),
        load=round(os.getloadavg()[0], 2),
    )


def measure_limits() -> Limits:
    """Measure what one core can do at best, in about a second."""
    return Limits(_copy_speed(), _compute_speed(), _int8_factor())


def _processor_name() -> str:
    return _processor_entry("model name") or platform.machine()


def _int8_factor() -> float:
    """Return the ratio of 8-bit to 32-bit multiplications that an instruction set makes possible.

    A vector holds four times as many numbers; a tile of AMX multiplies 1024 in a cycle where
    AVX-512 multiplies 32 floats.
    """
    return 32.0 if "amx_int8" in _processor_entry("flags").split() else 4.0


def _processor_entry(name: str) -> str:
    """Return an entry of /proc/cpuinfo, or an empty string where it has none."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    entries = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in entries if key.strip() == name), "")


def _copy_speed() -> float:
    source = np.ones(_COPY_BYTES, np.uint8)
    target = np.zeros_like(source)
    best_s = min(_cpu_seconds_of(lambda: np.copyto(target, source)) for _ in range(_REPEATS))
    return _COPY_BYTES / best_s


def _compute_speed() -> float:
    matrix = np.random.default_rng(0).random((_MATRIX_SIDE, _MATRIX_SIDE), np.float32)
    best_s = min(_cpu_seconds_of(lambda: matrix @ matrix) for _ in range(_REPEATS))
    return float(2 * _MATRIX_SIDE**3 / best_s)


def _cpu_seconds_of(call: Callable[[], object]) -> float:
    """Return the time on all cores together: NumPy uses several where it multiplies matrices."""
    start_s = time.process_time()
    call()
    return time.process_time() - start_s
