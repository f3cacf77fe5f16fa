"""Tests of the comparison on labelled photographs, as far as it goes without installing peers."""

import subprocess
import sys
from pathlib import Path

import pytest
from peer_accuracy import describe, find_photos

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


def run_script(*arguments: str | Path, asked: str = "") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, SCRIPTS / "peer_accuracy.py", *arguments],
        input=asked,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_shares_are_those_of_all_and_of_what_both_find() -> None:
    labels = ["happy", "happy", "sad", "sad"]
    answers = {"deepfer": ["happy", "sad", "sad", "sad"], "fer": ["happy", "-", "-", "happy"]}

    assert describe(labels, answers).splitlines() == [
        "4 pictures; 2 in which each program finds a face",
        "deepfer: finds a face in 100.0 %, is right about 75.0 % of all and 100.0 % of those",
        "  happy: 50.0 % of 2",
        "  sad: 100.0 % of 2",
        "fer: finds a face in 50.0 %, is right about 25.0 % of all and 50.0 % of those",
        "  happy: 50.0 % of 2",
        "  sad: 0.0 % of 2",
    ]


def test_photographs_are_found_by_the_folders_of_the_classes(tmp_path: Path) -> None:
    for name in ("sad/b.JPG", "happy/a.png", "happy/notes.txt", "other/c.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()

    found = find_photos(tmp_path)

    assert found == {f"{tmp_path}/happy/a.png": "happy", f"{tmp_path}/sad/b.JPG": "sad"}


def test_deepfer_answers_line_by_line(astronaut_path: Path) -> None:
    result = run_script("--answer", "deepfer", asked=f"{astronaut_path}\n" * 2)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "happy\nhappy\n"


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_wrong_arguments_install_nothing(arguments: list[str]) -> None:
    result = run_script(*arguments)
    assert result.returncode == 1
    assert result.stderr == "usage: peer_accuracy.py PHOTOS\n"


def test_a_folder_without_photographs_installs_nothing(tmp_path: Path) -> None:
    result = run_script(tmp_path)
    assert result.returncode == 1
    assert "holds no picture in a folder angry, disgust" in result.stderr
