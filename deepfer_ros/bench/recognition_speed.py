"""How long `recognize()` takes, by size of the picture and number of faces."""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass

from deepfer_ros.bench.frames import FrameSet
from deepfer_ros.bench.timing import Timing, measure
from deepfer_ros.recognition.recognizer import EmotionRecognizer

_FRAME_PERIOD_S = 1 / 30


@dataclass(frozen=True, slots=True)
class RecognitionSpeed:
    """What `recognize()` took for frames of one kind.

    Attributes:
        width: Width of the frames in pixels.
        height: Height in pixels.
        faces: How many faces the frames show.
        found: The fewest and the most faces that were found in one of them.
        timing: Of the single frames.
        frames_per_s: How many of them fit into a second, by the median.
    """

    width: int
    height: int
    faces: int
    found: tuple[int, int]
    timing: Timing
    frames_per_s: float


def measure_recognition(
    recognizer: EmotionRecognizer, frame_sets: Iterable[FrameSet], *, seconds: float
) -> tuple[RecognitionSpeed, ...]:
    """Recognize frames of several kinds, for so many seconds each."""
    return tuple(_measure(recognizer, frames, seconds) for frames in frame_sets)


def _measure(recognizer: EmotionRecognizer, frames: FrameSet, seconds: float) -> RecognitionSpeed:
    images = itertools.cycle(frames.images_bgr)
    times_s = itertools.count(step=_FRAME_PERIOD_S)
    counts: set[int] = set()

    def recognize_next() -> None:
        counts.add(len(recognizer.recognize(next(images), next(times_s))))

    if recognizer.tracker is not None:
        recognizer.tracker.reset()
    timing = measure(recognize_next, seconds=seconds)
    width, height = frames.size_wh
    return RecognitionSpeed(
        width,
        height,
        frames.faces,
        found=(min(counts), max(counts)),
        timing=timing,
        frames_per_s=1000 / timing.median_ms,
    )
