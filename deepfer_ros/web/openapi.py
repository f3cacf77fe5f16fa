"""The description of the HTTP interface, with what FastAPI cannot see in the code."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from deepfer_ros.web.schemas import Problem
from deepfer_ros.web.upload_routes import ANY_TYPE, IMAGE_TYPES, VIDEO_TYPES

DESCRIPTION = """\
Faces and their emotions: in the pictures of cameras, and in pictures and videos that are sent.

Errors are `application/problem+json` (RFC 9457). Nothing that is sent is stored. Beside these
requests there are three WebSockets: `/api/live?camera=NAME` (annotated pictures with their
emotions), `/api/emotions` (emotions as JSON) and `/api/browser-camera` (a browser as a camera);
docs/web.md describes them.
"""

_BODIES = {
    "/api/classify": ("The picture itself: JPEG, PNG, WebP, BMP, TIFF or PPM.", IMAGE_TYPES),
    "/api/classify-video": ("The video itself: MP4, MOV, WebM, Matroska or AVI.", VIDEO_TYPES),
}
_FILE = {"schema": {"type": "string", "format": "binary"}}
_SESSION_BODY = {
    "type": "object",
    "properties": {"token": {"type": "string"}},
    "required": ["token"],
}


def describe(application: FastAPI, *, needs_token: bool) -> dict[str, Any]:
    """Return the OpenAPI description of an application."""
    description: dict[str, Any] = get_openapi(
        title=application.title,
        version=application.version,
        description=application.description,
        routes=application.routes,
    )
    paths = description["paths"]
    for path, (text, media_types) in _BODIES.items():
        paths[path]["post"]["requestBody"] = {
            "description": text,
            "required": True,
            "content": {media_type: _FILE for media_type in (*media_types, ANY_TYPE)},
        }
    paths["/api/session"]["post"]["requestBody"] = {
        "required": True,
        "content": {"application/json": {"schema": _SESSION_BODY}},
    }
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = _problem_schema()
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for methods in paths.values():
        for operation in methods.values():
            # Every request can come under a wrong name or from a foreign page.
            for status, text in _everywhere(needs_token).items():
                operation["responses"].setdefault(status, _problem_response(text))
    if needs_token:
        description["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"}
        }
        description["security"] = [{"token": []}]
        paths["/api/session"]["post"]["security"] = []
    return description


def _everywhere(needs_token: bool) -> dict[str, str]:
    found = {"400": "Bad Request", "403": "Forbidden"}
    return {**found, "401": "Unauthorized"} if needs_token else found


def _problem_response(text: str) -> dict[str, Any]:
    return {
        "description": text,
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }


def _problem_schema() -> dict[str, Any]:
    # The same in pydantic 1 and 2.
    make = getattr(Problem, "model_json_schema", None) or Problem.schema
    schema: dict[str, Any] = make()
    return schema
