"""The process that reads uploads: what strangers send is decoded apart from everything else.

A line on standard output says that it is up. Then it takes requests on standard input and answers
on standard output; both are a line of JSON and as many bytes as that says. A picture that breaks a
decoder, takes too long or too much memory ends this process alone.
"""

import argparse
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.face_json import face_to_json
from deepfer_ros.recognition.classifier import load_classifier
from deepfer_ros.recognition.detection import load_detector
from deepfer_ros.recognition.drawing import draw_emotions
from deepfer_ros.recognition.errors import ImageError, RecognitionError
from deepfer_ros.recognition.images import decode_image, encode_image
from deepfer_ros.recognition.model_bundle import load_bundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.tracking import FaceTracker
from deepfer_ros.recognition.types import FaceEmotion
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.video import open_video

_NICENESS = 10
_MEMORY_BYTES = 6 * 1024**3
# Small faces matter in photographs; a video has a next frame.
_IMAGE_SIDE_PX = 640
_VIDEO_SIDE_PX = 320
_THREADS = 2
_SMOOTHING_S = 0.3


class Worker:
    """Answers requests with recognizers of its own.

    Args:
        model: See `load_bundle`.
        detector: See `load_detector`.
        yunet_file: See `load_detector`.
        limits: What is taken of an upload.

    Raises:
        RecognitionError: Model or detector cannot be used.
    """

    def __init__(
        self, model: str, detector: str, yunet_file: Path | None, limits: WebLimits
    ) -> None:
        self._limits = limits
        self._classifier = load_classifier(load_bundle(model), threads=_THREADS)
        self._image_detector, self._video_detector = (
            load_detector(detector, yunet_file=yunet_file, max_side_px=side_px, threads=_THREADS)
            for side_px in (_IMAGE_SIDE_PX, _VIDEO_SIDE_PX)
        )
        self.detector_name = self._image_detector.name

    def classify_image(self, data: bytes, name: str, *, annotate: bool) -> "Answer":
        """Return the faces of a picture.

        Raises:
            ImageError: It cannot be used.
        """
        image_bgr = decode_image(
            data,
            name=name,
            max_bytes=self._limits.image_bytes,
            max_pixels=self._limits.image_pixels,
        )
        faces = EmotionRecognizer(self._image_detector, self._classifier).recognize(image_bgr)
        height, width = image_bgr.shape[:2]
        result = {
            "path": name,
            "width": width,
            "height": height,
            "faces": [{"face_id": None, **face_to_json(face)} for face in faces],
        }
        return Answer(result, _annotate(image_bgr, faces) if annotate else b"")

    def classify_video(self, data: bytes, name: str, *, annotate: bool) -> "Answer":
        """Return the faces of the pictures of a video.

        Raises:
            ImageError: It cannot be used.
        """
        recognizer = EmotionRecognizer(
            self._video_detector,
            self._classifier,
            tracker=FaceTracker(smoothing_s=_SMOOTHING_S, deterministic_ids=True),
        )
        frames: list[dict[str, Any]] = []
        best, best_time_s, best_score = None, None, -1.0
        with open_video(data, name, self._limits) as video:
            for frame in video.frames():
                faces = recognizer.recognize(frame.image_bgr, frame.time_s)
                listed = [{"face_id": face.face_id, **face_to_json(face)} for face in faces]
                frames.append({"time_s": frame.time_s, "faces": listed})
                score = sum(face.detection_confidence for face in faces)
                if annotate and score > best_score:
                    best, best_time_s, best_score = (frame.image_bgr, faces), frame.time_s, score
        result = {
            "path": name,
            "width": video.width,
            "height": video.height,
            "duration_s": video.duration_s,
            "sampled_rate_hz": self._limits.video_rate_hz,
            "truncated": video.truncated,
            "frames": frames,
            "annotated_time_s": best_time_s,
        }
        return Answer(result, _annotate(*best) if best is not None else b"")


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an upload.

    Attributes:
        result: As JSON holds it.
        jpeg: The annotated picture, if it was wanted.
    """

    result: dict[str, Any]
    jpeg: bytes = b""


def _annotate(image_bgr: NDArray[np.uint8], faces: Sequence[FaceEmotion]) -> bytes:
    return encode_image(draw_emotions(image_bgr, faces), ".jpg")


def serve(requests: BinaryIO, answers: BinaryIO, load: Callable[[], Worker]) -> None:
    """Answer requests until there are no more.

    Args:
        requests: Lines `{"kind": "image" | "video", "name", "annotate", "bytes"}`, each followed
            by the bytes of the upload.
        answers: Lines `{"result", "detector", "bytes"}`, each followed by the bytes of a picture,
            or `{"status", "detail", "bytes": 0}`.
        load: Makes the worker; called again for each request until it succeeds.
    """
    worker: Worker | None = None
    while line := requests.readline():
        request = json.loads(line)
        data = requests.read(request["bytes"])
        if len(data) < request["bytes"]:
            return
        try:
            worker = worker or load()
            classify = (
                worker.classify_video if request["kind"] == "video" else worker.classify_image
            )
            answer = classify(data, request["name"], annotate=request["annotate"])
        except ImageError as err:
            head, jpeg = {"status": 422, "detail": str(err)}, b""
        except RecognitionError as err:
            head, jpeg = {"status": 503, "detail": f"Nothing can be classified: {err}"}, b""
        except MemoryError:
            head, jpeg = {"status": 413, "detail": "It takes too much memory."}, b""
        else:
            head, jpeg = {"result": answer.result, "detector": worker.detector_name}, answer.jpeg
        answers.write(json.dumps({**head, "bytes": len(jpeg)}).encode() + b"\n" + jpeg)
        answers.flush()


def main(arguments: list[str] | None = None) -> None:
    """Serve on standard input and output."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--detector", required=True)
    parser.add_argument("--yunet-file", type=Path)
    parser.add_argument("--limits", type=json.loads, default={})
    options = parser.parse_args(arguments)
    os.nice(_NICENESS)
    _limit_memory()
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # Whatever libraries print goes to standard error: answers have standard output to themselves.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # Ctrl-C reaches the whole group of the terminal; who started this process ends it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def load() -> Worker:
        limits = WebLimits(**options.limits)
        return Worker(options.model, options.detector, options.yunet_file, limits)

    answers.write(b"up\n")
    answers.flush()
    serve(sys.stdin.buffer, answers, load)


def _limit_memory() -> None:
    """Let what takes too much memory fail here, not somewhere else on the machine."""
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    allowed = _MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(_MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_AS, (allowed, hard))


if __name__ == "__main__":
    main()
