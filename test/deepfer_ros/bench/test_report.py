"""Tests of what people read about the node: nothing that was lost may be hidden."""

import io
from typing import Any

import pytest
from rich.console import Console

from deepfer_ros.bench.report import print_report

TIMING = {"median_ms": 8.0, "p95_ms": 9.0}
MACHINE = {
    "processor": "Test",
    "cores": 2,
    "load": 0.1,
    "python": "3.11",
    "opencv": "4.11",
    "opencv_threads": 2,
}


def make_run(rate_hz: float, sent_per_s: float, received: dict[str, int]) -> dict[str, Any]:
    sent = round(10 * sent_per_s)
    return {
        "load": {"width": 1920, "height": 1080, "cameras": len(received), "rate_hz": rate_hz},
        "sent": sent,
        "sent_per_s": sent_per_s,
        "dropped": sent - sum(received.values()),
        "by_camera": [
            {"camera": camera, "sent": sent // len(received), "received": count}
            for camera, count in received.items()
        ],
        "results_per_s": sum(received.values()) / 10,
        "latency": TIMING,
        "image_latency": None,
        "cpu_s_per_s": 0.5,
        "rss_mib": 200.0,
    }


def report(section: str, runs: list[dict[str, Any]]) -> str:
    results = {"machine": MACHINE, "detector": "yunet", "model": "m", "left_out": {}}
    console = Console(file=io.StringIO(), width=120)
    print_report({**results, section: runs}, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize(
    ("sent_per_s", "note"),
    [
        (234.0, "1920x1080: asked for 400 images a second, the publisher could send 234."),
        (399.0, None),
    ],
    ids=["too many", "all"],
)
def test_the_rate_is_what_was_sent(sent_per_s: float, note: str | None) -> None:
    lines = report("flood", [make_run(400.0, sent_per_s, {"": 550})]).splitlines()
    row = next(line for line in lines if line.startswith("1920x1080 "))
    assert row.split()[2] == f"{sent_per_s:.1f}"
    assert [line for line in lines if "asked for" in line] == ([note] if note else [])


def test_cameras_without_a_result_are_named() -> None:
    received = {"camera0": 0, "camera1": 0, "camera2": 60, "camera3": 0}
    text = report("cameras", [make_run(30.0, 120.0, received)])
    assert "No result of 3 of 4 cameras: camera0, camera1, camera3." in text
    assert "1140/1200" in text
    assert "No result" not in report("cameras", [make_run(30.0, 30.0, {"": 300})])
