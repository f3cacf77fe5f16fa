"""The ROS node that reads the facial expressions in the images of one camera or several.

The node only joins the parts that do the work: each `CameraStream` subscribes to a camera and
publishes its results; one `LatestFrameWorker` recognizes the frames of all of them in its thread;
`classify_image` requests go to a `StillImageClassifier` with a thread of its own. The executor's
thread waits for neither.
"""

import functools
import sys
import traceback
from collections.abc import Callable
from concurrent.futures import Future as Job
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.exceptions import ParameterException
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.task import Future
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from deepfer.srv import ClassifyImage
from deepfer_ros.camera_stream import CameraFrame, CameraStream, recognize_frames
from deepfer_ros.diagnostics import (
    ACTIVE,
    FINALIZED,
    INACTIVE,
    PAUSED,
    UNCONFIGURED,
    NodeCondition,
    to_node_status,
)
from deepfer_ros.latest_frame import LatestFrameWorker
from deepfer_ros.messages import check_labels
from deepfer_ros.node_runner import run_node
from deepfer_ros.parameter_table import answer_changes, declare_parameters, read_parameters
from deepfer_ros.parameters import EmotionParameters
from deepfer_ros.qos import OVERRIDABLE_QOS
from deepfer_ros.recognition.errors import RecognitionError
from deepfer_ros.recognizers import RecognizerLoader, Recognizers
from deepfer_ros.ros4hri import HumanFaces
from deepfer_ros.ros_compatibility import ManagedNode
from deepfer_ros.still_images import StillImageClassifier, refuse

NODE_NAME = "emotion_node"

_DIAGNOSTICS_PERIOD_S = 1.0

_REFUSALS = {
    UNCONFIGURED: "The node is unconfigured; configure and activate it first.",
    INACTIVE: "The node is inactive; activate it first.",
    FINALIZED: "The node was shut down for good; start it again.",
}

_Transition = Callable[["EmotionNode", LifecycleState], TransitionCallbackReturn]


def _reported(transition: _Transition) -> _Transition:
    """Tell what a transition raises: rclpy turns any exception into ERROR without a word."""

    @functools.wraps(transition)
    def reporting(node: "EmotionNode", state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as err:
            node._failure = f"{transition.__name__} failed: {type(err).__name__}: {err}"
            node.get_logger().error(f"{transition.__name__} failed:\n{traceback.format_exc()}")
            raise

    return reporting


class EmotionNode(ManagedNode):
    """Subscribes to cameras and publishes the expressions of all faces in their images.

    Args:
        load: Loads the recognizers whenever the node is configured; a `RecognizerLoader` if None.
        options: Passed on to `rclpy.node.Node`.
    """

    def __init__(
        self,
        *,
        load: Callable[[EmotionParameters], Recognizers] | None = None,
        **options: Any,  # noqa: ANN401 - whatever rclpy takes
    ) -> None:
        # One for the life of the node: it knows which face ids were given.
        self._load = load or RecognizerLoader()
        # All this exists first: from Kilted on, ROS destroys a node that is half made, too.
        self._recognizers: Recognizers | None = None
        self._stills: StillImageClassifier | None = None
        self._cameras: list[CameraStream] = []
        self._humans: HumanFaces | None = None
        self._worker: LatestFrameWorker[CameraFrame] | None = None
        self._is_finalized = False
        self._failure = ""
        super().__init__(NODE_NAME, **options)

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
        self._diagnostics = self.create_publisher(
            DiagnosticArray, "/diagnostics", 10, qos_overriding_options=OVERRIDABLE_QOS
        )
        # A steady clock: a simulation that stands still is worth being diagnosed.
        self.create_timer(
            _DIAGNOSTICS_PERIOD_S, self._on_timer, clock=Clock(clock_type=ClockType.STEADY_TIME)
        )

    def start(self) -> None:
        """Configure and activate the node if its parameter `autostart` says so."""
        if not self._read_parameters().autostart:
            name = self.get_fully_qualified_name()
            self.get_logger().info(
                "Unconfigured, because autostart is false; waiting for a lifecycle manager, or "
                f"for 'ros2 lifecycle set {name} configure' and '… activate'."
            )
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def destroy_node(self) -> None:
        """Stop all threads, then destroy the node."""
        self._stop_stream()
        self._unload()
        super().destroy_node()

    # --- transitions ---

    @_reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and create the publishers."""
        parameters = self._read_parameters()
        conflict = parameters.find_conflict()
        if conflict is not None:
            self.get_logger().warning(conflict)
        try:
            self._load_all(parameters)
        # rclpy's errors: a QoS override that it does not know, or one of a wrong type.
        except (RecognitionError, RuntimeError, ParameterException) as err:
            self._unload()
            return self._fail("Cannot be configured", err)
        self._failure = ""
        if not parameters.autostart:
            self.get_logger().info("Configured; waiting to be activated.")
        return super().on_configure(state)

    @_reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe to images and start to recognize."""
        result = super().on_activate(state)
        try:
            self._start_stream()
        except (RuntimeError, ParameterException) as err:
            self._stop_stream()
            super().on_deactivate(state)
            return self._fail("Cannot be activated", err)
        self._failure = ""
        topics = ", ".join(camera.topic for camera in self._cameras)
        self.get_logger().info(f"Waiting for images on {topics}.")
        return result

    @_reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo `on_activate`."""
        self._stop_stream()
        self.get_logger().info("Deactivated: no image is received until it is activated.")
        return super().on_deactivate(state)

    @_reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo `on_configure`."""
        self._unload()
        self.get_logger().info("Cleaned up: the model is freed until the node is configured.")
        return super().on_cleanup(state)

    @_reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo everything, from whichever state."""
        self._stop_stream()
        self._unload()
        self._is_finalized = True
        self.get_logger().info("Shut down for good.")
        return super().on_shutdown(state)

    @_reported
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Undo everything after a transition has raised; the node can be configured again."""
        self._stop_stream()
        self._unload()
        return super().on_error(state)

    def _fail(self, what: str, reason: Exception) -> TransitionCallbackReturn:
        self._failure = f"{what}: {reason}"
        self.get_logger().error(self._failure)
        return TransitionCallbackReturn.FAILURE

    def _load_all(self, parameters: EmotionParameters) -> None:
        """Load the model, and make all that uses it.

        Raises:
            RecognitionError: Model or detector cannot be used.
            RuntimeError: The QoS overrides of a publisher are wrong.
            ParameterException: They are of a wrong type.
        """
        recognizers = self._recognizers = self._load(parameters)
        bundle = recognizers.classifier.bundle
        check_labels(bundle.labels)
        if parameters.publish_ros4hri:
            self._humans = HumanFaces(self)
        for name, recognizer in recognizers.cameras.items():
            self._cameras.append(CameraStream(self, name, recognizer, parameters, self._humans))
        self._stills = StillImageClassifier(recognizers.still, self._header_of_now)
        self.get_logger().info(
            f"Model {bundle.name} from {bundle.model_path}, "
            f"detector {recognizers.detector.name} ({recognizers.reason})."
        )

    def _unload(self) -> None:
        """Undo `_load_all` as far as it went."""
        if self._stills is not None:
            self._stills.stop()
            self._stills = None
        while self._cameras:
            self._cameras.pop().destroy()
        if self._humans is not None:
            self._humans.destroy()
            self._humans = None
        self._recognizers = None

    def _start_stream(self) -> None:
        """Start the worker and subscribe to all cameras.

        Raises:
            RuntimeError: The QoS overrides of a subscription are wrong.
            ParameterException: They are of a wrong type.
        """
        assert self._recognizers is not None
        self._worker = LatestFrameWorker(
            functools.partial(recognize_frames, self._recognizers.classifier),
            on_failure=self._wake.trigger,
        )
        for camera in self._cameras:
            camera.activate(self._worker)

    def _stop_stream(self) -> None:
        """Undo `_start_stream` as far as it went."""
        for camera in self._cameras:
            camera.deactivate()
        if self._worker is not None:
            self._worker.stop()
            self._worker = None

    def _header_of_now(self) -> Header:
        return Header(stamp=self.get_clock().now().to_msg())

    # --- services and parameters ---

    async def _on_classify_image(
        self, request: ClassifyImage.Request, response: ClassifyImage.Response
    ) -> ClassifyImage.Response:
        if self._stills is None or self._worker is None:
            return refuse(_REFUSALS[self._state])
        answer: Future = Future(executor=self.executor)
        job = self._stills.submit(request, self._read_parameters())
        job.add_done_callback(lambda job: self._deliver(job, answer))
        return await answer

    def _deliver(self, job: "Job[ClassifyImage.Response]", answer: Future) -> None:
        """Hand the result of a job to the coroutine that awaits it. Runs in the job's thread."""
        if job.cancelled():
            answer.set_result(
                refuse("The node was cleaned up or shut down before it came to this image.")
            )
        elif (err := job.exception()) is not None:
            answer.set_exception(err)
        else:
            answer.set_result(job.result())
        self._wake.trigger()

    def _on_wake(self) -> None:
        if self._worker is not None:
            self._worker.raise_failure()

    def _on_enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        response.success = self._worker is not None
        response.message = (
            " ".join(camera.switch(on=request.data) for camera in self._cameras)
            if response.success
            else _REFUSALS[self._state]
        )
        return response

    def _read_parameters(self) -> EmotionParameters:
        return read_parameters(self, EmotionParameters)

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        return answer_changes(
            self, EmotionParameters, parameters, configured=self._recognizers is not None
        )

    # --- supervision ---

    @property
    def _state(self) -> str:
        if self._is_finalized:
            return FINALIZED
        if self._recognizers is None:
            return UNCONFIGURED
        if self._worker is None:
            return INACTIVE
        return ACTIVE if any(camera.state == ACTIVE for camera in self._cameras) else PAUSED

    def _on_timer(self) -> None:
        statuses = [self._diagnose(), *(camera.diagnose() for camera in self._cameras)]
        self._diagnostics.publish(DiagnosticArray(header=self._header_of_now(), status=statuses))

    def _diagnose(self) -> DiagnosticStatus:
        condition = NodeCondition(
            state=self._state,
            failure=self._failure,
            warning=self._explain_clock(),
            model=self._recognizers.classifier.bundle.name if self._recognizers else "",
            detector=self._recognizers.detector.name if self._recognizers else "",
            cameras=tuple(camera.topic for camera in self._cameras),
        )
        return to_node_status(f"{self.get_fully_qualified_name()}: emotion recognition", condition)

    def _explain_clock(self) -> str:
        """Return why the node has no time, or an empty string if it has."""
        if self._state != ACTIVE or self.get_clock().now().nanoseconds:
            return ""
        return (
            "use_sim_time is set, but no time has come on /clock; start the simulation, or play "
            "the bag with --clock."
        )


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop.

    Returns:
        The exit status: 0 after an ordinary end, 1 if the node could not start.
    """
    return run_node(NODE_NAME, EmotionNode, parameters=EmotionParameters, args=args)


if __name__ == "__main__":
    sys.exit(main())
