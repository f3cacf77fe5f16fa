"""What the core answered to a set of pictures when it was last found good.

Run this file to record it again, after a change that was meant to change the answers:

    python test/support/recognition_reference.py [YUNET_FILE]
"""

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from deepfer_ros.bench.frames import make_frames
from deepfer_ros.camera_sources import read_sample_photograph
from deepfer_ros.recognition.classifier import load_classifier
from deepfer_ros.recognition.detection import detector_statuses, load_detector
from deepfer_ros.recognition.model_bundle import find_models_folder, load_bundle
from deepfer_ros.recognition.recognizer import EmotionRecognizer

REFERENCE_PATH = Path(__file__).with_suffix(".json")
DETECTORS = ("yunet", "libfacedetection", "haar")
MODEL_FILES = ("model.tflite", "model_int8.tflite")

Reference = dict[str, Any]


def make_pictures() -> dict[str, NDArray[np.uint8]]:
    """Return the pictures, uint8 (H, W, 3) BGR, by name; always the same."""
    portrait = read_sample_photograph()
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3))
    small = np.full((480, 640, 3), 128, np.uint8)
    small[300:428, 400:528] = cv2.resize(portrait, (128, 128), interpolation=cv2.INTER_AREA)
    return {
        "one face, 640x480": make_frames((640, 480), 1).images_bgr[0],
        "one face, 1920x1080": make_frames((1920, 1080), 1).images_bgr[2],
        "four faces, 1280x720": make_frames((1280, 720), 4).images_bgr[3],
        "sixteen faces, 1280x720": make_frames((1280, 720), 16).images_bgr[0],
        "portrait": portrait,
        "mirrored": np.ascontiguousarray(portrait[:, ::-1]),
        "tilted": _tilt(portrait, 20.0),
        "dark": (portrait * 0.3).astype(np.uint8),
        "blurred": np.asarray(cv2.GaussianBlur(portrait, (0, 0), 2.0), np.uint8),
        "small": small,
        "cut off": np.ascontiguousarray(portrait[:, 210:]),
        "noise": noise.astype(np.uint8),
    }


def model_sha256(file: str) -> str:
    """Return the checksum of a file of the shipped model."""
    return hashlib.sha256(_model_path(file).read_bytes()).hexdigest()


def recognize_all(
    detector_name: str, model_file: str, yunet_file: Path | None = None
) -> Reference:
    """Return the faces of all pictures, as plain lists, by the pictures' names."""
    recognizer = EmotionRecognizer(
        load_detector(detector_name, yunet_file=yunet_file),
        load_classifier(load_bundle(_model_path(model_file))),
    )
    return {
        name: [
            {
                "box_xywh": _rounded(face.box_xywh, 1),
                "landmarks": _rounded(face.landmarks.reshape(-1), 1),
                "confidence": round(face.detection_confidence, 3),
                "probabilities": _rounded(face.probabilities, 3),
            }
            for face in recognizer.recognize(image_bgr, 0.0)
        ]
        for name, image_bgr in make_pictures().items()
    }


def _model_path(file: str) -> Path:
    folder = find_models_folder()
    assert folder is not None
    return folder / "deepfer48" / file


def _tilt(image_bgr: NDArray[np.uint8], angle_deg: float) -> NDArray[np.uint8]:
    height, width = image_bgr.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), angle_deg, 1.0)
    tilted = cv2.warpAffine(image_bgr, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(tilted, np.uint8)


def _rounded(values: NDArray[np.float32], decimals: int) -> list[float | None]:
    """Return numbers for JSON, which knows no NaN."""
    return [None if np.isnan(value) else round(float(value), decimals) for value in values]


def main(yunet_file: Path | None) -> None:
    """Record the answers of all detectors that are here; those of others stay as they were."""
    reference = json.loads(REFERENCE_PATH.read_text()) if REFERENCE_PATH.is_file() else {}
    available = {status.name for status in detector_statuses(yunet_file) if status.available}
    models = reference.setdefault("models", {})
    for file in MODEL_FILES:
        models[file] = model_sha256(file)
        for detector in DETECTORS:
            if detector in available:
                answers = recognize_all(detector, file, yunet_file)
                reference.setdefault("answers", {}).setdefault(detector, {})[file] = answers
    REFERENCE_PATH.write_text(json.dumps(reference, indent=None, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
