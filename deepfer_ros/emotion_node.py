"""The ROS node that reads the facial expressions in a stream of images.

The node only moves things between ROS and the parts that do the work: frames go to a
`LatestFrameWorker`, whose thread recognizes and publishes; `classify_image` requests go to a
`StillImageClassifier` with a thread of its own. The executor's thread waits for neither.
"""

import functools
import math
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future as Job
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from deepfer.srv import ClassifyImage
from deepfer_ros.diagnostics import (
    ACTIVE,
    INACTIVE,
    PAUSED,
    UNCONFIGURED,
    NodeCondition,
    StreamStatistics,
    to_diagnostic_status,
)
from deepfer_ros.image_conversion import from_image_message
from deepfer_ros.latest_frame import LatestFrameWorker
from deepfer_ros.messages import check_labels
from deepfer_ros.node_runner import run_node
from deepfer_ros.outputs import EmotionOutputs
from deepfer_ros.parameter_table import declare_parameters, find_fault, read_parameters
from deepfer_ros.parameters import EmotionParameters
from deepfer_ros.recognition.errors import ImageError, RecognitionError
from deepfer_ros.recognizers import Recognizers, load_recognizers
from deepfer_ros.still_images import StillImageClassifier, refuse
from deepfer_ros.topic_report import explain_silence

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # ROS 2 Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

NODE_NAME = "emotion_node"

_DIAGNOSTICS_PERIOD_S = 1.0
_BAD_IMAGE_LOG_PERIOD_S = 5.0
_SILENCE_LOG_PERIOD_S = 30.0

_Transition = Callable[["EmotionNode", LifecycleState], TransitionCallbackReturn]


@dataclass(frozen=True, slots=True)
class _Frame:
    """A frame on its way to the worker, with the parameters of the moment when it arrived."""

    message: Image | CompressedImage
    parameters: EmotionParameters


def _reported(transition: _Transition) -> _Transition:
    """Print what a transition raises: rclpy turns any exception into ERROR without a word."""

    @functools.wraps(transition)
    def reporting(node: "EmotionNode", state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception:
            node.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            raise

    return reporting


class EmotionNode(LifecycleNode):
    """Subscribes to images and publishes the expressions of all faces in them.

    Args:
        load: Loads the recognizers when the node is configured.
        options: Passed on to `rclpy.node.Node`.
    """

    def __init__(
        self,
        *,
        load: Callable[[EmotionParameters], Recognizers] = load_recognizers,
        **options: Any,  # noqa: ANN401 - whatever rclpy takes
    ) -> None:
        super().__init__(NODE_NAME, **options)
        self._load = load
        self._recognizers: Recognizers | None = None
        self._outputs: EmotionOutputs | None = None
        self._stills: StillImageClassifier | None = None
        self._worker: LatestFrameWorker[_Frame] | None = None
        self._subscription: Any = None
        self._statistics = StreamStatistics()
        self._is_active = False
        self._failure = ""
        self._last_image_s = time.monotonic()
        self._last_silence_log_s = -math.inf

        self.add_on_set_parameters_callback(self._on_set_parameters)
        declare_parameters(self, EmotionParameters)
        # Threads use it to wake the executor: their results do not do that by themselves.
        self._wake = self.create_guard_condition(self._on_wake)
        # Services exist in every state, so that a caller is told what is missing. Their own group
        # lets the executor go on with everything else while an answer is awaited.
        self.create_service(
            ClassifyImage,
            "classify_image",
            self._on_classify_image,
            callback_group=ReentrantCallbackGroup(),
        )
        self.create_service(SetBool, "enable", self._on_enable)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 10)
        # A steady clock: a simulation that stands still is worth being diagnosed.
        self.create_timer(
            _DIAGNOSTICS_PERIOD_S, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def start(self) -> None:
        """Configure and activate the node if its parameter `autostart` says so."""
        if not self._read_parameters().autostart:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def destroy_node(self) -> None:
        """Stop all threads, then destroy the node."""
        self._deactivate()
        self._unload()
        super().destroy_node()

    # --- transitions ---

    @_reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and create the publishers."""
        parameters = self._read_parameters()
        try:
            self._recognizers = self._load(parameters)
            check_labels(self._recognizers.stream.classifier.bundle.labels)
            self._outputs = EmotionOutputs(self)
        # rclpy's errors: a QoS override that it does not know, or one of a wrong type.
        except (RecognitionError, RuntimeError, ParameterException) as err:
            self._unload()
            return self._fail("Cannot be configured", err)
        self._stills = StillImageClassifier(self._recognizers.still, self._header_of_now)
        self._failure = ""
        stream = self._recognizers.stream
        self.get_logger().info(
            f"Model {stream.classifier.bundle.name} from {stream.classifier.bundle.model_path}, "
            f"detector {stream.detector.name} ({self._recognizers.reason})."
        )
        return super().on_configure(state)

    @_reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to images and start to recognize."""
        result = super().on_activate(state)
        self._statistics = StreamStatistics()
        try:
            self._start_stream()
        except (RuntimeError, ParameterException) as err:
            super().on_deactivate(state)
            return self._fail("Cannot be activated", err)
        self._is_active = True
        self._failure = ""
        self.get_logger().info(f"Waiting for images on {self._subscription.topic_name}.")
        return result

    @_reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo `on_activate`."""
        self._deactivate()
        return super().on_deactivate(state)

    @_reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo `on_configure`."""
        self._unload()
        return super().on_cleanup(state)

    @_reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo everything, from whichever state."""
        self._deactivate()
        self._unload()
        return super().on_shutdown(state)

    @_reported
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo everything after a transition has raised; the node can be configured again."""
        self._deactivate()
        self._unload()
        return super().on_error(state)

    def _fail(self, what: str, err: Exception) -> TransitionCallbackReturn:
        self._failure = f"{what}: {err}"
        self.get_logger().error(self._failure)
        return TransitionCallbackReturn.FAILURE

    def _start_stream(self) -> None:
        """Subscribe to images and start the worker.

        Raises:
            RuntimeError: The QoS overrides of the subscription are wrong.
            ParameterException: They are of a wrong type.
        """
        compressed = self._read_parameters().image_transport == "compressed"
        self._last_image_s = time.monotonic()
        self._last_silence_log_s = -math.inf
        self._subscription = self.create_subscription(
            CompressedImage if compressed else Image,
            # As everywhere in ROS, who remaps image_raw moves its compressed form with it.
            self.resolve_topic_name("image_raw") + ("/compressed" if compressed else ""),
            self._on_image,
            # Best effort matches every publisher; an image that came late would be of no use.
            QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT),
            event_callbacks=SubscriptionEventCallbacks(incompatible_qos=self._on_incompatible_qos),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._worker = LatestFrameWorker(self._process, on_failure=self._wake.trigger)

    def _stop_stream(self) -> None:
        """Undo `_start_stream`; nothing happens if it was undone already."""
        if self._subscription is not None:
            self.destroy_subscription(self._subscription)
            self._subscription = None
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _deactivate(self) -> None:
        self._is_active = False
        self._stop_stream()

    def _unload(self) -> None:
        """Undo `on_configure` as far as it went."""
        if self._stills is not None:
            self._stills.stop()
            self._stills = None
        if self._outputs is not None:
            self._outputs.destroy()
            self._outputs = None
        self._recognizers = None

    # --- the stream ---

    def _on_image(self, message: Image | CompressedImage) -> None:
        worker = self._worker
        if worker is None:
            return
        parameters = self._read_parameters()
        self._last_image_s = time.monotonic()
        worker.min_period_s = 1 / parameters.max_rate_hz if parameters.max_rate_hz else 0.0
        replaced = worker.put(_Frame(message, parameters))
        self._statistics.count_received(replaced_older=replaced)

    def _process(self, frame: _Frame) -> None:
        """Recognize the faces of one frame and publish them. Runs in the worker's thread."""
        recognizers, outputs = self._recognizers, self._outputs
        assert recognizers is not None
        assert outputs is not None
        recognizer, parameters, header = recognizers.stream, frame.parameters, frame.message.header
        recognizer.min_confidence = parameters.min_confidence
        if recognizer.tracker is not None:
            recognizer.tracker.smoothing_s = parameters.smoothing_s
        start_s = time.monotonic()
        try:
            image_bgr = from_image_message(frame.message, max_pixels=parameters.max_pixels)
            faces = recognizer.recognize(image_bgr, self._time_of(header))
            inference_s = time.monotonic() - start_s
            outputs.publish(
                image_bgr,
                faces,
                header,
                model=recognizer.classifier.bundle.name,
                jpeg_quality=parameters.jpeg_quality,
            )
        except ImageError as err:
            self._report_bad_image(str(err))
            return
        self._statistics.count_processed(
            faces=len(faces), inference_s=inference_s, latency_s=self._latency_of(header)
        )

    def _report_bad_image(self, fault: str) -> None:
        self._statistics.count_bad(fault)
        subscription = self._subscription
        if subscription is not None:
            self.get_logger().warning(
                f"Image on {subscription.topic_name} dropped: {fault}",
                throttle_duration_sec=_BAD_IMAGE_LOG_PERIOD_S,
            )

    def _time_of(self, header: Header) -> float:
        """Return when an image was taken, in seconds; now if it has no stamp."""
        return (_nanoseconds(header) or self.get_clock().now().nanoseconds) / 1e9

    def _latency_of(self, header: Header) -> float | None:
        """Return the age of an image in seconds, or None if it has no stamp."""
        stamp_ns = _nanoseconds(header)
        return (self.get_clock().now().nanoseconds - stamp_ns) / 1e9 if stamp_ns else None

    def _header_of_now(self) -> Header:
        return Header(stamp=self.get_clock().now().to_msg())

    # --- services and parameters ---

    async def _on_classify_image(
        self, request: ClassifyImage.Request, response: ClassifyImage.Response
    ) -> ClassifyImage.Response:
        if self._stills is None or not self._is_active:
            return refuse(f"The node is {self._state}; configure and activate it first.")
        answer: Future = Future(executor=self.executor)
        job = self._stills.submit(request, self._read_parameters())
        job.add_done_callback(lambda job: self._deliver(job, answer))
        return await answer

    def _deliver(self, job: "Job[ClassifyImage.Response]", answer: Future) -> None:
        """Hand the result of a job to the coroutine that awaits it. Runs in the job's thread."""
        if job.cancelled():
            answer.set_result(refuse("The node was deactivated before it came to this image."))
        elif (err := job.exception()) is not None:
            answer.set_exception(err)
        else:
            answer.set_result(job.result())
        self._wake.trigger()

    def _on_wake(self) -> None:
        if self._worker is not None:
            self._worker.raise_failure()

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = self._is_active
        if not response.success:
            response.message = f"The node is {self._state}; activate it first."
        elif request.data:
            if self._subscription is None:
                self._start_stream()
            response.message = f"Recognizing the images on {self._subscription.topic_name}."
        else:
            self._stop_stream()
            response.message = "Paused: no image is received until the node is enabled again."
        return response

    def _read_parameters(self) -> EmotionParameters:
        return read_parameters(self, EmotionParameters)

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        changes = {parameter.name: parameter.value for parameter in parameters}
        fault = find_fault(EmotionParameters, changes, configured=self._recognizers is not None)
        return SetParametersResult(successful=fault is None, reason=fault or "")

    # --- supervision ---

    @property
    def _state(self) -> str:
        if self._recognizers is None:
            return UNCONFIGURED
        if not self._is_active:
            return INACTIVE
        return ACTIVE if self._subscription is not None else PAUSED

    def _on_timer(self) -> None:
        condition = self._condition()
        now_s = time.monotonic()
        if condition.silence and now_s - self._last_silence_log_s >= _SILENCE_LOG_PERIOD_S:
            self._last_silence_log_s = now_s
            self.get_logger().warning(condition.silence)
        status = to_diagnostic_status(
            f"{self.get_fully_qualified_name()}: emotion recognition",
            condition,
            self._statistics.report(),
        )
        self._diagnostics.publish(DiagnosticArray(header=self._header_of_now(), status=[status]))

    def _condition(self) -> NodeCondition:
        stream = self._recognizers.stream if self._recognizers else None
        return NodeCondition(
            state=self._state,
            failure=self._failure,
            silence=self._explain_silence(),
            model=stream.classifier.bundle.name if stream else "",
            detector=stream.detector.name if stream else "",
            topic=self._subscription.topic_name if self._subscription else "",
        )

    def _explain_silence(self) -> str:
        """Return why no image arrives, or an empty string if images do or none should."""
        timeout_s = self._read_parameters().image_timeout_s
        silence_s = time.monotonic() - self._last_image_s
        if self._subscription is None or not timeout_s or silence_s < timeout_s:
            return ""
        return f"No image for {silence_s:.0f} s. " + self._explain_topic()

    def _explain_topic(self) -> str:
        topic = self._subscription.topic_name
        return explain_silence(
            topic,
            self._subscription.msg_type,
            self._subscription.qos_profile,
            self.get_publishers_info_by_topic(topic),
        )

    def _on_incompatible_qos(self, event: object) -> None:
        if self._subscription is not None:
            self.get_logger().warning(
                f"A publisher's quality of service is incompatible. {self._explain_topic()}"
            )


def _nanoseconds(header: Header) -> int:
    """Return a stamp in nanoseconds; rclpy's own type refuses times before 1970."""
    return int(header.stamp.sec) * 10**9 + int(header.stamp.nanosec)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop.

    Returns:
        The exit status: 0 after an ordinary end, 1 if the node could not start.
    """
    return run_node(NODE_NAME, EmotionNode, args=args)


if __name__ == "__main__":
    sys.exit(main())
