"""The JSON of the HTTP interface, for its OpenAPI description."""

from enum import Enum
from http import HTTPStatus
from typing import Any, Optional

from pydantic import BaseModel, Field

from deepfer_ros.web.problems import PROBLEM_TYPE

# Optional[X] instead of X | None: pydantic 1 does not know the new spelling.
# ruff: noqa: UP045


class ResultFormat(str, Enum):
    """The form of a result: JSON, a table of one row a face, or the annotated picture."""

    json = "json"
    csv = "csv"
    jpeg = "jpeg"


class Problem(BaseModel):
    """Why a request cannot be fulfilled (RFC 9457)."""

    title: str = Field(..., description="The meaning of the status.")
    status: int = Field(..., description="The HTTP status.")
    detail: str = Field(..., description="One sentence for people.")


class Camera(BaseModel):
    """A camera that the emotion node serves."""

    name: str = Field(..., description="main is the one of the plain topic 'emotions'.")
    topic: Optional[str] = Field(None, description="Topic of its results.")
    image_topic: Optional[str] = Field(None, description="Topic of its annotated pictures.")
    state: str = Field(..., description="live, silent or absent.")
    rate_hz: Optional[float] = Field(None, description="Results a second.")
    latency_ms: Optional[float] = Field(None, description="Age of a result's picture here.")
    faces: Optional[int] = Field(None, description="Faces in the newest picture.")
    model: Optional[str] = Field(None, description="Name of the model.")
    last_frame_age_s: Optional[float] = Field(None, description="Seconds since a result came.")
    viewers: int = Field(..., description="How many look at its pictures.")


class Cameras(BaseModel):
    """The cameras that there are."""

    cameras: list[Camera]


class Face(BaseModel):
    """A face and the emotion that its expression shows; pixels of the whole picture."""

    face_id: Optional[str] = Field(None, description="Lasting while tracked; null in a picture.")
    box_xywh: list[float] = Field(..., description="Left, top, width, height.")
    landmarks: Optional[list[list[float]]] = Field(None, description="Five points x, y.")
    detection_confidence: float
    emotion: str = Field(..., description="A label, or unknown.")
    confidence: float
    probabilities: dict[str, float] = Field(..., description="Of every label; the sum is 1.")


class PictureResult(BaseModel):
    """The faces of a picture."""

    path: str = Field(..., description="The name that the request gave.")
    width: int
    height: int
    faces: list[Face]
    annotated_jpeg_base64: Optional[str] = Field(None, description="If annotate is true.")


class VideoFrame(BaseModel):
    """The faces of one picture of a video."""

    time_s: float
    faces: list[Face]


class VideoResult(BaseModel):
    """The faces in the pictures taken from a video."""

    path: str = Field(..., description="The name that the request gave.")
    width: int
    height: int
    duration_s: Optional[float] = Field(None, description="If the file says it.")
    sampled_rate_hz: float = Field(..., description="Pictures a second that were taken.")
    truncated: Optional[str] = Field(None, description="Why not all of it was read.")
    frames: list[VideoFrame]
    annotated_time_s: Optional[float] = Field(None, description="Of the annotated picture.")
    annotated_jpeg_base64: Optional[str] = Field(None, description="If annotate is true.")


class Classifier(BaseModel):
    """What classifies uploads."""

    model: str
    detector: Optional[str] = Field(None, description="Known once it was loaded.")
    state: str = Field(..., description="idle (not loaded), ready or busy.")


class BrowserCameraStatus(BaseModel):
    """What a browser may send as a camera."""

    enabled: bool
    active: bool = Field(..., description="Whether a browser sends now.")
    camera: str = Field(..., description="Name of the camera that it becomes.")
    max_rate_hz: float
    max_bytes: int
    max_pixels: int


class Limits(BaseModel):
    """What uploads may take."""

    image_bytes: int
    image_pixels: int
    video_bytes: int
    video_pixels: int
    video_seconds: float
    video_frames: int
    uploads_waiting: int


class AcceptedTypes(BaseModel):
    """The media types of uploads."""

    image: list[str]
    video: list[str]


class Status(BaseModel):
    """The state of the server."""

    name: str
    version: str
    uptime_s: float
    labels: list[str] = Field(..., description="In the order of the model.")
    cameras: int
    viewers: int
    classifier: Classifier
    browser_camera: BrowserCameraStatus
    limits: Limits
    accepted_types: AcceptedTypes


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the description of what is answered with these statuses."""
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": schema}},
        }
        for status in statuses
    }
