"""Classify pictures and short videos that visitors send."""

import asyncio
import base64
import time
from collections.abc import Sequence

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from deepfer_ros.web.classifier_process import Classified, ClassifierProcess, Upload
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.problems import ProblemError
from deepfer_ros.web.result_table import to_csv
from deepfer_ros.web.schemas import PictureResult, ResultFormat, VideoResult, problems
from deepfer_ros.web.sockets import first_to_end

ANY_TYPE = "application/octet-stream"
# What `curl --data-binary` calls everything.
_CURLS_TYPE = "application/x-www-form-urlencoded"
IMAGE_TYPES = (
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/bmp",
    "image/tiff",
    "image/x-portable-pixmap",
)
VIDEO_TYPES = (
    "video/mp4",
    "video/quicktime",
    "video/webm",
    "video/x-matroska",
    "video/x-msvideo",
)
_PROBLEMS = problems(400, 408, 413, 415, 422, 503, 504)
_OTHER_FORMS = {
    "text/csv": {"schema": {"type": "string"}},
    "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
}
_FORMAT_HELP = "json, csv (one row a face) or jpeg (the annotated picture)."


def add_upload_routes(
    application: FastAPI, classifier: ClassifierProcess, limits: WebLimits, labels: Sequence[str]
) -> None:
    """Add the routes for uploads to the application."""

    async def classify(
        request: Request, kind: str, name: str, annotate: bool, form: ResultFormat
    ) -> Response:
        is_video = kind == "video"
        _check_type(request, VIDEO_TYPES if is_video else IMAGE_TYPES)
        max_bytes = limits.video_bytes if is_video else limits.image_bytes
        async with classifier.place():
            data = await read_body(request, max_bytes, limits)
            wants_jpeg = annotate or form is ResultFormat.jpeg
            upload = Upload(kind, name, data, wants_jpeg)
            done = await _classify_for(request, classifier, upload)
        return _answer(done, form, labels)

    @application.post(
        "/api/classify",
        tags=["uploads"],
        summary="The faces of a picture and their emotions",
        response_model=PictureResult,
        responses={200: {"content": _OTHER_FORMS}, **_PROBLEMS},
    )
    async def classify_picture(
        request: Request,
        name: str = Query("upload", max_length=255, description="What the result calls it."),
        annotate: bool = Query(False, description="Put the annotated picture into the JSON."),
        format: ResultFormat = Query(ResultFormat.json, description=_FORMAT_HELP),  # noqa: B008
    ) -> Response:
        """The body is the file: JPEG, PNG, WebP, BMP, TIFF or PPM. It is not stored."""
        return await classify(request, "image", name, annotate, format)

    @application.post(
        "/api/classify-video",
        tags=["uploads"],
        summary="The faces in a short video and their emotions",
        response_model=VideoResult,
        responses={200: {"content": _OTHER_FORMS}, **_PROBLEMS},
    )
    async def classify_video(
        request: Request,
        name: str = Query("upload", max_length=255, description="What the result calls it."),
        annotate: bool = Query(
            False, description="Put the annotated picture with the most faces into the JSON."
        ),
        format: ResultFormat = Query(ResultFormat.json, description=_FORMAT_HELP),  # noqa: B008
    ) -> Response:
        """The body is the file: MP4, MOV, WebM, Matroska or AVI. It is not stored."""
        return await classify(request, "video", name, annotate, format)


async def read_body(request: Request, max_bytes: int, limits: WebLimits) -> bytes:
    """Return the body of a request.

    Raises:
        ProblemError: It is too large, or comes too slowly.
    """
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise ProblemError(413, _too_large(int(announced), max_bytes))
    chunks: list[bytes] = []
    size, end_s = 0, time.monotonic() + limits.upload_s
    while True:
        left_s = min(limits.upload_pause_s, end_s - time.monotonic())
        try:
            message = await asyncio.wait_for(request.receive(), max(left_s, 0.0))
        except asyncio.TimeoutError as err:
            raise ProblemError(
                408, f"The upload came too slowly: {size} bytes, then nothing in time."
            ) from err
        if message["type"] != "http.request":
            raise ProblemError(400, f"The upload ended early, after {size} bytes.")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise ProblemError(413, _too_large(size, max_bytes))
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


async def _classify_for(
    request: Request, classifier: ClassifierProcess, upload: Upload
) -> Classified:
    """Classify an upload unless its visitor leaves: then others shall not wait for it.

    Raises:
        ProblemError: The visitor has left, or see `ClassifierProcess.classify`.
    """
    done: list[Classified] = []

    async def classify() -> None:
        done.append(await classifier.classify(upload))

    async def wait_for_leave() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    await first_to_end(classify(), wait_for_leave())
    if not done:
        raise ProblemError(400, f"{upload.name} was given up because the connection was closed.")
    return done[0]


def _too_large(size: int, max_bytes: int) -> str:
    return (
        f"The file has {size} bytes or more; at most {max_bytes} are allowed. Send a smaller one."
    )


def _check_type(request: Request, allowed: Sequence[str]) -> None:
    """Refuse what is clearly meant to be something else; the bytes are looked at later.

    Raises:
        ProblemError: It is.
    """
    given = request.headers.get("content-type", ANY_TYPE).partition(";")[0].strip().lower()
    if given not in (*allowed, ANY_TYPE, _CURLS_TYPE):
        raise ProblemError(
            415,
            f"The content type '{given:.80}' is none of {', '.join((*allowed, ANY_TYPE))}; send "
            "the file itself as the body.",
        )


def _answer(done: Classified, form: ResultFormat, labels: Sequence[str]) -> Response:
    if form is ResultFormat.csv:
        return Response(to_csv(done.result, labels), media_type="text/csv")
    if form is ResultFormat.jpeg:
        return Response(done.jpeg, media_type="image/jpeg")
    if done.jpeg:
        picture = base64.b64encode(done.jpeg).decode("ascii")
        return JSONResponse({**done.result, "annotated_jpeg_base64": picture})
    return JSONResponse(done.result)
