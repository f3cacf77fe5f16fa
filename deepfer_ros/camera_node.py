"""The ROS node that publishes a webcam, a video, image files or the built-in sample."""

import math
import os
import sys
import threading
import time
from array import array
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import Image

from deepfer_ros.camera_sources import (
    AUTO_SOURCE,
    SOURCE_HELP,
    CameraError,
    Frame,
    FrameSource,
    Report,
    open_source,
)
from deepfer_ros.node_runner import run_node
from deepfer_ros.parameter_table import (
    answer_changes,
    declare_parameters,
    find_rate_fault,
    parameter,
    read_parameters,
)
from deepfer_ros.qos import OVERRIDABLE_QOS

NODE_NAME = "camera_node"

FLIP_CODES = {"none": None, "horizontal": 1, "vertical": 0, "both": -1}
"""What the parameter `flip` may be, and OpenCV's code for it."""

OpenSource = Callable[[str, tuple[int, int] | None, Report], FrameSource]

_FIRST_RETRY_S = 0.5
_LONGEST_RETRY_S = 5.0
_RETRY_LOG_PERIOD_S = 30.0
# A parameter that is set in a long pause takes effect after this time at the latest.
_LONGEST_PAUSE_S = 0.5
# A camera's pictures come a little early or late; that must not cost every second one.
_PACE_TOLERANCE = 0.2
# Of OpenCV: LOG_LEVEL_SILENT, where it has names.
_LOG_LEVEL_SILENT = 0


@dataclass(frozen=True, slots=True)
class CameraParameters:
    """A snapshot of all parameters. Each field is described by its own entry."""

    source: str = parameter(
        AUTO_SOURCE,
        f"Where the images come from: {SOURCE_HELP}.",
        read_only=True,
        takes_numbers=True,
    )
    rate_hz: float = parameter(
        0.0,
        "Images a second. 0 means the source's own rate: that of the camera or the video, 30 for "
        "the sample, 10 for an image, 2 for a folder. A camera never gives more than its own.",
        limits=(0.0, 1000.0),
        check=find_rate_fault,
    )
    width: int = parameter(
        0,
        "Width of the images in pixels, given together with height. A webcam is asked for it, "
        "files are scaled to fit. 0 leaves the choice to the source.",
        limits=(0, 16384),
        read_only=True,
    )
    height: int = parameter(
        0, "Height of the images in pixels; see width.", limits=(0, 16384), read_only=True
    )
    loop: bool = parameter(
        True, "Start a video or folder again when it has ended. False ends the publishing."
    )
    flip: str = parameter(
        "none",
        "Mirror the images; both turns them by 180 degrees.",
        choices=tuple(FLIP_CODES),
    )
    frame_id: str = parameter(
        "camera", "Coordinate frame in the header of the images.", read_only=True
    )


class CameraNode(Node):
    """Publishes the pictures of one source as `image_raw`.

    The source is opened when the node is made. From `start` on, a thread of its own reads and
    publishes, so that a slow device delays nothing else. If that thread fails, the same is raised
    in the executor's: a node that lives on would be silent.

    Args:
        open_source: Opens a source by name, with a size and a function for warnings.
        options: Passed on to `rclpy.node.Node`.

    Raises:
        CameraError: Width and height do not go together, or the source cannot be used.
        ParameterException: A parameter has a wrong type or is out of range.
    """

    def __init__(
        self,
        *,
        open_source: OpenSource = lambda source, size, report: open_source(
            source, size=size, report=report
        ),
        **options: Any,  # noqa: ANN401 - whatever rclpy takes
    ) -> None:
        self._open_source = open_source
        # All this exists first: from Kilted on, ROS destroys a node that is half made, too.
        self._stopping = threading.Event()
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="camera")
        self._capture: Future[None] | None = None
        self._source: FrameSource | None = None
        super().__init__(NODE_NAME, **options)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        declare_parameters(self, CameraParameters)
        parameters = read_parameters(self, CameraParameters)
        self._size = _checked_size(parameters.width, parameters.height)
        self._frame_id = parameters.frame_id
        self._publisher = self.create_publisher(
            Image,
            "image_raw",
            # Reliable matches best-effort subscribers too; depth 1 never sends old images.
            QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE),
            qos_overriding_options=OVERRIDABLE_QOS,
        )
        self._message = Image(encoding="bgr8")
        self._message.header.frame_id = self._frame_id
        # The thread uses it to wake the executor.
        self._wake = self.create_guard_condition(self._on_wake)
        # Not in `start`, which no signal interrupts: a webcam may take seconds.
        self._source = self._open(parameters.source)

    def start(self) -> None:
        """Begin to publish."""
        assert self._source is not None
        self._capture = self._pool.submit(self._run, self._source)
        self._capture.add_done_callback(lambda _: self._wake.trigger())

    def destroy_node(self) -> None:
        """Stop the thread and free the source, then destroy the node."""
        self._stopping.set()
        if self._source is not None:
            # Also ends a read that waits for a camera.
            self._source.close()
        self._pool.shutdown(wait=True)
        super().destroy_node()

    def _on_wake(self) -> None:
        """Raise what the capture thread has raised, if it has."""
        if self._capture is not None and self._capture.done():
            self._capture.result()

    def _open(self, name: str) -> FrameSource:
        return self._open_source(name, self._size, self.get_logger().warning)

    # --- the capture thread ---

    def _run(self, source: FrameSource) -> None:
        """Publish until told to stop, and open the source again whenever it fails."""
        self.get_logger().info(
            f"Publishing the {source.description} on {self._publisher.topic_name}."
        )
        try:
            while not self._stopping.is_set():
                try:
                    self._publish_all(source)
                    return
                except CameraError as err:
                    source.close()
                    if self._stopping.is_set():
                        return
                    self.get_logger().warning(f"{err} Trying again until it works.")
                reopened = self._reopen(source.name)
                if reopened is None:
                    return
                source = self._source = reopened
                self.get_logger().info(f"The {source.description} works again.")
        finally:
            source.close()

    def _reopen(self, name: str) -> FrameSource | None:
        """Try with growing pauses until the source opens, or return None when stopped."""
        pause_s = _FIRST_RETRY_S
        while not self._stopping.wait(pause_s):
            try:
                return self._open(name)
            except CameraError as err:
                self.get_logger().warning(
                    f"Still trying: {err}", throttle_duration_sec=_RETRY_LOG_PERIOD_S
                )
            pause_s = min(2 * pause_s, _LONGEST_RETRY_S)
        return None

    def _publish_all(self, source: FrameSource) -> None:
        """Publish until stopped or, where looping is off, until the source ends.

        Raises:
            CameraError: The source has stopped working.
        """
        last_s = -math.inf
        is_first = True
        while not self._stopping.is_set():
            parameters = read_parameters(self, CameraParameters)
            is_camera = source.rate_hz is None
            rate_hz = parameters.rate_hz or source.rate_hz or 0.0
            period_s = 1 / rate_hz if rate_hz else 0.0
            due_s = last_s + period_s
            pause_s = 0.0 if is_camera else max(due_s - time.monotonic(), 0.0)
            if self._stopping.wait(min(pause_s, _LONGEST_PAUSE_S)):
                return
            if pause_s > _LONGEST_PAUSE_S:
                continue
            frame = source.read()
            if frame is None:
                if is_first:
                    raise CameraError(f"The {source.description} gives no images any more.")
                if not parameters.loop:
                    self.get_logger().info(
                        f"The {source.description} has ended; nothing more is published. Set the "
                        "parameter loop to start it again each time."
                    )
                    self._wait_for_loop()
                source.rewind()
                is_first = True
                continue
            is_first = False
            if is_camera and frame.captured_s < due_s - _PACE_TOLERANCE * period_s:
                continue
            # Keeps the rate on average, but does not make up for a long pause.
            is_late = frame.captured_s - due_s >= period_s
            last_s = frame.captured_s if is_late else due_s
            self._publish(frame, FLIP_CODES[parameters.flip])

    def _wait_for_loop(self) -> None:
        """Wait until the parameter `loop` is set, or the node is stopped."""
        while not self._stopping.wait(_LONGEST_PAUSE_S):
            if read_parameters(self, CameraParameters).loop:
                return

    def _publish(self, frame: Frame, flip_code: int | None) -> None:
        image_bgr = frame.image_bgr
        if flip_code is not None:
            image_bgr = np.asarray(cv2.flip(image_bgr, flip_code), dtype=np.uint8)
        self._fill_message(image_bgr)
        self._message.header.stamp = self._stamp_of(frame).to_msg()
        self._publisher.publish(self._message)

    def _fill_message(self, image_bgr: NDArray[np.uint8]) -> None:
        """Write a picture into the one message that is used again and again.

        Assigning to `data` would copy and check byte by byte: 200 ms for a large picture.
        """
        message, (height, width) = self._message, image_bgr.shape[:2]
        if (message.height, message.width) != (height, width):
            message.height, message.width, message.step = height, width, 3 * width
            message.data = array("B", bytes(height * width * 3))
        np.frombuffer(message.data, np.uint8).reshape(height, width, 3)[...] = image_bgr

    def _stamp_of(self, frame: Frame) -> Time:
        """Return when a picture was taken, on the node's clock."""
        now = self.get_clock().now()
        age = Duration(nanoseconds=max(int((time.monotonic() - frame.captured_s) * 1e9), 0))
        # Simulated time starts at 0 and must not become negative.
        return now - age if now.nanoseconds >= age.nanoseconds else now

    # --- parameters ---

    def _on_set_parameters(self, parameters: list[Parameter]) -> SetParametersResult:
        return answer_changes(self, CameraParameters, parameters)


def _checked_size(width: int, height: int) -> tuple[int, int] | None:
    """Return the wanted size, or None if there is no wish.

    Raises:
        CameraError: Only one of the two is given.
    """
    if (width == 0) != (height == 0):
        raise CameraError(
            f"width and height must both be given, or both be 0; got {width}x{height}."
        )
    return (width, height) if width else None


def _silence_opencv() -> None:
    # cv2.setLogLevel up to Ubuntu 24.04's OpenCV 4.6, cv2.utils.logging.setLogLevel since 4.9.
    logging = getattr(cv2.utils, "logging", cv2)
    if hasattr(logging, "setLogLevel"):
        logging.setLogLevel(_LOG_LEVEL_SILENT)


def main(args: list[str] | None = None) -> int:
    """Run the node until it is told to stop.

    Returns:
        The exit status: 0 after an ordinary end, 1 if the node could not start.
    """
    # Our own messages name every fault; those of the libraries would only repeat them.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    _silence_opencv()
    return run_node(
        NODE_NAME, CameraNode, parameters=CameraParameters, args=args, errors=(CameraError,)
    )


if __name__ == "__main__":
    sys.exit(main())
