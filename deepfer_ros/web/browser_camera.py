"""A visitor's camera becomes a camera of the robot: with consent, one at a time, bounded."""

import asyncio
import functools
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from fastapi import FastAPI, WebSocket
from numpy.typing import NDArray

from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.images import decode_image
from deepfer_ros.web.emotion_cameras import BROWSER_CAMERA
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.live import BAD_MESSAGE, GOING_AWAY, ClosedError
from deepfer_ros.web.sockets import first_to_end, read_message, receive, send, session

NO_CONSENT = 4403
NO_FRAMES = 4408
IN_USE = 4409

_START_S = 10.0
_JPEG_START = b"\xff\xd8\xff"
# So many pictures may come early: networks deliver in bursts.
_BURST = 3


class ImageSink(Protocol):
    """Where the pictures go. All of it is called by the thread of the event loop."""

    def open(self) -> None:
        """Pictures will come."""

    def put(self, image_bgr: NDArray[np.uint8]) -> None:
        """Take a picture, uint8 (H, W, 3), BGR."""

    def close(self) -> None:
        """No more pictures will come."""


class BrowserCamera:
    """The place of the one browser that may be a camera.

    Args:
        sink: Where its pictures go.
        limits: Size and rate of the pictures.
    """

    def __init__(self, sink: ImageSink, limits: WebLimits) -> None:
        self.limits = limits
        self._sink = sink
        self._is_active = False
        self._ending = asyncio.Event()
        # Decoding takes milliseconds in which the pictures of other cameras shall go out.
        self._decoder = ThreadPoolExecutor(1, "browser_camera")

    @property
    def is_active(self) -> bool:
        """Whether a browser sends now."""
        return self._is_active

    def close(self) -> None:
        """End the camera, and let no other begin."""
        self._ending.set()
        self._decoder.shutdown(wait=False)

    async def serve(self, socket: WebSocket) -> None:
        """Talk to a visitor whose connection is accepted, until one of the two ends it.

        Raises:
            ClosedError: The server ends it.
            WebSocketDisconnect: The visitor has left.
        """
        try:
            await self._read_consent(socket)
            with self._hold():
                await self._say(socket, self._welcome())
                await first_to_end(self._take_frames(socket), self._wait_for_end())
        except ClosedError as err:
            await self._say(socket, {"type": "error", "detail": err.reason})
            raise
        await self._say(socket, {"type": "stopped"})

    def _welcome(self) -> dict[str, Any]:
        return {
            "type": "started",
            "camera": BROWSER_CAMERA,
            "max_rate_hz": self.limits.camera_rate_hz,
            "max_bytes": self.limits.camera_bytes,
            "max_pixels": self.limits.camera_pixels,
        }

    @contextmanager
    def _hold(self) -> Iterator[None]:
        """Take the place, and give it back at the end.

        Raises:
            ClosedError: Another visitor has it.
        """
        if self._is_active:
            raise ClosedError(IN_USE, "Another visitor's camera is in use; try again later.")
        self._is_active = True
        self._sink.open()
        try:
            yield
        finally:
            self._sink.close()
            self._is_active = False

    async def _read_consent(self, socket: WebSocket) -> None:
        try:
            message = read_message(await asyncio.wait_for(receive(socket), _START_S))
        except asyncio.TimeoutError as err:
            raise ClosedError(NO_CONSENT, f"No start came within {_START_S:g} s.") from err
        if message.get("type") != "start" or message.get("consent") is not True:
            raise ClosedError(
                NO_CONSENT,
                'A camera is taken only after {"type": "start", "consent": true}.',
            )

    async def _wait_for_end(self) -> None:
        await self._ending.wait()
        raise ClosedError(GOING_AWAY, "The server ends.")

    async def _take_frames(self, socket: WebSocket) -> None:
        """Publish what comes, and answer each picture, until the visitor stops.

        Raises:
            ClosedError: Nothing came for long, or too much that is wrong.
            WebSocketDisconnect: The visitor has left.
        """
        limits, pace = self.limits, _Pace(self.limits.camera_rate_hz)
        count = faults = 0
        while True:
            try:
                message = await asyncio.wait_for(receive(socket), limits.camera_pause_s)
            except asyncio.TimeoutError as err:
                raise ClosedError(
                    NO_FRAMES, f"No picture came for {limits.camera_pause_s:g} s."
                ) from err
            if isinstance(message, str):
                if read_message(message).get("type") == "stop":
                    return
                raise ClosedError(BAD_MESSAGE, 'Expected pictures or {"type": "stop"}.')
            count += 1
            try:
                if not pace.allows_one():
                    raise ImageError(f"At most {limits.camera_rate_hz:g} pictures a second.")
                self._sink.put(await self._decode(message))
            except ImageError as err:
                faults += 1
                await self._say(
                    socket, {"type": "rejected", "frame": count, "detail": str(err)[:300]}
                )
                if faults >= limits.camera_faults:
                    raise ClosedError(
                        BAD_MESSAGE, f"{faults} pictures in a row could not be used."
                    ) from err
            else:
                faults = 0
                await self._say(socket, {"type": "ack", "frame": count})

    async def _decode(self, data: bytes) -> NDArray[np.uint8]:
        """Decode a picture beside the event loop.

        Raises:
            ImageError: It is not a JPEG, damaged, or too large.
        """
        if not data.startswith(_JPEG_START):
            raise ImageError(f"A JPEG picture is expected, got {len(data)} other bytes.")
        decode = functools.partial(
            decode_image,
            data,
            max_bytes=self.limits.camera_bytes,
            max_pixels=self.limits.camera_pixels,
        )
        return await asyncio.get_running_loop().run_in_executor(self._decoder, decode)

    async def _say(self, socket: WebSocket, message: dict[str, Any]) -> None:
        await send(socket, json.dumps(message), self.limits.send_s)


class _Pace:
    """Keeps a rate, with some patience for bursts.

    Args:
        rate_hz: Events a second.
    """

    def __init__(self, rate_hz: float) -> None:
        self._period_s = 1 / rate_hz
        self._due_s = 0.0

    def allows_one(self) -> bool:
        """Return whether an event may happen now, and count it if so."""
        now_s = time.monotonic()
        self._due_s = max(self._due_s, now_s - _BURST * self._period_s)
        if self._due_s > now_s:
            return False
        self._due_s += self._period_s
        return True


def add_browser_camera_route(application: FastAPI, camera: BrowserCamera | None) -> None:
    """Add the WebSocket on which a browser sends its camera; None refuses every visitor."""

    @application.websocket("/api/browser-camera")
    async def browser_camera(socket: WebSocket) -> None:
        async with session(socket):
            if camera is None:
                raise ClosedError(NO_CONSENT, "This server takes no browser as a camera.")
            await camera.serve(socket)
