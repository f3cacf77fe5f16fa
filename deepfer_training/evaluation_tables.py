"""Show evaluations as tables in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deepfer_training.evaluation import TTA_METHOD, Evaluation
from deepfer_training.fer2013 import LABELS
from deepfer_training.metrics import Scores
from deepfer_training.seed_summary import SCORES, read_scores


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print scores, classes, confusion and robustness of one evaluation."""
    # Names of files may have square brackets, which Rich takes for markup in plain strings.
    console.print(
        Text(
            f"{evaluation.model} ({evaluation.file}) on {evaluation.split}: "
            f"{evaluation.ms_per_face:.2f} ms a face",
            style="bold",
        )
    )
    if evaluation.comparison is not None:
        console.print(
            Text(
                f"Against {evaluation.comparison.file}: the same answer for "
                f"{100 * evaluation.comparison.same_answers:.2f} % of the pictures, probabilities "
                f"differ by at most {evaluation.comparison.largest_difference:.2g}"
            )
        )
    console.print(_overview(evaluation))
    console.print(_classes("By FER-2013 label", evaluation.fer2013))
    if evaluation.ferplus is not None:
        console.print(_classes("By FER+ majority", evaluation.ferplus))
    console.print(_confusion("FER-2013 label", evaluation.fer2013))
    if evaluation.ferplus is not None:
        console.print(_confusion("FER+ majority", evaluation.ferplus))
    if evaluation.robustness:
        console.print(_robustness(evaluation))


def print_summary(
    models: Sequence[str],
    evaluations: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
    console: Console,
) -> None:
    """Print the scores of several models and their spread, a table for each set of labels.

    Args:
        models: What the user calls each model.
        evaluations: What `Evaluation.to_json` gives for each model.
        summary: What `seed_summary.summarize` says of them, and the split.
        console: Where to print.
    """
    # Paths may be longer than a table is wide.
    for number, model in enumerate(models, 1):
        console.print(Text(f"{number}: {model}"), soft_wrap=True)
    names = {"fer2013": "FER-2013", "ferplus": "FER+ majority", "ferplus_strict": "FER+ strict"}
    for key, suffix in ((None, ""), ("tta", ", TTA")):
        if key is not None and key not in summary:
            continue
        of_models = [values if key is None else values[key] for values in evaluations]
        of_all = summary if key is None else summary[key]
        for label_set, name in names.items():
            scores = of_all if label_set == "fer2013" else of_all.get(label_set)
            if scores is not None:
                title = f"{summary['split']}, {name}{suffix}"
                console.print(_spread(title, label_set, of_models, scores))


def _spread(
    title: str,
    label_set: str,
    evaluations: Sequence[Mapping[str, Any]],
    summary: Mapping[str, Any],
) -> Table:
    headings = {
        "accuracy": "accuracy",
        "macro_f1": "macro-F1",
        "worst_recall": "worst recall",
        "ece": "ECE",
    }
    names = [name for name in SCORES if name in summary]
    table = Table("model", title=title, title_justify="left")
    for name in names:
        table.add_column(headings[name], justify="right")
    for number, values in enumerate(evaluations, 1):
        scores = read_scores(values, label_set)
        table.add_row(str(number), *(f"{scores[name]:.3f}" for name in names))
    table.add_section()
    spreads = [summary[name] for name in names]
    table.add_row(
        "mean ± std",
        *(f"{spread['mean']:.3f} ± {spread['std']:.3f}" for spread in spreads),
        style="bold",
    )
    table.add_row("range", *(f"{spread['min']:.3f}-{spread['max']:.3f}" for spread in spreads))
    return table


def _overview(evaluation: Evaluation) -> Table:
    table = Table(
        "labels",
        title="Scores, with 95 % bootstrap intervals (ECE: calibration error"
        + (f"; TTA: {TTA_METHOD})" if evaluation.tta else ")"),
        title_justify="left",
    )
    for heading in ("images", "accuracy", "macro-F1", "ECE"):
        table.add_column(heading, justify="right")
    for suffix, scores in (("", evaluation.scores), (", TTA", evaluation.tta)):
        if scores is None:
            continue
        for name, of_labels in (
            ("FER-2013", scores.fer2013),
            ("FER+", scores.ferplus),
            ("FER+ strict", scores.ferplus_strict),
        ):
            if of_labels is not None:
                table.add_row(
                    name + suffix,
                    str(of_labels.images),
                    _with_interval(of_labels.accuracy, of_labels.accuracy_interval),
                    _with_interval(of_labels.macro_f1, of_labels.macro_f1_interval),
                    _with_interval(of_labels.ece, of_labels.ece_interval),
                )
    return table


def _classes(title: str, scores: Scores) -> Table:
    table = Table("class", title=title, title_justify="left")
    for heading in ("precision", "recall", "F1", "images"):
        table.add_column(heading, justify="right")
    for label, entry in zip(LABELS, scores.classes, strict=True):
        table.add_row(
            label,
            _with_interval(entry.precision, entry.precision_interval),
            _with_interval(entry.recall, entry.recall_interval),
            "-" if entry.f1 is None else f"{entry.f1:.3f}",
            str(entry.images),
        )
    return table


def _confusion(labels: str, scores: Scores) -> Table:
    table = Table("label", title=f"Confusion: {labels} down, answer across", title_justify="left")
    for label in LABELS:
        table.add_column(label, justify="right")
    for row_number, (label, row) in enumerate(zip(LABELS, scores.confusion, strict=True)):
        cells = [
            f"[bold]{count}[/bold]" if column == row_number else str(count)
            for column, count in enumerate(row)
        ]
        table.add_row(label, *cells)
    return table


def _robustness(evaluation: Evaluation) -> Table:
    table = Table("change", title="Accuracy on changed pictures", title_justify="left")
    for heading in ("FER-2013 labels", "FER+ majority"):
        table.add_column(heading, justify="right")
    for change, changed in evaluation.robustness.items():
        table.add_row(change, _percent(changed.accuracy), _percent(changed.ferplus_accuracy))
    return table


def _with_interval(value: float | None, interval: tuple[float, float] | None) -> str:
    if value is None or interval is None:
        return "-"
    return f"{value:.3f} ({interval[0]:.3f}-{interval[1]:.3f})"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
