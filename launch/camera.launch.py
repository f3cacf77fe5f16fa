"""Start a camera, the emotion node that reads its images, and RViz if wanted.

ros2 launch deepfer camera.launch.py
ros2 launch deepfer camera.launch.py source:=video.mp4 rviz:=true
ros2 launch deepfer camera.launch.py source:=none image_topic:=/camera/color/image_raw

Arguments that are left empty change nothing: the value of the parameters file or the default of
the node's own parameter holds.
"""

from pathlib import Path

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
from deepfer_ros.parameters import IMAGE_TRANSPORTS
from deepfer_ros.recognition.detection import DETECTOR_NAMES
from deepfer_ros.transport import transport_environment
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity

NO_CAMERA = "none"
YES_OR_NO = ["true", "false"]

ARGUMENTS = [
    DeclareLaunchArgument(
        "source",
        default_value="",
        description=f"Where images come from: {SOURCE_HELP}; or '{NO_CAMERA}' to start no camera "
        "because one publishes image_topic already. Empty is 'auto', or what params_file says.",
    ),
    DeclareLaunchArgument(
        "rate_hz", default_value="", description="Images a second of the camera; see its rate_hz."
    ),
    DeclareLaunchArgument(
        "image_topic",
        default_value="image_raw",
        description="Topic of the images. A relative name is inside the namespace.",
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
        description="YAML file with parameters of emotion_node and camera_node; see "
        "config/emotion_node.yaml for an example.",
    ),
    DeclareLaunchArgument(
        "namespace", default_value="", description="Namespace of all nodes and topics."
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
        description="Show the annotated images in RViz.",
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
    nodes = [create_emotion_node(values)]
    if values["source"] != NO_CAMERA:
        nodes.append(create_camera_node(values))
    if values["rviz"] == "true":
        nodes.append(create_rviz(values))
    return nodes


def check(values: dict[str, str]) -> None:
    """Refuse what would otherwise fail after some of the nodes have been started.

    Raises:
        RuntimeError: An argument is wrong; the text names it.
    """
    if values["params_file"] and not Path(values["params_file"]).is_file():
        raise RuntimeError(f"params_file:={values['params_file']} does not exist.")
    if values["rate_hz"]:
        try:
            float(values["rate_hz"])
        except ValueError as err:
            raise RuntimeError(f"rate_hz:={values['rate_hz']} is not a number.") from err
    if values["rviz"] == "true":
        try:
            get_package_prefix("rviz2")
        except PackageNotFoundError as err:
            raise RuntimeError(
                "rviz:=true needs RViz, which is not installed "
                "(Debian and Ubuntu: apt install ros-$ROS_DISTRO-rviz2)."
            ) from err


def create_emotion_node(values: dict[str, str]) -> Node:
    given = ("model", "detector", "image_transport")
    return create_node(
        values,
        "emotion_node",
        {name: values[name] for name in given if values[name]} | given_flags(values, "autostart"),
    )


def create_camera_node(values: dict[str, str]) -> Node:
    parameters: dict[str, str | float] = {}
    if values["source"]:
        parameters["source"] = values["source"]
    if values["rate_hz"]:
        parameters["rate_hz"] = float(values["rate_hz"])
    return create_node(values, "camera_node", parameters)


def given_flags(values: dict[str, str], *names: str) -> dict[str, bool]:
    """Return the arguments that are true or false, without those that were left empty."""
    return {name: values[name] == "true" for name in names if values[name]}


def create_node(values: dict[str, str], name: str, parameters: dict[str, object]) -> Node:
    own = parameters | given_flags(values, "use_sim_time")
    return Node(
        package="deepfer",
        executable=name,
        name=name,
        namespace=values["namespace"],
        # Later entries win.
        parameters=[
            *([values["params_file"]] if values["params_file"] else []),
            *([own] if own else []),
        ],
        remappings=[("image_raw", values["image_topic"])],
        ros_arguments=["--log-level", values["log_level"]],
        output="screen",
        emulate_tty=True,
        # Half of it would look as if it worked.
        on_exit=Shutdown(reason=f"{name} has ended"),
    )


def create_rviz(values: dict[str, str]) -> Node:
    config = Path(get_package_share_directory("deepfer")) / "config" / "deepfer.rviz"
    return Node(
        package="rviz2",
        executable="rviz2",
        name="rviz",
        namespace=values["namespace"],
        arguments=["-d", str(config)],
        parameters=[given_flags(values, "use_sim_time")],
        # The file names the topic from the root; here it is the one of the namespace.
        remappings=[("/emotions/image", "emotions/image")],
        output="screen",
    )
