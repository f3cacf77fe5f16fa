import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deepfer_training.fer2013 import LABELS
from deepfer_training.metrics import CalibrationBin, calibration_bins

pytest.importorskip("matplotlib", reason="charts need the packages of training")

_CONFUSION = [[(row * 7 + column * 3) % 11 * 10 for column in range(7)] for row in range(7)]
_BINS = (
    CalibrationBin(low=0.2, high=0.4, images=5, confidence=0.3, accuracy=0.4),
    CalibrationBin(low=0.8, high=1.0, images=20, confidence=0.95, accuracy=0.9),
)


def _texts(axes: object) -> list[str]:
    return [text.get_text() for text in axes.texts]  # type: ignore[attr-defined]


def test_what_looks_like_a_formula_is_a_name(tmp_path: Path) -> None:
    from deepfer_training.charts import draw_confusion, draw_curves, draw_reliability, save_figure

    title = r"a $\foo$ b"
    for number, figure in enumerate(
        (
            draw_confusion([[1, 0], [0, 1]], ("a", "b"), title),
            draw_reliability(_BINS, title),
            draw_curves({"loss": [1.0, 0.5]}, title),
        )
    ):
        save_figure(figure, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 0


def test_a_confusion_shows_count_and_share_of_every_cell() -> None:
    from deepfer_training.charts import draw_confusion

    figure = draw_confusion([[3, 1], [0, 0]], ["happy", "sad"], "on FER+")

    axes = figure.axes[0]
    assert _texts(axes) == ["75 %\n3", "25 %\n1", "0 %\n0", "0 %\n0"]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["happy", "sad"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["happy", "sad"]
    assert axes.get_title() == "on FER+"
    # Text is legible on dark and on light cells.
    assert [text.get_color() for text in axes.texts[:2]] == ["white", "black"]


def test_a_reliability_diagram_shows_accuracy_and_pictures_of_every_bin() -> None:
    from deepfer_training.charts import draw_reliability

    upper, lower = draw_reliability(_BINS).axes

    assert [bar.get_height() for bar in upper.patches] == [0.4, 0.9]
    assert [bar.get_x() for bar in upper.patches] == [0.2, 0.8]
    assert [bar.get_height() for bar in lower.patches] == [5, 20]


def test_curves_put_losses_and_accuracies_together() -> None:
    from deepfer_training.charts import draw_curves

    columns = {
        "epoch": [0, 1, 2],
        "a_probabilities_accuracy": [0.1, 0.2, 0.3],
        "accuracy": [0.4, 0.5, 0.6],
        "loss": [3.0, 2.0, 1.0],
        "learning_rate": [0.1, 0.1, 0.0],
        "val_accuracy": [0.3, 0.4, 0.5],
        "val_loss": [3.5, 2.5, 1.5],
    }

    panels = draw_curves(columns, "tiny").axes

    by_panel = {panel.get_ylabel(): panel.get_lines() for panel in panels}
    assert {name: len(lines) for name, lines in by_panel.items()} == {
        "accuracy": 3,
        "loss": 2,
        "learning rate": 1,
    }
    training, validation = by_panel["accuracy"][1:]
    assert list(training.get_xdata()) == [1, 2, 3]
    assert list(validation.get_ydata()) == [0.3, 0.4, 0.5]
    assert (training.get_linestyle(), validation.get_linestyle()) == ("-", "--")
    assert training.get_color() == validation.get_color() != by_panel["accuracy"][0].get_color()


def test_mistakes_show_every_face_with_label_and_answer() -> None:
    from deepfer_training.charts import draw_mistakes

    faces = np.random.default_rng(0).integers(0, 256, (8, 48, 48)).astype(np.uint8)

    figure = draw_mistakes(faces, ["fear"] * 8, ["happy"] * 8, [0.996] * 8)

    shown = [axes for axes in figure.axes if axes.images]
    assert len(shown) == 8
    np.testing.assert_array_equal(shown[7].images[0].get_array(), faces[7])
    assert {axes.get_title() for axes in shown} == {"fear\n→ happy 100 %"}


@pytest.mark.parametrize("name", ["confusion", "reliability", "curves", "mistakes"])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_the_same_chart_gives_the_same_bytes(tmp_path: Path, name: str, count: int) -> None:
    from deepfer_training import charts

    draw = {
        "confusion": lambda: charts.draw_confusion(_CONFUSION, LABELS),
        "reliability": lambda: charts.draw_reliability(_BINS[:count]),
        "curves": lambda: charts.draw_curves({"loss": [1.0] * count} if count else {}),
        "mistakes": lambda: charts.draw_mistakes(
            np.zeros((count, 48, 48), np.uint8), ["sad"] * count, ["fear"] * count, [0.5] * count
        ),
    }[name]

    for path in (tmp_path / "one.png", tmp_path / "two.png"):
        charts.save_figure(draw(), path)

    content = (tmp_path / "one.png").read_bytes()
    assert content == (tmp_path / "two.png").read_bytes()
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "PNG"
    assert picture.width >= 500
    # Nothing tells when or with what it was made.
    assert set(picture.info) <= {"dpi"}
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["one.png", "two.png"]


def test_charts_leave_pyplot_alone() -> None:
    from matplotlib import pyplot

    from deepfer_training.charts import draw_reliability

    labels = np.array([0, 1, 2])
    draw_reliability(calibration_bins(labels, np.eye(3, dtype=np.float32)))

    assert pyplot.get_fignums() == []
