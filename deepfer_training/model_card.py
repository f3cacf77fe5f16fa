"""Write the model card of a bundle from what was measured."""

import shlex
from pathlib import Path
from typing import Any

from deepfer_training.batches import meant_labels
from deepfer_training.fer2013 import FER2013_SIZES
from deepfer_training.markdown_text import fill_paragraph, format_percent, make_table
from deepfer_training.metrics import CalibrationBin
from deepfer_training.model_files import KERAS_FILE, LITERT_FILE
from deepfer_training.recipe_description import commands_of_bundle, describe_training
from deepfer_training.seed_summary import LABEL_SETS, SCORES

CARD_FILE = "MODEL_CARD.md"

_SPLIT = "PrivateTest"
_LABEL_SET_NAMES = {
    "fer2013": "FER-2013 labels",
    "ferplus": "FER+ majority",
    "ferplus_strict": "FER+ majority, strict",
}
_COMMAND_WIDTH = 88
_CHARTED = ("fer2013", "ferplus")

_LIMITS = """\
## What it is for, and what not

It is for research, teaching, prototypes of social robots, games and art: wherever a guess about
a visible expression is of use and a wrong guess harms nobody.

- **An expression is not a feeling.** The model says what people would call the picture of a face.
  It does not know what somebody feels, wants or is: people smile when they are sad, and look
  stern when they think (Barrett et al. 2019, doi:10.1177/1529100619832930).
- **At work and in education it is prohibited in the European Union** to infer people's emotions
  with such a system, since 2 February 2025, except for medical or safety reasons (Regulation (EU)
  2024/1689, the AI Act, Article 5(1)(f)). Elsewhere it counts as a high-risk use there, and the
  people in front of the camera must be told (Article 50(3)).
- Do not use it to judge, select, grade, insure, police or treat anybody, nor for children or
  others who cannot agree to it.
- Answers about one picture are often wrong. Take several, look at the probabilities, and let
  `unknown` be an answer (`min_confidence`).
"""

_PEOPLE = """\
Who is in it is not known: no age, sex, skin colour or culture is recorded, so nobody can say from
this data how accuracy differs between groups. Faces of white adults and of the posed, Western way
to show an emotion are likely to be over-represented. Face detectors are biased too, and a face
that is not found is not classified. Measure on your own people before you rely on a figure.
"""


def write_card(bundle: dict[str, Any], folder: Path) -> str:
    """Return the model card in Markdown.

    Args:
        bundle: The description of the bundle, with metrics and provenance.
        folder: Folder with the files of the bundle.
    """
    reported = bundle["metrics"][LITERT_FILE][_SPLIT]
    folder_name = bundle["provenance"]["export"]["output"]
    command = f"deepfer evaluate {folder_name} {_data_options(bundle)} --split {_SPLIT}"
    sections = [
        _summary(bundle, reported, command),
        _LIMITS,
        _data(bundle, reported),
        describe_training(bundle),
        _files(bundle, folder),
        _accuracy(reported, command),
        *([_seeds(bundle["seeds"], bundle)] if "seeds" in bundle else []),
        _confusion(bundle, reported, command),
        _calibration(bundle, reported, command),
        _robustness(reported, command),
        _failures(bundle, reported),
        _rerun(bundle, command),
    ]
    return "\n".join(sections)


def write_charts(bundle: dict[str, Any], folder: Path) -> list[str]:
    """Draw the charts that the card shows and return the names of their files.

    Args:
        bundle: The description of the bundle, with metrics.
        folder: Folder of the bundle, where the charts go.
    """
    from deepfer_training.charts import draw_confusion, draw_reliability, save_figure

    reported, names = bundle["metrics"][LITERT_FILE][_SPLIT], []
    for label_set in _CHARTED:
        scores = _scores_on(reported, label_set)
        if scores is None:
            continue
        title = f"{bundle['name']}, {_SPLIT}, {_LABEL_SET_NAMES[label_set]}"
        bins = [CalibrationBin(**entry) for entry in scores["calibration"]]
        for kind, figure in (
            ("confusion", draw_confusion(scores["confusion"], list(scores["recall"]), title)),
            ("reliability", draw_reliability(bins, title)),
        ):
            names.append(f"{kind}_{label_set}.png")
            save_figure(figure, folder / names[-1])
    return names


def _data_options(bundle: dict[str, Any]) -> str:
    """Return the options of a command that name the data."""
    return str(bundle["provenance"]["data"]["options"])


def _is_fer2013(bundle: dict[str, Any]) -> bool:
    return bool(bundle["provenance"]["data"]["images"] == FER2013_SIZES)


def _scores_on(reported: dict[str, Any], label_set: str) -> dict[str, Any] | None:
    return reported if label_set == "fer2013" else reported.get(label_set)


def _show_charts(bundle: dict[str, Any], kind: str) -> str:
    """Return the charts of a kind in Markdown, side by side."""
    return "\n".join(
        f"![{kind}, {_LABEL_SET_NAMES[label_set]}]({kind}_{label_set}.png)"
        for label_set in _CHARTED
        if f"{kind}_{label_set}.png" in bundle["charts"]
    )


def _summary(bundle: dict[str, Any], reported: dict[str, Any], command: str) -> str:
    ferplus = reported["ferplus"]
    votes = f", {format_percent(ferplus['accuracy'])} against the FER+ majority" if ferplus else ""
    size_px = bundle["input"]["size_px"]
    whose = "FER-2013's" if _is_fer2013(bundle) else "its data's"
    what = fill_paragraph(
        f"A convolutional network that looks at one face, {size_px}x{size_px} grey pixels, and "
        f"gives the probabilities of seven expressions: {', '.join(bundle['labels'])}. On "
        f"{whose} {_SPLIT} split it is right for {format_percent(reported['accuracy'])} of the "
        f"pictures{votes} (one picture, one pass, no test-time augmentation)."
    )
    return f"""\
# Model card: {bundle["name"]}

{what}

This card is generated by `deepfer export`. Every figure about the model was measured by the
command below it.

    {command} --json
"""


def _describe_splits(bundle: dict[str, Any]) -> str:
    learned = _count_learned(bundle)
    text = (
        "The split Training is for training, PublicTest for every decision (calibration, checks "
        "of the exported files), PrivateTest for the figures that are reported."
    )
    if learned == 0:
        return text
    total = bundle["provenance"]["data"]["images"]["PublicTest"]
    return (
        f"{text} When PublicTest had told all that it can about the recipe, {learned:,} of its "
        f"{total:,} pictures were learned from, too. The temperature is fitted on the other "
        f"{total - learned:,}, and figures on PublicTest are about these alone."
    )


def _count_learned(bundle: dict[str, Any]) -> int:
    """Return how many pictures of PublicTest the model has learned from."""
    data = bundle["provenance"]["data"]
    total: int = data["images"]["PublicTest"]
    # Bundles of older versions do not tell: their models learned from none.
    return total - int(data.get("public_test_unlearned", total))


def _data(bundle: dict[str, Any], reported: dict[str, Any]) -> str:
    splits = _describe_splits(bundle)
    if not _is_fer2013(bundle):
        data = bundle["provenance"]["data"]
        counts = ", ".join(f"{count:,} in {split}" for split, count in data["images"].items())
        text = fill_paragraph(
            f"`{data['source']}` holds grey faces of 48x48 pixels: {counts}. Where they come from "
            f"and who labelled them is not recorded. {splits}"
        )
        return f"## Data\n\n{text}\n\n{_PEOPLE}"
    agreement = reported["label_agreement"]
    agrees = (
        ""
        if agreement is None
        else f" Its majority agrees with the original label on {format_percent(agreement)} of the "
        f"{_SPLIT} pictures that have one, so there are two figures for every model, and no model "
        "can be best at both."
    )
    text = fill_paragraph(
        "FER-2013 (Goodfellow et al. 2013, arXiv:1307.0414) holds 35,887 grey faces of 48x48 "
        "pixels that a web search for emotion words found: many posed and acted expressions, some "
        "drawings, labelled by search word and sorted by few people. Human agreement with its "
        "labels is about 65 % (Goodfellow et al.). FER+ (Barsoum et al. 2016, arXiv:1608.01041) "
        f"lets ten people vote on every picture.{agrees} {splits}"
    )
    return f"## Data\n\n{text}\n\n{_PEOPLE}"


def _files(bundle: dict[str, Any], folder: Path) -> str:
    left_out = bundle["left_out"]
    rows = []
    for file, metrics in bundle["metrics"].items():
        public, private = metrics["PublicTest"], metrics[_SPLIT]
        comparison = private.get("comparison")
        is_here = file not in left_out
        size = (folder / file).stat().st_size if is_here else left_out[file]["size_bytes"]
        rows.append(
            (
                f"`{file}`" if is_here else f"`{file}`, left out",
                f"{size / 1e6:.2f} MB",
                *(
                    "-" if scores is None else format_percent(scores["accuracy"], 2)
                    for split in (public, private)
                    for scores in (split, split["ferplus"])
                ),
                "-" if comparison is None else f"{comparison['largest_difference']:.2g}",
                f"{private['ms_per_face']:.2f} ms",
            )
        )
    splits = ("PublicTest", "PublicTest, FER+", _SPLIT, f"{_SPLIT}, FER+")
    headings = ("file", "size", *splits, "difference", "a face")
    files = f"{bundle['provenance']['export']['output']}/"
    options = _data_options(bundle)
    size_px, margin = bundle["input"]["size_px"], bundle["input"]["crop_margin"]
    model_input = fill_paragraph(
        f"They take float32 (batch, {size_px}, {size_px}, 1), grey values from 0 to 255, and give "
        "probabilities; scaling is inside the model. The crop is a square around the face with a "
        f"border of {format_percent(margin, 0)} of the face box's side on every side."
    )
    measured = fill_paragraph(
        "Columns: accuracy on PublicTest and PrivateTest against the original labels, and against "
        f"the FER+ majority; the largest difference of any probability of any {_SPLIT} picture "
        "from the Keras model; the median time for one face alone, LiteRT and ONNX Runtime on one "
        f"thread ({bundle['provenance']['export']['machine']}; other programs may have run beside "
        "it)."
    )
    elsewhere = fill_paragraph(
        "Every file that is here was checked against the Keras model on the whole of PublicTest "
        "before it was written."
        + (
            " What is marked as left out was made and measured with the others, but not held to "
            "their limits, and is not kept here; this makes it again, if it keeps them:"
            if left_out
            else ""
        )
    )
    if left_out:
        elsewhere += (
            f"\n\n    deepfer export {files}{KERAS_FILE} --calibrate none \\\n"
            f"        {options} --output FOLDER"
        )
    return f"""\
## Files

{model_input}

{measured}

{elsewhere}

{make_table(headings, rows)}
    deepfer evaluate {files}FILE {options} \\
        --split {_SPLIT} --compare {files}{KERAS_FILE} --json    # or --split PublicTest
"""


def _accuracy(reported: dict[str, Any], command: str) -> str:
    ferplus = reported["ferplus"]
    rows = [
        (f"{_LABEL_SET_NAMES[label_set]}{suffix}", *_overview(scores))
        for values, suffix in ((reported, ""), (reported.get("tta"), ", with mirror image"))
        if values is not None
        for label_set in LABEL_SETS
        if (scores := _scores_on(values, label_set)) is not None
    ]
    columns = [reported] + ([ferplus] if ferplus else [])
    class_rows = [
        (
            label,
            *(format_percent(column[name][label]) for column in columns for name in _CLASS_SCORES),
        )
        for label in reported["recall"]
    ]
    headings = ["class", "precision", "recall", "F1"]
    if ferplus:
        headings += [f"{heading}, FER+" for heading in headings[1:]]
    explained = _explain_labels(reported)
    return f"""\
## Accuracy

{explained}

{make_table(("labels", "images", "accuracy", "macro-F1", "calibration error"), rows)}
{make_table(headings, class_rows)}
    {command}{" --tta" if "tta" in reported else ""}
"""


def _explain_labels(reported: dict[str, Any]) -> str:
    sentences = ["With 95 % bootstrap intervals."]
    if reported["ferplus"]:
        left_out = reported["images"] - reported["ferplus"]["images"]
        sentences.append(
            f"FER+ majority: {left_out} pictures whose majority is contempt, unknown or not a "
            "face, or that have no votes, are left out."
        )
    if reported["ferplus_strict"]:
        left_out = reported["images"] - reported["ferplus_strict"]["images"]
        sentences.append(
            "Strict: by the rules of FER+'s authors, which published figures use, single votes "
            "are dropped and a picture counts only if one class has more than half of the rest; "
            f"{left_out} are left out. (Published figures count contempt as an eighth class.)"
        )
    if "tta" in reported:
        sentences.append(
            'Rows "with mirror image" take two passes: '
            f"{reported['tta']['method']}. deepfer itself does not do that."
        )
    return fill_paragraph(" ".join(sentences))


_CLASS_SCORES = ("precision", "recall", "f1")


def _overview(scores: dict[str, Any]) -> tuple[str, ...]:
    return (
        str(scores["images"]),
        f"{format_percent(scores['accuracy'])} ({_interval(scores['accuracy_interval'])})",
        f"{scores['macro_f1']:.3f} ({_interval(scores['macro_f1_interval'], 1, 3)})",
        f"{scores['ece']:.3f} ({_interval(scores['ece_interval'], 1, 3)})",
    )


_SCORE_NAMES = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "worst_recall": "recall of the worst class",
    "ece": "calibration error",
}


def _seeds(seeds: dict[str, Any], bundle: dict[str, Any]) -> str:
    summary, models = seeds["summary"], seeds["models"]
    recipe = bundle["provenance"]["recipe"]
    text = fill_paragraph(
        f"The same recipe, trained {len(models)} times, each from another seed (initial weights, "
        "order, augmentation), each calibrated alike and measured on "
        f"{seeds['split']} in one pass. This bundle holds seed {recipe['seed']}. Mean ± standard "
        "deviation, and the smallest and largest value. (The command below takes the models as "
        "they were trained, before calibration, so that it gives another calibration error.)"
    )
    rows = [
        (
            f"{_LABEL_SET_NAMES[label_set]}: {_SCORE_NAMES[name]}",
            f"{_score(name, spread['mean'])} ± {_score(name, spread['std'])}",
            f"{_score(name, spread['min'])} to {_score(name, spread['max'])}",
            *(_score(name, model[label_set][name]) for model in models),
        )
        for label_set in LABEL_SETS
        for name in SCORES
        if (spread := (_scores_on(summary, label_set) or {}).get(name)) is not None
    ]
    headings = ("score", "mean", "range", *(f"seed {model['seed']}" for model in models))
    return f"""\
## Seeds

{text}

{make_table(headings, rows)}
    deepfer evaluate MODEL_OF_EACH_SEED… {_data_options(bundle)} --split {seeds["split"]}
"""


def _score(name: str, value: float) -> str:
    return format_percent(value) if name in ("accuracy", "worst_recall") else f"{value:.3f}"


def _confusion(bundle: dict[str, Any], reported: dict[str, Any], command: str) -> str:
    labels = list(reported["recall"])
    rows = [
        (f"**{label}**", *(str(count) for count in counts))
        for label, counts in zip(labels, reported["confusion"], strict=True)
    ]
    return f"""\
## Confusion

The original label down, the model's answer across.

{make_table(("", *labels), rows)}
    {command}

{_show_charts(bundle, "confusion")}
"""


def _calibration(bundle: dict[str, Any], reported: dict[str, Any], command: str) -> str:
    calibration = bundle["provenance"]["calibration"]
    names = {"fer2013": "the original labels", "ferplus": "the FER+ majority"}
    ferplus = reported["ferplus"]
    votes = f" and {ferplus['ece']:.3f} against the FER+ majority" if ferplus else ""
    disagree = (
        " The two label sets disagree, so the probabilities cannot fit both." if ferplus else ""
    )
    if calibration["labels"] == "none":
        how = "The logits are as trained: no temperature was looked for."
    elif calibration["temperature"] == 1.0:
        how = "The logits are as trained: no temperature made them fit better on PublicTest."
    else:
        how = (
            f"The logits are divided by {calibration['temperature']}, fitted on PublicTest for "
            f"{names[calibration['labels']]}: the expected calibration error there went from "
            f"{calibration['ece_before']:.3f} to {calibration['ece_after']:.3f}."
        )
    text = fill_paragraph(
        f"{how} On {_SPLIT} it is {reported['ece']:.3f} against the original labels{votes} "
        f"(15 bins).{disagree}"
    )
    return f"""\
## Calibration

{text}

    {command}

{_show_charts(bundle, "reliability")}
"""


def _robustness(reported: dict[str, Any], command: str) -> str:
    ferplus = reported["ferplus"]
    unchanged = ("as they are", format_percent(reported["accuracy"]),
                 format_percent(ferplus["accuracy"]) if ferplus else "-")  # fmt: skip
    rows = [unchanged] + [
        (
            change,
            format_percent(values["accuracy"]),
            format_percent(values["ferplus_accuracy"]),
        )
        for change, values in reported.get("robustness", {}).items()
    ]
    text = fill_paragraph(
        f"Accuracy on {_SPLIT} when every picture is changed in one way. Shifts go in a random "
        "direction and rotations to a random side; borders repeat the edge of the picture."
    )
    return f"""\
## Robustness

{text}

{make_table(("change", "FER-2013 labels", "FER+ majority"), rows)}
    {command} --robustness
"""


def _failures(bundle: dict[str, Any], reported: dict[str, Any]) -> str:
    provenance = bundle["provenance"]
    label_set = meant_labels(
        provenance["head"],
        provenance["calibration"]["labels"],
        has_votes=reported["ferplus"] is not None,
    )
    meant = _scores_on(reported, label_set) or reported
    recall = meant["recall"]
    labels = list(recall)
    shown = [label for label in labels if recall[label] is not None]
    weakest = sorted(shown, key=lambda label: float(recall[label]))[:3]
    lines = [
        f"- {label.capitalize()} is recognised in {format_percent(recall[label])} of the "
        f"{sum(meant['confusion'][labels.index(label)])} pictures; "
        f"{_mistakes(label, labels, meant['confusion'])}."
        for label in weakest
    ]
    changes = reported.get("robustness", {})
    if changes:
        score = "ferplus_accuracy" if label_set == "ferplus" else "accuracy"
        worst = min(changes, key=lambda change: float(changes[change][score]))
        fall = meant["accuracy"] - changes[worst][score]
        lines.append(f'- Of the changes above, "{worst}" costs most: {100 * fall:.1f} points.')
    lines += [
        "- Profiles, hands before the face, masks and very small faces are rare in the data.",
        "- It has seen single grey pictures only: it knows nothing of colour, motion, voice, "
        "context or of how somebody's face looks at rest.",
    ]
    paragraphs = [fill_paragraph(line).replace("\n", "\n  ") for line in lines]
    introduction = f"By the labels that it is for, {_LABEL_SET_NAMES[label_set]}:"
    why = (
        "the pictures of FER-2013 may not be passed on"
        if _is_fer2013(bundle)
        else "nobody knows whether these people agree"
    )
    faces = fill_paragraph(
        "The faces that the model is most wrong about, with what it takes them for, are drawn by "
        f"`deepfer train` into the run folder (`*_mistakes.png`). They are not shown here: {why}."
    )
    return f"## Where it fails\n\n{introduction}\n\n" + "\n".join(paragraphs) + f"\n\n{faces}\n"


def _mistakes(label: str, labels: list[str], confusion: list[list[int]]) -> str:
    row = confusion[labels.index(label)]
    others = sorted(
        (other for other in labels if other != label), key=lambda other: -row[labels.index(other)]
    )
    return "it is taken for " + " and ".join(
        f"{other} in {format_percent(row[labels.index(other)] / sum(row))}" for other in others[:2]
    )


def _rerun(bundle: dict[str, Any], command: str) -> str:
    steps = [*commands_of_bundle(bundle), f"{command} --robustness --json"]
    origin = (
        "The data is for research and is not part of this repository: `fer2013.csv` (plain, "
        "`.xz` or `.gz`)\ncomes from the Kaggle challenge, `fer2013new.csv` from the FER+ "
        "repository."
        if _is_fer2013(bundle)
        else "The data is not part of this bundle."
    )
    commands = "".join(f"{_break_command(step)}\n" for step in steps)
    return f"## How to make it again\n\n{origin}\n\n{commands}"


def _break_command(command: str) -> str:
    """Return a command as a block of Markdown, in lines that a shell takes for one."""
    first, *words = map(shlex.quote, shlex.split(command))
    lines = [first]
    for word in words:
        if len(lines[-1]) + 1 + len(word) > _COMMAND_WIDTH:
            lines.append(word)
        else:
            lines[-1] += f" {word}"
    return "    " + " \\\n        ".join(lines)


def _interval(bounds: list[float], factor: float = 100, digits: int = 1) -> str:
    return f"{factor * bounds[0]:.{digits}f} to {factor * bounds[1]:.{digits}f}"
