"""The HTTP application: all routes, and what errors look like."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from deepfer_ros import __version__
from deepfer_ros.web.access import Access
from deepfer_ros.web.browser_camera import BrowserCamera, add_browser_camera_route
from deepfer_ros.web.classifier_process import ClassifierProcess
from deepfer_ros.web.emotion_cameras import BROWSER_CAMERA
from deepfer_ros.web.guard import Application, Guard
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.live import LiveHub
from deepfer_ros.web.live_routes import add_live_routes
from deepfer_ros.web.openapi import DESCRIPTION, describe
from deepfer_ros.web.page_routes import add_page_routes, locked_page
from deepfer_ros.web.problems import PROBLEM_TYPE, ProblemError, problem_body
from deepfer_ros.web.schemas import Status
from deepfer_ros.web.static_files import StaticFiles
from deepfer_ros.web.upload_routes import IMAGE_TYPES, VIDEO_TYPES, add_upload_routes


@dataclass(frozen=True, slots=True, eq=False)
class WebServices:
    """What the application is made of.

    Attributes:
        hub: What the cameras show.
        classifier: Classifies uploads.
        browser_camera: Takes a browser's camera; None if that is switched off.
        access: Who may pass.
        limits: What a visitor may take.
        labels: The model's labels in their order.
        files: The files of the page.
        secure: Whether the server speaks TLS.
    """

    hub: LiveHub
    classifier: ClassifierProcess
    browser_camera: BrowserCamera | None
    access: Access
    limits: WebLimits
    labels: Sequence[str]
    files: StaticFiles = field(default_factory=StaticFiles)
    secure: bool = False


def create_application(services: WebServices) -> Application:
    """Return the application, guarded."""
    # The pages that FastAPI makes of the description load scripts from elsewhere.
    application = FastAPI(
        title="deepfer",
        version=__version__,
        description=DESCRIPTION,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
    )
    # They would lead to the name in the request, which anybody chooses.
    application.router.redirect_slashes = False
    guard = Guard(
        application, services.access, locked_page(services.files), secure=services.secure
    )
    _add_errors(application)
    _add_status_route(application, services)
    add_live_routes(application, services.hub, services.limits)
    add_upload_routes(application, services.classifier, services.limits, services.labels)
    add_browser_camera_route(application, services.browser_camera)
    add_page_routes(
        application, services.files, services.access, services.limits, guard.session_cookie
    )
    description = describe(application, needs_token=services.access.needs_token)

    @application.get("/api/openapi.json", include_in_schema=False)
    async def openapi() -> Response:
        return JSONResponse(description)

    return guard


def _add_status_route(application: FastAPI, services: WebServices) -> None:
    started_s = time.monotonic()
    limits, camera = services.limits, services.browser_camera

    @application.get(
        "/api/status", response_model=Status, tags=["status"], summary="The state of the server"
    )
    async def status() -> dict[str, Any]:
        """Version, labels, limits, and what is going on."""
        return {
            "name": "deepfer",
            "version": __version__,
            "uptime_s": round(time.monotonic() - started_s, 1),
            "labels": list(services.labels),
            "cameras": len(services.hub.cameras()),
            "viewers": services.hub.viewers,
            "classifier": {
                "model": services.classifier.model,
                "detector": services.classifier.detector,
                "state": services.classifier.state,
            },
            "browser_camera": {
                "enabled": camera is not None,
                "active": camera is not None and camera.is_active,
                "camera": BROWSER_CAMERA,
                "max_rate_hz": limits.camera_rate_hz,
                "max_bytes": limits.camera_bytes,
                "max_pixels": limits.camera_pixels,
            },
            "limits": {
                "image_bytes": limits.image_bytes,
                "image_pixels": limits.image_pixels,
                "video_bytes": limits.video_bytes,
                "video_pixels": limits.video_pixels,
                "video_seconds": limits.video_seconds,
                "video_frames": limits.video_frames,
                "uploads_waiting": limits.uploads - 1,
            },
            "accepted_types": {"image": list(IMAGE_TYPES), "video": list(VIDEO_TYPES)},
        }


def _add_errors(application: FastAPI) -> None:
    """Answer everything that goes wrong in the same form."""

    @application.exception_handler(ProblemError)
    async def on_problem(request: Request, err: ProblemError) -> Response:
        retry = {} if err.retry_after_s is None else {"Retry-After": str(err.retry_after_s)}
        return _problem(err.status, err.detail, retry)

    @application.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, err: RequestValidationError) -> Response:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc'][1:])}: {fault['msg']}"
            for fault in err.errors()
        ]
        return _problem(422, f"The request is not right: {'; '.join(faults)}.", {})

    @application.exception_handler(404)
    async def on_unknown_path(request: Request, err: Exception) -> Response:
        path = request.url.path[:80]
        return _problem(404, f"There is nothing at {path}; see /api/openapi.json.", {})

    @application.exception_handler(405)
    async def on_wrong_method(request: Request, err: Exception) -> Response:
        detail = f"{request.method} is not allowed at {request.url.path[:80]}."
        return _problem(405, detail, getattr(err, "headers", None) or {})

    @application.exception_handler(Exception)
    async def on_error(request: Request, err: Exception) -> Response:
        # The server logs the error itself.
        return _problem(500, "The server made a mistake; its log says more.", {})


def _problem(status: int, detail: str, headers: dict[str, str]) -> Response:
    return Response(problem_body(status, detail), status, headers, PROBLEM_TYPE)
