"""One camera of the emotion node: its images, its results, and what happened to them."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus
from numpy.typing import NDArray
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from deepfer_ros.diagnostics import (
    ACTIVE,
    INACTIVE,
    PAUSED,
    CameraCondition,
    StreamStatistics,
    to_camera_status,
)
from deepfer_ros.frame_clock import FrameClock
from deepfer_ros.image_conversion import from_image_message
from deepfer_ros.latest_frame import LatestFrameWorker
from deepfer_ros.messages import to_nanoseconds
from deepfer_ros.outputs import EmotionOutputs
from deepfer_ros.parameter_table import read_parameters
from deepfer_ros.parameters import EmotionParameters
from deepfer_ros.qos import OVERRIDABLE_QOS
from deepfer_ros.recognition.classifier import EmotionClassifier
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.recognizer import EmotionRecognizer, FoundFaces, classify_all
from deepfer_ros.ros4hri import HumanFaces
from deepfer_ros.ros_compatibility import SubscriptionEventCallbacks
from deepfer_ros.topic_report import explain_silence

_BAD_IMAGE_LOG_PERIOD_S = 5.0
_SILENCE_LOG_PERIOD_S = 30.0


@dataclass(frozen=True, slots=True)
class CameraFrame:
    """A frame on its way to the worker, with the parameters of the moment when it arrived."""

    camera: "CameraStream"
    message: Image | CompressedImage
    parameters: EmotionParameters


class _Throttle:
    """Allows something once in a while. rclpy's own throttle does not tell cameras apart."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._last_s = -math.inf

    def allows(self) -> bool:
        now_s = time.monotonic()
        if now_s - self._last_s < self._period_s:
            return False
        self._last_s = now_s
        return True


class CameraStream:
    """Subscribes to one camera's images, and publishes what is found in them.

    It exists while the node is configured, and receives images while the node is active and the
    camera is not paused. All but `find_faces` and `publish` belongs to the executor's thread.

    Args:
        node: The node that subscribes and publishes.
        name: Begins the camera's topics; empty is the node's own namespace.
        recognizer: The camera's own; used by the worker's thread alone.
        parameters: Those that the node is configured with.
        humans: Where the faces go as ROS4HRI wants them, if anywhere.

    Raises:
        RuntimeError: The QoS overrides of a publisher are wrong.
        ParameterException: They are of a wrong type.
    """

    def __init__(
        self,
        node: LifecycleNode,
        name: str,
        recognizer: EmotionRecognizer,
        parameters: EmotionParameters,
        humans: HumanFaces | None = None,
    ) -> None:
        self._node = node
        self._name = name
        self._prefix = f"{name}/" if name else ""
        self._recognizer = recognizer
        self._clock = FrameClock()
        self._is_on_demand = bool(name) and name in parameters.on_demand_cameras
        compressed = parameters.image_transport == "compressed"
        self._message_type = CompressedImage if compressed else Image
        self._topic_name = f"{self._prefix}image_raw"
        if compressed:
            # As everywhere in ROS, who remaps image_raw moves its compressed form with it.
            self._topic_name = f"{node.resolve_topic_name(self._topic_name)}/compressed"
        self.topic = node.resolve_topic_name(self._topic_name)
        self._worker: LatestFrameWorker[CameraFrame] | None = None
        self._subscription: Any = None
        self._statistics = StreamStatistics()
        self._last_image_s = -math.inf
        # What has happened since the last subscribing.
        self._has_image = self._has_refused = False
        self._silence_log = _Throttle(_SILENCE_LOG_PERIOD_S)
        self._bad_image_log = _Throttle(_BAD_IMAGE_LOG_PERIOD_S)
        self._lost_picture_log = _Throttle(_BAD_IMAGE_LOG_PERIOD_S)
        # rclpy's groups remember every entity that they ever had: this one goes with the stream.
        group = MutuallyExclusiveCallbackGroup()
        self._outputs = EmotionOutputs(
            node,
            self._prefix,
            group,
            labels=recognizer.classifier.bundle.labels,
            humans=humans,
        )
        # Without a name it would be the service of the whole node.
        self._enable = (
            node.create_service(
                SetBool, f"{self._prefix}enable", self._on_enable, callback_group=group
            )
            if name
            else None
        )

    def destroy(self) -> None:
        """Undo the constructor."""
        if self._enable is not None:
            self._node.destroy_service(self._enable)
        self._outputs.destroy()

    # --- on and off ---

    @property
    def state(self) -> str:
        """`INACTIVE`, `ACTIVE` or `PAUSED`."""
        if self._worker is None:
            return INACTIVE
        return PAUSED if self._subscription is None else ACTIVE

    def activate(self, worker: LatestFrameWorker[CameraFrame]) -> None:
        """Subscribe to the images, and let a worker process them from now on.

        Raises:
            RuntimeError: The QoS overrides of the subscription are wrong.
            ParameterException: They are of a wrong type.
        """
        self._worker = worker
        self._statistics = StreamStatistics()
        self.resume()

    def deactivate(self) -> None:
        """Undo `activate`, as far as it went."""
        self.pause()
        self._worker = None

    def resume(self) -> None:
        """Subscribe to the images; nothing happens if that is done already."""
        if self._subscription is not None:
            return
        self._last_image_s = time.monotonic()
        self._has_image = self._has_refused = False
        self._silence_log = _Throttle(_SILENCE_LOG_PERIOD_S)
        self._subscription = self._node.create_subscription(
            self._message_type,
            # Not the resolved one, which would be remapped once more.
            self._topic_name,
            self._on_image,
            # Best effort matches every publisher; an image that came late would be of no use.
            QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible_qos),
            qos_overriding_options=OVERRIDABLE_QOS,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )

    def pause(self) -> None:
        """Undo `resume`, and wait until the frame in progress is finished."""
        if self._subscription is not None:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None
        if self._worker is not None:
            self._worker.forget(self._name)
        self._outputs.forget_faces()

    def switch(self, *, on: bool) -> str:
        """Resume or pause, and return what happens now in words."""
        if on:
            self.resume()
            return f"Recognizing the images on {self.topic}."
        self.pause()
        return f"Paused: no image is received on {self.topic} until it is enabled again."

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = self._worker is not None
        if response.success:
            response.message = self.switch(on=request.data)
        else:
            response.message = "The node is inactive; activate it first."
        return response

    # --- frames ---

    def _on_image(self, message: Image | CompressedImage) -> None:
        worker = self._worker
        if worker is None:
            return
        parameters = self._read_parameters()
        self._last_image_s = time.monotonic()
        self._has_image = True
        replaced = worker.put(
            self._name,
            CameraFrame(self, message, parameters),
            min_period_s=1 / parameters.max_rate_hz if parameters.max_rate_hz else 0.0,
        )
        self._statistics.count_received(replaced_older=replaced)

    def find_faces(self, frame: CameraFrame) -> FoundFaces | None:
        """Find the faces in a frame; None if it is a bad one. Runs in the worker's thread."""
        try:
            return self._recognizer.find_faces(
                from_image_message(frame.message, max_pixels=frame.parameters.max_pixels)
            )
        except ImageError as err:
            self.report_bad_image(str(err))
            return None

    def publish(
        self,
        frame: CameraFrame,
        found: FoundFaces,
        frame_probabilities: NDArray[np.float32],
        *,
        inference_s: float,
    ) -> None:
        """Publish the faces that were found in a frame. Runs in the worker's thread.

        Args:
            frame: The frame.
            found: What `find_faces` has returned for it.
            frame_probabilities: float32 (N, C), what the classifier says about these faces.
            inference_s: Time that this has taken.
        """
        recognizer, parameters, header = self._recognizer, frame.parameters, frame.message.header
        recognizer.min_confidence = parameters.min_confidence
        if recognizer.tracker is not None:
            recognizer.tracker.smoothing_s = parameters.smoothing_s
        time_s = self._clock.time_of(to_nanoseconds(header), time.monotonic_ns())
        faces = recognizer.describe(found, frame_probabilities, time_s)
        try:
            # What cannot be encoded is the last that is published.
            self._outputs.publish(
                found.image_bgr,
                faces,
                header,
                model=recognizer.classifier.bundle.name,
                jpeg_quality=parameters.jpeg_quality,
                tracked_ids=recognizer.tracker.face_ids if recognizer.tracker else (),
            )
        except ImageError as err:
            self._report_lost_picture(str(err))
        self._statistics.count_processed(
            faces=len(faces), inference_s=inference_s, latency_s=self._latency_of(header)
        )

    def report_bad_image(self, fault: str) -> None:
        """Count an image that nothing is published for, and tell why. In the worker's thread."""
        self._statistics.count_bad(fault)
        if self._bad_image_log.allows():
            self._node.get_logger().warning(f"Image on {self.topic} dropped: {fault}")

    def _report_lost_picture(self, fault: str) -> None:
        if self._lost_picture_log.allows():
            self._node.get_logger().warning(
                f"The faces of an image on {self.topic} were published, its annotated JPEG was "
                f"not: {fault} {self._prefix}emotions/image has it uncompressed."
            )

    def _latency_of(self, header: Header) -> float | None:
        """Return the age of an image in seconds, or None if it has no stamp."""
        stamp_ns = to_nanoseconds(header)
        return (self._node.get_clock().now().nanoseconds - stamp_ns) / 1e9 if stamp_ns else None

    # --- supervision ---

    def diagnose(self) -> DiagnosticStatus:
        """Return the status of the camera, and warn now and then if it is silent."""
        condition = CameraCondition(
            self.state, self.topic, self._explain_silence(), self._is_on_demand
        )
        if condition.silence and not self._is_on_demand and self._silence_log.allows():
            self._node.get_logger().warning(condition.silence)
        return to_camera_status(
            f"{self._node.get_fully_qualified_name()}: camera {self._name}".rstrip(),
            condition,
            self._statistics.report(),
        )

    def _explain_silence(self) -> str:
        """Return why no image arrives, or an empty string if images do or none should."""
        if self._subscription is None:
            return ""
        timeout_s = self._read_parameters().image_timeout_s
        silence_s = time.monotonic() - self._last_image_s
        # Where no publisher fits there is nothing to wait for.
        is_hopeless = self._has_refused and not self._has_image
        if is_hopeless or (timeout_s and silence_s >= timeout_s):
            return f"No image for {silence_s:.0f} s. " + self._explain_topic()
        return ""

    def _explain_topic(self) -> str:
        return explain_silence(
            self.topic,
            self._message_type,
            self._subscription.qos_profile,
            self._node.get_publishers_info_by_topic(self.topic),
        )

    def _on_incompatible_qos(self, event: object) -> None:
        self._has_refused = True
        if self._subscription is not None:
            self._node.get_logger().warning(
                f"A publisher's quality of service is incompatible. {self._explain_topic()}"
            )

    def _read_parameters(self) -> EmotionParameters:
        return read_parameters(self._node, EmotionParameters)


def recognize_frames(classifier: EmotionClassifier, frames: Sequence[CameraFrame]) -> None:
    """Recognize and publish the faces of frames of several cameras.

    The faces of all frames go through the classifier together; a bad frame harms no other.
    """
    start_s = time.monotonic()
    good = [
        (frame, found) for frame in frames if (found := frame.camera.find_faces(frame)) is not None
    ]
    classified = _classify(classifier, good)
    inference_s = time.monotonic() - start_s
    for frame, found, rows in classified:
        frame.camera.publish(frame, found, rows, inference_s=inference_s)


def _classify(
    classifier: EmotionClassifier, frames: Sequence[tuple[CameraFrame, FoundFaces]]
) -> list[tuple[CameraFrame, FoundFaces, NDArray[np.float32]]]:
    """Return frames with what the classifier says about their faces, but those it has none for."""
    try:
        probabilities = classify_all(classifier, [found for _, found in frames])
    except ImageError as err:
        if len(frames) == 1:
            frames[0][0].camera.report_bad_image(str(err))
            return []
        # They were classified together: find out whose face it was.
        return [classified for frame in frames for classified in _classify(classifier, [frame])]
    return [
        (frame, found, rows) for (frame, found), rows in zip(frames, probabilities, strict=True)
    ]
