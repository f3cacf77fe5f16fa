"""Find YuNet's model file, or fetch it once while setting up.

YuNet is a small face detector with five landmarks (Wu et al., "YuNet: A Tiny Millisecond-level
Face Detector", Machine Intelligence Research 2023). Its file is not part of deepfer: it comes
from OpenCV's model zoo and is checked against the SHA-256 below.
"""

import hashlib
import os
import tempfile
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from deepfer_ros.recognition.errors import DetectorError

YUNET_VARIABLE = "DEEPFER_YUNET_FILE"
"""Environment variable that may name the file."""

_ZOO_URL = "https://github.com/opencv/opencv_zoo/raw/main/models/face_detection_yunet/"
_TIMEOUT_S = 15.0
_MAX_BYTES = 4_000_000


@dataclass(frozen=True, slots=True)
class _Release:
    file_name: str
    sha256: str


# Best first.
_RELEASES = (
    _Release(
        "face_detection_yunet_2026may.onnx",
        "ebafce4e3c118d6554634be5c27ab333b4c047a9a8c3faf1d7cf93101c22f0f0",
    ),
    _Release(
        "face_detection_yunet_2023mar.onnx",
        "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    ),
)


def cache_folder() -> Path:
    """Return the folder that fetched files are kept in (XDG base directory specification).

    Raises:
        DetectorError: This user has no home, as may be in a container.
    """
    root = os.environ.get("XDG_CACHE_HOME", "")
    # The specification has relative paths ignored.
    if Path(root).is_absolute():
        return Path(root) / "deepfer"
    try:
        return Path.home() / ".cache" / "deepfer"
    except RuntimeError as err:
        raise DetectorError(
            "This user has no home folder to keep files in; set HOME or XDG_CACHE_HOME."
        ) from err


def find_yunet_file(path: Path | None = None) -> Path | None:
    """Return YuNet's file, or None if there is none.

    Args:
        path: The user's choice. Without one, `DEEPFER_YUNET_FILE` and then the cache folder are
            looked at.

    Raises:
        DetectorError: The user named a file that does not exist or cannot be reached.
    """
    named = path or os.environ.get(YUNET_VARIABLE)
    # Not pathlib's own methods, which raise for an unknown ~user, a name that is too long or a
    # folder that may not be entered.
    if named:
        chosen = Path(os.path.expanduser(named))
        if not os.path.isfile(chosen):
            raise DetectorError(
                f"YuNet file {chosen!s:.200} does not exist or cannot be reached. Give the path "
                f"of {_RELEASES[0].file_name}, or run 'deepfer fetch-detector'."
            )
        return chosen
    try:
        folder = cache_folder()
    except DetectorError:
        return None
    cached = (folder / release.file_name for release in _RELEASES)
    return next((file for file in cached if os.path.isfile(file)), None)


def fetch_yunet_file() -> Path:
    """Return YuNet's file from the cache folder, fetched and checked if it is not there yet.

    For set-up only: a node never downloads anything.

    Raises:
        DetectorError: The file could not be fetched or written, or is not the expected one.
    """
    reasons = []
    for release in _RELEASES:
        target = cache_folder() / release.file_name
        try:
            is_there = os.path.isfile(target) and _sha256(target.read_bytes()) == release.sha256
            if not is_there:
                _fetch(release, target)
        # HTTPException: an answer that is cut off, or no HTTP at all.
        except (OSError, HTTPException, DetectorError) as err:
            reasons.append(f"{release.file_name}: {err}")
            continue
        return target
    raise DetectorError(
        f"Could not fetch YuNet from {_ZOO_URL} ({'; '.join(reasons)}). Put the file into "
        f"{cache_folder()} yourself, or use the detector 'libfacedetection' or 'haar'."
    )


def _fetch(release: _Release, target: Path) -> None:
    with urllib.request.urlopen(_ZOO_URL + release.file_name, timeout=_TIMEOUT_S) as response:
        data = response.read(_MAX_BYTES)
    found = _sha256(data)
    if found != release.sha256:
        raise DetectorError(f"SHA-256 is {found}, expected {release.sha256}")
    target.parent.mkdir(parents=True, exist_ok=True)
    # A file of the final name is always whole, also after a crash in between.
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        whole = Path(folder) / target.name
        whole.write_bytes(data)
        os.replace(whole, target)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
