"""How `deepfer doctor` judges the speed, the sample's face and the display."""

import re

import pytest
from click.testing import CliRunner

from deepfer_ros.cli import deepfer
from deepfer_ros.cli.doctor_finding import OK, OPTIONAL, PROBLEM
from deepfer_ros.cli.doctor_session import judge_display, judge_recognition

HAPPY = ("happy", 0.98)


@pytest.mark.parametrize(
    ("found", "duration_s", "status", "words"),
    [
        ([HAPPY], 0.012, OK, "happy 0.98; 12 ms a picture"),
        ([HAPPY], 0.5, OPTIONAL, "500 ms a picture; load 3.0"),
        ([("sad", 0.5)], 0.01, PROBLEM, "sad 0.50"),
        ([], 0.01, PROBLEM, "no face"),
        ([HAPPY, HAPPY], 0.01, PROBLEM, "happy 0.98, happy 0.98"),
    ],
    ids=["right", "slow", "wrong", "none", "two"],
)
def test_recognition(
    found: list[tuple[str, float]], duration_s: float, status: str, words: str
) -> None:
    finding = judge_recognition(found, duration_s, load=3.0)
    assert finding.status == status
    assert words in finding.detail
    assert bool(finding.advice) == (status != OK)


def test_the_command_to_repair_the_detector_exists() -> None:
    advice = judge_recognition([("sad", 0.5)], 0.01, load=3.0).advice
    match = re.search(r"'deepfer ([^']+)'", advice)
    assert match is not None
    result = CliRunner().invoke(deepfer, [*match[1].split(), "--help"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("environment", "status", "words"),
    [
        ({"DISPLAY": ":0"}, OK, "DISPLAY=:0"),
        ({}, OPTIONAL, "no display"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, OPTIONAL, "needs X11"),
        ({"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0"}, OPTIONAL, "QT_QPA_PLATFORM=unset"),
        (
            {"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0", "QT_QPA_PLATFORM": "wayland"},
            OPTIONAL,
            "QT_QPA_PLATFORM=wayland",
        ),
        (
            {"DISPLAY": ":0", "WAYLAND_DISPLAY": "wayland-0", "QT_QPA_PLATFORM": "xcb"},
            OK,
            "QT_QPA_PLATFORM=xcb",
        ),
    ],
    ids=["X11", "none", "Wayland alone", "Wayland, no platform", "Wayland", "Xwayland"],
)
def test_display(environment: dict[str, str], status: str, words: str) -> None:
    finding = judge_display(environment, has_rviz=True)
    assert finding.status == status
    assert words in finding.detail


def test_display_without_rviz() -> None:
    finding = judge_display({"DISPLAY": ":0"}, has_rviz=False)
    assert finding.status == OPTIONAL
    assert "rviz2" in finding.advice
