import dataclasses
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from deepfer_training.errors import ModelFileError
from deepfer_training.evaluation import Comparison, Reference, count_predictions, evaluate
from deepfer_training.evaluation_tables import print_evaluation, print_summary
from deepfer_training.fer2013 import LABELS, FaceDataset
from deepfer_training.inference import load_predictor, predict
from deepfer_training.model_files import ModelFile, find_model
from deepfer_training.robustness import CHANGES
from deepfer_training.seed_summary import summarize


def test_both_label_sets_are_measured(tiny_bundle: Path, tiny_dataset: FaceDataset) -> None:
    faces = tiny_dataset.split("PrivateTest")

    evaluation = evaluate(find_model(tiny_bundle), faces, "PrivateTest")

    # Two labels in six are wrong on purpose; the votes are all right.
    assert evaluation.fer2013.accuracy == pytest.approx(4 / 6, abs=0.05)
    assert evaluation.ferplus is not None
    assert evaluation.ferplus.accuracy >= 0.95
    assert evaluation.ferplus.images == 42
    values = evaluation.to_json()
    assert {"model": "tiny", "split": "PrivateTest", "images": 42}.items() <= values.items()
    assert set(values["recall"]) == set(LABELS)
    assert {"images", "accuracy", "macro_f1", "ece"} <= set(values["ferplus"])
    assert 0 < values["ms_per_face"] < 1000
    assert "robustness" not in values
    assert json.loads(json.dumps(values)) == values


def test_pictures_without_a_majority_are_left_out(
    tiny_bundle: Path, tiny_dataset: FaceDataset
) -> None:
    faces = tiny_dataset.split("PrivateTest")
    assert faces.votes is not None
    votes = faces.votes.copy()
    votes[:10] = 0
    votes[:10, 9] = 10  # not a face
    some = FaceDataset(faces.images, faces.labels, faces.splits, votes)
    none = FaceDataset(faces.images, faces.labels, faces.splits, np.tile(votes[:1], (42, 1)))
    unasked = FaceDataset(faces.images, faces.labels, faces.splits)

    evaluations = [
        evaluate(find_model(tiny_bundle), dataset, "PrivateTest")
        for dataset in (some, none, unasked)
    ]

    assert evaluations[0].ferplus is not None
    assert evaluations[0].ferplus.images == 32
    assert evaluations[1].ferplus is None
    assert evaluations[2].to_json()["ferplus"] is None


def test_robustness_and_comparison(tiny_bundle: Path, tiny_dataset: FaceDataset) -> None:
    faces = tiny_dataset.split("PublicTest")
    uniform = np.full((42, 7), 1 / 7, np.float32)
    counts: list[int] = []

    evaluation = evaluate(
        find_model(tiny_bundle),
        faces,
        "PublicTest",
        robustness=True,
        reference=Reference("other.keras", uniform),
        on_progress=counts.append,
    )

    assert list(evaluation.robustness) == list(CHANGES)
    assert evaluation.comparison is not None
    assert evaluation.comparison.largest_difference > 0.5
    assert evaluation.comparison.same_answers == pytest.approx(1 / 7, abs=0.05)
    assert sum(counts) == count_predictions(faces, robustness=True)


def test_the_strict_majority_is_measured_beside_the_other(
    tiny_bundle: Path, tiny_dataset: FaceDataset
) -> None:
    faces = tiny_dataset.split("PrivateTest")
    assert faces.votes is not None
    votes = faces.votes.copy()
    # Without single votes, five of nine are more than half; four of ten are not.
    votes[:10] = [0, 0, 0, 5, 0, 0, 4, 0, 0, 1]
    votes[:5] = [0, 0, 0, 4, 0, 0, 4, 2, 0, 0]
    changed = FaceDataset(faces.images, faces.labels, faces.splits, votes)

    values = evaluate(find_model(tiny_bundle), changed, "PrivateTest").to_json()

    assert values["ferplus"]["images"] == 42
    assert values["ferplus_strict"]["images"] == 37
    assert {"images", "accuracy", "macro_f1", "ece"} <= set(values["ferplus_strict"])


def test_the_mirror_image_is_a_separate_object(
    tiny_bundle: Path, tiny_dataset: FaceDataset
) -> None:
    faces = tiny_dataset.split("PublicTest")
    model = find_model(tiny_bundle)
    counts: list[int] = []

    plain = evaluate(model, faces, "PublicTest").to_json()
    both = evaluate(model, faces, "PublicTest", tta=True, on_progress=counts.append).to_json()

    tta = both.pop("tta")
    for values in (plain, both):
        del values["ms_per_face"]
    assert both == plain
    assert "mirror image" in tta["method"]
    straight, mirrored = (
        predict(load_predictor(model.path), images)
        for images in (faces.images, faces.images[:, :, ::-1])
    )
    answers = ((straight + mirrored) / 2).argmax(axis=1)
    assert tta["accuracy"] == pytest.approx(np.mean(answers == faces.labels), abs=1e-6)
    assert {"images", "accuracy", "macro_f1", "recall", "ece"} <= set(tta["ferplus"])
    assert sum(counts) == count_predictions(faces, robustness=False, tta=True) == 84


def test_every_figure_has_an_interval(tiny_bundle: Path, tiny_dataset: FaceDataset) -> None:
    faces = tiny_dataset.split("PrivateTest")

    values = evaluate(find_model(tiny_bundle), faces, "PrivateTest").to_json()

    for name in ("accuracy", "macro_f1", "ece"):
        low, high = values[f"{name}_interval"]
        assert low <= values[name] <= high
    for name in ("precision", "recall"):
        for label in LABELS:
            low, high = values[f"{name}_interval"][label]
            assert low <= values[name][label] <= high
    assert sum(entry["images"] for entry in values["calibration"]) == 42


def test_outputs_in_another_order_are_put_right(
    tiny_bundle: Path, tiny_dataset: FaceDataset
) -> None:
    faces = tiny_dataset.split("PublicTest")
    path = tiny_bundle / "model.tflite"
    straight = evaluate(ModelFile(path, "tiny", LABELS), faces, "PublicTest")

    assumed = evaluate(ModelFile(path, "tiny", None), faces, "PublicTest")
    swapped = evaluate(
        ModelFile(path, "tiny", ("disgust", "angry", *LABELS[2:])), faces, "PublicTest"
    )

    assert assumed.fer2013 == straight.fer2013
    assert straight.ferplus is not None
    assert swapped.ferplus is not None
    # What it calls disgust is angry now: two classes of seven are lost.
    assert swapped.ferplus.accuracy == pytest.approx(straight.ferplus.accuracy - 2 / 7, abs=0.03)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:6], "has 7 outputs, but says that it has the 6 labels angry"),
        ((*LABELS[:6], "contempt"), "has the labels .*contempt; FER-2013 has angry"),
    ],
)
def test_other_labels_are_refused(
    tiny_bundle: Path, tiny_dataset: FaceDataset, labels: tuple[str, ...], message: str
) -> None:
    model = ModelFile(tiny_bundle / "model.tflite", "tiny", labels)

    with pytest.raises(ModelFileError, match=message):
        evaluate(model, tiny_dataset.split("PublicTest"), "PublicTest")


def test_square_brackets_are_no_markup(tiny_bundle: Path, tiny_dataset: FaceDataset) -> None:
    evaluation = evaluate(find_model(tiny_bundle), tiny_dataset.split("PublicTest"), "PublicTest")
    compared = dataclasses.replace(
        evaluation,
        model="run[/1]",
        file="m[seed1].keras",
        comparison=Comparison("m[bold].keras", 0.0, 1.0),
    )
    console = Console(width=140, record=True, file=io.StringIO())

    print_evaluation(compared, console)
    print_summary(
        ["a[/1].keras"] * 2,
        [evaluation.to_json()] * 2,
        {"split": "PublicTest", **summarize([evaluation.to_json()] * 2)},
        console,
    )

    text = console.export_text()
    assert "run[/1] (m[seed1].keras) on PublicTest" in text
    assert "Against m[bold].keras" in text
    assert "1: a[/1].keras" in text
    assert "2: a[/1].keras" in text


def test_tables_show_every_class_and_change(tiny_bundle: Path, tiny_dataset: FaceDataset) -> None:
    evaluation = evaluate(
        find_model(tiny_bundle),
        tiny_dataset.split("PublicTest"),
        "PublicTest",
        tta=True,
        robustness=True,
        reference=Reference("other.keras", np.full((42, 7), 1 / 7, np.float32)),
    )
    console = Console(width=140, record=True, file=io.StringIO())

    print_evaluation(evaluation, console)

    text = console.export_text()
    assert "tiny (model.tflite) on PublicTest" in text
    assert f"{evaluation.fer2013.accuracy:.3f}" in text
    for word in (
        *LABELS,
        *CHANGES,
        "FER+ strict, TTA",
        "mirror image",
        "By FER+ majority",
        "Confusion: FER-2013 label",
        "Confusion: FER+ majority",
        "Against other.keras",
    ):
        assert word in text
