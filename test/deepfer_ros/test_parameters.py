import dataclasses
from typing import Any

import pytest

from deepfer_ros.parameter_table import find_fault
from deepfer_ros.parameters import EmotionParameters

DEFAULTS = dataclasses.asdict(EmotionParameters())


def test_defaults_are_all_right() -> None:
    assert find_fault(EmotionParameters, DEFAULTS, configured=False) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("min_confidence", 1),
        ("min_confidence", 0.5),
        ("max_rate_hz", 15),
        ("max_rate_hz", 0.0),
        ("max_rate_hz", 0.001),
        ("detector", "haar"),
        ("image_root", ""),
        ("image_root", "/tmp"),
        ("cameras", ["front", "rear"]),
        ("cameras", ("", "robot1/front_2")),
        ("on_demand_cameras", []),
        # An empty list in a file.
        ("on_demand_cameras", None),
        ("model", "/models/mine"),
        ("use_sim_time", "whatever: not our parameter"),
    ],
)
def test_accepts(name: str, value: Any) -> None:  # noqa: ANN401
    assert find_fault(EmotionParameters, {name: value}, configured=False) is None


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("min_confidence", 1.5, "min_confidence must be from 0.0 to 1.0, got 1.5."),
        ("min_confidence", -1, "min_confidence must be from 0.0 to 1.0, got -1."),
        ("min_confidence", float("nan"), "min_confidence must be from 0.0 to 1.0, got nan."),
        ("max_rate_hz", float("inf"), "max_rate_hz must be from 0.0 to 1000.0, got inf."),
        ("max_rate_hz", 1e-11, "max_rate_hz must be 0 or at least 0.001, got 1e-11."),
        ("min_confidence", "high", "min_confidence must be a number, got 'high'."),
        ("min_confidence", True, "min_confidence must be a number, got True."),
        ("min_confidence", None, "min_confidence must be a number, got None."),
        ("jpeg_quality", 101, "jpeg_quality must be from 1 to 100, got 101."),
        ("jpeg_quality", 90.0, "jpeg_quality must be a whole number, got 90.0."),
        ("image_transport", "theora", "image_transport must be one of raw, compressed, got"),
        ("detector", "mtcnn", "detector must be one of auto, yunet, "),
        ("deterministic_ids", 1, "deterministic_ids must be true or false, got 1."),
        ("model", 48, "model must be a text, got 48."),
        ("image_root", "/no/folder", "image_root must be empty or the absolute path of a folder"),
        ("image_root", "test", "image_root must be empty or the absolute path of a folder that"),
        ("image_root", f"/{'x' * 300}", "image_root must be empty or the absolute path of a fol"),
        ("image_root", "/tmp/\0", "image_root must be empty or the absolute path of a folder tha"),
        ("cameras", "front", "cameras must be a list of texts, such as [a, b], got 'front'."),
        ("cameras", [1, 2], "cameras must be a list of texts, such as [a, b], got [1, 2]."),
        ("cameras", [], "cameras must name at least one camera; an empty name is the node's own"),
        ("cameras", ["a", "b", "a"], "cameras must hold every name once, got [a, b, a]."),
        ("cameras", ["front", "2nd"], "cameras must hold names of letters, digits, '_' and '/'"),
        ("cameras", ["/front"], "cameras must hold names of letters, digits, '_' and '/' of whi"),
        ("cameras", ["front/"], "cameras must hold names of letters, digits, '_' and '/' of whi"),
        ("cameras", ["vornüber"], "cameras must hold names of letters, digits, '_' and '/' of w"),
        (
            "cameras",
            ["a", "b" * 101],
            "cameras must hold names of at most 100 letters, got one of",
        ),
        ("on_demand_cameras", ["a b"], "on_demand_cameras must hold names of letters, digits, "),
    ],
)
def test_refuses(name: str, value: Any, fault: str) -> None:  # noqa: ANN401
    found = find_fault(EmotionParameters, {name: value}, configured=False)
    assert found is not None
    assert found.startswith(fault)


def test_one_fault_refuses_all_changes() -> None:
    assert (
        find_fault(EmotionParameters, {"smoothing_s": 1.0, "jpeg_quality": 0}, configured=False)
        is not None
    )


@pytest.mark.parametrize(
    "name",
    [
        "model",
        "detector",
        "yunet_file",
        "detection_max_side_px",
        "detection_min_confidence",
        "inference_threads",
        "deterministic_ids",
        "cameras",
        "on_demand_cameras",
        "image_transport",
        "publish_ros4hri",
    ],
)
def test_locked_while_configured(name: str) -> None:
    assert find_fault(EmotionParameters, {name: DEFAULTS[name]}, configured=False) is None
    fault = find_fault(EmotionParameters, {name: DEFAULTS[name]}, configured=True)
    assert fault is not None
    assert "clean up the node first" in fault


@pytest.mark.parametrize(
    "name",
    [
        "min_confidence",
        "smoothing_s",
        "max_rate_hz",
        "jpeg_quality",
        "max_pixels",
        "image_root",
        "image_timeout_s",
    ],
)
def test_changeable_at_any_time(name: str) -> None:
    assert find_fault(EmotionParameters, {name: DEFAULTS[name]}, configured=True) is None


@pytest.mark.parametrize(
    ("cameras", "on_demand", "conflict"),
    [
        pytest.param(("",), ("",), None, id="default"),
        pytest.param(("a", "b"), ("b",), None, id="one_of_them"),
        pytest.param(("a", "b"), (), None, id="none_of_them"),
        pytest.param(
            ("a", "b"),
            ("b", "c"),
            "on_demand_cameras names 'c', which is none of the cameras (a, b).",
            id="stranger",
        ),
    ],
)
def test_cameras_on_demand_are_some_of_the_cameras(
    cameras: tuple[str, ...], on_demand: tuple[str, ...], conflict: str | None
) -> None:
    parameters = EmotionParameters(cameras=cameras, on_demand_cameras=on_demand)
    assert parameters.find_conflict() == conflict
