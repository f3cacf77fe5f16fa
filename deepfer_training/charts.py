"""Charts of trainings and evaluations, as figures that `save_figure` writes.

No function here touches the state of pyplot: they may be called anywhere, in any thread.
"""

import io
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

from deepfer_training.metrics import CalibrationBin

# Okabe and Ito's colours, which people with any kind of colour vision tell apart.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_GREY = "#666666"
_DPI = 100
_MISTAKES_A_ROW = 6


def draw_confusion(
    confusion: Sequence[Sequence[int]], labels: Sequence[str], title: str = ""
) -> Figure:
    """Draw how often each label gets each answer, as a share of the label's pictures.

    Args:
        confusion: Numbers of pictures, a row for each label, a column for each answer.
        labels: Names of the classes, in the order of rows and columns.
        title: Heading of the chart.
    """
    counts = np.asarray(confusion, np.float64)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    figure = Figure(figsize=(6.0, 6.0), layout="constrained")
    axes = figure.subplots()
    # From white to dark blue: lightness alone tells the order, in grey too.
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(*shares.shape):
        axes.text(
            column,
            row,
            f"{100 * shares[row, column]:.0f} %\n{counts[row, column]:.0f}",
            ha="center",
            va="center",
            fontsize=8,
            fontweight="bold" if row == column else "normal",
            color="white" if shares[row, column] > 0.65 else "black",
        )
    axes.set_xticks(range(len(labels)), labels, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("answer of the model, share of the label's pictures and their number")
    axes.set_ylabel("label")
    axes.set_title(title, parse_math=False)
    return figure


def draw_reliability(bins: Sequence[CalibrationBin], title: str = "") -> Figure:
    """Draw how often answers of a confidence are right, and how many answers have it.

    Args:
        bins: Answers sorted by confidence, as `metrics.calibration_bins` gives them.
        title: Heading of the chart.
    """
    figure = Figure(figsize=(5.6, 6.0), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    left = [entry.low for entry in bins]
    widths = [entry.high - entry.low for entry in bins]
    accuracies = [entry.accuracy for entry in bins]
    confidences = [entry.confidence for entry in bins]
    upper.bar(left, accuracies, widths, align="edge", color=_COLOURS[5], edgecolor="white")
    upper.plot([0, 1], [0, 1], "--", color=_GREY, label="as often right as it says")
    upper.plot(
        confidences, accuracies, "o", color=_COLOURS[0], markersize=4, label="mean of the bin"
    )
    # The gap, which the calibration error sums up.
    upper.vlines(
        confidences, confidences, accuracies, color=_COLOURS[1], linewidth=2, label="difference"
    )
    upper.set_ylim(0, 1)
    upper.set_xlim(0, 1)
    upper.set_ylabel("share of right answers")
    upper.set_title(title, parse_math=False)
    upper.legend(loc="lower right", fontsize=9, framealpha=0.9)
    lower.bar(
        left,
        [entry.images for entry in bins],
        widths,
        align="edge",
        color=_COLOURS[5],
        edgecolor="white",
    )
    lower.set_ylabel("pictures")
    lower.set_xlabel("probability of the answer")
    for axes in (upper, lower):
        _tidy(axes)
    return figure


def draw_curves(columns: Mapping[str, Sequence[float]], title: str = "") -> Figure:
    """Draw what a training logged: losses, accuracies, and each other column by itself.

    Columns of the validation begin with `val_` and are drawn as dashed lines in the colour of
    their counterpart.

    Args:
        columns: A value for each epoch, by the name that Keras logs it under; an `epoch`
            column, counted from 0, is the horizontal axis if there is one.
        title: Heading of the chart.
    """
    panels: dict[str, list[str]] = {}
    for name in columns:
        if name != "epoch":
            panel = next((kind for kind in ("loss", "accuracy") if name.endswith(kind)), name)
            panels.setdefault(panel, []).append(name)
    figure = Figure(figsize=(7.0, 0.6 + 2.6 * max(len(panels), 1)), layout="constrained")
    figure.suptitle(title, parse_math=False)
    rows = figure.subplots(max(len(panels), 1), 1, sharex=True, squeeze=False)[:, 0]
    for axes, (panel, names) in zip(rows, panels.items(), strict=False):
        counterparts = list(dict.fromkeys(name.removeprefix("val_") for name in names))
        for name in names:
            epochs = columns.get("epoch", range(len(columns[name])))
            colour = _COLOURS[counterparts.index(name.removeprefix("val_")) % len(_COLOURS)]
            axes.plot(
                [epoch + 1 for epoch in epochs],
                columns[name],
                "--" if name.startswith("val_") else "-",
                color=colour,
                label=_describe_column(name, panel),
                marker="." if len(columns[name]) < 12 else "",
            )
        axes.set_ylabel(panel.replace("_", " "))
        axes.legend(fontsize=8)
        _tidy(axes)
    rows[-1].set_xlabel("epoch")
    rows[-1].xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def draw_mistakes(
    images: NDArray[np.uint8],
    labels: Sequence[str],
    predictions: Sequence[str],
    confidences: Iterable[float],
    title: str = "",
) -> Figure:
    """Draw faces with what they are called and what the model takes them for.

    The faces of FER-2013 must not be passed on: such a chart stays in the run folder.

    Args:
        images: uint8 (N, H, W), grey.
        labels: Name of the class of each picture.
        predictions: Name of the class that the model gives it.
        confidences: Probability of that answer, 0 to 1.
        title: Heading of the chart.
    """
    row_count = max(math.ceil(len(images) / _MISTAKES_A_ROW), 1)
    figure = Figure(figsize=(1.7 * _MISTAKES_A_ROW, 0.6 + 2.1 * row_count), layout="constrained")
    figure.suptitle(title, parse_math=False)
    cells = figure.subplots(row_count, _MISTAKES_A_ROW, squeeze=False).ravel()
    for cell in cells:
        cell.set_axis_off()
    for cell, image, label, prediction, confidence in zip(
        cells, images, labels, predictions, confidences, strict=False
    ):
        cell.imshow(image, cmap="gray", vmin=0, vmax=255)
        cell.set_title(f"{label}\n→ {prediction} {100 * confidence:.0f} %", fontsize=9)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a PNG file: the same figure always gives the same bytes.

    An old file is replaced in one step.
    """
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=_DPI)
    # A palette makes a third of the size. The picture alone is kept: Matplotlib notes its version.
    picture = Image.open(drawn).convert("RGB").quantize(256, dither=Image.Dither.NONE)
    part = path.with_name(f"{path.name}.part")
    picture.save(part, format="png", optimize=True)
    os.replace(part, path)


def _describe_column(name: str, panel: str) -> str:
    """Return what a column of a Keras log is about, for a panel that says what is measured."""
    measured = name.removeprefix("val_").removesuffix(panel).strip("_")
    # Each head of a network has an output of this name; see `architecture`.
    words = measured.removesuffix("probabilities").strip("_") or panel
    return words.replace("_", " ") + (", validation" if name.startswith("val_") else "")


def _tidy(axes: Axes) -> None:
    axes.grid(color="#dddddd", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
