"""Turn a trained model into a bundle: Keras, LiteRT and ONNX files, description, model card."""

import dataclasses
import os
import platform
import shlex
import shutil
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from deepfer_training.archives import VOTE_TABLES
from deepfer_training.batches import meant_labels, watched_labels
from deepfer_training.calibration import apply_temperature, fit_temperature, fold_temperature
from deepfer_training.config import config_from_dict
from deepfer_training.conversion import (
    convert_to_float16,
    convert_to_float32,
    convert_to_int8,
    convert_to_onnx,
)
from deepfer_training.errors import ConfigError, DatasetError, ExportError, ModelFileError
from deepfer_training.evaluation import (
    Evaluation,
    Reference,
    evaluate,
    label_sets_to_json,
    load_ordered_predictor,
    score_label_sets,
)
from deepfer_training.fer2013 import IMAGE_SIZE_PX, LABELS, FaceDataset
from deepfer_training.inference import KerasPredictor, load_keras_model, predict
from deepfer_training.metrics import expected_calibration_error
from deepfer_training.model_card import CARD_FILE, write_card, write_charts
from deepfer_training.model_files import (
    BUNDLE_FILE,
    BUNDLE_FORMAT,
    FLOAT16_FILE,
    INT8_FILE,
    KERAS_FILE,
    LITERT_FILE,
    ONNX_FILE,
    ModelFile,
    file_sha256,
    find_keras_model,
    find_model,
    format_json,
    path_name,
    read_bundle,
    shown_path,
)
from deepfer_training.recipe_description import commands_of, commands_of_bundle
from deepfer_training.seed_summary import LABEL_SETS, read_scores, summarize
from deepfer_training.training_records import (
    RUN_FILE,
    public_test_share,
    read_recipe,
    read_run_file,
)

CALIBRATION_LABELS = ("auto", "fer2013", "ferplus", "none")
"""Which labels the probabilities may be calibrated for; auto takes those that the last training of
the recipe was for."""

_DEFAULT_CROP_MARGIN = 0.1
# The ranges of an int8 file reach from the smallest to the largest value that occurs in them: more
# pictures hold rarer values, and all others are told apart less well (docs/training.md, "Export").
_EXAMPLES = 100


@dataclass(frozen=True, slots=True)
class ExportFormat:
    """A kind of file in a bundle, made from the Keras model.

    Attributes:
        name: What `export_bundle` calls it.
        file: Name of the file.
        convert: Makes the content from a Keras model and example pictures (N, S, S).
        largest_difference: How far any probability of any picture may be from the Keras model's.
        largest_loss: How much lower the accuracy may be than the Keras model's, as a share.
    """

    name: str
    file: str
    convert: Callable[[keras.Model, NDArray[np.uint8]], bytes]
    largest_difference: float
    largest_loss: float


FORMATS = (
    ExportFormat("float32", LITERT_FILE, convert_to_float32, 1e-3, largest_loss=0.001),
    ExportFormat("float16", FLOAT16_FILE, convert_to_float16, 0.05, largest_loss=0.003),
    ExportFormat("int8", INT8_FILE, convert_to_int8, 1.0, largest_loss=0.003),
    ExportFormat("onnx", ONNX_FILE, convert_to_onnx, 1e-3, largest_loss=0.001),
)

OPTIONAL_FORMATS = ("float16", "int8", "onnx")
"""Formats that a bundle can do without. The float32 file is what the reported figures are of."""


@dataclass(frozen=True, slots=True)
class _Source:
    """A trained model and what is known about how it came about."""

    path: Path
    model: keras.Model
    crop_margin: float
    recipe: dict[str, Any] | None
    training: dict[str, Any] | None
    head: dict[str, Any] | None
    calibration: dict[str, Any] | None
    """What is told about the temperature in its logits, if it comes from a bundle."""
    builds_on: list[str]
    """The commands that made the bundle, if it comes from one."""

    @property
    def seed(self) -> int | None:
        return None if self.recipe is None else self.recipe.get("seed")

    @property
    def commands(self) -> list[str]:
        return self.builds_on or commands_of(self.training or {})

    @property
    def public_test_share(self) -> float:
        return public_test_share(self.recipe)

    @property
    def models_before(self) -> tuple[bool, int]:
        """Whether it started from another run, and how many teachers it had."""
        training = self.training or {}
        return "start" in training, len(training.get("teachers", ()))


def export_bundle(
    source: Path,
    output: Path,
    dataset: FaceDataset,
    *,
    calibrate: str = "auto",
    without: Collection[str] = (),
    other_seeds: Sequence[Path] = (),
    replace: bool = False,
    command: str = "deepfer export",
    report: Callable[[str], None] = print,
) -> Path:
    """Write a bundle whose files are all checked against the trained model.

    Everything is decided on PublicTest: the temperature, and whether a file is good enough.
    PrivateTest is only measured, for the model card.

    Args:
        source: Run folder of `deepfer train` with one model, bundle folder or `.keras` file.
        output: Folder of the bundle; its name is the bundle's name. Where it is a symbolic link,
            the folder that it leads to.
        dataset: FER-2013, with or without FER+ votes.
        calibrate: One of `CALIBRATION_LABELS`.
        without: Names of the `OPTIONAL_FORMATS` that are left out of the folder. They are
            measured for the card all the same, and may lose what they like.
        other_seeds: Models that the same recipe made from other seeds, like `source`. The card
            tells mean and spread of the scores of all.
        replace: Replace a bundle that is there already.
        command: The command that does this, for the model card.
        report: Called with one line a step.

    Returns:
        The folder of the bundle, an absolute path without links.

    Raises:
        DatasetError: The data set lacks a split, or votes that are asked for.
        ExportError: The output exists or cannot be written, a file loses too much, or another
            seed's model is not of the same recipe; nothing is written then.
        ModelFileError: The source is not a trained model.
        RunError: The run folder's files are damaged.
    """
    shown_output, output = shown_path(output), _resolve_output(output)
    try:
        _restore(output)
    except OSError as err:
        raise _cannot_write(output.parent, err) from err
    _check_output(output, replace=replace)
    trained = _read_source(source)
    others = [_read_source(other) for other in other_seeds]
    _check_same_recipe([trained, *others])
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{output.name}-", dir=output.parent))
    except OSError as err:
        raise _cannot_write(output.parent, err) from err
    try:
        bundle = _write_files(trained, folder, output.name, dataset, calibrate, without, report)
        if others:
            bundle["seeds"] = _measure_seeds([trained, *others], dataset, calibrate, report)
        export = bundle["provenance"]["export"]
        export |= {"output": shown_output, "command": command}
        if trained.builds_on:
            # What has to be done first to do this again.
            export["builds_on"] = trained.builds_on
        bundle["charts"] = write_charts(bundle, folder)
        (folder / BUNDLE_FILE).write_text(format_json(bundle), encoding="utf-8")
        (folder / CARD_FILE).write_text(write_card(bundle, folder), encoding="utf-8")
        folder.chmod(0o755)
        _move_into_place(folder, output, replace=replace)
    except OSError as err:
        raise _cannot_write(output.parent, err) from err
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return output


def choose_calibration_labels(
    calibrate: str, head: dict[str, Any] | None, dataset: FaceDataset
) -> str:
    """Return which labels the probabilities are calibrated for: fer2013, ferplus or none.

    Args:
        calibrate: One of `CALIBRATION_LABELS`.
        head: What the recipe says about the model's head, if it is known.
        dataset: The data set.
    """
    if calibrate != "auto":
        return calibrate
    votes_weight = (head or {}).get("votes_weight", 0.0)
    return watched_labels(votes_weight, has_votes=dataset.votes is not None)


def _write_files(
    trained: _Source,
    folder: Path,
    name: str,
    dataset: FaceDataset,
    calibrate: str,
    without: Collection[str],
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Write model files into `folder` and return their description."""
    public_test = _unlearned_public_test(trained, dataset)
    faces = {"PublicTest": public_test, "PrivateTest": dataset.split("PrivateTest")}
    report("Calibrating on PublicTest")
    calibration_labels = choose_calibration_labels(calibrate, trained.head, dataset)
    model, calibration = _calibrate(trained, public_test, calibration_labels)
    model.save(folder / KERAS_FILE)
    examples = _choose_examples(dataset.split("Training"), trained.recipe)
    for export_format in FORMATS:
        report(f"Writing {export_format.file}")
        (folder / export_format.file).write_bytes(export_format.convert(model, examples))

    files = {
        file: ModelFile(folder / file, name, LABELS, trained.crop_margin)
        for file in (KERAS_FILE, *(entry.file for entry in FORMATS))
    }
    report("Checking on PublicTest")
    # On all of it: what a file loses shows on pictures that were learned from, too, and a
    # difference of a few pictures in a small rest would say nothing.
    checked = _evaluate_files(files, dataset.split("PublicTest"), "PublicTest", without)
    has_votes = dataset.votes is not None
    labels = meant_labels(trained.head, calibration_labels, has_votes=has_votes)
    _check_losses(checked, labels, without)
    metrics: dict[str, dict[str, Any]] = {file: {} for file in files}
    for split, split_faces in faces.items():
        report(f"Measuring on {split}")
        is_checked = split == "PublicTest" and trained.public_test_share == 0
        evaluations = (
            checked if is_checked else _evaluate_files(files, split_faces, split, without)
        )
        for file, evaluation in evaluations.items():
            metrics[file][split] = evaluation.to_json()

    sizes = {}
    for file in [entry.file for entry in FORMATS if entry.name in without]:
        # One that cannot be used has no figures for the card.
        if len(metrics[file]) == len(faces):
            sizes[file] = (folder / file).stat().st_size
        else:
            del metrics[file]
        (folder / file).unlink()
        del files[file]
    return {
        "format": BUNDLE_FORMAT,
        "name": name,
        "labels": list(LABELS),
        "input": {"size_px": IMAGE_SIZE_PX, "channels": 1, "crop_margin": trained.crop_margin},
        "files": {file: {"sha256": file_sha256(entry.path)} for file, entry in files.items()},
        "left_out": {file: {"size_bytes": size} for file, size in sizes.items()},
        "runtime_file": INT8_FILE if INT8_FILE in files else LITERT_FILE,
        "metrics": metrics,
        "provenance": {
            "recipe": trained.recipe,
            "head": trained.head,
            "training": trained.training,
            "data": _describe_data(dataset, unlearned=len(public_test)),
            "calibration": calibration,
            "export": {"machine": _machine(), "versions": _versions()},
        },
    }


def _unlearned_public_test(trained: _Source, dataset: FaceDataset) -> FaceDataset:
    """Return the pictures of PublicTest that a model has not learned from."""
    return dataset.learn_from_public_test(trained.public_test_share).split("PublicTest")


def _describe_data(dataset: FaceDataset, *, unlearned: int) -> dict[str, Any]:
    """Return what a bundle says about the data that it was trained and measured on.

    Args:
        dataset: The data set.
        unlearned: How many pictures of PublicTest the model has not learned from.
    """
    source = path_name(dataset.source)
    options = ["--data", source]
    if dataset.votes is not None:
        options += ["--ferplus", *VOTE_TABLES]
    return {
        "source": source,
        "options": shlex.join(options),
        "images": dataset.split_sizes(),
        "public_test_unlearned": unlearned,
    }


def _check_same_recipe(sources: Sequence[_Source]) -> None:
    """Refuse models that differ in more than the seed.

    Raises:
        ExportError: One has no record, another recipe or head, or a seed that another has, too.
    """
    if len(sources) == 1:
        return
    first, seeds = sources[0], dict[int, Path]()
    for source in sources:
        recipe, seed = source.recipe, source.seed
        if recipe is None or first.recipe is None or source.head is None or seed is None:
            raise ExportError(
                f"{source.path} came without a record of its training, so nobody can tell "
                "whether it differs from the others in nothing but the seed."
            )
        changed = _differing_fields(source, first)
        for key, what in (
            ("data_sha256", "data"),
            ("unlabelled_sha256", "pictures without labels"),
        ):
            if (source.training or {}).get(key) != (first.training or {}).get(key):
                changed.append(what)
        # Which runs they were may depend on the seed: each can have a first training of its own.
        if source.models_before != first.models_before:
            changed.append("what it starts from or learns from")
        if changed:
            raise ExportError(
                f"{source.path} differs from {first.path} in {', '.join(changed)}; only models "
                "that differ in nothing but the seed can be compared."
            )
        if seed in seeds:
            raise ExportError(f"{source.path} has the seed {seed}, and so has {seeds[seed]}.")
        seeds[seed] = source.path


def _differing_fields(source: _Source, first: _Source) -> list[str]:
    """Return in what two models' recipes differ, but for the seed.

    Raises:
        ExportError: A recipe is not one that this version knows.
    """
    recipes = []
    for each in (source, first):
        try:
            # Fields that a newer version added take their defaults, which change nothing.
            recipes.append(dataclasses.asdict(config_from_dict(each.recipe)))
        except ConfigError as err:
            raise ExportError(f"The recipe of {each.path} cannot be compared: {err}") from err
    fields = sorted({*recipes[0]} - {"seed"})
    changed = [name for name in fields if recipes[0][name] != recipes[1][name]]
    if (source.head or {}).get("name") != (first.head or {}).get("name"):
        changed.append("head")
    return changed


def _measure_seeds(
    sources: Sequence[_Source],
    dataset: FaceDataset,
    calibrate: str,
    report: Callable[[str], None],
) -> dict[str, Any]:
    """Return the scores of each seed's model on PrivateTest, each calibrated like the first."""
    calibration_faces = _unlearned_public_test(sources[0], dataset)
    faces = dataset.split("PrivateTest")
    labels = choose_calibration_labels(calibrate, sources[0].head, dataset)
    models, evaluations = [], []
    for source in sources:
        report(f"Measuring seed {source.seed} on PrivateTest")
        model, _ = _calibrate(source, calibration_faces, labels)
        probabilities = predict(KerasPredictor(model, str(source.path)), faces.images)
        evaluation = label_sets_to_json(score_label_sets(faces, probabilities))
        evaluations.append(evaluation)
        models.append(
            {"seed": source.seed}
            | {
                label_set: scores
                for label_set in LABEL_SETS
                if (scores := read_scores(evaluation, label_set))
            }
        )
    commands = [command for source in sources for command in source.commands]
    return {
        "split": "PrivateTest",
        "commands": list(dict.fromkeys(commands)),
        "models": models,
        "summary": summarize(evaluations),
    }


def _read_source(source: Path) -> _Source:
    path = find_keras_model(source) if source.is_dir() else source
    if path.suffix != ".keras":
        raise ModelFileError(f"{path} is no .keras file; only Keras models can be exported.")
    described = find_model(path)
    model = _load_keras_model(path)
    recipe = read_recipe(path.parent)
    if (path.parent / BUNDLE_FILE).exists():
        bundle = read_bundle(path.parent)
        provenance = bundle.get("provenance", {})
        training, builds_on = provenance.get("training"), commands_of_bundle(bundle)
        head, calibration = provenance.get("head"), provenance.get("calibration")
    else:
        run_path = path.parent / RUN_FILE
        training, builds_on = read_run_file(run_path) if run_path.exists() else None, []
        head, calibration = _find_head(path, recipe), None
    if described.labels not in (None, LABELS):
        raise ModelFileError(
            f"{path} has the labels {', '.join(described.labels or ())}, "
            f"expected {', '.join(LABELS)}."
        )
    crop_margin = described.crop_margin
    if crop_margin is None:
        crop_margin = float((recipe or {}).get("crop_margin", _DEFAULT_CROP_MARGIN))
    return _Source(
        path, model, crop_margin, _hide_paths(recipe), training, head, calibration, builds_on
    )


def _find_head(model: Path, recipe: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what a run's recipe says about the head that a model of the run is.

    Raises:
        ModelFileError: The recipe has several, and none of them has the model's name.
    """
    heads = {head["name"]: head for head in (recipe or {}).get("heads", [])}
    if len(heads) <= 1:
        return next(iter(heads.values()), None)
    if model.stem not in heads:
        raise ModelFileError(
            f"{model} is none of the models of the run that it lies in: {', '.join(heads)}. Give "
            "it the name that the run gave it, or move it out of the folder."
        )
    return heads[model.stem]


def _hide_paths(recipe: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return a recipe as a bundle may show it: without where files lie on this machine."""
    weights = (recipe or {}).get("network", {}).get("weights")
    if recipe is None or weights is None:
        return recipe
    return recipe | {"network": recipe["network"] | {"weights": Path(weights).name}}


def _load_keras_model(path: Path) -> keras.Model:
    model = load_keras_model(path)
    expected = ((None, IMAGE_SIZE_PX, IMAGE_SIZE_PX, 1), (None, len(LABELS)))
    if (model.input_shape, model.output_shape) != expected:
        raise ModelFileError(
            f"{path} takes {model.input_shape} and gives {model.output_shape}, "
            f"expected {expected[0]} and {expected[1]}."
        )
    return model


def _calibrate(
    source: _Source, faces: FaceDataset, labels: str
) -> tuple[keras.Model, dict[str, Any]]:
    """Return a calibrated model, and what a bundle says about the temperature in its logits.

    Raises:
        DatasetError: No picture has one of these labels.
    """
    model, before = source.model, source.calibration
    probabilities = predict(KerasPredictor(model, str(source.path)), faces.images)
    true_labels = faces.majority_labels() if labels == "ferplus" else faces.labels
    rows = true_labels >= 0
    if not rows.any():
        raise DatasetError(
            f"{faces.source} has no picture to calibrate for the {labels} labels with: none of "
            f"{len(faces)} of PublicTest has a majority. Give other votes, or another calibration."
        )
    true_labels, probabilities = true_labels[rows], probabilities[rows]
    temperature = 1.0 if labels == "none" else fit_temperature(true_labels, probabilities)
    if (
        temperature == 1.0
        and before is not None
        # Where none was looked for before, it is told that one was looked for now.
        and (before["labels"] != "none" or labels == "none")
    ):
        # The temperature that the source was given is still in its logits.
        return model, before
    if temperature != 1.0:
        model = fold_temperature(model, temperature)
    calibrated = apply_temperature(probabilities, temperature)
    if before is not None:
        probabilities = apply_temperature(probabilities, 1 / before["temperature"])
        temperature *= before["temperature"]
    return model, {
        "labels": labels,
        "split": "PublicTest",
        "temperature": round(temperature, 4),
        "ece_before": round(expected_calibration_error(true_labels, probabilities), 6),
        "ece_after": round(expected_calibration_error(true_labels, calibrated), 6),
    }


def _choose_examples(training: FaceDataset, recipe: dict[str, Any] | None) -> NDArray[np.uint8]:
    """Return a few training pictures, the same for every export of a recipe."""
    rng = np.random.default_rng((recipe or {}).get("seed", 0))
    count = min(_EXAMPLES, len(training))
    return training.images[rng.choice(len(training), count, replace=False)]


def _evaluate_files(
    files: dict[str, ModelFile], faces: FaceDataset, split: str, without: Collection[str]
) -> dict[str, Evaluation]:
    """Measure files on a split, but for those that cannot be used and are not written.

    Raises:
        ExportError: A file that is written cannot be used.
    """
    keras_probabilities = predict(load_ordered_predictor(files[KERAS_FILE]), faces.images)
    reference = Reference(KERAS_FILE, keras_probabilities)
    formats = {entry.file: entry for entry in FORMATS}
    evaluations = {}
    for file, model in files.items():
        try:
            evaluations[file] = evaluate(
                model,
                faces,
                split,
                # The figures that are reported; the other files differ by next to nothing.
                tta=file == LITERT_FILE and split == "PrivateTest",
                robustness=file == LITERT_FILE and split == "PrivateTest",
                reference=None if file == KERAS_FILE else reference,
            )
        except ModelFileError as err:
            if file == KERAS_FILE:
                raise
            if formats[file].name not in without:
                raise ExportError(
                    f"{file} cannot be used: {err} Nothing was written.{_advise(formats[file])}"
                ) from err
    return evaluations


def _check_losses(
    evaluations: dict[str, Evaluation], labels: str, without: Collection[str]
) -> None:
    """Refuse a bundle whose files are not what was trained.

    Args:
        evaluations: What was measured of each file.
        labels: `ferplus` if the model is meant for the FER+ majority.
        without: Names of the formats that are not written.
    """

    def accuracy_of(evaluation: Evaluation) -> float:
        scores = evaluation.ferplus if labels == "ferplus" else evaluation.fer2013
        assert scores is not None
        return scores.accuracy

    trained = accuracy_of(evaluations[KERAS_FILE])
    for export_format in FORMATS:
        if export_format.name in without:
            continue
        evaluation = evaluations[export_format.file]
        loss = trained - accuracy_of(evaluation)
        # Written so that NaN is refused, too.
        if not loss <= export_format.largest_loss:
            raise ExportError(
                f"{export_format.file} loses {100 * loss:.2f} points of accuracy on "
                f"{evaluation.split} ({100 * accuracy_of(evaluation):.2f} % instead of "
                f"{100 * trained:.2f} %); allowed are {100 * export_format.largest_loss:.1f}. "
                f"Nothing was written.{_advise(export_format)}"
            )
        comparison = evaluation.comparison
        difference = 0.0 if comparison is None else comparison.largest_difference
        if not difference <= export_format.largest_difference:
            raise ExportError(
                f"{export_format.file} differs from the Keras model by {difference:.2g} in a "
                f"probability on {evaluation.split}; allowed are "
                f"{export_format.largest_difference:g}. Nothing was written."
                f"{_advise(export_format)}"
            )


def _advise(export_format: ExportFormat) -> str:
    if export_format.name not in OPTIONAL_FORMATS:
        return ""
    return f" '--without {export_format.name}' writes the bundle without this file."


def _resolve_output(output: Path) -> Path:
    """Return the absolute path of a folder that may be missing, without links and "..".

    Raises:
        ExportError: It is a link that leads nowhere.
    """
    if os.path.islink(output) and not os.path.exists(output):
        raise ExportError(
            f"{output} is a symbolic link to {os.readlink(output)}, which does not exist. Remove "
            "the link, or give --output the folder itself."
        )
    return Path(os.path.realpath(output))


def _check_output(output: Path, *, replace: bool) -> None:
    """Refuse a folder in whose place nothing may be written.

    Raises:
        ExportError: There is something other than a bundle, or a bundle that may not be replaced.
    """
    if not os.path.lexists(output):
        return
    if not _is_bundle(output):
        raise ExportError(f"{output} exists already. It is no bundle; give another folder.")
    if not replace:
        raise ExportError(
            f"{output} exists already. Give --replace to write it anew, or another folder."
        )


def _is_bundle(folder: Path) -> bool:
    try:
        read_bundle(folder)
    except ModelFileError:
        return False
    return True


def _move_into_place(folder: Path, output: Path, *, replace: bool) -> None:
    """Rename `folder` to `output`; a bundle that is there becomes `folder`.

    Raises:
        ExportError: See `_check_output`: something may have come there while files were made.
        OSError: It cannot be renamed.
    """
    _check_output(output, replace=replace)
    if not os.path.lexists(output):
        os.rename(folder, output)
        return
    old = _set_aside_path(output)
    if _is_bundle(old):
        shutil.rmtree(old)
    os.rename(output, old)
    try:
        os.rename(folder, output)
    except OSError:
        os.rename(old, output)
        raise
    os.rename(old, folder)


def _set_aside_path(output: Path) -> Path:
    """Return where a bundle lies while another one takes its place."""
    return output.with_name(f".{output.name}-old")


def _restore(output: Path) -> None:
    """Put a bundle back that an export was replacing when it was killed.

    Raises:
        OSError: It cannot be renamed.
    """
    if not os.path.lexists(output) and _is_bundle(_set_aside_path(output)):
        os.rename(_set_aside_path(output), output)


def _cannot_write(folder: Path, err: OSError) -> ExportError:
    # The HDF5 library gives its errors a text only.
    reason = err.strerror or str(err)
    return ExportError(
        f"Cannot write to {folder}: {reason}. Give --output a folder that can be written."
    )


def _versions() -> dict[str, str]:
    names = ("tensorflow", "keras", "numpy", "ai-edge-litert", "tf2onnx", "onnxruntime")
    return {"python": platform.python_version()} | {name: metadata.version(name) for name in names}


def _machine() -> str:
    """Return the processor, for the times that were measured."""
    cpu_info = Path("/proc/cpuinfo")
    if cpu_info.exists():
        for line in cpu_info.read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"
