"""Checks of `deepfer doctor`: the nodes that run now, and the images that should reach them."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from deepfer_ros.cli.doctor_finding import OK, OPTIONAL, PROBLEM, Finding

if TYPE_CHECKING:
    from rclpy.executors import Executor
    from rclpy.node import Node

# Discovery mostly takes a tenth of a second, and sometimes two.
_DISCOVERY_S = 3.0
# A node answers at once and reports once a second, unless its machine is busy.
_ANSWER_S = 3.0
_TRIES = 2
_EMOTION_NODE_SERVICE = "deepfer/srv/ClassifyImage"
_IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
_PROGRAMS = ("emotion_node", "camera_node", "web_node")
# Who ends leaves its children to process 1. In a container this may be what has started them: a
# launch, a shell, or a small init or supervisor.
_LAUNCHERS = ("ros2", "python3", "bash", "sh", "dash")
_CONTAINER_INITS = (
    *("docker-init", "tini", "dumb-init", "catatonit"),
    *("supervisord", "s6-svscan"),
)


# --- processes ---


@dataclass(frozen=True, slots=True)
class NodeProcess:
    """A node of deepfer in the process table.

    Attributes:
        pid: Its number.
        program: Which node it is.
        domain: Its ROS_DOMAIN_ID; None if that of another user may not be read.
        is_orphan: Whether what started it has ended. Not so where process 1 may have started it.
    """

    pid: int
    program: str
    domain: str | None
    is_orphan: bool


def probe_nodes() -> Finding:
    """Look for nodes that were left behind or that talk in another domain."""
    return judge_nodes(find_node_processes(), os.environ.get("ROS_DOMAIN_ID") or "0")


def judge_nodes(processes: list[NodeProcess], domain: str) -> Finding:
    """Return the finding for the nodes of this machine, seen from a ROS domain."""
    if not processes:
        return Finding(OK, "none of deepfer runs on this machine")
    names = ", ".join(f"{process.program} ({process.pid})" for process in processes)
    orphans = [process for process in processes if process.is_orphan]
    if orphans:
        return Finding(
            PROBLEM,
            f"{names}; what started {_pids(orphans)} has ended, so it was left behind",
            f"End it if you did not want that: kill {_pids(orphans)}",
        )
    elsewhere = [process for process in processes if process.domain not in (domain, None)]
    if elsewhere:
        other = elsewhere[0].domain
        return Finding(
            OPTIONAL,
            f"{names}; {_pids(elsewhere)} with ROS_DOMAIN_ID={other}, this shell has {domain}",
            f"To see its topics here: export ROS_DOMAIN_ID={other}",
        )
    return Finding(OK, names)


def find_node_processes(table: Path = Path("/proc")) -> list[NodeProcess]:
    """Return the nodes of deepfer in a process table, lowest number first."""
    found = []
    for folder in table.glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_text(errors="replace").split("\0")
            parent = _parent_of(folder)
        except OSError:  # it has ended in the meantime
            continue
        program = _program_of(arguments)
        if program:
            domain = _domain_of(folder)
            is_orphan = parent == 1 and not _is_started_by_init(folder, table / "1")
            found.append(NodeProcess(int(folder.name), program, domain, is_orphan))
    return sorted(found, key=lambda process: process.pid)


def _program_of(arguments: list[str]) -> str:
    """Return which node a command line starts; empty if none."""
    if "python" not in Path(arguments[0]).name:
        return ""
    for argument in arguments[1:4]:
        for program in _PROGRAMS:
            is_module = argument.startswith("deepfer_ros.") and argument.endswith(program)
            if is_module or argument.endswith(f"lib/deepfer/{program}"):
                return program
    return ""


def _parent_of(folder: Path) -> int:
    # The second field is the name in parentheses, which may contain anything.
    return int((folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[1])


def _program_name(folder: Path) -> str:
    try:
        return (folder / "comm").read_text().strip()
    except OSError:
        return ""


def _is_started_by_init(folder: Path, init: Path) -> bool:
    """Tell whether process 1 may have started a process, not only taken it over."""
    return _program_name(init) in (*_LAUNCHERS, *_CONTAINER_INITS) or _is_service(folder)


def _is_service(folder: Path) -> bool:
    """Tell whether a process belongs to a unit of systemd; those of a terminal are in a scope."""
    try:
        groups = (folder / "cgroup").read_text(errors="replace").splitlines()
    except OSError:
        return False
    return any(group.endswith(".service") for group in groups)


def _domain_of(folder: Path) -> str | None:
    try:
        variables = (folder / "environ").read_text(errors="replace").split("\0")
    except OSError:  # of another user
        return None
    values = dict(variable.partition("=")[::2] for variable in variables)
    return values.get("ROS_DOMAIN_ID") or "0"


def _pids(processes: list[NodeProcess]) -> str:
    return " ".join(str(process.pid) for process in processes)


# --- topics ---


def probe_topics() -> Finding:
    """Check that every emotion node gets images of a type and quality of service that it takes."""
    with _graph() as node:
        emotion_nodes = _discover_emotion_nodes(node)
        if not emotion_nodes:
            return Finding(OK, f"no emotion node runs; images: {_image_topics(node) or 'none'}")
        reports = [report for name, space in emotion_nodes for report in _check(node, name, space)]
    faults = [report.fault for report in reports if report.fault]
    if faults:
        return Finding(PROBLEM, " ".join(faults), "docs/troubleshooting.md, 'No image arrives'.")
    return Finding(OK, "; ".join(report.detail for report in reports))


@dataclass(frozen=True, slots=True)
class _Report:
    """What is known of one input of an emotion node; `fault` is empty if nothing is wrong."""

    detail: str
    fault: str = ""


@contextlib.contextmanager
def _graph() -> "Iterator[Node]":
    from rclpy.context import Context
    from rclpy.node import Node

    from deepfer_ros.transport import prepare_transport

    prepare_transport()
    context = Context()
    context.init(args=[])
    node = Node("deepfer_doctor", context=context, enable_rosout=False)
    try:
        yield node
    finally:
        node.destroy_node()
        context.shutdown()


def _discover_emotion_nodes(node: "Node") -> list[tuple[str, str]]:
    """Return name and namespace of every emotion node."""
    # Nothing tells that all have been discovered.
    time.sleep(_DISCOVERY_S)
    return [
        entry for entry in node.get_node_names_and_namespaces() if _is_emotion_node(node, entry)
    ]


def _is_emotion_node(node: "Node", entry: tuple[str, str]) -> bool:
    from rclpy.node import NodeNameNonExistentError

    try:
        services = node.get_service_names_and_types_by_node(*entry)
    except NodeNameNonExistentError:  # it has ended in the meantime
        return False
    return any(_EMOTION_NODE_SERVICE in types for _, types in services)


def _image_topics(node: "Node") -> str:
    """Return the topics that carry images, with the number of their publishers."""
    return ", ".join(
        f"{topic} ({count})"
        for topic, types in node.get_topic_names_and_types()
        if set(types) & set(_IMAGE_TYPES) and (count := node.count_publishers(topic))
    )


def _check(node: "Node", name: str, namespace: str) -> list[_Report]:
    """Return a report for every topic of images that an emotion node subscribes to."""
    full_name = f"{namespace.rstrip('/')}/{name}"
    subscribed = node.get_subscriber_names_and_types_by_node(name, namespace)
    topics = [topic for topic, types in subscribed if set(types) & set(_IMAGE_TYPES)]
    if not topics:
        fault = (
            f"{full_name} subscribes to no images: it is not active, or paused "
            f"(ros2 lifecycle get {full_name})."
        )
        return [_Report("", fault)]
    unpublished = [topic for topic in topics if not node.count_publishers(topic)]
    excuses = _find_excuses(node, full_name, unpublished) if unpublished else {}
    return [_check_topic(node, full_name, topic, excuses.get(topic, "")) for topic in topics]


def _find_excuses(node: "Node", full_name: str, topics: list[str]) -> dict[str, str]:
    """Return on which topics an emotion node needs no publisher, and why.

    They are none if the node does not answer.
    """
    from rclpy.executors import SingleThreadedExecutor

    executor = SingleThreadedExecutor(context=node.context)
    executor.add_node(node)
    try:
        values = _ask_for_parameters(node, executor, full_name)
        if values is None:
            return {}
        timeout_s, on_demand = values
        if timeout_s == 0:
            return dict.fromkeys(topics, "its image_timeout_s is 0")
        # The name of a camera does not tell its topic, which may be remapped.
        topic_of = _await_camera_topics(node, executor, full_name) if on_demand else {}
    finally:
        executor.shutdown()
    return {
        topic: "that camera comes and goes"
        for camera, topic in topic_of.items()
        if camera in on_demand
    }


def _ask_for_parameters(
    node: "Node", executor: "Executor", full_name: str
) -> tuple[float, set[str]] | None:
    """Return `image_timeout_s` and the names in `on_demand_cameras`; None without an answer."""
    from rcl_interfaces.srv import GetParameters

    client = node.create_client(GetParameters, f"{full_name}/get_parameters")
    request = GetParameters.Request(names=["image_timeout_s", "on_demand_cameras"])
    # An answer gets lost if the service finds its client later than the client the service.
    for _ in range(_TRIES):
        client.wait_for_service(timeout_sec=_ANSWER_S)
        answer = client.call_async(request)
        executor.spin_until_future_complete(answer, timeout_sec=_ANSWER_S)
        if answer.done():
            timeout, on_demand = answer.result().values
            return timeout.double_value, set(on_demand.string_array_value) - {""}
    return None


def _await_camera_topics(node: "Node", executor: "Executor", full_name: str) -> dict[str, str]:
    """Return the topics of images by the names of cameras, from an emotion node's diagnostics."""
    from diagnostic_msgs.msg import DiagnosticArray

    topic_of: dict[str, str] = {}

    def on_diagnostics(message: DiagnosticArray) -> None:
        for status in message.status:
            name, is_camera, camera = status.name.partition(": camera ")
            if is_camera and name == full_name:
                values = {value.key: value.value for value in status.values}
                topic_of[camera] = values["image topic"]

    node.create_subscription(DiagnosticArray, "/diagnostics", on_diagnostics, 10)
    end_s = time.monotonic() + _ANSWER_S
    while not topic_of and time.monotonic() < end_s:
        executor.spin_once(timeout_sec=_ANSWER_S)
    return topic_of


def _check_topic(node: "Node", full_name: str, topic: str, excuse: str) -> _Report:
    from rclpy.qos import QoSCompatibility, qos_check_compatible

    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers and excuse:
        return _Report(f"{full_name} gets nothing on {topic} now, which is no fault: {excuse}")
    if not publishers:
        others = _image_topics(node)
        return _Report(
            "",
            f"{full_name} waits for images on {topic}, which nobody publishes"
            + (f"; there are images on {others}." if others else "."),
        )
    for wanted in node.get_subscriptions_info_by_topic(topic):
        if f"{wanted.node_namespace.rstrip('/')}/{wanted.node_name}" != full_name:
            continue
        for offered in publishers:
            publisher = f"{offered.node_namespace.rstrip('/')}/{offered.node_name}"
            if offered.topic_type != wanted.topic_type:
                return _Report(
                    "",
                    f"{publisher} publishes {topic} as {offered.topic_type}, but {full_name} "
                    f"takes {wanted.topic_type}.",
                )
            result, reason = qos_check_compatible(offered.qos_profile, wanted.qos_profile)
            if result == QoSCompatibility.ERROR:
                return _Report(
                    "",
                    f"The quality of service with which {publisher} publishes {topic} does not "
                    f"suit {full_name}: {reason.strip()}",
                )
    return _Report(f"{full_name} gets {topic} from {len(publishers)} publisher(s)")
