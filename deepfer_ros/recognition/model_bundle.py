"""Read a model bundle: a folder with model files and `bundle.json`, which describes them.

`bundle.json` holds, beside metrics and provenance that the runtime does not read:

    {"format": 1, "name": "deepfer48",
     "labels": ["angry", …],
     "input": {"size_px": 48, "channels": 1, "crop_margin": 0.02},
     "files": {"model.tflite": {"sha256": "…"}, "model.keras": {"sha256": "…"}},
     "runtime_file": "model.tflite"}

`runtime_file` is the file that is run when only the bundle is named; `model.tflite` if left out.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deepfer_ros.recognition.errors import ModelError

BUNDLE_FILE = "bundle.json"
DEFAULT_MODEL_FILE = "model.tflite"
MODEL_SUFFIXES = (".tflite", ".keras")

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ModelBundle:
    """A checked description of one model file.

    Attributes:
        name: Name of the model.
        labels: Class labels in the order of the model's outputs.
        input_size_px: Side of the square grey crop that the model takes, in pixels.
        crop_margin: Border around a face box on every side, as a share of the box's longer side.
        model_path: The model file.
    """

    name: str
    labels: tuple[str, ...]
    input_size_px: int
    crop_margin: float
    model_path: Path


def load_bundle(model: str | Path) -> ModelBundle:
    """Find a model, check its files and return its description.

    Args:
        model: Name of a bundle that comes with deepfer (`deepfer48`), a bundle folder, or a model
            file (`.tflite` or `.keras`) inside a bundle folder.

    Raises:
        ModelError: The bundle or the file is missing, its description is wrong, or the file is
            not the one that was described (SHA-256).
    """
    try:
        folder, file_name = _locate(model)
    # RuntimeError: pathlib knows no home of the user whom ~user names.
    except (OSError, RuntimeError, ValueError) as err:
        reason = str(err).rstrip(".")
        raise ModelError(f"'{model!s:.200}' cannot be a path: {reason}.") from err
    description_path = folder / BUNDLE_FILE
    description = _read_json(description_path)
    file_name = file_name or _runtime_file(description)
    try:
        bundle = _parse(description, folder / file_name)
        sha256 = str(description["files"][file_name]["sha256"])
    except (KeyError, TypeError, ValueError, OverflowError) as err:
        raise ModelError(_explain(description, description_path, file_name, err)) from err
    _verify(bundle.model_path, sha256)
    return bundle


def find_models_folder() -> Path | None:
    """Return the folder of the bundles that come with deepfer, or None if it is not installed.

    A source tree and a symbolic-link installation have it beside the Python package; other
    installations have it under `share/deepfer` of the prefix.
    """
    for parent in Path(__file__).resolve().parents:
        for candidate in (parent / "share" / "deepfer" / "models", parent / "models"):
            # Other packages, too, have a folder of this name beside them.
            if any(candidate.glob(f"*/{BUNDLE_FILE}")):
                return candidate
    return None


def _locate(model: str | Path) -> tuple[Path, str | None]:
    """Return the bundle folder, and the model file in it if one was named."""
    if not str(model):
        raise ModelError("No model is named; give the name of one, or a bundle folder.")
    models_folder = find_models_folder()
    names = (
        []
        if models_folder is None
        else sorted(entry.parent.name for entry in models_folder.glob(f"*/{BUNDLE_FILE}"))
    )
    # Before a folder of that name: where a program is started must not decide about its model.
    if str(model) in names and models_folder is not None:
        return models_folder / str(model), None
    path = Path(model).expanduser()
    if path.suffix in MODEL_SUFFIXES:
        if not path.is_file():
            raise ModelError(f"Model file {path} does not exist.")
        return path.parent, path.name
    if path.is_dir():
        return path, None
    if path.exists():
        raise ModelError(
            f"Model {path} is neither a bundle folder nor a {' or '.join(MODEL_SUFFIXES)} file."
        )
    raise ModelError(
        f"Model '{model}' is neither a bundle that comes with deepfer "
        f"({', '.join(names) or 'none is installed'}) nor an existing folder or file."
    )


def _read_json(path: Path) -> Any:  # noqa: ANN401 - whatever JSON holds
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as err:
        raise ModelError(
            f"{path.parent} holds no {BUNDLE_FILE}; 'deepfer export' writes a bundle from a "
            "trained model."
        ) from err
    # RecursionError: brackets within brackets within brackets …
    except (OSError, ValueError, RecursionError) as err:
        raise ModelError(f"Cannot read {path}: {err}.") from err


def _runtime_file(description: object) -> str:
    """Return the file that a description wants to be run."""
    if isinstance(description, dict):
        return str(description.get("runtime_file", DEFAULT_MODEL_FILE))
    return DEFAULT_MODEL_FILE


def _parse(description: dict[str, Any], model_path: Path) -> ModelBundle:
    if description["format"] != _FORMAT:
        raise ValueError(f"format is {description['format']}, this deepfer reads {_FORMAT}")
    labels = tuple(description["labels"])
    if len(labels) < 2 or len(set(labels)) != len(labels):
        raise ValueError(f"labels must be two or more different names, got {labels}")
    if not all(isinstance(label, str) and label for label in labels):
        raise ValueError(f"labels must be names, got {labels}")
    model_input = description["input"]
    if model_input["channels"] != 1:
        raise ValueError(f"input.channels must be 1 (grey), got {model_input['channels']}")
    size_px, margin = int(model_input["size_px"]), float(model_input["crop_margin"])
    if not 8 <= size_px <= 1024:
        raise ValueError(f"input.size_px must be from 8 to 1024, got {size_px}")
    if not -0.25 <= margin <= 1:
        raise ValueError(f"input.crop_margin must be from -0.25 to 1, got {margin}")
    return ModelBundle(str(description["name"]), labels, size_px, margin, model_path)


def _explain(description: object, path: Path, file_name: str, err: Exception) -> str:
    """Say in one sentence what is wrong with a description."""
    if not isinstance(err, KeyError):
        return f"{path} is wrong: {err}."
    if err.args[0] != file_name or not isinstance(description, dict):
        return f"{path} is wrong: {err.args[0]} is missing."
    listed = ", ".join(description["files"]) or "no file"
    return f"{path} does not describe {file_name}; it describes {listed}."


def _verify(path: Path, sha256: str) -> None:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    # ValueError: a name that no file can have.
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) else err
        raise ModelError(f"Cannot read the model file {str(path)!r:.200}: {reason}.") from err
    if found != sha256:
        raise ModelError(
            f"The model file {path} is damaged or was replaced: its SHA-256 is {found}, "
            f"{BUNDLE_FILE} says {sha256}. Restore the file, or export the bundle again."
        )
