"""What `ros2 param dump` writes about a running node starts an equal node."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import yaml
from node_process import NodeProcess, running
from rcl_interfaces.msg import ParameterType
from rcl_interfaces.srv import DescribeParameters, GetParameters, ListParameters
from rclpy.parameter import parameter_value_to_python
from ros_peer import RosPeer

from deepfer_ros.camera_node import CameraParameters
from deepfer_ros.parameters import EmotionParameters

ROS_TYPES = {
    bool: ParameterType.PARAMETER_BOOL,
    int: ParameterType.PARAMETER_INTEGER,
    float: ParameterType.PARAMETER_DOUBLE,
    str: ParameterType.PARAMETER_STRING,
    tuple: ParameterType.PARAMETER_STRING_ARRAY,
}


def list_names(peer: RosPeer, node: str) -> list[str]:
    answer = peer.call(ListParameters, f"{node}/list_parameters", ListParameters.Request())
    return sorted(answer.result.names)


def dump(peer: RosPeer, node: str) -> dict[str, Any]:
    """Return all parameters of a node, as the command does."""
    names = list_names(peer, node)
    request = GetParameters.Request(names=names)
    values = peer.call(GetParameters, f"{node}/get_parameters", request).values
    return {
        name: parameter_value_to_python(value) for name, value in zip(names, values, strict=True)
    }


def wait_until_active(peer: RosPeer, process: NodeProcess) -> None:
    peer.wait_until(lambda: "Waiting for images on" in process.log, "the node to be active")


def write(path: Path, node: str, parameters: dict[str, Any]) -> Path:
    path.write_text(yaml.safe_dump({node: {"ros__parameters": parameters}}))
    return path


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="defaults"),
        pytest.param(
            {
                "cameras": ["front", "rear"],
                "on_demand_cameras": ["rear"],
                "min_confidence": 0.25,
                "max_rate_hz": 15,
                "smoothing_s": 0.0,
                "image_root": "/tmp",
                "image_transport": "compressed",
                "use_sim_time": True,
                "qos_overrides": {
                    "/front/image_raw/compressed": {"subscription": {"reliability": "reliable"}},
                    "/rear/emotions": {"publisher": {"depth": 3}},
                },
            },
            id="changes",
        ),
        pytest.param({"on_demand_cameras": []}, id="empty_list"),
    ],
)
def test_a_dump_starts_an_equal_node(
    peer: RosPeer, tmp_path: Path, changes: dict[str, Any]
) -> None:
    program = ["-m", "deepfer_ros.emotion_node", "--ros-args", "-r", "__ns:=/dump"]
    node = "/dump/emotion_node"
    # No camera sends images here: without this a slow machine has time to be warned of it.
    file = write(tmp_path / "changes.yaml", node, {"image_timeout_s": 0.0, **changes})
    with running([*program, "--params-file", str(file)], tmp_path / "first") as process:
        wait_until_active(peer, process)
        first = dump(peer, node)
    assert {entry.name for entry in dataclasses.fields(EmotionParameters)} <= set(first)
    peer.wait_until(lambda: not peer.node.count_publishers("/dump/emotions"), "the end")
    file = write(tmp_path / "dump.yaml", node, first)
    with running([*program, "--params-file", str(file)], tmp_path / "second") as process:
        wait_until_active(peer, process)
        second = dump(peer, node)
        assert "WARN" not in process.log
    assert first == second


@pytest.mark.parametrize(
    ("module", "table"),
    [
        pytest.param("emotion_node", EmotionParameters, id="emotion_node"),
        pytest.param("camera_node", CameraParameters, id="camera_node"),
    ],
)
def test_every_parameter_describes_itself(
    peer: RosPeer, tmp_path: Path, module: str, table: type
) -> None:
    program = ["-m", f"deepfer_ros.{module}", "--ros-args", "-r", "__ns:=/described"]
    source = ["-p", "source:=sample"] if module == "camera_node" else []
    with running([*program, *source], tmp_path / "log"):
        node = f"/described/{module}"
        names = list_names(peer, node)
        request = DescribeParameters.Request(names=names)
        answer = peer.call(DescribeParameters, f"{node}/describe_parameters", request)
    described = {descriptor.name: descriptor for descriptor in answer.descriptors}
    for entry in dataclasses.fields(table):
        rule, descriptor = entry.metadata["rule"], described[entry.name]
        assert descriptor.description == rule.description
        assert descriptor.read_only == rule.read_only
        assert descriptor.type == ROS_TYPES[type(entry.default)]
        ranges = [*descriptor.floating_point_range, *descriptor.integer_range]
        limits = [(limit.from_value, limit.to_value) for limit in ranges]
        assert limits == ([rule.limits] if rule.limits else [])
        assert all(choice in descriptor.additional_constraints for choice in rule.choices)
        assert ("unconfigured" in descriptor.additional_constraints) == rule.locked
