"""What a visitor may take of the machine."""

import math
from dataclasses import dataclass

from deepfer_ros.recognition.images import MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Limits of the web server. Beyond them a request is refused, with the limit in the answer.

    Attributes:
        cameras: Cameras that are shown.
        connections: Open connections; more are closed at once.
        viewers: WebSockets on which pictures or results go out.
        request_head_s: Time in which a connection must send a request.
        image_bytes: Size of an uploaded picture.
        image_pixels: Width times height of an uploaded picture.
        image_s: Time in which a picture must be classified.
        video_bytes: Size of an uploaded video.
        video_pixels: Width times height of a video's pictures.
        video_seconds: Of a longer video, the beginning is classified.
        video_rate_hz: Pictures a second that are taken from a video.
        video_s: Time in which a video must be classified.
        uploads: Uploads on the machine at once: one is classified, the others wait.
        upload_pause_s: Longest pause of an upload under way.
        upload_s: Time in which an upload must arrive.
        send_s: Time in which a viewer must take a picture or a result.
        pictures_under_way: Pictures that a viewer may have been sent and not yet acknowledged.
        camera_bytes: Size of a picture of a browser's camera.
        camera_pixels: Width times height of such a picture.
        camera_rate_hz: Pictures a second from a browser's camera.
        camera_pause_s: Longest pause of a browser's camera.
        camera_faults: Pictures in a row that may be refused before the camera is closed.
    """

    cameras: int = 16
    connections: int = 256
    viewers: int = 32
    request_head_s: float = 10.0
    image_bytes: int = MAX_IMAGE_BYTES
    image_pixels: int = MAX_IMAGE_PIXELS
    image_s: float = 60.0
    video_bytes: int = 64 * 1024 * 1024
    video_pixels: int = 3840 * 2160
    video_seconds: float = 60.0
    video_rate_hz: float = 5.0
    video_s: float = 180.0
    uploads: int = 5
    upload_pause_s: float = 10.0
    upload_s: float = 180.0
    send_s: float = 10.0
    pictures_under_way: int = 2
    camera_bytes: int = 1024 * 1024
    camera_pixels: int = 1920 * 1080
    camera_rate_hz: float = 15.0
    camera_pause_s: float = 30.0
    camera_faults: int = 30

    @property
    def video_frames(self) -> int:
        """Pictures that are taken from a video at most."""
        return math.ceil(self.video_seconds * self.video_rate_hz)
