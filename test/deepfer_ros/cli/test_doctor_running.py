"""What `deepfer doctor` says of the nodes that run and the images that should reach them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from rclpy.context import Context
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros_peer import spinning
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String

from deepfer.srv import ClassifyImage
from deepfer_ros.cli.doctor_finding import OK, OPTIONAL, PROBLEM
from deepfer_ros.cli.doctor_running import (
    NodeProcess,
    find_node_processes,
    judge_nodes,
    probe_topics,
)
from deepfer_ros.emotion_node import EmotionNode
from deepfer_ros.web.emotion_cameras import EMOTION_CAMERAS

BEST_EFFORT = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)


class TestNodes:
    @pytest.mark.parametrize(
        ("processes", "status", "words"),
        [
            ([], OK, "none"),
            ([NodeProcess(12, "emotion_node", "5", False)], OK, "emotion_node (12)"),
            ([NodeProcess(12, "emotion_node", None, False)], OK, "emotion_node (12)"),
            ([NodeProcess(12, "camera_node", "6", False)], OPTIONAL, "12 with ROS_DOMAIN_ID=6"),
            (
                [NodeProcess(9, "web_node", "5", True), NodeProcess(12, "camera_node", "5", True)],
                PROBLEM,
                "what started 9 12 has ended",
            ),
        ],
        ids=["none", "one", "of another user", "another domain", "left behind"],
    )
    def test_are_judged(self, processes: list[NodeProcess], status: str, words: str) -> None:
        finding = judge_nodes(processes, "5")
        assert finding.status == status
        assert words in finding.detail
        assert bool(finding.advice) == (status != OK)

    def test_are_found_in_the_process_table(self, tmp_path: Path) -> None:
        add_process(tmp_path, 1, "init", ["/sbin/init"])
        add_process(tmp_path, 20, "python3", ["python3", "-m", "deepfer_ros.emotion_node"])
        installed = ["/usr/bin/python3", "/ws/install/lib/deepfer/camera_node", "--ros-args"]
        add_process(tmp_path, 7, "camera (node)", installed, parent=1, domain="3")
        add_process(tmp_path, 30, "vim", ["vim", "deepfer_ros.emotion_node"])
        add_process(tmp_path, 31, "kthread", [""])
        assert find_node_processes(tmp_path) == [
            NodeProcess(7, "camera_node", "3", True),
            NodeProcess(20, "emotion_node", "0", False),
        ]

    @pytest.mark.parametrize(
        "init",
        [
            *("ros2", "bash", "docker-init", "tini", "dumb-init", "catatonit"),
            *("supervisord", "s6-svscan"),
        ],
    )
    def test_are_no_orphans_below_what_may_have_started_them(
        self, tmp_path: Path, init: str
    ) -> None:
        add_process(tmp_path, 1, init, [f"/usr/bin/{init}"])
        add_process(tmp_path, 7, "x", ["python3", "-m", "deepfer_ros.emotion_node"], parent=1)
        processes = find_node_processes(tmp_path)
        assert processes == [NodeProcess(7, "emotion_node", "0", False)]
        assert "kill" not in judge_nodes(processes, "0").advice

    @pytest.mark.parametrize(
        ("cgroup", "is_orphan"),
        [
            ("0::/system.slice/deepfer.service\n", False),
            ("3:cpu:/\n1:name=systemd:/system.slice/deepfer.service\n", False),
            ("0::/user.slice/user-1000.slice/session-3.scope\n", True),
            ("0::/user.slice/user-1000.slice/user@1000.service/app.slice/vte-1.scope\n", True),
        ],
        ids=["service", "service, old kind", "session", "terminal"],
    )
    def test_are_no_orphans_as_services_of_systemd(
        self, tmp_path: Path, cgroup: str, is_orphan: bool
    ) -> None:
        add_process(tmp_path, 1, "systemd", ["/sbin/init"])
        add_process(tmp_path, 7, "x", ["python3", "-m", "deepfer_ros.emotion_node"], parent=1)
        (tmp_path / "7/cgroup").write_text(cgroup)
        assert find_node_processes(tmp_path) == [NodeProcess(7, "emotion_node", "0", is_orphan)]


def add_process(
    table: Path,
    pid: int,
    name: str,
    arguments: list[str],
    *,
    parent: int = 2,
    domain: str | None = None,
) -> None:
    folder = table / str(pid)
    folder.mkdir()
    (folder / "comm").write_text(f"{name}\n")
    (folder / "cmdline").write_text("\0".join([*arguments, ""]))
    (folder / "stat").write_text(f"{pid} ({name}) S {parent} {pid} 0")
    variables = ["HOME=/root", *([f"ROS_DOMAIN_ID={domain}"] if domain else []), ""]
    (folder / "environ").write_text("\0".join(variables))


@pytest.fixture
def graph(ros_environment: None) -> Iterator[Context]:
    context = Context()
    context.init()
    yield context
    context.shutdown()


@pytest.fixture
def camera(ros_environment: None) -> Iterator[Node]:
    """Return a node as if of another process: one may use a topic with one type only."""
    context = Context()
    context.init()
    node = Node("camera", context=context)
    yield node
    node.destroy_node()
    context.shutdown()


def make_emotion_node(
    context: Context, message_type: type | None = Image, qos: QoSProfile = BEST_EFFORT
) -> Node:
    """Return what looks like an emotion node from outside."""
    node = Node("eyes", namespace="/robot", context=context)
    node.create_service(ClassifyImage, "classify_image", lambda request, response: response)
    if message_type is not None:
        node.create_subscription(message_type, "image_raw", lambda message: None, qos)
    return node


class TestTopics:
    def test_nothing_runs(self, camera: Node) -> None:
        camera.create_publisher(Image, "/color", 1)
        finding = probe_topics()
        assert (finding.status, finding.detail) == (OK, "no emotion node runs; images: /color (1)")

    def test_images_arrive(self, graph: Context, camera: Node) -> None:
        node = make_emotion_node(graph)
        camera.create_publisher(Image, "/robot/image_raw", 1)
        finding = probe_topics()
        node.destroy_node()
        assert finding.status == OK
        assert finding.detail == "/robot/eyes gets /robot/image_raw from 1 publisher(s)"

    def test_a_node_that_is_not_active(self, graph: Context) -> None:
        node = make_emotion_node(graph, None)
        finding = probe_topics()
        node.destroy_node()
        assert finding.status == PROBLEM
        assert "/robot/eyes subscribes to no images" in finding.detail

    def test_nobody_publishes(self, graph: Context, camera: Node) -> None:
        node = make_emotion_node(graph)
        camera.create_publisher(CompressedImage, "/front/image_raw/compressed", 1)
        finding = probe_topics()
        node.destroy_node()
        assert finding.status == PROBLEM
        assert "/robot/image_raw, which nobody publishes; there are images on" in finding.detail
        assert "/front/image_raw/compressed (1)" in finding.detail

    def test_the_quality_of_service_does_not_suit(self, graph: Context, camera: Node) -> None:
        node = make_emotion_node(graph, qos=RELIABLE)
        camera.create_publisher(Image, "/robot/image_raw", BEST_EFFORT)
        finding = probe_topics()
        node.destroy_node()
        assert finding.status == PROBLEM
        assert "/camera publishes /robot/image_raw does not suit /robot/eyes" in finding.detail
        assert "eliab" in finding.detail

    def test_the_type_is_another(self, graph: Context, camera: Node) -> None:
        node = make_emotion_node(graph)
        camera.create_publisher(String, "/robot/image_raw", 1)
        finding = probe_topics()
        node.destroy_node()
        assert finding.status == PROBLEM
        assert (
            "as std_msgs/msg/String, but /robot/eyes takes sensor_msgs/msg/Image" in finding.detail
        )


class TestSilence:
    """What is said of a real emotion node whose topics nobody publishes.

    Each test has a namespace of its own: a node of this process stays in the graph for a while.
    """

    @pytest.mark.parametrize(
        ("namespace", "transport", "remappings", "topic"),
        [
            ("plain", "raw", (), "/plain/browser/image_raw"),
            ("jpeg", "compressed", (), "/jpeg/browser/image_raw/compressed"),
            ("moved", "raw", ("browser/image_raw:=/visitor",), "/visitor"),
        ],
        ids=["plain", "compressed", "remapped"],
    )
    def test_is_no_fault_of_a_camera_that_comes_and_goes(
        self,
        make_node: Callable[..., EmotionNode],
        camera: Node,
        namespace: str,
        transport: str,
        remappings: tuple[str, ...],
        topic: str,
    ) -> None:
        node = make_node(
            namespace=namespace,
            remappings=remappings,
            image_transport=transport,
            **EMOTION_CAMERAS,
        )
        own = node.resolve_topic_name("image_raw")
        if transport == "compressed":
            camera.create_publisher(CompressedImage, f"{own}/compressed", 1)
        else:
            camera.create_publisher(Image, own, 1)
        node.start()
        with spinning(node):
            finding = probe_topics()
        assert finding.status == OK, finding.detail
        assert f"gets nothing on {topic} now, which is no fault: that camera" in finding.detail
        assert f"gets {own}" in finding.detail

    def test_of_another_camera_stays_a_fault(self, make_node: Callable[..., EmotionNode]) -> None:
        node = make_node(namespace="other", **EMOTION_CAMERAS)
        node.start()
        with spinning(node):
            finding = probe_topics()
        assert finding.status == PROBLEM
        assert "waits for images on /other/image_raw, which nobody publishes" in finding.detail
        assert "browser/image_raw, which" not in finding.detail

    def test_is_no_fault_where_the_node_never_warns_of_it(
        self, make_node: Callable[..., EmotionNode]
    ) -> None:
        nodes = [
            make_node(namespace=name, image_timeout_s=0.0, **EMOTION_CAMERAS)
            for name in ("one", "two")
        ]
        for node in nodes:
            node.start()
        with spinning(nodes[0]), spinning(nodes[1]):
            finding = probe_topics()
        assert finding.status == OK, finding.detail
        assert finding.detail.count("which is no fault: its image_timeout_s is 0") == 4

    def test_of_a_node_that_does_not_answer_stays_a_fault(
        self, make_node: Callable[..., EmotionNode]
    ) -> None:
        node = make_node(namespace="hung", **EMOTION_CAMERAS)
        node.start()
        finding = probe_topics()
        assert finding.status == PROBLEM
        assert "/browser/image_raw, which nobody publishes" in finding.detail
