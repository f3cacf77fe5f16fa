"""The rules that keep the parts apart."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import deepfer_ros

REPOSITORY = Path(__file__).resolve().parents[2]
ROS_PACKAGES = {
    "ament_index_python",
    "builtin_interfaces",
    "cv_bridge",
    "deepfer",
    "diagnostic_msgs",
    "geometry_msgs",
    "lifecycle_msgs",
    "rcl_interfaces",
    "rclpy",
    "sensor_msgs",
    "std_msgs",
    "std_srvs",
    "vision_msgs",
}
CORE = sorted((REPOSITORY / "deepfer_ros/recognition").rglob("*.py"))
RUNTIME = sorted((REPOSITORY / "deepfer_ros").rglob("*.py"))
TRAINING = sorted((REPOSITORY / "deepfer_training").rglob("*.py"))


def imported_packages(path: Path) -> set[str]:
    """Return the top-level packages that a module imports anywhere in its code."""
    packages: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            packages.add(node.module.split(".")[0])
    return packages


def relative_name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


@pytest.mark.parametrize("path", CORE, ids=relative_name)
def test_the_core_knows_no_ros(path: Path) -> None:
    assert not imported_packages(path) & ROS_PACKAGES


@pytest.mark.parametrize("path", TRAINING, ids=relative_name)
def test_training_knows_neither_ros_nor_the_runtime(path: Path) -> None:
    assert not imported_packages(path) & (ROS_PACKAGES | {"deepfer_ros"})


@pytest.mark.parametrize("path", RUNTIME, ids=relative_name)
def test_the_runtime_knows_no_training(path: Path) -> None:
    """The command line links to the training commands by name only, when they are called."""
    assert "deepfer_training" not in imported_packages(path)


def test_importing_the_package_loads_nothing_heavy() -> None:
    heavy = ("cv2", "numpy", "ai_edge_litert", "tensorflow", "keras", "rclpy")
    code = f"import sys, deepfer_ros; print([m for m in {heavy} if m in sys.modules])"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert output.strip() == "[]"


def test_the_package_says_its_version() -> None:
    assert deepfer_ros.__version__.count(".") == 2
