"""Find trained models, and read and write the bundles that describe them.

A bundle is a folder with model files and `bundle.json`, format 1:

    {"format": 1, "name": "deepfer48",
     "labels": ["angry", …],
     "input": {"size_px": 48, "channels": 1, "crop_margin": 0.1},
     "files": {"model.tflite": {"sha256": "…"}, "model.keras": {"sha256": "…"}},
     "metrics": {…}, "provenance": {…}}

`files` names what the folder holds; `metrics` may name further files that were measured and left
out, see `deepfer export --without`.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from deepfer_training.errors import ModelFileError

BUNDLE_FILE = "bundle.json"
BUNDLE_FORMAT = 1
KERAS_FILE = "model.keras"
LITERT_FILE = "model.tflite"
FLOAT16_FILE = "model_float16.tflite"
INT8_FILE = "model_int8.tflite"
ONNX_FILE = "model.onnx"
MODEL_SUFFIXES = (".tflite", ".keras", ".onnx")
MODEL_FILE_HELP = ".tflite, .keras or .onnx file"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model file and what its bundle says about it.

    Attributes:
        path: The file.
        name: Name of the bundle, or of the file where there is no bundle.
        labels: Class labels in the order of the outputs, or None where there is no bundle.
        crop_margin: Border that the runtime adds around a face, as a share of its side, or None
            where there is no bundle.
    """

    path: Path
    name: str
    labels: tuple[str, ...] | None = None
    crop_margin: float | None = None


def find_model(model: str | Path) -> ModelFile:
    """Find a model and read the description beside it, if there is one.

    Args:
        model: Name of a bundle that comes with deepfer, a bundle folder, a run folder of
            `deepfer train` with one model, or a `.tflite`, `.keras` or `.onnx` file.

    Raises:
        ModelFileError: There is no such model, or its bundle is wrong or does not fit the file.
    """
    if not str(model):
        raise ModelFileError(
            "The name of the model is empty; give the name of a bundle, a folder or a "
            f"{MODEL_FILE_HELP}."
        )
    names = shipped_models()
    # Before a folder of that name, as in the runtime.
    if str(model) in names:
        return _model_in(names[str(model)])
    try:
        path = Path(model).expanduser()
    except RuntimeError as err:
        raise ModelFileError(
            f"Model '{model}' cannot be found: the home folder of '{Path(model).parts[0]}' is not "
            "known. Write './' before a name that begins with '~'."
        ) from err
    try:
        if path.is_dir():
            return _model_in(path)
        if path.is_file() and path.suffix in MODEL_SUFFIXES:
            return describe_model_file(path)
        if path.exists():
            raise ModelFileError(f"{path} is neither a folder nor a {MODEL_FILE_HELP}.")
    except OSError as err:
        raise ModelFileError(f"Cannot read the model '{model}': {err.strerror}.") from err
    raise ModelFileError(
        f"Model '{model}' is neither an existing file or folder nor a bundle that comes with "
        f"deepfer ({', '.join(sorted(names)) or 'none is installed'})."
    )


def shipped_models() -> dict[str, Path]:
    """Return the folders of the bundles that come with deepfer, by name.

    A source tree has them beside this package; an installation has them under `share/deepfer`.
    """
    for parent in Path(__file__).resolve().parents:
        for folder in (parent / "share" / "deepfer" / "models", parent / "models"):
            if folder.is_dir():
                return {path.parent.name: path.parent for path in folder.glob(f"*/{BUNDLE_FILE}")}
    return {}


def describe_model_file(path: Path) -> ModelFile:
    """Return what the bundle beside a model file says about it, or little if there is none.

    Raises:
        ModelFileError: There is a bundle, but it is wrong or does not fit the file.
    """
    bundle_path = path.parent / BUNDLE_FILE
    if not bundle_path.exists():
        return ModelFile(path, name=path.stem)
    bundle = read_bundle(path.parent)
    entry = bundle["files"].get(path.name)
    if entry is None:
        raise ModelFileError(
            f"{bundle_path} does not describe {path.name}; "
            f"it describes {', '.join(bundle['files'])}."
        )
    found = file_sha256(path)
    if found != entry["sha256"]:
        raise ModelFileError(
            f"{path} is damaged or was replaced: its SHA-256 is {found}, "
            f"{BUNDLE_FILE} says {entry['sha256']}."
        )
    return ModelFile(
        path, bundle["name"], tuple(bundle["labels"]), float(bundle["input"]["crop_margin"])
    )


def read_bundle(folder: Path) -> dict[str, Any]:
    """Read `bundle.json` of a bundle folder.

    Raises:
        ModelFileError: It is missing, is not JSON, has another format or lacks a part.
    """
    path = folder / BUNDLE_FILE
    try:
        bundle = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
        if bundle["format"] != BUNDLE_FORMAT:
            raise ModelFileError(
                f"{path} has format {bundle['format']}, expected {BUNDLE_FORMAT}."
            )
        str(bundle["name"]), ", ".join(bundle["labels"]), float(bundle["input"]["crop_margin"])
        {name: str(entry["sha256"]) for name, entry in bundle["files"].items()}
    # A RecursionError means more brackets than Python follows.
    except (OSError, ValueError, RecursionError) as err:
        raise ModelFileError(f"Cannot read {path}: {err}.") from err
    except (KeyError, TypeError, AttributeError) as err:
        raise ModelFileError(f"{path} is no description of a bundle: {err!r}.") from err
    return dict(bundle)


def _refuse_constant(name: str) -> NoReturn:
    # Python reads NaN and Infinity, but other programs do not: JSON has no such numbers.
    raise ValueError(f"it holds {name}, which is no number")


def format_json(value: Any, *, width: int = 120) -> str:  # noqa: ANN401 - whatever JSON holds
    """Return JSON to be read by people: what fits into a line stays in one.

    Raises:
        ValueError: It holds NaN or an infinite number, which JSON has not.
    """
    return _format_json(value, 0, width) + "\n"


def _format_json(value: Any, indent: int, width: int) -> str:  # noqa: ANN401
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if indent + len(text) <= width or not isinstance(value, dict | list) or not value:
        return text
    inner = indent + 2
    if isinstance(value, dict):
        parts = [
            f"{json.dumps(key, ensure_ascii=False)}: {_format_json(item, inner, width)}"
            for key, item in value.items()
        ]
    else:
        parts = [_format_json(item, inner, width) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    lines = ",\n".join(" " * inner + part for part in parts)
    return f"{opening}\n{lines}\n{' ' * indent}{closing}"


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's content.

    Raises:
        ModelFileError: The file cannot be read.
    """
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as err:
        raise ModelFileError(f"Cannot read {path}: {err.strerror}.") from err


def shown_path(path: Path) -> str:
    """Return a path as a record may show it: without where it lies on this machine."""
    return path_name(path) if path.is_absolute() or ".." in path.parts else str(path)


def path_name(path: str | Path) -> str:
    """Return the name of a file or folder, also of one that is given as `.` or `..`."""
    return os.path.basename(os.path.abspath(path))


def _model_in(folder: Path) -> ModelFile:
    """Return the LiteRT model of a bundle folder, or the Keras model of a run folder."""
    if (folder / BUNDLE_FILE).exists():
        return describe_model_file(folder / LITERT_FILE)
    return ModelFile(find_keras_model(folder), name=folder.resolve().name)


def find_keras_model(folder: Path) -> Path:
    """Return the Keras model of a bundle folder or of a run folder with one model.

    Raises:
        ModelFileError: There is none, or more than one.
    """
    paths = sorted(folder.glob("*.keras"))
    if not paths:
        raise ModelFileError(
            f"{folder} holds neither {BUNDLE_FILE} nor a .keras file: it is no bundle and no "
            "finished run. 'deepfer train … --resume' goes on with a run that was broken off."
        )
    if len(paths) > 1:
        raise ModelFileError(
            f"{folder} holds several models; give one of {', '.join(map(str, paths))}."
        )
    return paths[0]
