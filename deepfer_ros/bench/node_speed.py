"""How fast the emotion node is, over real topics between processes. Needs ROS.

One process publishes images, the emotion node is a second one, and this one listens.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from deepfer_ros.bench.errors import BenchError
from deepfer_ros.bench.image_publisher import camera_names, camera_topic
from deepfer_ros.bench.process_usage import ProcessUsage, read_usage
from deepfer_ros.bench.result_listener import Arrival, ResultListener
from deepfer_ros.bench.timing import Timing
from deepfer_ros.cli.node_processes import EMOTION_MODULE, NodeGroup, parameter_arguments

_PUBLISHER_MODULE = "deepfer_ros.bench.image_publisher"
_TIMEOUT_S = 30.0
# The first frames are slower: connections are made and buffers allocated.
_SETTLING_S = 1.0
_MIB = 2**20

NodeParameters = dict[str, str | float | bool | None]


@dataclass(frozen=True, slots=True)
class NodeLoad:
    """What the emotion node is given to do.

    Attributes:
        width: Width of the images in pixels.
        height: Height in pixels.
        faces: Faces in each image.
        rate_hz: Images a second of each camera.
        cameras: How many cameras there are.
        annotated: Whether somebody subscribes to the annotated image.
        compressed: Whether the images come as JPEG.
    """

    width: int = 640
    height: int = 480
    faces: int = 1
    rate_hz: float = 30.0
    cameras: int = 1
    annotated: bool = False
    compressed: bool = False


@dataclass(frozen=True, slots=True)
class NodeSpeed:
    """What the emotion node did with it.

    Attributes:
        load: What it was given.
        seconds: How long it was watched.
        start_s: Time from the start of its process to the first result received.
        sent: Images published meanwhile.
        received: Results received for them.
        dropped: Images without a result: a newer one has replaced them, or they were lost.
        results_per_s: Results received in a second.
        faces_found: The fewest and the most faces in a result.
        latency: From an image's stamp to the receipt of its result.
        image_latency: From an image's stamp to the receipt of the annotated one, if asked for.
        cpu_s_per_s: Time of the processor that it used, in seconds a second: 0.5 is half a core.
        rss_mib: Memory that it held at the end.
    """

    load: NodeLoad
    seconds: float
    start_s: float
    sent: int
    received: int
    dropped: int
    results_per_s: float
    faces_found: tuple[int, int]
    latency: Timing
    image_latency: Timing | None
    cpu_s_per_s: float
    rss_mib: float


class NodeUnderLoad:
    """An emotion node in a process of its own that gets images, inside a `with` block.

    Args:
        load: What it is given to do.
        parameters: Parameters of the emotion node; those that are None keep their default.

    Raises:
        BenchError: A process ended or gave no result.
        OSError: No process can be started.
    """

    def __init__(self, load: NodeLoad, parameters: NodeParameters) -> None:
        self.load = load
        namespace = f"/deepfer_bench_{os.getpid()}"
        self._remapping = ["-r", f"__ns:={namespace}"]
        self._parameters = parameters
        self._cameras = camera_names(load.cameras)
        self._listener = ResultListener(namespace, self._cameras, annotated=load.annotated)
        self._groups: list[NodeGroup] = []
        try:
            self.start_s = self._start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "NodeUnderLoad":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def watch(self, seconds: float) -> NodeSpeed:
        """Measure for a while, and until there is at least one of what is listened to.

        Raises:
            BenchError: A process ended or gave no result.
        """
        listener, annotated = self._listener, self.load.annotated
        listener.take()
        before, start_s = self._usage(), time.monotonic()

        def is_done() -> bool:
            has_all = bool(listener.emotions) and (bool(listener.images) or not annotated)
            return has_all and time.monotonic() >= start_s + seconds

        self._wait_for(is_done, "a result", seconds + _TIMEOUT_S)
        elapsed_s = time.monotonic() - start_s
        after = self._usage()
        return self._sum_up(*listener.take(), before, after, elapsed_s)

    def close(self) -> None:
        """End the processes."""
        for group in reversed(self._groups):
            group.end()
        self._listener.close()

    def _start(self) -> float:
        """Start the processes; return the time to the first result."""
        load = self.load
        publisher_parameters: NodeParameters = {
            "width": load.width,
            "height": load.height,
            "faces": load.faces,
            "rate_hz": float(load.rate_hz),
            "cameras": load.cameras,
            "compressed": load.compressed,
        }
        self._start_process(_PUBLISHER_MODULE, publisher_parameters)
        topic = camera_topic(
            self._cameras[-1], "image_raw/compressed" if load.compressed else "image_raw"
        )
        listener = self._listener
        self._wait_for(lambda: listener.count_publishers(topic) > 0, "the publisher", _TIMEOUT_S)
        start_s = time.monotonic()
        transport = "compressed" if load.compressed else "raw"
        self._start_process(
            EMOTION_MODULE,
            self._parameters | {"image_transport": transport},
            "-p",
            f"cameras:={json.dumps(self._cameras)}",
        )
        self._wait_for(lambda: bool(listener.emotions), "the first result", _TIMEOUT_S)
        elapsed_s = time.monotonic() - start_s
        if load.annotated:
            self._wait_for(lambda: bool(listener.images), "an annotated image", _TIMEOUT_S)
        settled_s = time.monotonic() + _SETTLING_S
        self._wait_for(lambda: time.monotonic() >= settled_s, "the end", _TIMEOUT_S)
        return elapsed_s

    def _start_process(self, module: str, parameters: NodeParameters, *more: str) -> None:
        arguments = [*self._remapping, *parameter_arguments(parameters), *more]
        self._groups.append(NodeGroup({module: arguments}, captured=True))

    def _wait_for(self, condition: Callable[[], bool], what: str, timeout_s: float) -> None:
        def is_over() -> bool:
            return condition() or any(group.ended is not None for group in self._groups)

        in_time = self._listener.spin_until(is_over, timeout_s)
        for group in self._groups:
            if group.ended is not None:
                raise BenchError(f"{group.ended.name} has ended: {group.ended.last_words}")
        if not in_time:
            errors = [node.first_error for group in self._groups for node in group.nodes]
            raise BenchError(
                " ".join([f"Waited {timeout_s:g} s in vain for {what}.", *filter(None, errors)])
            )

    def _usage(self) -> ProcessUsage:
        return read_usage(self._groups[-1].nodes[0].pid)

    def _sum_up(
        self,
        emotions: list[Arrival],
        images: list[Arrival],
        before: ProcessUsage,
        after: ProcessUsage,
        elapsed_s: float,
    ) -> NodeSpeed:
        numbers = [
            [arrival.number for arrival in emotions if arrival.camera == camera]
            for camera in self._cameras
        ]
        sent = sum(max(own) - min(own) + 1 for own in numbers if own)
        face_counts = [arrival.faces for arrival in emotions]
        return NodeSpeed(
            load=self.load,
            seconds=elapsed_s,
            start_s=self.start_s,
            sent=sent,
            received=len(emotions),
            dropped=sent - len(emotions),
            results_per_s=len(emotions) / elapsed_s,
            faces_found=(min(face_counts), max(face_counts)),
            latency=Timing.of([arrival.latency_s for arrival in emotions]),
            image_latency=Timing.of([arrival.latency_s for arrival in images]) if images else None,
            cpu_s_per_s=(after.cpu_s - before.cpu_s) / elapsed_s,
            rss_mib=after.rss_bytes / _MIB,
        )
