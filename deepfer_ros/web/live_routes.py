"""The WebSockets on which pictures and results go out, and single pictures."""

import asyncio
import re
import time
from typing import Any

from fastapi import FastAPI, WebSocket
from fastapi.responses import Response

from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.live import BAD_MESSAGE, ClosedError, LiveHub, PictureViewer, ResultListener
from deepfer_ros.web.problems import ProblemError
from deepfer_ros.web.schemas import Cameras, problems
from deepfer_ros.web.sockets import first_to_end, read_message, receive, send, session

_CAMERA_NAME = re.compile(r"[A-Za-z0-9_.]{1,200}")
_SNAPSHOT_S = 3.0


def add_live_routes(application: FastAPI, hub: LiveHub, limits: WebLimits) -> None:
    """Add the routes of the live view to the application."""

    @application.get(
        "/api/cameras", response_model=Cameras, tags=["live"], summary="The cameras that there are"
    )
    async def cameras() -> dict[str, Any]:
        """Every camera whose results are published, with its state, rate and latency."""
        return {"cameras": hub.cameras()}

    @application.get(
        "/api/cameras/{name}/snapshot.jpg",
        tags=["live"],
        summary="The newest annotated picture of a camera",
        response_class=Response,
        responses={
            200: {"description": "A JPEG picture.", "content": {"image/jpeg": {}}},
            **problems(404, 422, 503, 504),
        },
    )
    async def snapshot(name: str) -> Response:
        """Waits up to three seconds for a picture, and for that time makes the node draw."""
        if not hub.has_camera(name):
            known = ", ".join(camera["name"] for camera in hub.cameras()) or "none at all"
            raise ProblemError(404, f"There is no camera '{name:.80}'; there is {known}.")
        try:
            with hub.view(name) as viewer:
                picture = await asyncio.wait_for(viewer.next_picture(), _SNAPSHOT_S)
        except asyncio.TimeoutError as err:
            raise ProblemError(
                504,
                f"Camera '{name}' showed no picture within {_SNAPSHOT_S:g} s; is it connected?",
            ) from err
        except ClosedError as err:
            raise ProblemError(503, err.reason, retry_after_s=1) from err
        moment = time.strftime("%Y-%m-%dT%H-%M-%S")
        disposition = f'attachment; filename="deepfer_{name}_{moment}.jpg"'
        return Response(
            picture.jpeg, media_type="image/jpeg", headers={"Content-Disposition": disposition}
        )

    @application.websocket("/api/live")
    async def live(socket: WebSocket) -> None:
        async with session(socket):
            name = _read_camera(socket) or "main"
            with hub.view(name) as viewer:
                await first_to_end(
                    _send_pictures(socket, viewer, limits), _read_viewer(socket, viewer)
                )

    @application.websocket("/api/emotions")
    async def emotions(socket: WebSocket) -> None:
        async with session(socket):
            with hub.listen(_read_camera(socket)) as listener:
                await first_to_end(_send_results(socket, listener, limits), _read_all(socket))


def _read_camera(socket: WebSocket) -> str | None:
    """Return the name of the camera that a visitor asks for; None if all or any.

    Raises:
        ClosedError: It is no name.
    """
    name = socket.query_params.get("camera")
    if name is not None and not _CAMERA_NAME.fullmatch(name):
        raise ClosedError(
            BAD_MESSAGE,
            f"camera must be a name of letters, digits, '_' and '.', got '{name:.40}'.",
        )
    return name


async def _send_pictures(socket: WebSocket, viewer: PictureViewer, limits: WebLimits) -> None:
    while True:
        await send(socket, await viewer.next_message(), limits.send_s)


async def _send_results(socket: WebSocket, listener: ResultListener, limits: WebLimits) -> None:
    while True:
        await send(socket, await listener.next_message(), limits.send_s)


async def _read_viewer(socket: WebSocket, viewer: PictureViewer) -> None:
    while True:
        message = read_message(await receive(socket))
        kind, sequence = message.get("type"), message.get("sequence")
        if kind == "ack" and isinstance(sequence, int):
            viewer.acknowledge(sequence)
        elif kind == "ping":
            now_ms = round(time.time() * 1e3, 1)
            sent_ms = message.get("time_ms")
            if not isinstance(sent_ms, int | float):
                raise ClosedError(BAD_MESSAGE, "ping needs a number time_ms.")
            viewer.say({"type": "pong", "time_ms": sent_ms, "server_time_ms": now_ms})
        else:
            raise ClosedError(
                BAD_MESSAGE,
                "Expected {'type': 'ack', 'sequence': N} or {'type': 'ping', 'time_ms': T}.",
            )


async def _read_all(socket: WebSocket) -> None:
    """Take no notice of what a listener says, until it leaves."""
    while True:
        await receive(socket)
