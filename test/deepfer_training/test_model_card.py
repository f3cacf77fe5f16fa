import re
import shlex
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
    for file in read_bundle(tiny_bundle)["metrics"]:
        assert f"| `{file}` |" in card
    tta = reported["tta"]
    for name, scores in (
        ("FER-2013 labels", reported),
        ("FER+ majority", reported["ferplus"]),
        ("FER+ majority, strict", reported["ferplus_strict"]),
        ("FER-2013 labels, with mirror image", tta),
        ("FER+ majority, with mirror image", tta["ferplus"]),
        ("FER+ majority, strict, with mirror image", tta["ferplus_strict"]),
    ):
        assert f"| {name} | {scores['images']} | {100 * scores['accuracy']:.1f} % (" in card


def test_the_card_shows_every_chart(card: str, tiny_bundle: Path) -> None:
    shown = re.findall(r"!\[.*\]\((.*)\)", card)

    assert shown == [
        "confusion_fer2013.png",
        "confusion_ferplus.png",
        "reliability_fer2013.png",
        "reliability_ferplus.png",
    ]
    for file in shown:
        assert (tiny_bundle / file).read_bytes().startswith(b"\x89PNG")


def test_no_face_of_the_data_set_gets_into_a_bundle(card: str, tiny_bundle: Path) -> None:
    assert "(`*_mistakes.png`). They are not shown here:" in " ".join(card.split())
    assert not list(tiny_bundle.glob("*mistakes*"))


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
    assert "deepfer evaluate tiny --data tiny.csv --ferplus fer2013new.csv" in card
    # What is known about FER-2013 is not said of other data.
    assert "112 in Training, 42 in PublicTest, 42 in PrivateTest" in words
    assert "Kaggle" not in card
    assert "deepfer train tiny.yaml" in card


def test_the_card_tells_where_fer2013_comes_from(tiny_bundle: Path) -> None:
    from deepfer_training.model_card import write_card

    bundle = read_bundle(tiny_bundle)
    bundle["provenance"]["data"]["images"] = {
        "Training": 28709,
        "PublicTest": 3589,
        "PrivateTest": 3589,
    }

    words = " ".join(write_card(bundle, tiny_bundle).split())

    assert "On FER-2013's PrivateTest split it is right for" in words
    assert "holds 35,887 grey faces of 48x48 pixels that a web search" in words
    assert "the pictures of FER-2013 may not be passed on" in words
    assert "comes from the Kaggle challenge" in words


def test_commands_of_the_card_can_be_pasted(tiny_bundle: Path) -> None:
    from deepfer_training.model_card import write_card

    bundle = read_bundle(tiny_bundle)
    command = f"deepfer train 'my recipe.yaml' --data fer2013.csv --output {'long' * 15}"
    bundle["provenance"]["training"]["command"] = command

    card = write_card(bundle, tiny_bundle)

    lines = card.partition("## How to make it again")[2].split("\n    deepfer export")[0]
    block = lines[lines.index("    deepfer train") :]
    assert " \\\n" in block
    assert shlex.split(block.replace("\\\n", " ")) == shlex.split(command)


def test_the_card_names_no_path_of_this_machine(card: str) -> None:
    assert not re.search(r"(^|[\s`\"'=(])/\w", card)


@pytest.mark.parametrize(
    ("head", "calibrated_for", "labels", "name"),
    [
        ({"votes_weight": 0.5}, "fer2013", "fer2013", "FER-2013 labels"),
        ({"votes_weight": 1.0}, "ferplus", "ferplus", "FER+ majority"),
        # What it was trained for counts, whatever its probabilities were made to fit.
        ({"votes_weight": 1.0}, "none", "ferplus", "FER+ majority"),
        ({"votes_weight": 0.0}, "ferplus", "fer2013", "FER-2013 labels"),
        # Nobody knows what it was trained for.
        (None, "ferplus", "ferplus", "FER+ majority"),
        (None, "none", "fer2013", "FER-2013 labels"),
    ],
)
def test_the_weakest_classes_of_the_labels_that_count_come_first(
    tiny_bundle: Path,
    head: dict[str, float] | None,
    calibrated_for: str,
    labels: str,
    name: str,
) -> None:
    from deepfer_training.model_card import write_card

    bundle = read_bundle(tiny_bundle)
    bundle["provenance"]["calibration"]["labels"] = calibrated_for
    bundle["provenance"]["head"] = head and bundle["provenance"]["head"] | head
    reported = bundle["metrics"]["model.tflite"]["PrivateTest"]
    recall = (reported if labels == "fer2013" else reported["ferplus"])["recall"]

    failures = write_card(bundle, tiny_bundle).split("## Where it fails")[1]

    assert failures.splitlines()[2] == f"By the labels that it is for, {name}:"
    assert f"is recognised in {100 * min(recall.values()):.1f} %" in failures.splitlines()[4]


def test_seeds_are_told_as_mean_and_spread(tiny_bundle: Path) -> None:
    from deepfer_training.model_card import write_card

    bundle = read_bundle(tiny_bundle)
    scores = [0.7, 0.72]
    bundle["seeds"] = {
        "split": "PrivateTest",
        "models": [
            {"seed": seed, "fer2013": {"accuracy": value}}
            for seed, value in zip((7, 8), scores, strict=True)
        ],
        "summary": {
            "models": 2,
            "accuracy": {"mean": 0.71, "std": 0.0141, "min": 0.7, "max": 0.72},
        },
    }

    section = write_card(bundle, tiny_bundle).split("\n## Seeds\n")[1]

    assert "| score | mean | range | seed 7 | seed 8 |" in section
    assert (
        "| FER-2013 labels: accuracy | 71.0 % ± 1.4 % | 70.0 % to 72.0 % | 70.0 % | 72.0 % |"
    ) in section


def test_the_card_of_a_network_trained_with_adam(tiny_bundle: Path) -> None:
    from deepfer_training.model_card import write_card

    bundle = read_bundle(tiny_bundle)
    recipe = bundle["provenance"]["recipe"]
    recipe["network"] = {"architecture": "resnet50v2", "weights": "imagenet"}
    recipe["augmentation"]["vertical_flip"] = True
    recipe["optimization"] = {
        "method": "adam",
        "epochs": 15,
        "batch_size": 64,
        "learning_rate": 0.001,
        "plateau_patience": 2,
        "plateau_factor": 0.2,
        "stop_patience": 5,
        "label_smoothing": 0.0,
        "fine_tuning": {"epochs": 10, "top_layers": 30, "learning_rate": 1e-5},
    }
    bundle["provenance"]["head"] |= {"teacher_weight": 0.25, "teacher_view": "augmented"}
    bundle["provenance"]["training"] |= {
        "teachers": ["big"],
        "start": "first",
        "unlabelled_images": 1234,
    }

    card = write_card(bundle, tiny_bundle)

    for text in (
        "ResNet50V2, weights of ImageNet at first",
        "Adam, learning rate 0.001",
        "at most 10 epochs of the last 30 layers, learning rate 1e-05",
        "mirrored, upside down, rotation",
        "25 % of each target are what the teachers answer to the picture as it was augmented",
        "| teachers | big |",
        "| pictures without labels | 1,234; their targets are what the teachers answer |",
        "| started from | the weights of first |",
    ):
        assert text in " ".join(card.split()), text


def test_a_model_without_a_record_gets_a_card(tiny_bundle: Path) -> None:
    from deepfer_training.model_card import write_card

    bundle = read_bundle(tiny_bundle)
    bundle["provenance"] |= {"recipe": None, "training": None}
    for metrics in bundle["metrics"].values():
        for split in metrics.values():
            for scores in (split, split.get("tta", {})):
                scores |= {"ferplus": None, "ferplus_strict": None}
            for changed in split.get("robustness", {}).values():
                changed["ferplus_accuracy"] = None

    card = write_card(bundle, tiny_bundle)

    assert "came without a record of its training" in card
    assert "None" not in card
    # Without votes there is one set of labels.
    assert "label sets disagree" not in card


def test_label_sets_that_disagree_are_told(card: str) -> None:
    assert "The two label sets disagree, so the probabilities cannot fit both." in " ".join(
        card.split()
    )


@pytest.mark.parametrize(
    ("class_balance", "text"),
    [
        (0.0, "| class balance | none: every picture counts the same |"),
        (0.5, "| a picture counts by its class's frequency to the power of -0.5 |"),
    ],
)
def test_the_balance_of_classes_is_told(
    tiny_bundle: Path, class_balance: float, text: str
) -> None:
    from deepfer_training.model_card import write_card

    bundle = read_bundle(tiny_bundle)
    bundle["provenance"]["head"]["class_balance"] = class_balance

    assert text in write_card(bundle, tiny_bundle)


@pytest.mark.parametrize("left_out", [(), ("model.onnx",)], ids=["all here", "one left out"])
def test_only_files_that_are_here_are_said_to_be_checked(
    tiny_bundle: Path, left_out: tuple[str, ...]
) -> None:
    from deepfer_training.model_card import write_card

    bundle = read_bundle(tiny_bundle)
    bundle["left_out"] = {file: {"size_bytes": 1000} for file in left_out}

    words = " ".join(write_card(bundle, tiny_bundle).split())

    assert "Every file that is here was checked against the Keras model" in words
    assert ("measured with the others, but not held to their limits" in words) == bool(left_out)
