import re
from pathlib import Path

import pytest

from deepfer_training.fer2013 import LABELS
from deepfer_training.model_files import read_bundle
from deepfer_training.robustness import CHANGES


@pytest.fixture(scope="module")
def card(tiny_bundle: Path) -> str:
    return (tiny_bundle / "MODEL_CARD.md").read_text()


def test_every_measured_figure_is_in_the_card(card: str, tiny_bundle: Path) -> None:
    reported = read_bundle(tiny_bundle)["metrics"]["model.tflite"]["PrivateTest"]

    assert f"{100 * reported['accuracy']:.1f} %" in card
    assert f"{100 * reported['ferplus']['accuracy']:.1f} %" in card
    for label in LABELS:
        scores = [reported[name][label] for name in ("precision", "recall", "f1")]
        cells = " | ".join(f"{100 * value:.1f} %" for value in scores)
        assert f"| {label} | {cells} |" in card
    for label, row in zip(LABELS, reported["confusion"], strict=True):
        assert f"| **{label}** | {' | '.join(map(str, row))} |" in card
    for change in CHANGES:
        accuracy = reported["robustness"][change]["accuracy"]
        assert f"| {change} | {100 * accuracy:.1f} % |" in card
    for file in ("model.keras", "model.tflite", "model_int8.tflite"):
        assert f"| `{file}` |" in card


def test_the_card_says_what_must_be_said(card: str) -> None:
    for heading in (
        "Data",
        "Training",
        "Files",
        "Accuracy",
        "Confusion",
        "Calibration",
        "Robustness",
        "Where it fails",
        "What it is for, and what not",
        "How to make it again",
    ):
        assert f"\n## {heading}\n" in card
    words = " ".join(card.split())
    for phrase in ("Article 5(1)(f)", "2 February 2025", "An expression is not a feeling", "bias"):
        assert phrase in words
    assert "deepfer evaluate tiny --data fer2013.csv.xz --ferplus fer2013new.csv" in card
    assert "deepfer train tiny.yaml" in card


def test_the_card_names_no_path_of_this_machine(card: str) -> None:
    assert not re.search(r"(^|[\s`\"'=(])/\w", card)


def test_the_weakest_classes_come_first(card: str, tiny_bundle: Path) -> None:
    recall = read_bundle(tiny_bundle)["metrics"]["model.tflite"]["PrivateTest"]["recall"]
    weakest = min(recall.values())
    failures = card.split("## Where it fails")[1]

    assert f"is recognised in {100 * weakest:.1f} %" in failures.splitlines()[2]


def test_a_model_without_a_record_gets_a_card(tiny_bundle: Path) -> None:
    from deepfer_training.model_card import write_card

    bundle = read_bundle(tiny_bundle)
    bundle["provenance"] |= {"recipe": None, "training": None}
    for metrics in bundle["metrics"].values():
        for split in metrics.values():
            split["ferplus"] = None
            for changed in split.get("robustness", {}).values():
                changed["ferplus_accuracy"] = None

    card = write_card(bundle, tiny_bundle)

    assert "came without a record of its training" in card
    assert "None" not in card
