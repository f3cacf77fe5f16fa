"""Hand what the cameras show to everybody who looks: newest first, nobody waits for anybody.

All of it belongs to the thread of the server's event loop.
"""

import asyncio
import json
import struct
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from deepfer_ros.face_json import face_to_json
from deepfer_ros.recognition.types import FaceEmotion
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.rate import RateMeter

GOING_AWAY = 1001
BAD_MESSAGE = 4400
TOO_SLOW = 4008
TOO_MANY = 4429

_LIVE_S = 2.0
_KEPT_TEXTS = 8
_KEPT_RESULTS = 64
_STATUS_PERIOD_S = 1.0


@dataclass(frozen=True, slots=True)
class CameraTopics:
    """A camera that the emotion node serves.

    Attributes:
        name: How it is called in addresses.
        topic: Of its results.
        image_topic: Of its annotated pictures.
    """

    name: str
    topic: str
    image_topic: str


@dataclass(frozen=True, slots=True, eq=False)
class EmotionResult:
    """What the emotion node found in one picture.

    Attributes:
        stamp_ns: When the picture was taken, in nanoseconds; 0 if nobody said.
        frame_id: Of the picture.
        model: Name of the model.
        faces: The faces.
        age_s: Age of the picture when the result arrived here; None without a stamp, or with one
            of another clock.
        arrived_s: When that was, in seconds since 1970.
    """

    stamp_ns: int
    frame_id: str
    model: str
    faces: tuple[FaceEmotion, ...]
    age_s: float | None
    arrived_s: float

    def to_json(self, camera: str, sequence: int) -> dict[str, Any]:
        """Return the result as JSON holds it."""
        return {
            "camera": camera,
            "sequence": sequence,
            "stamp": self.stamp_ns / 1e9,
            "frame_id": self.frame_id,
            "server_time_ms": round(self.arrived_s * 1e3, 1),
            "age_ms": _milliseconds(self.age_s),
            "model": self.model,
            "faces": [{"face_id": face.face_id, **face_to_json(face)} for face in self.faces],
        }


@dataclass(frozen=True, slots=True, eq=False)
class LivePicture:
    """A picture with its result, ready to be sent.

    Attributes:
        sequence: Counts the pictures of a camera.
        jpeg: The picture.
        packet: Both together: length of the JSON (uint32, big endian), the JSON, the JPEG.
    """

    sequence: int
    jpeg: bytes
    packet: bytes


class ClosedError(Exception):
    """The server has ended a viewer's connection.

    Args:
        code: WebSocket close code.
        reason: One sentence.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class _Outbox:
    """Wakes the one who sends when there is something to send, or when the server ends it."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._closed: ClosedError | None = None

    def close(self, code: int, reason: str) -> None:
        """End the connection; the first reason counts."""
        self._closed = self._closed or ClosedError(code, reason)
        self._event.set()

    def _wake(self) -> None:
        self._event.set()

    async def _wait(self) -> None:
        """Wait until there may be something.

        Raises:
            ClosedError: The connection shall end.
        """
        if self._closed is None:
            await self._event.wait()
            self._event.clear()
        if self._closed is not None:
            raise self._closed


class PictureViewer(_Outbox):
    """One who looks at a camera. It has room for a single picture: the newest.

    Args:
        under_way: Pictures that may be sent before one is acknowledged.
    """

    def __init__(self, under_way: int) -> None:
        super().__init__()
        self._under_way = under_way
        self._texts: deque[str] = deque(maxlen=_KEPT_TEXTS)
        self._picture: LivePicture | None = None
        self._sent: deque[tuple[int, float]] = deque()
        self.skipped = 0

    def offer(self, picture: LivePicture) -> None:
        """Take a picture, in place of one that could not be sent yet."""
        self.skipped += self._picture is not None
        self._picture = picture
        self._wake()

    def say(self, text: dict[str, Any]) -> None:
        """Send a text beside the pictures."""
        self._texts.append(json.dumps(text))
        self._wake()

    def acknowledge(self, sequence: int) -> None:
        """Note that a picture, and with it all before, has been shown."""
        while self._sent and self._sent[0][0] <= sequence:
            self._sent.popleft()
        self._wake()

    @property
    def waits_s(self) -> float:
        """How long the oldest picture under way has waited for its acknowledgement."""
        return time.monotonic() - self._sent[0][1] if self._sent else 0.0

    async def next_picture(self) -> LivePicture:
        """Wait for a picture.

        Raises:
            ClosedError: The connection shall end.
        """
        while self._picture is None or len(self._sent) >= self._under_way:
            await self._wait()
        return self._take()

    async def next_message(self) -> str | bytes:
        """Wait for what is to be sent: a text or a picture.

        Raises:
            ClosedError: The connection shall end.
        """
        while True:
            if self._texts:
                return self._texts.popleft()
            if self._picture is not None and len(self._sent) < self._under_way:
                return self._take().packet
            await self._wait()

    def _take(self) -> LivePicture:
        picture, self._picture = self._picture, None
        assert picture is not None
        self._sent.append((picture.sequence, time.monotonic()))
        return picture


class ResultListener(_Outbox):
    """One who listens to results. Of those that could not be sent yet, the newest are kept."""

    def __init__(self) -> None:
        super().__init__()
        self._texts: deque[str] = deque(maxlen=_KEPT_RESULTS)

    def offer(self, text: str) -> None:
        """Take a result."""
        self._texts.append(text)
        self._wake()

    async def next_message(self) -> str:
        """Wait for a result.

        Raises:
            ClosedError: The connection shall end.
        """
        while not self._texts:
            await self._wait()
        return self._texts.popleft()


@dataclass(slots=True, eq=False)
class _Camera:
    """What is known of a camera, and who looks at it."""

    name: str
    topics: CameraTopics | None = None
    last: EmotionResult | None = None
    results: int = 0
    pictures: int = 0
    result_rate: RateMeter = field(default_factory=RateMeter)
    picture_rate: RateMeter = field(default_factory=RateMeter)
    viewers: set[PictureViewer] = field(default_factory=set)

    @property
    def state(self) -> str:
        """`absent`, `live` or `silent`."""
        if self.topics is None:
            return "absent"
        age_s = self.result_rate.age_s
        return "live" if age_s is not None and age_s <= _LIVE_S else "silent"

    def to_json(self) -> dict[str, Any]:
        """Return what the page shows about the camera."""
        is_live, last, age_s = self.state == "live", self.last, self.result_rate.age_s
        rate_hz = self.result_rate.rate_hz
        return {
            "name": self.name,
            "topic": self.topics.topic if self.topics else None,
            "image_topic": self.topics.image_topic if self.topics else None,
            "state": self.state,
            "rate_hz": round(rate_hz, 2) if is_live and rate_hz is not None else None,
            "latency_ms": _milliseconds(last.age_s) if is_live and last else None,
            "faces": len(last.faces) if is_live and last else None,
            "model": last.model if last else None,
            "last_frame_age_s": round(age_s, 3) if age_s is not None else None,
            "viewers": len(self.viewers),
        }


class LiveHub:
    """Knows the cameras and those who look at them.

    Args:
        limits: How many may look, and how slowly.
        on_watched: Told the names of the cameras whose pictures are wanted, when that changes.
    """

    def __init__(
        self, limits: WebLimits, on_watched: Callable[[frozenset[str]], None] = lambda names: None
    ) -> None:
        self._limits = limits
        self._on_watched = on_watched
        self._watched: frozenset[str] = frozenset()
        self._cameras: dict[str, _Camera] = {}
        self._listeners: dict[ResultListener, str | None] = {}
        self._is_closed = False

    # --- what the cameras show ---

    def set_cameras(self, found: Iterable[CameraTopics]) -> None:
        """Take the cameras that there are now."""
        topics = {camera.name: camera for camera in found}
        for name in {*topics, *self._cameras}:
            self._camera(name).topics = topics.get(name)
            self._forget_unused(name)

    def add_result(self, name: str, result: EmotionResult) -> None:
        """Count a result and hand it to those who listen."""
        camera = self._cameras.get(name)
        if camera is None:
            return
        camera.last = result
        camera.results += 1
        camera.result_rate.count()
        wanted = [to for to, only in self._listeners.items() if only in (None, name)]
        if wanted:
            text = json.dumps(result.to_json(name, camera.results))
            for listener in wanted:
                listener.offer(text)

    def add_picture(self, name: str, result: EmotionResult, jpeg: bytes) -> None:
        """Hand an annotated picture to those who look; all get the same bytes."""
        camera = self._cameras.get(name)
        if camera is None or not camera.viewers:
            return
        camera.pictures += 1
        camera.picture_rate.count()
        head = json.dumps(result.to_json(name, camera.pictures)).encode()
        packet = struct.pack(">I", len(head)) + head + jpeg
        picture = LivePicture(camera.pictures, jpeg, packet)
        for viewer in camera.viewers:
            viewer.offer(picture)

    # --- those who look ---

    @contextmanager
    def view(self, name: str) -> Iterator[PictureViewer]:
        """Look at a camera, whether it is there already or not.

        Raises:
            ClosedError: The server ends, or too many look already.
        """
        self._check_room()
        camera, viewer = self._camera(name), PictureViewer(self._limits.pictures_under_way)
        camera.viewers.add(viewer)
        self._tell_watched()
        viewer.say(self._status(camera, viewer))
        try:
            yield viewer
        finally:
            camera.viewers.discard(viewer)
            self._forget_unused(name)
            self._tell_watched()

    @contextmanager
    def listen(self, name: str | None) -> Iterator[ResultListener]:
        """Listen to the results of a camera, or of all.

        Raises:
            ClosedError: The server ends, or too many listen already.
        """
        self._check_room()
        listener = ResultListener()
        self._listeners[listener] = name
        try:
            yield listener
        finally:
            del self._listeners[listener]

    def cameras(self) -> list[dict[str, Any]]:
        """Return what is known of each camera that there is."""
        present = [camera for camera in self._cameras.values() if camera.topics]
        return [camera.to_json() for camera in sorted(present, key=lambda camera: camera.name)]

    def has_camera(self, name: str) -> bool:
        """Return whether there is such a camera now."""
        camera = self._cameras.get(name)
        return camera is not None and camera.topics is not None

    @property
    def viewers(self) -> int:
        """How many look at pictures."""
        return sum(len(camera.viewers) for camera in self._cameras.values())

    async def report(self) -> None:
        """Tell every viewer once a second how it stands; end those that take nothing. Forever."""
        while True:
            await asyncio.sleep(_STATUS_PERIOD_S)
            for camera in self._cameras.values():
                for viewer in camera.viewers:
                    if viewer.waits_s > self._limits.send_s:
                        viewer.close(
                            TOO_SLOW,
                            f"No picture was acknowledged for {self._limits.send_s:g} s.",
                        )
                    viewer.say(self._status(camera, viewer))

    def close(self) -> None:
        """End the connections of all, and let nobody in any more."""
        self._is_closed = True
        for camera in self._cameras.values():
            for viewer in camera.viewers:
                viewer.close(GOING_AWAY, "The server ends.")
        for listener in self._listeners:
            listener.close(GOING_AWAY, "The server ends.")

    def _check_room(self) -> None:
        if self._is_closed:
            raise ClosedError(GOING_AWAY, "The server ends.")
        if self.viewers + len(self._listeners) >= self._limits.viewers:
            raise ClosedError(
                TOO_MANY,
                f"{self._limits.viewers} are looking already, which is the limit; close a page.",
            )

    def _camera(self, name: str) -> _Camera:
        return self._cameras.setdefault(name, _Camera(name))

    def _forget_unused(self, name: str) -> None:
        """Forget a camera that is gone and that nobody waits for."""
        camera = self._cameras.get(name)
        if camera is not None and camera.topics is None and not camera.viewers:
            del self._cameras[name]

    def _tell_watched(self) -> None:
        watched = frozenset(name for name, camera in self._cameras.items() if camera.viewers)
        if watched != self._watched:
            self._watched = watched
            self._on_watched(watched)

    def _status(self, camera: _Camera, viewer: PictureViewer) -> dict[str, Any]:
        rate_hz = camera.picture_rate.rate_hz
        return {
            "type": "status",
            "camera": camera.to_json(),
            "picture_rate_hz": None if rate_hz is None else round(rate_hz, 2),
            "skipped": viewer.skipped,
        }


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e3, 1)
