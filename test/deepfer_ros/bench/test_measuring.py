"""Tests of the small parts that measure: time, memory, the machine."""

import os
import time

import pytest

from deepfer_ros.bench.machine import Limits, describe_machine, measure_limits
from deepfer_ros.bench.process_usage import read_usage
from deepfer_ros.bench.timing import Timing, measure


class TestTiming:
    def test_many(self) -> None:
        timing = Timing.of([number / 1000 for number in range(1, 102)])
        assert timing == Timing(median_ms=51.0, p95_ms=96.0, min_ms=1.0, repeats=101)

    def test_one(self) -> None:
        assert Timing.of([0.25]) == Timing(250.0, 250.0, 250.0, 1)

    def test_a_slow_call_is_measured_ten_times(self) -> None:
        calls: list[int] = []
        assert measure(lambda: calls.append(1), seconds=0.0).repeats == 10
        assert len(calls) == 13

    def test_what_it_measures_is_the_call(self) -> None:
        timing = measure(lambda: time.sleep(0.002), seconds=0.0)
        assert timing.min_ms >= 2


class TestProcessUsage:
    def test_of_this_process(self) -> None:
        before = read_usage(os.getpid())
        while time.process_time() < before.cpu_s + 0.1:
            pass
        after = read_usage(os.getpid())
        assert after.cpu_s > before.cpu_s
        assert 2**20 < after.rss_bytes < 2**40

    def test_of_no_process(self) -> None:
        with pytest.raises(OSError, match="No such file"):
            read_usage(2**30)


class TestMachine:
    def test_description(self) -> None:
        machine = describe_machine()
        assert machine.processor
        assert machine.cores >= 1
        assert machine.python.startswith("3.")

    def test_limits_are_those_of_a_computer(self) -> None:
        limits = measure_limits()
        assert 1e8 < limits.copy_bytes_per_s < 1e13
        assert 1e8 < limits.operations_per_s < 1e13
        assert limits.int8_factor >= 4

    def test_floors_are_sizes_over_speeds(self) -> None:
        limits = Limits(copy_bytes_per_s=2e9, operations_per_s=1e10, int8_factor=4)
        assert limits.copy_ms(1e6) == pytest.approx(0.5)
        assert limits.compute_ms(1e6) == pytest.approx(0.1)
