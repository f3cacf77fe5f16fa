"""Mean and spread of the scores of several models, trained alike from different seeds."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

SCORES = ("accuracy", "macro_f1", "worst_recall", "ece")
"""What is summarised, where it is known: the recall is that of each model's worst class."""

LABEL_SETS = ("fer2013", "ferplus", "ferplus_strict")


def summarize(evaluations: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return mean, standard deviation, minimum and maximum of every score.

    The standard deviation is that of a sample, divided by the number of models less one; it is 0
    for a single model.

    Args:
        evaluations: What `Evaluation.to_json` gives for each model, at least one.

    Returns:
        Like an evaluation: the scores on FER-2013's labels at the top, those on the others below
        `ferplus` and `ferplus_strict`, each as {"mean", "std", "min", "max"}. Label sets that a
        model was not measured on are left out.
    """
    summary: dict[str, Any] = {"models": len(evaluations), **_summarize(evaluations, "fer2013")}
    for label_set in LABEL_SETS[1:]:
        scores = _summarize(evaluations, label_set)
        if scores:
            summary[label_set] = scores
    if all("tta" in values for values in evaluations):
        of_mirrored = summarize([values["tta"] for values in evaluations])
        summary["tta"] = {key: of_mirrored[key] for key in of_mirrored if key != "models"}
    return summary


def read_scores(evaluation: Mapping[str, Any], label_set: str) -> dict[str, float]:
    """Return those of `SCORES` that an evaluation or a summary has of a set of labels.

    Args:
        evaluation: What `Evaluation.to_json` gives.
        label_set: One of `LABEL_SETS`.
    """
    scores = evaluation if label_set == "fer2013" else evaluation.get(label_set) or {}
    found = {name: scores[name] for name in SCORES if name in scores}
    if "recall" in scores:
        # Classes without a picture have no recall.
        recalls = scores["recall"].values()
        found["worst_recall"] = min(recall for recall in recalls if recall is not None)
    return found


def _summarize(evaluations: Sequence[Mapping[str, Any]], label_set: str) -> dict[str, Any]:
    of_models = [read_scores(values, label_set) for values in evaluations]
    return {
        name: _spread([scores[name] for scores in of_models])
        for name in SCORES
        if all(name in scores for scores in of_models)
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "mean": round(statistics.fmean(values), 6),
        "std": round(statistics.stdev(values), 6) if len(values) > 1 else 0.0,
        "min": min(values),
        "max": max(values),
    }
