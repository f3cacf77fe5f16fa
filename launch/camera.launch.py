"""Start a camera or several, the emotion node that reads their images, and what shows them.

ros2 launch deepfer camera.launch.py
ros2 launch deepfer camera.launch.py source:=video.mp4 rviz:=true web:=true
ros2 launch deepfer camera.launch.py source:=none image_topic:=/camera/color/image_raw
ros2 launch deepfer camera.launch.py cameras:=front,rear source:=/dev/video0,/dev/video2
ros2 launch deepfer camera.launch.py namespace:=robot1,robot2 source:=none

Arguments that are left empty change nothing: the value of the parameters file or the default of
the node's own parameter holds.
"""

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from ament_index_python.packages import (
    PackageNotFoundError,
    get_package_prefix,
    get_package_share_directory,
)
from launch.actions import (
    DeclareLaunchArgument,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

from deepfer_ros.camera_sources import SOURCE_HELP
from deepfer_ros.parameter_table import find_fault
from deepfer_ros.parameters import IMAGE_TRANSPORTS, EmotionParameters
from deepfer_ros.recognition.detection import DETECTOR_NAMES
from deepfer_ros.transport import transport_environment
from deepfer_ros.web.emotion_cameras import EMOTION_CAMERAS
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

NO_CAMERA = "none"
YES_OR_NO = ["true", "false"]

ARGUMENTS = [
    DeclareLaunchArgument(
        "source",
        default_value="",
        description=f"Where images come from: {SOURCE_HELP}; or '{NO_CAMERA}' to start no camera "
        "because one publishes image_topic already. Empty is 'auto', or what params_file says. "
        "For several cameras one source for each, separated by commas, or one for all.",
    ),
    DeclareLaunchArgument(
        "cameras",
        default_value="",
        description="Names of the cameras that one emotion_node reads, separated by commas: "
        "front,rear reads front/image_raw and rear/image_raw. Empty is one without a name.",
    ),
    DeclareLaunchArgument(
        "rate_hz", default_value="", description="Images a second of the camera; see its rate_hz."
    ),
    DeclareLaunchArgument(
        "image_topic",
        default_value="image_raw",
        description="Topic of the images. A relative name is inside the namespace and the name "
        "of the camera; for cameras that params_file names, give the argument cameras, too.",
    ),
    DeclareLaunchArgument(
        "image_transport",
        default_value="",
        choices=["", *IMAGE_TRANSPORTS],
        description="compressed subscribes to image_topic/compressed.",
    ),
    DeclareLaunchArgument(
        "params_file",
        default_value="",
        description="YAML file with parameters of emotion_node, camera_node and web_node; see "
        "config/emotion_node.yaml for an example.",
    ),
    DeclareLaunchArgument(
        "namespace",
        default_value="",
        description="Namespace of all nodes and topics. Several, separated by commas, start all "
        "nodes once in each.",
    ),
    DeclareLaunchArgument(
        "model",
        default_value="",
        description="Name of a model that comes with deepfer, or the path of a bundle folder, "
        ".tflite or .keras file.",
    ),
    DeclareLaunchArgument(
        "detector",
        default_value="",
        choices=["", *DETECTOR_NAMES],
        description="Face detector.",
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="",
        choices=["", *YES_OR_NO],
        description="Configure and activate emotion_node at once; false leaves that to "
        "'ros2 lifecycle set' or a lifecycle manager.",
    ),
    DeclareLaunchArgument(
        "rviz",
        default_value="false",
        choices=YES_OR_NO,
        description="Show the annotated images in RViz, those of the first camera if there are "
        "several.",
    ),
    DeclareLaunchArgument(
        "web",
        default_value="false",
        choices=YES_OR_NO,
        description="Serve the page in the browser, see docs/web.md. Unless cameras are named, "
        "the browser becomes one more camera.",
    ),
    DeclareLaunchArgument(
        "web_port", default_value="", description="Port of the page; see the port of web_node."
    ),
    DeclareLaunchArgument(
        "use_sim_time",
        default_value="",
        choices=["", *YES_OR_NO],
        description="Take the time from /clock, for simulations and recorded data.",
    ),
    DeclareLaunchArgument(
        "log_level",
        default_value="info",
        choices=["debug", "info", "warn", "error", "fatal"],
        description="Least severe log messages that are shown.",
    ),
]


def generate_launch_description() -> LaunchDescription:
    # The nodes set this for themselves; RViz receives large images too, and cannot.
    environment = [
        SetEnvironmentVariable(name, value) for name, value in transport_environment().items()
    ]
    return LaunchDescription([*ARGUMENTS, *environment, OpaqueFunction(function=create_nodes)])


def create_nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    values = {
        argument.name: LaunchConfiguration(argument.name).perform(context)
        for argument in ARGUMENTS
    }
    check(values)
    nodes = [create_emotion_node(values, namespace) for namespace in namespaces(values)]
    for (namespace, camera), source in zip(places(values), sources(values), strict=True):
        if source != NO_CAMERA:
            nodes.append(create_camera_node(values, f"{namespace}/{camera}".strip("/"), source))
    if values["web"] == "true":
        nodes.append(create_web_node(values))
    if values["rviz"] == "true":
        nodes.append(create_rviz(values))
    return nodes


def namespaces(values: dict[str, str]) -> list[str]:
    return values["namespace"].split(",")


def cameras(values: dict[str, str]) -> list[str]:
    return values["cameras"].split(",")


def places(values: dict[str, str]) -> list[tuple[str, str]]:
    """Return namespace and name of every camera."""
    return list(itertools.product(namespaces(values), cameras(values)))


def sources(values: dict[str, str]) -> list[str]:
    """Return the source of every place, if there are as many."""
    count = len(places(values))
    # The name of a file may have commas.
    several = values["source"].split(",") if count > 1 else [values["source"]]
    return several * count if len(several) == 1 else several


def check(values: dict[str, str]) -> None:
    """Refuse what would otherwise fail after some of the nodes have been started.

    Raises:
        RuntimeError: An argument is wrong; the text names it.
    """
    check_cameras(values)
    if values["params_file"] and not Path(values["params_file"]).is_file():
        raise RuntimeError(f"params_file:={values['params_file']} does not exist.")
    if values["rate_hz"]:
        try:
            float(values["rate_hz"])
        except ValueError as err:
            raise RuntimeError(f"rate_hz:={values['rate_hz']} is not a number.") from err
    if values["image_transport"] == "compressed" and set(sources(values)) != {NO_CAMERA}:
        raise RuntimeError(
            "image_transport:=compressed is for a camera of your own, with source:=none: "
            "camera_node publishes raw images only."
        )
    if values["web_port"] and not values["web_port"].isdecimal():
        raise RuntimeError(f"web_port:={values['web_port']} is not a port number.")
    if values["web"] == "true" and len(namespaces(values)) > 1:
        raise RuntimeError("web:=true serves one namespace; start one launch file for each.")
    if values["rviz"] == "true":
        try:
            get_package_prefix("rviz2")
        except PackageNotFoundError as err:
            raise RuntimeError(
                "rviz:=true needs RViz, which is not installed "
                "(Debian and Ubuntu: apt install ros-$ROS_DISTRO-rviz2)."
            ) from err


def check_cameras(values: dict[str, str]) -> None:
    """Refuse cameras without a name, a source or a topic of their own.

    Raises:
        RuntimeError: An argument is wrong; the text names it.
    """
    fault = find_fault(EmotionParameters, {"cameras": cameras(values)})
    if fault is not None:
        raise RuntimeError(fault)
    count = len(places(values))
    if len(sources(values)) != count:
        raise RuntimeError(
            f"source:={values['source']} names {len(sources(values))} sources for {count} "
            "cameras; give one for each, or one for all."
        )
    if values["image_topic"].startswith("~"):
        raise RuntimeError(
            f"image_topic:={values['image_topic']} would be another topic for each node; give a "
            "name that does not begin with '~'."
        )
    if count > 1 and values["image_topic"].startswith("/"):
        raise RuntimeError(
            f"image_topic:={values['image_topic']} would be the same for all {count} cameras; "
            "give a name that does not begin with '/'."
        )


def create_emotion_node(values: dict[str, str], namespace: str) -> Node:
    given = ("model", "detector", "image_transport")
    parameters: dict[str, object] = {name: values[name] for name in given if values[name]}
    if values["cameras"]:
        parameters["cameras"] = cameras(values)
    has_browser = values["web"] == "true" and not values["cameras"]
    return create_node(
        values,
        "emotion_node",
        namespace,
        parameters | given_flags(values, "autostart"),
        defaults=EMOTION_CAMERAS if has_browser else {},
        prefixes=[f"{camera}/" if camera else "" for camera in cameras(values)],
    )


def create_camera_node(values: dict[str, str], namespace: str, source: str) -> Node:
    parameters: dict[str, object] = {}
    if source:
        parameters["source"] = source
    if values["rate_hz"]:
        parameters["rate_hz"] = float(values["rate_hz"])
    return create_node(values, "camera_node", namespace, parameters)


def create_web_node(values: dict[str, str]) -> Node:
    parameters: dict[str, object] = {}
    if values["web_port"]:
        parameters["port"] = int(values["web_port"])
    return create_node(values, "web_node", namespaces(values)[0], parameters)


def given_flags(values: dict[str, str], *names: str) -> dict[str, bool]:
    """Return the arguments that are true or false, without those that were left empty."""
    return {name: values[name] == "true" for name in names if values[name]}


def create_node(
    values: dict[str, str],
    name: str,
    namespace: str,
    parameters: dict[str, object],
    *,
    defaults: Mapping[str, object] = MappingProxyType({}),
    prefixes: Sequence[str] = ("",),
) -> Node:
    own = parameters | given_flags(values, "use_sim_time")
    return Node(
        package="deepfer",
        executable=name,
        name=name,
        namespace=namespace,
        # Later entries win.
        parameters=[
            *([dict(defaults)] if defaults else []),
            *([values["params_file"]] if values["params_file"] else []),
            *([own] if own else []),
        ],
        remappings=[
            (f"{prefix}image_raw", moved(prefix, values["image_topic"])) for prefix in prefixes
        ],
        ros_arguments=["--log-level", values["log_level"]],
        output="screen",
        emulate_tty=True,
        # Half of it would look as if it worked.
        on_exit=Shutdown(reason=f"{name} has ended"),
    )


def moved(prefix: str, topic: str) -> str:
    return topic if topic.startswith("/") else f"{prefix}{topic}"


def create_rviz(values: dict[str, str]) -> Node:
    config = Path(get_package_share_directory("deepfer")) / "config" / "deepfer.rviz"
    namespace, camera = places(values)[0]
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        namespace=f"{namespace}/{camera}".strip("/"),
        arguments=["-d", str(config)],
        parameters=[given_flags(values, "use_sim_time")],
        # The file names the topic from the root; here it is the one of the first camera.
        remappings=[("/emotions/image", "emotions/image")],
        output="screen",
    )
