"""Tests of what is measured, and of what comes out, on frames that take no time."""

import json
from dataclasses import replace
from importlib.machinery import ModuleSpec

import cv2
import pytest

from deepfer_ros.bench import run
from deepfer_ros.bench.run import plan_bench, run_bench
from deepfer_ros.bench.sections import SECTIONS
from deepfer_ros.cli.bench import bench


def test_the_command_offers_all_sections() -> None:
    (only,) = (option for option in bench.params if option.name == "sections")
    assert tuple(only.type.choices) == SECTIONS  # type: ignore[attr-defined]


class TestPlan:
    def test_everything_but_the_soak(self) -> None:
        assert plan_bench().sections == SECTIONS[:-1]

    def test_sections_in_their_own_order(self) -> None:
        plan = plan_bench(["soak", "recognize", "soak"], soak_seconds=7)
        assert plan.sections == ("recognize", "soak")
        assert plan.soak_seconds == 7

    def test_quick_measures_less(self) -> None:
        quick, full = plan_bench(quick=True), plan_bench()
        assert quick.sizes_wh == ((640, 480),)
        assert quick.seconds < full.seconds
        assert quick.node_seconds < full.node_seconds

    def test_without_ros(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def find_spec(name: str) -> ModuleSpec | None:
            return None if name == "rclpy" else ModuleSpec(name, None)

        monkeypatch.setattr(run, "find_spec", find_spec)
        plan = plan_bench()
        assert plan.sections == ("import", "stages", "recognize", "reach")
        assert set(plan.left_out) == {"messages", "node", "cameras", "flood"}
        assert plan.left_out["node"].startswith("ROS 2")


class TestResults:
    def test_sections_without_the_node(self) -> None:
        plan = plan_bench(["import", "stages", "messages", "recognize", "reach"], quick=True)
        results = run_bench(replace(plan, seconds=0.0))
        assert json.loads(json.dumps(results)) == results
        assert results["model"].endswith(".tflite")
        assert results["import"]["repeats"] == 5
        stages = {row["stage"]: row for row in results["stages"]}
        assert {"crop", "classify", "track", "draw"} < set(stages)
        if hasattr(cv2.dnn, "readNetFromTFLite"):  # OpenCV 4.7 and later
            assert 0 < stages["classify"]["floor_ms"]
            assert stages["classify"]["floor"] == "arithmetic of the network"
        else:
            assert stages["classify"]["floor_ms"] is None
        assert stages["track"]["floor_ms"] is None
        assert {row["stage"] for row in results["messages"]} >= {"from bgr8 message", "to Image"}
        smallest = [row["smallest_face_px"] for row in results["reach"]]
        assert smallest == sorted(smallest, reverse=True)
        assert smallest[0] > smallest[-1]
        (row,) = results["recognize"]
        assert (row["width"], row["height"], row["faces"], row["found"]) == (640, 480, 1, [1, 1])
        assert row["timing"]["min_ms"] <= row["timing"]["median_ms"] <= row["timing"]["p95_ms"]
        assert row["frames_per_s"] == pytest.approx(1000 / row["timing"]["median_ms"], rel=1e-3)

    def test_what_is_reported_meanwhile(self) -> None:
        said: list[str] = []
        run_bench(plan_bench(["import"]), said.append)
        assert said == ["Measuring: import"]
