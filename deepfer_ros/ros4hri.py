"""Publish the faces of all cameras as ROS4HRI (REP-155) wants them."""

import threading
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from deepfer_ros.messages import to_image
from deepfer_ros.qos import OVERRIDABLE_QOS
from deepfer_ros.recognition.types import FaceEmotion
from deepfer_ros.ros_compatibility import PublisherEventCallbacks

_NAMESPACE = "/humans/faces"
# A face that was seen once only may be none: topics are made for it at its second sighting.
_SIGHTINGS_NEEDED = 2
# A camera that has been silent for longer has lost its faces. Trackers forget them after a second.
_SILENCE_S = 2.0


class MissingHriMessagesError(RuntimeError):
    """The package hri_msgs is not installed."""


class HumanFaces:
    """The topics below `/humans/faces`. Those of a face come and go with it.

    `tracked` lists the faces of all cameras, also those that are out of sight for a moment. Each
    has `roi`, `landmarks`, `expression`, `cropped` and `aligned`; a message is made only if
    somebody subscribes to it. Thread-safe.

    Args:
        node: The node that publishes.

    Raises:
        MissingHriMessagesError: The package hri_msgs is not installed.
        RuntimeError: The QoS overrides of `tracked` are wrong.
        ParameterException: They are of a wrong type.
    """

    def __init__(self, node: Node) -> None:
        self._messages = _import_messages()
        self._node = node
        self._lock = threading.Lock()
        self._cameras: dict[str, _Camera] = {}
        # rclpy's groups remember every entity that they ever had, so this one goes with the faces.
        group = MutuallyExclusiveCallbackGroup()
        self._tracked = node.create_publisher(
            self._messages.IdsList,
            f"{_NAMESPACE}/tracked",
            QoSProfile(depth=1),
            qos_overriding_options=OVERRIDABLE_QOS,
            callback_group=group,
        )
        self._timer = node.create_timer(
            _SILENCE_S / 2,
            self._on_timer,
            callback_group=group,
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def publish(
        self,
        camera: str,
        image_bgr: NDArray[np.uint8],
        faces: tuple[FaceEmotion, ...],
        header: Header,
        *,
        tracked_ids: tuple[str, ...],
    ) -> None:
        """Publish the faces of one frame.

        Args:
            camera: Which camera's frame it is.
            image_bgr: uint8 (H, W, 3), BGR, the frame.
            faces: What was recognized in it.
            header: The header of the frame's message.
            tracked_ids: All faces that this camera tracks, seen in this frame or not.
        """
        with self._lock:
            state = self._cameras.setdefault(camera, _Camera())
            state.last_frame = self._node.get_clock().now()
            self._drop(state, keep=set(tracked_ids))
            for face in faces:
                if face.face_id not in state.faces:
                    sightings = state.sightings.get(face.face_id, 0) + 1
                    state.sightings[face.face_id] = sightings
                    if sightings >= _SIGHTINGS_NEEDED:
                        state.faces[face.face_id] = _FaceTopics(
                            self._node, self._messages, face.face_id
                        )
            # A consumer subscribes to the topics of a face when it reads its id here.
            self._publish_tracked(header)
            for face in faces:
                if face.face_id in state.faces:
                    state.faces[face.face_id].publish(image_bgr, face, header)

    def forget(self, camera: str) -> None:
        """Remove the faces of a camera, if it has any."""
        with self._lock:
            self._forget(camera)

    def destroy(self) -> None:
        """Undo the constructor, and remove all faces."""
        self._node.destroy_timer(self._timer)
        with self._lock:
            for camera in tuple(self._cameras):
                self._forget(camera)
            self._node.destroy_publisher(self._tracked)

    def _forget(self, camera: str) -> None:
        state = self._cameras.pop(camera, None)
        if state is not None:
            self._publish_tracked(Header(stamp=self._node.get_clock().now().to_msg()))
            self._drop(state, keep=set())

    def _drop(self, state: "_Camera", keep: set[str]) -> None:
        """Destroy the topics of all faces but some."""
        for face_id in state.faces.keys() - keep:
            state.faces.pop(face_id).destroy()
        for face_id in state.sightings.keys() - keep:
            del state.sightings[face_id]

    def _publish_tracked(self, header: Header) -> None:
        ids = [face_id for state in self._cameras.values() for face_id in state.faces]
        self._tracked.publish(self._messages.IdsList(header=header, ids=ids))

    def _on_timer(self) -> None:
        # By the node's clock: a bag that is paused loses no face.
        now = self._node.get_clock().now()
        with self._lock:
            for camera, state in tuple(self._cameras.items()):
                # Simulated time starts again at 0.
                state.last_frame = min(state.last_frame, now)
                if (now - state.last_frame).nanoseconds > _SILENCE_S * 1e9:
                    self._forget(camera)


class _Camera:
    """The faces of one camera."""

    def __init__(self) -> None:
        self.faces: dict[str, _FaceTopics] = {}
        self.sightings: dict[str, int] = {}
        self.last_frame = Time()


class _FaceTopics:
    """The publishers of one face."""

    def __init__(self, node: Node, messages: ModuleType, face_id: str) -> None:
        self._node = node
        self._messages = messages
        self._roi, self._landmarks, self._expression, self._cropped, self._aligned = (
            node.create_publisher(
                message_type,
                f"{_NAMESPACE}/{face_id}/{name}",
                QoSProfile(depth=1),
                # Without event handlers a publisher is made and destroyed in half the time, and
                # the executor has nothing to do with it.
                event_callbacks=PublisherEventCallbacks(use_default_callbacks=False),
            )
            for message_type, name in (
                (messages.NormalizedRegionOfInterest2D, "roi"),
                (messages.FacialLandmarks, "landmarks"),
                (messages.Expression, "expression"),
                (Image, "cropped"),
                (Image, "aligned"),
            )
        )

    def publish(self, image_bgr: NDArray[np.uint8], face: FaceEmotion, header: Header) -> None:
        """Publish what somebody wants to know of the face."""
        messages = self._messages
        size_wh = image_bgr.shape[1], image_bgr.shape[0]
        if _is_wanted(self._roi):
            self._roi.publish(messages.to_region(face, header, size_wh))
        if _is_wanted(self._landmarks):
            self._landmarks.publish(messages.to_landmarks(face, header, size_wh))
        if _is_wanted(self._expression):
            self._expression.publish(messages.to_expression(face, header))
        if _is_wanted(self._cropped):
            self._cropped.publish(to_image(messages.crop_face(image_bgr, face), header))
        if _is_wanted(self._aligned):
            self._aligned.publish(to_image(messages.align_face(image_bgr, face), header))

    def destroy(self) -> None:
        """Undo the constructor."""
        for publisher in (
            *(self._roi, self._landmarks, self._expression),
            *(self._cropped, self._aligned),
        ):
            self._node.destroy_publisher(publisher)


def _is_wanted(publisher: Any) -> bool:  # noqa: ANN401 - rclpy's publishers are generic
    return bool(publisher.get_subscription_count())


def _import_messages() -> ModuleType:
    """Return `ros4hri_messages`, which needs hri_msgs.

    Raises:
        MissingHriMessagesError: The package hri_msgs is not installed.
    """
    try:
        from deepfer_ros import ros4hri_messages
    except ModuleNotFoundError as err:
        if err.name is None or err.name.split(".")[0] != "hri_msgs":
            raise
        raise MissingHriMessagesError(
            "publish_ros4hri needs the package hri_msgs; install ros-$ROS_DISTRO-hri-msgs, build "
            "github.com/ros4hri/hri_msgs in your workspace, or set publish_ros4hri to false."
        ) from err
    return ros4hri_messages
