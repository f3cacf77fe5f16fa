"""Answer `classify_image` requests in a thread of their own, beside the stream."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Header

from deepfer.srv import ClassifyImage
from deepfer_ros.messages import to_compressed_image, to_emotion_array
from deepfer_ros.parameters import EmotionParameters
from deepfer_ros.recognition.drawing import draw_emotions
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.images import decode_image, read_image
from deepfer_ros.recognition.recognizer import EmotionRecognizer

# Requests may hold images of many megabytes, so only a few of them may wait.
_MAX_JOBS = 8
_NICENESS = 10


class StillImageClassifier:
    """Classifies single images, one at a time, in a thread of its own.

    Args:
        recognizer: Used by that thread alone.
        make_header: Returns the header of a result.
    """

    def __init__(self, recognizer: EmotionRecognizer, make_header: Callable[[], Header]) -> None:
        self._recognizer = recognizer
        self._make_header = make_header
        self._free_jobs = threading.Semaphore(_MAX_JOBS)
        self._pool = ThreadPoolExecutor(1, "still_images", initializer=_give_way_to_stream)

    def submit(
        self, request: ClassifyImage.Request, parameters: EmotionParameters
    ) -> "Future[ClassifyImage.Response]":
        """Start to answer a request, and return the answer to come.

        The future is cancelled if the classifier is stopped before it comes to the request.
        """
        if not self._free_jobs.acquire(blocking=False):
            busy: Future[ClassifyImage.Response] = Future()
            busy.set_result(refuse(f"{_MAX_JOBS} images are waiting already; try again later."))
            return busy
        job = self._pool.submit(self._answer, request, parameters)
        job.add_done_callback(lambda _: self._free_jobs.release())
        return job

    def stop(self) -> None:
        """Finish the image in progress, cancel those that wait, and end the thread."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _answer(
        self, request: ClassifyImage.Request, parameters: EmotionParameters
    ) -> ClassifyImage.Response:
        try:
            image_bgr = _load_image(request, parameters)
            self._recognizer.min_confidence = parameters.min_confidence
            faces = self._recognizer.recognize(image_bgr)
            header = self._make_header()
        except ImageError as err:
            return refuse(str(err))
        annotated, lost = CompressedImage(), ""
        if request.annotate:
            try:
                annotated = to_compressed_image(
                    draw_emotions(image_bgr, faces), header, quality=parameters.jpeg_quality
                )
            except ImageError as err:
                lost = f" There is no annotated image: {err}"
        height, width = image_bgr.shape[:2]
        return ClassifyImage.Response(
            success=True,
            message=f"{_count_faces(len(faces))} in an image of {width}x{height} pixels.{lost}",
            result=to_emotion_array(faces, header, self._recognizer.classifier.bundle.name),
            annotated=annotated,
        )


def refuse(reason: str) -> ClassifyImage.Response:
    """Return the answer to a request that cannot be fulfilled."""
    return ClassifyImage.Response(success=False, message=reason)


def _give_way_to_stream() -> None:
    """Let the stream go first where processors are short; on Linux each thread has a niceness."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # A node that is nicer already may not become less so, without rights of its own.
        niceness = max(os.getpriority(os.PRIO_PROCESS, thread), _NICENESS)
        # Where even that is forbidden, in a sandbox, it works all the same.
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, niceness)


def _load_image(
    request: ClassifyImage.Request, parameters: EmotionParameters
) -> NDArray[np.uint8]:
    """Return the image that a request names or holds.

    Raises:
        ImageError: It does neither or both, or that is not an image that can be accepted.
    """
    if bool(request.path) == bool(len(request.data)):
        given = "both" if request.path else "neither"
        raise ImageError(f"Give either path or data; the request has {given}.")
    if not request.path:
        return decode_image(memoryview(request.data), max_pixels=parameters.max_pixels)
    path = Path(request.path)
    if not path.is_absolute():
        raise ImageError(f"path must be absolute, on the node's machine; got '{request.path}'.")
    root = Path(parameters.image_root) if parameters.image_root else None
    return read_image(path, root=root, max_pixels=parameters.max_pixels)


def _count_faces(count: int) -> str:
    return {0: "No face", 1: "1 face"}.get(count, f"{count} faces")
