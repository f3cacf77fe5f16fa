"""Cut the faces out of the photographs in a folder."""

import os
import tempfile
from pathlib import Path

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from deepfer_ros.camera_sources import IMAGE_SUFFIXES
from deepfer_ros.cli.quiet import quiet_libraries
from deepfer_ros.recognition.cropping import crop_faces
from deepfer_ros.recognition.detection import FaceDetector, load_detector
from deepfer_ros.recognition.errors import ImageError, RecognitionError
from deepfer_ros.recognition.images import read_image
from deepfer_ros.recognition.model_bundle import ModelBundle, load_bundle
from deepfer_ros.recognition.types import FaceDetections

# All that `read_image` knows: data sets come in older formats, too.
_SUFFIXES = (*IMAGE_SUFFIXES, ".pgm", ".ppm", ".tif", ".tiff")
# As for single images elsewhere: nobody waits for the next frame.
_DETECTION_MAX_SIDE_PX = 640


def run_crop(photos: Path, output: Path, *, model: str, detector_name: str) -> None:
    """Crop the largest face of each photograph.

    Args:
        photos: A folder; all image files below it are taken, and links are followed.
        output: The folder to make. It appears when everything is done.
        model: Decides the size of the crops and the border around a face; see `load_bundle`.
        detector_name: See `load_detector`.

    Raises:
        click.ClickException: The folders, the model or the detector cannot be used, or there is
            no face.
        click.exceptions.Exit: With status 1, because a file could not be read.
    """
    _check_output(photos, output)
    try:
        paths = _find_images(photos)
    except OSError as err:
        raise click.ClickException(f"Cannot read {_name(err.filename)}: {err.strerror}.") from err
    if not paths:
        raise click.ClickException(
            f"{_name(photos)} holds no image, nor does a folder in it ({' '.join(_SUFFIXES)})."
        )
    cropper = _load_cropper(model, detector_name)
    try:
        with tempfile.TemporaryDirectory(dir=output.parent, prefix=f".{output.name}-") as place:
            crops = Path(place) / "crops"
            failed = _crop_all(paths, photos, crops, cropper)
            if not cropper.faces:
                raise click.ClickException(
                    f"No face was found in the {len(paths)} images of {_name(photos)}, so nothing "
                    "was saved."
                )
            crops.rename(output)
    except OSError as err:
        raise click.ClickException(f"Cannot write {_name(output)}: {err.strerror}.") from err
    size_px = cropper.bundle.input_size_px
    crowds = f" {cropper.crowds} show several: the largest was taken." if cropper.crowds else ""
    click.echo(
        f"{cropper.faces} of {len(paths)} images show a face: {size_px}x{size_px} pixels of each "
        f"are in {_name(output)}.{crowds}"
    )
    if failed:
        click.echo(f"{failed} could not be read.", err=True)
        raise click.exceptions.Exit(1)


class Cropper:
    """Finds the largest face of a picture.

    Args:
        detector: Finds the faces.
        bundle: What a model takes.

    Attributes:
        bundle: What a model takes.
        faces: Number of faces returned so far.
        crowds: Number of pictures so far that showed several.
    """

    def __init__(self, detector: FaceDetector, bundle: ModelBundle) -> None:
        self._detector = detector
        self.bundle = bundle
        self.faces = 0
        self.crowds = 0

    def crop(self, image_bgr: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
        """Return the largest face, uint8 (S, S), grey, as the model takes it; None without one.

        Args:
            image_bgr: uint8 (H, W, 3), BGR.
        """
        found = self._detector.detect(image_bgr)
        if not len(found):
            return None
        self.faces += 1
        self.crowds += len(found) > 1
        largest = [int(found.boxes_xywh[:, 2:].prod(axis=1).argmax())]
        face = FaceDetections(
            found.boxes_xywh[largest], found.landmarks[largest], found.confidences[largest]
        )
        (crop,) = crop_faces(
            image_bgr, face, size_px=self.bundle.input_size_px, margin=self.bundle.crop_margin
        )
        return crop


def _check_output(photos: Path, output: Path) -> None:
    """Refuse to touch what is there already, or to put crops among the photographs.

    Raises:
        click.ClickException: It would.
    """
    if os.path.lexists(output):
        raise click.ClickException(f"{_name(output)} exists already; choose another name.")
    if not os.path.isdir(output.parent):
        raise click.ClickException(f"The folder {_name(output.parent)} does not exist.")
    if Path(os.path.realpath(photos)) in Path(os.path.realpath(output)).parents:
        raise click.ClickException(
            f"{_name(output)} lies in {_name(photos)}; crops are no photographs, so choose a "
            "folder outside."
        )


def _find_images(photos: Path) -> list[Path]:
    """Return the image files below a folder, in the order of their names, without hidden ones.

    Links to folders are followed. Behind one, further links are followed to what has not been read
    behind it: folders that link to each other are not read along every way.

    Raises:
        OSError: A folder cannot be read.
    """
    images, links = _scan(photos, set())
    for link in links:
        # What a link lies in is not read behind it.
        seen = {os.path.realpath(place) for place in link.parents if place.is_relative_to(photos)}
        behind = [link]
        while behind:
            folder = behind.pop(0)
            if os.path.realpath(folder) not in seen:
                found, more = _scan(folder, seen)
                images += found
                behind += more
    return sorted(images)


def _scan(top: Path, seen: set[str]) -> tuple[list[Path], list[Path]]:
    """Return the image files of a folder and its own folders, and the links to others in them.

    Args:
        top: The folder.
        seen: Gets the real places of all folders that were read.

    Raises:
        OSError: A folder cannot be read.
    """
    images, links = [], []
    for place, folders, files in os.walk(top, onerror=_raise):
        seen.add(os.path.realpath(place))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        links += [Path(place, name) for name in folders if os.path.islink(Path(place, name))]
        shown = (Path(place, name) for name in files if not name.startswith("."))
        images += [path for path in shown if path.suffix.lower() in _SUFFIXES]
    return images, links


def _raise(error: OSError) -> None:
    raise error


def _load_cropper(model: str, detector_name: str) -> Cropper:
    try:
        with quiet_libraries():
            detector = load_detector(
                detector_name, max_side_px=_DETECTION_MAX_SIDE_PX, threads=os.cpu_count() or 1
            )
            # The first picture of a detector is when LiteRT announces itself.
            detector.detect(
                np.zeros((_DETECTION_MAX_SIDE_PX, _DETECTION_MAX_SIDE_PX, 3), np.uint8)
            )
            return Cropper(detector, load_bundle(model))
    except RecognitionError as err:
        raise click.ClickException(str(err)) from err


def _crop_all(paths: list[Path], photos: Path, crops: Path, cropper: Cropper) -> int:
    """Save the crop of each photograph, and return how many could not be read."""
    failed = 0
    console = Console(stderr=True, highlight=False)
    for path in track(
        paths, "Cropping", console=console, transient=True, disable=not console.is_terminal
    ):
        try:
            crop = cropper.crop(read_image(path))
        except ImageError as err:
            failed += 1
            console.print(str(err), style="red", markup=False, soft_wrap=True)
            continue
        if crop is None:
            console.print(f"{_name(path)}: no face was found.", markup=False, soft_wrap=True)
            continue
        place = path.relative_to(photos)
        target = crops / place.with_name(f"{place.name}.png")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(cv2.imencode(".png", crop)[1].tobytes())
    return failed


def _name(path: Path | str) -> str:
    """Return a path as text that can be printed, whatever bytes it has."""
    return click.format_filename(path)
