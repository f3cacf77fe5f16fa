"""The web server's parts stay apart."""

import ast
from pathlib import Path

import pytest

WEB = Path(__file__).resolve().parents[2] / "deepfer_ros/web"
# The two that know ROS.
ADAPTERS = {"web_node.py", "ros_cameras.py"}
ROS_MODULES = {
    "deepfer",
    "deepfer_ros.emotion_labels",
    "deepfer_ros.messages",
    "deepfer_ros.node_runner",
    "deepfer_ros.parameter_table",
    "deepfer_ros.parameters",
    "rcl_interfaces",
    "rclpy",
    "sensor_msgs",
    "std_msgs",
}


def imported_modules(path: Path) -> set[str]:
    """Return all modules that a file imports, with the packages above them."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            parts = name.split(".")
            found |= {".".join(parts[: index + 1]) for index in range(len(parts))}
    return found


@pytest.mark.parametrize("path", sorted(WEB.glob("*.py")), ids=lambda path: path.name)
def test_only_the_adapters_know_ros(path: Path) -> None:
    knows_ros = bool(imported_modules(path) & ROS_MODULES)
    assert knows_ros == (path.name in ADAPTERS)


@pytest.mark.parametrize("path", sorted(WEB.glob("*.py")), ids=lambda path: path.name)
def test_nothing_but_the_node_knows_the_adapters(path: Path) -> None:
    adapters = {f"deepfer_ros.web.{Path(name).stem}" for name in ADAPTERS}
    assert path.name == "web_node.py" or not imported_modules(path) & adapters
