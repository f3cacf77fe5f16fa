import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from deepfer_training.data_command import data
from deepfer_training.data_report import inspect_source
from deepfer_training.fer2013 import LABELS, FaceDataset, FaceSource


def _source(
    rows: list[tuple[int, int, str]], *, sizes: list[list[int]] | None = None
) -> FaceSource:
    """Return a source with rows of (number of the picture, label, split); picture 0 is blank."""
    images = np.zeros((len(rows), 48, 48), np.uint8)
    for index, (number, _, _) in enumerate(rows):
        if number:
            images[index] = np.random.default_rng(number).integers(0, 256, (48, 48))
    faces = FaceDataset(
        images,
        np.array([label for _, label, _ in rows], np.int64),
        np.array([split for _, _, split in rows]),
        source="tiny.csv",
    )
    sizes_hw = np.array(sizes or [[48, 48]] * len(rows), np.int64)
    return FaceSource(faces, "table", sizes_hw)


def test_counts() -> None:
    report = inspect_source(
        _source([(1, 3, "Training"), (2, 3, "Training"), (3, 0, "PublicTest")])
    )

    assert report.images == 3
    assert set(report.counts) == {"Training", "PublicTest"}
    assert report.counts["Training"] == dict.fromkeys(LABELS, 0) | {"happy": 2}
    assert report.counts["PublicTest"] == dict.fromkeys(LABELS, 0) | {"angry": 1}
    assert report.majority is None
    assert report.duplicates.extra.count == report.blank.count == report.wrong_sizes.count == 0
    assert report.sizes == {"48x48": 3}


def test_duplicates() -> None:
    report = inspect_source(
        _source(
            [
                (1, 3, "Training"),
                (2, 0, "Training"),
                (1, 3, "Training"),
                (1, 4, "PrivateTest"),
                (2, 0, "PublicTest"),
                (3, 5, "PublicTest"),
            ]
        )
    )

    duplicates = report.duplicates
    assert duplicates.extra.count == 3
    assert duplicates.extra.examples == (
        "line 2 (happy, Training) = line 4 (happy, Training) = line 5 (sad, PrivateTest)",
        "line 3 (angry, Training) = line 6 (angry, PublicTest)",
    )
    assert duplicates.across_splits.count == 2
    assert duplicates.other_labels.count == 1
    assert duplicates.other_labels.examples == (
        "line 2 (happy, Training) = line 5 (sad, PrivateTest)",
    )


def test_blank_pictures_and_sizes() -> None:
    sizes = [[48, 48], [100, 64], [100, 64], [48, 47]]
    rows = [(0, 1, "Training"), (1, 1, "Training"), (2, 1, "Training"), (3, 1, "Training")]

    report = inspect_source(_source(rows, sizes=sizes))

    assert report.blank.to_json() == {"count": 1, "examples": ["line 2 (disgust, Training)"]}
    assert report.wrong_sizes.count == 3
    assert report.sizes == {"64x100": 2, "48x48": 1, "47x48": 1}


def test_only_some_examples_are_named() -> None:
    report = inspect_source(_source([(0, 1, "Training")] * 20))

    assert report.blank.count == 20
    assert len(report.blank.examples) == 5


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(data, [str(argument) for argument in arguments])


def test_tables(tiny_files: tuple[Path, Path], tiny_dataset: FaceDataset) -> None:
    result = _run(tiny_files[0], "--ferplus", tiny_files[1])

    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == f"{tiny_files[0]}: {len(tiny_dataset)} pictures"
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in lines]
    assert ["happy", "16", "6", "6", "28"] in cells
    assert ["all", "112", "42", "42", "196"] in cells
    assert "By FER+ majority" in result.stdout
    assert re.search(r"same majority for at most (9\d|100)\.\d % of PrivateTest", result.stdout)
    assert "0 blank pictures" in result.stdout
    assert "0 pictures that are not 48x48" in result.stdout


def test_what_a_model_can_reach_is_told_for_every_split(tiny_files: tuple[Path, Path]) -> None:
    result = _run(tiny_files[0], "--ferplus", tiny_files[1], "--json")

    ceilings = json.loads(result.stdout)["ferplus_ceiling"]
    assert list(ceilings) == ["Training", "PublicTest", "PrivateTest"]
    # Nine of ten voters agree.
    assert all(0.99 < ceiling["majority"] <= 1 for ceiling in ceilings.values())


def test_json(tiny_files: tuple[Path, Path], tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("emotion,pixels,Usage\n9,1 2,Training\n")

    result = _run(bad, tiny_files[0], "--json")

    assert result.exit_code == 1
    error, report = (json.loads(line) for line in result.stdout.splitlines())
    assert set(error) == {"path", "error"}
    assert error["error"].startswith(f"{bad}, line 2: pixels must be 2304 numbers")
    assert report["images"] == 196
    assert report["form"] == "table"
    assert report["counts"]["PublicTest"]["neutral"] == 6
    assert report["ferplus_majority"] is None
    assert report["ferplus_ceiling"] is None
    assert report["blank"] == {"count": 0, "examples": []}
    assert report["wrong_sizes"] == {"count": 0, "examples": [], "sizes": {"48x48": 196}}


@pytest.mark.parametrize("name", ["missing.csv", "missing"])
def test_missing(tmp_path: Path, name: str) -> None:
    result = _run(tmp_path / name)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.startswith(f"Error: Cannot read {tmp_path / name}")


@pytest.mark.parametrize("name", ["m[/x]", "[red]", "m[x"])
def test_square_brackets_in_a_path_are_no_markup(
    tmp_path: Path, tiny_files: tuple[Path, Path], name: str
) -> None:
    (tmp_path / name).mkdir(parents=True)
    path = tmp_path / name / "a.csv"
    path.write_bytes(tiny_files[0].read_bytes())

    result = _run(path)

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{path}: 196 pictures\n")


def test_names_that_are_not_utf_8_are_printed(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"caf\xe9") / "happy"
    try:
        folder.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system has no such names")
    Image.fromarray(np.zeros((48, 48), np.uint8)).save(folder / os.fsdecode(b"\xe8.png"))

    report, json_report, error = (
        _run(folder.parent),
        _run(folder.parent, "--json"),
        _run(folder.parent / "missing"),
    )

    assert report.exit_code == json_report.exit_code == 0
    assert report.stdout.startswith(f"{tmp_path}/caf\\udce9: 1 pictures\n")
    assert "happy/\\udce8.png (happy, " in report.stdout
    assert json.loads(json_report.stdout)["path"] == str(folder.parent)
    assert error.stderr.startswith(f"Error: Cannot read {tmp_path}/caf\\udce9/missing: ")
