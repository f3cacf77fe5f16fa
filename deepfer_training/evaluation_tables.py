"""Show an evaluation as tables in the terminal."""

from rich.console import Console
from rich.table import Table

from deepfer_training.evaluation import Evaluation
from deepfer_training.fer2013 import LABELS
from deepfer_training.metrics import Scores


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print scores, classes, confusion and robustness of one evaluation."""
    console.print(
        f"{evaluation.model} ({evaluation.file}) on {evaluation.split}: "
        f"{evaluation.ms_per_face:.2f} ms a face",
        style="bold",
        highlight=False,
    )
    if evaluation.comparison is not None:
        console.print(
            f"Against {evaluation.comparison.file}: the same answer for "
            f"{100 * evaluation.comparison.same_answers:.2f} % of the pictures, probabilities "
            f"differ by at most {evaluation.comparison.largest_difference:.2g}",
            highlight=False,
        )
    console.print(_overview(evaluation))
    console.print(_classes("By FER-2013 label", evaluation.fer2013))
    if evaluation.ferplus is not None:
        console.print(_classes("By FER+ majority", evaluation.ferplus))
    console.print(_confusion(evaluation.fer2013))
    if evaluation.robustness:
        console.print(_robustness(evaluation))


def _overview(evaluation: Evaluation) -> Table:
    table = Table(
        "labels",
        title="Scores, with 95 % bootstrap intervals (ECE: calibration error)",
        title_justify="left",
    )
    for heading in ("images", "accuracy", "macro-F1", "ECE"):
        table.add_column(heading, justify="right")
    for name, scores in (("FER-2013", evaluation.fer2013), ("FER+", evaluation.ferplus)):
        if scores is not None:
            table.add_row(
                name,
                str(scores.images),
                _with_interval(scores.accuracy, scores.accuracy_interval),
                _with_interval(scores.macro_f1, scores.macro_f1_interval),
                f"{scores.ece:.3f}",
            )
    return table


def _classes(title: str, scores: Scores) -> Table:
    table = Table("class", title=title, title_justify="left")
    for heading in ("precision", "recall", "F1", "images"):
        table.add_column(heading, justify="right")
    for label, entry in zip(LABELS, scores.classes, strict=True):
        table.add_row(
            label,
            f"{entry.precision:.3f}",
            f"{entry.recall:.3f}",
            f"{entry.f1:.3f}",
            str(entry.images),
        )
    return table


def _confusion(scores: Scores) -> Table:
    table = Table(
        "label", title="Confusion: FER-2013 label down, answer across", title_justify="left"
    )
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


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    return f"{value:.3f} ({interval[0]:.3f}-{interval[1]:.3f})"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
