"""The launch file, where launch is installed: its arguments, and what it starts."""

import importlib.util
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from node_process import running
from ros_peer import RosPeer

from deepfer.msg import EmotionArray
from deepfer_ros.camera_node import CameraParameters
from deepfer_ros.parameter_table import find_fault
from deepfer_ros.parameters import EmotionParameters

REPOSITORY = Path(__file__).parents[2]
NODES = ("emotion_node", "camera_node")


def test_example_parameters_are_allowed_and_differ_from_the_defaults() -> None:
    example = yaml.safe_load((REPOSITORY / "config" / "emotion_node.yaml").read_text())
    tables = {"/**/emotion_node": EmotionParameters, "/**/camera_node": CameraParameters}
    assert set(example) == set(tables)
    for node, table in tables.items():
        values = example[node]["ros__parameters"]
        assert set(values) <= set(table.__dataclass_fields__)
        assert find_fault(table, values) is None
        assert all(value != getattr(table(), name) for name, value in values.items())


def test_rviz_shows_the_annotated_image_with_the_quality_of_service_that_it_has() -> None:
    config = yaml.safe_load((REPOSITORY / "config" / "deepfer.rviz").read_text())
    (display,) = config["Visualization Manager"]["Displays"]
    assert display["Class"] == "rviz_default_plugins/Image"
    assert display["Topic"] == {
        "Depth": 1,
        "Durability Policy": "Volatile",
        "History Policy": "Keep Last",
        "Reliability Policy": "Reliable",
        "Value": "/emotions/image",
    }


@pytest.fixture
def launch_file() -> ModuleType:
    pytest.importorskip("launch")
    pytest.importorskip("launch_ros")
    path = REPOSITORY / "launch" / "camera.launch.py"
    spec = importlib.util.spec_from_file_location("camera_launch", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def start(launch_file: ModuleType, **arguments: str) -> dict[str, Any]:
    """Return the nodes that the launch file would start, by name; with namespace if need be."""
    from launch import LaunchContext

    context = LaunchContext()
    for argument in launch_file.ARGUMENTS:
        argument.execute(context)
    context.launch_configurations.update(arguments)
    nodes = launch_file.create_nodes(context)
    for node in nodes:
        node._perform_substitutions(context)
    by_place = {node.node_name: node for node in nodes}
    assert len(by_place) == len(nodes)
    by_name = {name.rpartition("/")[2]: node for name, node in by_place.items()}
    return by_name if len(by_name) == len(nodes) else by_place


def parameters(node: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return all parameters that a node would get, the last of the same name."""
    values: dict[str, Any] = {}
    for entry in node._Node__expanded_parameter_arguments:
        path, is_file = entry
        assert is_file
        # launch_ros writes lists as what Python calls tuples.
        for section in yaml.full_load(Path(path).read_text()).values():
            values.update(section["ros__parameters"])
    return values


def test_every_argument_is_described(launch_file: ModuleType) -> None:
    arguments = {
        argument.name: argument
        for argument in launch_file.generate_launch_description().get_launch_arguments()
    }
    assert {
        "source",
        "cameras",
        "image_topic",
        "image_transport",
        "params_file",
        "namespace",
        "model",
        "detector",
        "rate_hz",
        "autostart",
        "rviz",
        "web",
        "web_port",
        "use_sim_time",
        "log_level",
    } == set(arguments)
    assert all(argument.description for argument in arguments.values())
    assert arguments["rviz"].choices == ["true", "false"]
    assert "yunet" in arguments["detector"].choices


def test_defaults_leave_every_parameter_to_the_nodes(launch_file: ModuleType) -> None:
    nodes = start(launch_file)
    assert set(nodes) == {"emotion_node", "camera_node"}
    assert parameters(nodes["emotion_node"]) == {}
    assert parameters(nodes["camera_node"]) == {}


def test_arguments_become_parameters(launch_file: ModuleType) -> None:
    nodes = start(
        launch_file,
        source="video.mp4",
        rate_hz="5",
        model="/models/mine",
        detector="haar",
        image_transport="raw",
        autostart="false",
        use_sim_time="true",
        namespace="robot",
    )
    assert parameters(nodes["emotion_node"]) == {
        "model": "/models/mine",
        "detector": "haar",
        "image_transport": "raw",
        "autostart": False,
        "use_sim_time": True,
    }
    assert parameters(nodes["camera_node"]) == {
        "source": "video.mp4",
        "rate_hz": 5.0,
        "use_sim_time": True,
    }
    assert {node.node_name for node in nodes.values()} == {
        "/robot/emotion_node",
        "/robot/camera_node",
    }


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("params_file", "/nonexistent.yaml", "params_file:=/nonexistent.yaml does not exist"),
        ("rate_hz", "abc", "rate_hz:=abc is not a number"),
        (
            "image_transport",
            "compressed",
            "image_transport:=compressed is for a camera of your own",
        ),
        ("web_port", "http", "web_port:=http is not a port number"),
        ("cameras", "front,2nd", "cameras must hold names of letters"),
        ("cameras", "front,front", "cameras must hold every name once"),
    ],
)
def test_wrong_arguments_are_refused_before_a_node_starts(
    launch_file: ModuleType, name: str, value: str, message: str
) -> None:
    with pytest.raises(RuntimeError, match=message):
        start(launch_file, **{name: value})


def test_several_cameras_of_one_node(launch_file: ModuleType) -> None:
    nodes = start(launch_file, cameras="front,rear", source="0,rear.mp4", image_topic="image")
    assert set(nodes) == {"/emotion_node", "/front/camera_node", "/rear/camera_node"}
    assert parameters(nodes["/emotion_node"]) == {"cameras": ("front", "rear")}
    assert nodes["/emotion_node"].expanded_remapping_rules == [
        ("front/image_raw", "front/image"),
        ("rear/image_raw", "rear/image"),
    ]
    assert parameters(nodes["/front/camera_node"]) == {"source": "0"}
    assert parameters(nodes["/rear/camera_node"]) == {"source": "rear.mp4"}
    assert nodes["/rear/camera_node"].expanded_remapping_rules == [("image_raw", "image")]


def test_one_camera_with_a_name(launch_file: ModuleType) -> None:
    nodes = start(launch_file, cameras="front", source="none", image_topic="/eye/image")
    assert parameters(nodes["emotion_node"]) == {"cameras": ("front",)}
    assert nodes["emotion_node"].expanded_remapping_rules == [("front/image_raw", "/eye/image")]


def test_all_nodes_in_several_namespaces(launch_file: ModuleType) -> None:
    nodes = start(launch_file, namespace="robot1,robot2", source="sample", use_sim_time="true")
    assert set(nodes) == {f"/{robot}/{name}" for robot in ("robot1", "robot2") for name in NODES}
    assert parameters(nodes["/robot2/camera_node"]) == {"source": "sample", "use_sim_time": True}
    assert parameters(nodes["/robot2/emotion_node"]) == {"use_sim_time": True}


def test_absolute_topic_of_several_cameras_is_refused(launch_file: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="would be the same for all 2 cameras"):
        start(launch_file, cameras="front,rear", image_topic="/image")


def test_topic_of_each_node_itself_is_refused(launch_file: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="image_topic:=~/image would be another topic for each"):
        start(launch_file, image_topic="~/image")


def test_every_camera_needs_a_source(launch_file: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="source:=0,1 names 2 sources for 3 cameras; give one"):
        start(launch_file, cameras="front,rear,side", source="0,1")


def test_file_name_with_a_comma(launch_file: ModuleType) -> None:
    assert parameters(start(launch_file, source="a,b.mp4")["camera_node"]) == {"source": "a,b.mp4"}


def test_rviz_shows_the_first_camera(
    launch_file: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch_file, "get_package_prefix", lambda name: "/opt/ros")
    nodes = start(launch_file, rviz="true", namespace="a,b", cameras="front,rear", source="none")
    assert set(nodes) == {"/a/emotion_node", "/b/emotion_node", "/a/front/rviz"}


def test_web(launch_file: ModuleType, tmp_path: Path) -> None:
    nodes = start(launch_file, web="true", web_port="8081", namespace="robot")
    assert set(nodes) == {"emotion_node", "camera_node", "web_node"}
    assert parameters(nodes["web_node"]) == {"port": 8081}
    assert parameters(nodes["emotion_node"]) == {
        "cameras": ("", "browser"),
        "on_demand_cameras": ("browser",),
    }
    # What is said about cameras elsewhere has the last word.
    nodes = start(launch_file, web="true", cameras="front")
    assert parameters(nodes["emotion_node"]) == {"cameras": ("front",)}
    path = tmp_path / "parameters.yaml"
    path.write_text("/**/emotion_node: {ros__parameters: {cameras: [rear]}}")
    nodes = start(launch_file, web="true", params_file=str(path))
    assert parameters(nodes["emotion_node"])["cameras"] == ["rear"]


def test_web_serves_one_namespace(launch_file: ModuleType) -> None:
    with pytest.raises(RuntimeError, match="web:=true serves one namespace"):
        start(launch_file, web="true", namespace="a,b")


def test_rviz_is_looked_for_before_a_node_starts(
    launch_file: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_found(name: str) -> str:
        raise launch_file.PackageNotFoundError(name)

    monkeypatch.setattr(launch_file, "get_package_prefix", not_found)
    with pytest.raises(RuntimeError, match="needs RViz, which is not installed"):
        start(launch_file, rviz="true")


def test_no_camera(launch_file: ModuleType) -> None:
    nodes = start(
        launch_file,
        source="none",
        image_topic="/camera/image_raw",
        image_transport="compressed",
    )
    assert set(nodes) == {"emotion_node"}


def test_rviz(launch_file: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch_file, "get_package_prefix", lambda name: "/opt/ros")
    assert set(start(launch_file, rviz="true")) == {"emotion_node", "camera_node", "rviz"}


def test_both_nodes_agree_on_the_image_topic(launch_file: ModuleType) -> None:
    for node in start(launch_file, image_topic="/eye/image").values():
        assert node.expanded_remapping_rules == [("image_raw", "/eye/image")]


def test_arguments_win_over_the_parameters_file(launch_file: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "parameters.yaml"
    path.write_text("/**/emotion_node: {ros__parameters: {model: a, smoothing_s: 2.0}}")
    values = parameters(start(launch_file, params_file=str(path), model="b")["emotion_node"])
    assert (values["model"], values["smoothing_s"]) == ("b", 2.0)


# ros2 launch is this, behind a command line.
LAUNCH = """
import sys
from launch import LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource

arguments = [argument.split(":=", 1) for argument in sys.argv[2:]]
service = LaunchService()
service.include_launch_description(
    IncludeLaunchDescription(
        PythonLaunchDescriptionSource(sys.argv[1]), launch_arguments=arguments
    )
)
sys.exit(service.run())
"""


@pytest.mark.parametrize(
    ("arguments", "topics", "nodes"),
    [
        pytest.param(["namespace:=launched"], ["/launched/emotions"], 2, id="one_camera"),
        pytest.param(
            ["namespace:=launched", "cameras:=front,rear"],
            ["/launched/front/emotions", "/launched/rear/emotions"],
            3,
            id="two_cameras",
        ),
        pytest.param(
            ["namespace:=robot1,robot2"],
            ["/robot1/emotions", "/robot2/emotions"],
            4,
            id="two_namespaces",
        ),
    ],
)
def test_launched_nodes_read_emotions_and_end_together(
    launch_file: ModuleType,
    peer: RosPeer,
    tmp_path: Path,
    arguments: list[str],
    topics: list[str],
    nodes: int,
) -> None:
    command = ["-c", LAUNCH, str(launch_file.__file__), "source:=sample", "rate_hz:=5"]
    with running([*command, *arguments, "log_level:=warn"], tmp_path / "log") as process:
        for topic in topics:
            results = peer.listen(EmotionArray, topic)
            peer.wait_until(
                lambda results=results: any(result.emotions for result in results), "a face"
            )
        assert process.stop(signal.SIGINT) == 0
        assert process.log.count("process has finished cleanly") == nodes
        assert "Traceback" not in process.log
