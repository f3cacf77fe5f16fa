"""How fast the emotion node is, over real topics between processes. Needs ROS.

One process publishes images, the emotion node is a second one, and this one listens.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from deepfer_ros.bench.errors import BenchError
from deepfer_ros.bench.image_publisher import SentCounts, camera_names, camera_topic
from deepfer_ros.bench.process_usage import ProcessUsage, read_usage
from deepfer_ros.bench.result_listener import Arrival, ResultListener
from deepfer_ros.bench.timing import Timing
from deepfer_ros.cli.node_processes import EMOTION_MODULE, NodeGroup, parameter_arguments

_PUBLISHER_MODULE = "deepfer_ros.bench.image_publisher"
_TIMEOUT_S = 30.0
# The first frames are slower: connections are made and buffers allocated.
_SETTLING_S = 1.0
# How long results may be under way after the end of a window.
_UNDER_WAY_S = 1.0
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
class CameraCount:
    """What became of one camera's images.

    Attributes:
        camera: Its name; empty if it is the only one.
        sent: Images published.
        received: Results received for them.
    """

    camera: str
    sent: int
    received: int


@dataclass(frozen=True, slots=True)
class NodeSpeed:
    """What the emotion node did with it.

    Attributes:
        load: What it was given.
        seconds: How long it was watched.
        start_s: Time from the start of its process to the first result received.
        sent: Images published meanwhile, by the publisher's own count.
        sent_per_s: The same in a second: less than `load` asks for where the publisher cannot.
        received: Results received for them.
        dropped: Images without a result: a newer one has replaced them, or they were lost.
        by_camera: The same for each camera; one without results shows here.
        results_per_s: Results received in a second, of all cameras.
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
    sent_per_s: float
    by_camera: tuple[CameraCount, ...]
    results_per_s: float
    faces_found: tuple[int, int]
    latency: Timing
    image_latency: Timing | None
    cpu_s_per_s: float
    rss_mib: float


@dataclass(frozen=True, slots=True)
class _Mark:
    """The end of a window, and the beginning of the next one.

    Attributes:
        sent: What was published until then.
        usage: What the emotion node has used until then.
        usage_s: When that was read, by `time.monotonic`.
    """

    sent: SentCounts
    usage: ProcessUsage
    usage_s: float


def select_arrivals(
    arrivals: Sequence[Arrival], cameras: Sequence[str], before: SentCounts, after: SentCounts
) -> list[Arrival]:
    """Return what is about images that were published between two moments."""
    first, end = (dict(zip(cameras, sent.counts, strict=True)) for sent in (before, after))
    return [
        arrival
        for arrival in arrivals
        if first[arrival.camera] <= arrival.number < end[arrival.camera]
    ]


def count_by_camera(
    arrivals: Sequence[Arrival], cameras: Sequence[str], before: SentCounts, after: SentCounts
) -> tuple[CameraCount, ...]:
    """Count what was published between two moments, and the results among some for it."""
    received = Counter(
        arrival.camera for arrival in select_arrivals(arrivals, cameras, before, after)
    )
    return tuple(
        CameraCount(camera, end - first, received[camera])
        for camera, first, end in zip(cameras, before.counts, after.counts, strict=True)
    )


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
        self._mark: _Mark | None = None
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

        A window begins where the last one has ended, so that no image is between two of them.

        Raises:
            BenchError: A process ended or gave no result.
        """
        listener = self._listener
        before = self._mark or self._set_mark()

        def is_done() -> bool:
            sent = listener.sent
            if sent is None or sent.time_s < before.sent.time_s + seconds:
                return False
            kinds = [listener.emotions, *([listener.images] if self.load.annotated else [])]
            return all(select_arrivals(kind, self._cameras, before.sent, sent) for kind in kinds)

        self._wait_for(is_done, "a result", seconds + _TIMEOUT_S)
        after = self._set_mark()
        self._wait_for_results(after.sent)
        speed = self._sum_up(before, after)
        listener.emotions = self._select_later(listener.emotions, after.sent)
        listener.images = self._select_later(listener.images, after.sent)
        return speed

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

    def _set_mark(self) -> _Mark:
        """Begin a window with the newest word of the publisher, waiting for it if need be."""
        listener = self._listener
        self._wait_for(
            lambda: listener.sent is not None, "the image publisher's count", _TIMEOUT_S
        )
        assert listener.sent is not None
        self._mark = _Mark(listener.sent, self._usage(), time.monotonic())
        return self._mark

    def _wait_for_results(self, sent: SentCounts) -> None:
        """Wait until every camera has given a result for its last image or a newer one.

        A camera that gives none is not waited for long: that is a finding, not an error.
        """
        end_s = time.monotonic() + _UNDER_WAY_S

        def is_done() -> bool:
            newest = {arrival.camera: arrival.number for arrival in self._listener.emotions}
            has_all = all(
                newest.get(camera, -1) >= count - 1
                for camera, count in zip(self._cameras, sent.counts, strict=True)
            )
            return has_all or time.monotonic() >= end_s

        self._wait_for(is_done, "the last results", _TIMEOUT_S)

    def _select_later(self, arrivals: list[Arrival], sent: SentCounts) -> list[Arrival]:
        counts = dict(zip(self._cameras, sent.counts, strict=True))
        return [arrival for arrival in arrivals if arrival.number >= counts[arrival.camera]]

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

    def _sum_up(self, before: _Mark, after: _Mark) -> NodeSpeed:
        emotions, images = (
            select_arrivals(arrivals, self._cameras, before.sent, after.sent)
            for arrivals in (self._listener.emotions, self._listener.images)
        )
        by_camera = count_by_camera(emotions, self._cameras, before.sent, after.sent)
        sent = sum(count.sent for count in by_camera)
        elapsed_s = after.sent.time_s - before.sent.time_s
        face_counts = [arrival.faces for arrival in emotions]
        used_s = after.usage.cpu_s - before.usage.cpu_s
        return NodeSpeed(
            load=self.load,
            seconds=elapsed_s,
            start_s=self.start_s,
            sent=sent,
            received=len(emotions),
            dropped=sent - len(emotions),
            sent_per_s=sent / elapsed_s,
            by_camera=by_camera,
            results_per_s=len(emotions) / elapsed_s,
            faces_found=(min(face_counts), max(face_counts)),
            latency=Timing.of([arrival.latency_s for arrival in emotions]),
            image_latency=Timing.of([arrival.latency_s for arrival in images]) if images else None,
            cpu_s_per_s=used_s / (after.usage_s - before.usage_s),
            rss_mib=after.usage.rss_bytes / _MIB,
        )
