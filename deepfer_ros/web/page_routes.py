"""The page itself, its files, and the session of those who show the token."""

import json
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import Response

from deepfer_ros.web.access import Access
from deepfer_ros.web.guard import Application, Receive, Scope, Send
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.problems import PROBLEM_TYPE, ProblemError, problem_body
from deepfer_ros.web.schemas import problems
from deepfer_ros.web.static_files import StaticFile, StaticFiles
from deepfer_ros.web.upload_routes import read_body

_PAGE = "index.html"
_LOCKED_PAGE = "token.html"
_ICON = "favicon.svg"
_MAX_SESSION_BYTES = 4096
_REVALIDATE = "no-cache"


def add_page_routes(
    application: FastAPI,
    files: StaticFiles,
    access: Access,
    limits: WebLimits,
    session_cookie: Callable[[], str],
) -> None:
    """Add the page, its files and the session to the application."""

    def send_file(request: Request, name: str) -> Response:
        file = files.read(name)
        if file is None:
            raise ProblemError(404, f"There is no file '{name:.80}'.")
        headers = {"ETag": file.etag, "Cache-Control": _REVALIDATE}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(file.data, media_type=file.media_type, headers=headers)

    @application.get("/", include_in_schema=False)
    @application.head("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return send_file(request, _PAGE)

    @application.get("/favicon.ico", include_in_schema=False)
    async def icon(request: Request) -> Response:
        return send_file(request, _ICON)

    @application.get("/static/{name:path}", include_in_schema=False)
    async def static(request: Request, name: str) -> Response:
        return send_file(request, name)

    @application.post(
        "/api/session",
        tags=["session"],
        summary="Show the token and get a cookie for it",
        status_code=204,
        response_class=Response,
        responses={
            204: {"description": "The answer sets a cookie that lets this browser in."},
            **problems(400, 401, 408, 413),
        },
    )
    async def session(request: Request) -> Response:
        """For the page's own form; programs send 'Authorization: Bearer TOKEN' instead."""
        token = _read_token(await read_body(request, _MAX_SESSION_BYTES, limits))
        if not access.needs_token:
            return Response(status_code=204)
        if not access.is_token(token):
            raise ProblemError(
                401, "This is not the token that the server printed when it started."
            )
        return Response(status_code=204, headers={"Set-Cookie": session_cookie()})


def locked_page(files: StaticFiles) -> Application:
    """Return what answers a browser that shows no token: a page that asks for it."""
    detail = "A token is needed: open the address that the server printed when it started."

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        file = files.read(_LOCKED_PAGE)
        if file is None:
            file = StaticFile(problem_body(401, detail), PROBLEM_TYPE, "")
        headers = [
            (b"content-type", f"{file.media_type}; charset=utf-8".encode()),
            (b"content-length", str(len(file.data)).encode()),
        ]
        await send({"type": "http.response.start", "status": 401, "headers": headers})
        await send({"type": "http.response.body", "body": file.data})

    return answer


def _read_token(body: bytes) -> str:
    """Return the token of a request.

    Raises:
        ProblemError: There is none.
    """
    try:
        message: Any = json.loads(body)
    # RecursionError: thousands of brackets.
    except (ValueError, RecursionError) as err:
        raise ProblemError(400, 'Expected {"token": "…"} as JSON.') from err
    token = message.get("token") if isinstance(message, dict) else None
    if not isinstance(token, str):
        raise ProblemError(400, 'Expected {"token": "…"} as JSON.')
    return token
