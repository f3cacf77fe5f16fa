"""What a run folder shows of a finished training: curves, and how good each model is."""

import csv
import json
from pathlib import Path

import numpy as np

from deepfer_training.batches import watched_labels, watched_truth
from deepfer_training.charts import (
    draw_confusion,
    draw_curves,
    draw_mistakes,
    draw_reliability,
    save_figure,
)
from deepfer_training.config import HeadConfig, TrainingConfig
from deepfer_training.errors import RunError
from deepfer_training.fer2013 import LABELS, FaceDataset
from deepfer_training.inference import KerasPredictor, predict
from deepfer_training.metrics import calibration_bins, score, worst_mistakes
from deepfer_training.networks import head_path
from deepfer_training.run_folder import LOG_FILE

CURVES_FILE = "curves.png"
_MISTAKES = 24
_NAMES = {"fer2013": "FER-2013 labels", "ferplus": "FER+ majority"}


def write_run_report(run_folder: Path, config: TrainingConfig, validation: FaceDataset) -> None:
    """Write charts and scores of a finished run, measured on PublicTest.

    `curves.png` shows the log. For each head there are `<head>_confusion.png`,
    `<head>_reliability.png`, `<head>_mistakes.png` (the surest wrong answers, with pictures of the
    data set) and `<head>_report.json` with the scores of every class.

    Args:
        run_folder: Folder of the run, with its log and models.
        config: Its recipe.
        validation: PublicTest.

    Raises:
        ModelFileError: A model is missing.
        RunError: The log is damaged.
    """
    columns = read_log(run_folder / LOG_FILE)
    save_figure(draw_curves(columns, config.name), run_folder / CURVES_FILE)
    for head in config.heads:
        _report_head(run_folder, head, validation)


def read_log(path: Path) -> dict[str, list[float]]:
    """Read the values that a training logged, one for each epoch, by their names.

    Raises:
        RunError: The file is missing or damaged.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, strict=True))
        return {name: [float(row[name]) for row in rows] for name in rows[0]}
    except (OSError, csv.Error, IndexError, TypeError, ValueError) as err:
        raise RunError(f"Cannot read the log {path}: {err}.") from err


def _report_head(run_folder: Path, head: HeadConfig, validation: FaceDataset) -> None:
    predictor = KerasPredictor(head_path(run_folder, head))
    truth = watched_truth(validation, head)
    counted = truth >= 0
    faces, labels = validation.images[counted], truth[counted]
    probabilities = predict(predictor, faces)
    scores = score(labels, probabilities)
    against = watched_labels(head.votes_weight, has_votes=validation.votes is not None)
    title = f"{head.name}, PublicTest, {_NAMES[against]}"
    report = {
        "model": head.name,
        "split": "PublicTest",
        "labels": against,
        "images": scores.images,
        "accuracy": round(scores.accuracy, 6),
        "macro_f1": round(scores.macro_f1, 6),
        "ece": round(scores.ece, 6),
        "classes": {
            label: {
                "precision": round(entry.precision, 6),
                "recall": None if entry.recall is None else round(entry.recall, 6),
                "f1": None if entry.f1 is None else round(entry.f1, 6),
                "images": entry.images,
            }
            for label, entry in zip(LABELS, scores.classes, strict=True)
        },
    }
    (run_folder / f"{head.name}_report.json").write_text(json.dumps(report, indent=2) + "\n")
    mistakes = worst_mistakes(labels, probabilities, _MISTAKES)
    answers = probabilities.argmax(axis=1)
    for what, figure in (
        ("confusion", draw_confusion(scores.confusion, LABELS, title)),
        ("reliability", draw_reliability(calibration_bins(labels, probabilities), title)),
        (
            "mistakes",
            draw_mistakes(
                faces[mistakes],
                [LABELS[label] for label in labels[mistakes]],
                [LABELS[answer] for answer in answers[mistakes]],
                np.max(probabilities[mistakes], axis=1).tolist(),
                title,
            ),
        ),
    ):
        save_figure(figure, run_folder / f"{head.name}_{what}.png")
