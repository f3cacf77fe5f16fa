"""The real web server with cameras that a test plays, without ROS."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.drawing import draw_emotions
from deepfer_ros.recognition.images import encode_image
from deepfer_ros.recognition.types import FaceEmotion
from deepfer_ros.web.assembly import LiveServer, WebOptions
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.live import CameraTopics, EmotionResult, LiveHub
from deepfer_ros.web.server import Certificate, listen

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
HAPPY = (0.05, 0.0, 0.05, 0.7, 0.05, 0.05, 0.1)


def fake_face(
    face_id: str = "a",
    box_xywh: tuple[float, float, float, float] = (40.0, 30.0, 60.0, 80.0),
    probabilities: Sequence[float] = HAPPY,
) -> FaceEmotion:
    """Return a face as the emotion node publishes it."""
    values = np.array(probabilities, np.float32)
    return FaceEmotion(
        face_id=face_id,
        box_xywh=np.array(box_xywh, np.float32),
        landmarks=np.full((5, 2), np.nan, np.float32),
        detection_confidence=0.9,
        emotion=LABELS[int(values.argmax())],
        confidence=float(values.max()),
        labels=LABELS,
        probabilities=values,
        frame_probabilities=values,
    )


class FakeSink:
    """Keeps what a browser's camera sends."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.images: list[NDArray[np.uint8]] = []

    def open(self) -> None:
        self.events.append("open")

    def put(self, image_bgr: NDArray[np.uint8]) -> None:
        self.images.append(image_bgr)

    def close(self) -> None:
        self.events.append("close")


@dataclass(eq=False)
class TestServer:
    """A server under test.

    Attributes:
        server: The server.
        sink: What a browser's camera has sent.
        watched: The cameras whose pictures are wanted; each change is one entry.
    """

    __test__ = False

    server: LiveServer
    sink: FakeSink
    watched: list[frozenset[str]]
    names: tuple[str, ...] = ()
    _players: dict[str, "_Player"] = field(default_factory=dict)
    _frames: threading.Thread | None = None
    _frames_ended: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return self.server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def set_cameras(self, *names: str) -> None:
        """Let there be these cameras and no others."""
        self.names = names
        topics = [_topics(name) for name in names]
        self._do(lambda hub: hub.set_cameras(topics))

    def show(
        self,
        name: str = "main",
        faces: Sequence[FaceEmotion] = (),
        jpeg: bytes = b"\xff\xd8picture",
        *,
        stamp_ns: int | None = None,
    ) -> None:
        """Have a camera show a picture, once."""
        result = EmotionResult(
            stamp_ns=time.time_ns() if stamp_ns is None else stamp_ns,
            frame_id="camera",
            model="fake48",
            faces=tuple(faces),
            age_s=0.02,
            arrived_s=time.time(),
        )

        def act(hub: LiveHub) -> None:
            hub.add_result(name, result)
            hub.add_picture(name, result, jpeg)

        self.server.tell(act)

    def play_frames(self, name: str, count: int, jpeg: bytes = b"\xff\xd8picture") -> None:
        """Have a camera show one picture so many times, 20 a second, beside the test."""

        def run() -> None:
            for _ in range(count):
                if self._frames_ended.wait(0.05):
                    return
                self.show(name, [], jpeg)

        self.stop_frames()
        self._frames_ended.clear()
        self._frames = threading.Thread(target=run)
        self._frames.start()

    def stop_frames(self) -> None:
        """End what `play_frames` began."""
        self._frames_ended.set()
        if self._frames is not None:
            self._frames.join()

    def play(
        self,
        name: str,
        image_bgr: NDArray[np.uint8],
        faces: Sequence[FaceEmotion],
        rate_hz: float = 20.0,
    ) -> None:
        """Have a camera show a picture again and again, a little different each time."""
        self.stop_playing(name)
        self._players[name] = _Player(self, name, image_bgr, faces, rate_hz)

    def stop_playing(self, name: str) -> None:
        """Let a camera fall silent."""
        player = self._players.pop(name, None)
        if player is not None:
            player.stop()

    def close(self) -> None:
        for name in list(self._players):
            self.stop_playing(name)
        self.stop_frames()
        self.server.stop()

    def _do(self, act: object) -> None:
        """Do something in the server's thread, and wait until it is done."""
        done = threading.Event()

        def act_and_say(hub: LiveHub) -> None:
            act(hub)  # type: ignore[operator]
            done.set()

        self.server.tell(act_and_say)
        assert done.wait(10), "the server does nothing"


class _Player:
    """Shows pictures in a thread, with a mark that moves."""

    def __init__(
        self,
        server: TestServer,
        name: str,
        image_bgr: NDArray[np.uint8],
        faces: Sequence[FaceEmotion],
        rate_hz: float,
    ) -> None:
        self._ended = threading.Event()
        self._jpegs = []
        for step in range(8):
            canvas = draw_emotions(image_bgr, faces)
            canvas[-12:, step * 12 : step * 12 + 12] = 255
            self._jpegs.append(encode_image(canvas, ".jpg", quality=80))

        def run() -> None:
            count = 0
            while not self._ended.wait(1 / rate_hz):
                server.show(name, faces, self._jpegs[count % len(self._jpegs)])
                count += 1

        self._thread = threading.Thread(target=run)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()


def _topics(name: str) -> CameraTopics:
    topic = "/emotions" if name == "main" else f"/{name}/emotions"
    return CameraTopics(name, topic, f"{topic}/image/compressed")


@contextmanager
def running_server(
    *,
    cameras: Sequence[str] = ("main",),
    limits: WebLimits | None = None,
    token: str | None = None,
    model: str = "deepfer48",
    browser_camera: bool = True,
    host: str = "127.0.0.1",
    port: int = 0,
    host_names: Sequence[str] = (),
    certificate: Certificate | None = None,
) -> Iterator[TestServer]:
    """Run a server until the end of the block."""
    sink = FakeSink()
    watched: list[frozenset[str]] = []
    options = WebOptions(
        labels=LABELS,
        model=model,
        token=token,
        host_names=host_names,
        limits=limits or WebLimits(),
        certificate=certificate,
    )
    server = LiveServer(
        listen(host, port), options, watched.append, sink if browser_camera else None
    )
    server.start()
    test_server = TestServer(server, sink, watched)
    try:
        test_server.set_cameras(*cameras)
        yield test_server
    finally:
        test_server.close()
