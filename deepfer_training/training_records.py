"""Read what is recorded about a training beside the models that came out of it.

Without Keras, which takes seconds to import and which LiteRT and ONNX files do not need.
"""

import json
from pathlib import Path
from typing import Any

from deepfer_training.errors import ModelFileError, RunError
from deepfer_training.model_files import BUNDLE_FILE, read_bundle

RECIPE_FILE = "recipe.json"
RUN_FILE = "run.json"


def read_run_file(path: Path) -> dict[str, Any]:
    """Read one of the JSON files of a run folder.

    Raises:
        RunError: It is missing or damaged.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise TypeError(f"it holds {values!r:.30} instead of fields")
    except (OSError, ValueError, TypeError, RecursionError) as err:
        raise RunError(f"Cannot read {path}: {err}. Start again in another folder.") from err
    return values


def read_recipe(folder: Path) -> dict[str, Any] | None:
    """Return the recipe that a model was trained by, or None if nobody recorded it.

    Args:
        folder: The bundle or run folder in which the model lies.

    Raises:
        ModelFileError: The bundle's description is damaged, or the recipe in it is none.
        RunError: The recipe in the run folder is damaged.
    """
    if (folder / BUNDLE_FILE).exists():
        try:
            recipe = read_bundle(folder).get("provenance", {}).get("recipe")
        except AttributeError as err:
            raise ModelFileError(
                f"The provenance in {folder / BUNDLE_FILE} is no mapping of fields."
            ) from err
    else:
        path = folder / RECIPE_FILE
        recipe = read_run_file(path) if path.exists() else None
    if not isinstance(recipe, dict | None):
        raise ModelFileError(
            f"The recipe in {folder} must be a mapping of fields, got {recipe!r}."
        )
    return recipe


def public_test_share(recipe: dict[str, Any] | None) -> float:
    """Return the share of PublicTest that a model has learned from, 0 if that is not known.

    Args:
        recipe: What `read_recipe` returned.

    Raises:
        ModelFileError: The recipe does not give a share.
    """
    # Recipes of older versions have no such field.
    share = (recipe or {}).get("public_test_share", 0.0)
    if not isinstance(share, int | float) or not 0 <= share < 1:
        raise ModelFileError(
            f"public_test_share in the record of the recipe is {share!r}, allowed: 0 to below 1."
        )
    return share
