#!/usr/bin/env python3
"""Compare how often deepfer and the library fer are right about labelled photographs.

    python scripts/peer_accuracy.py PHOTOS      in the environment of scripts/env.sh

PHOTOS is a folder with a folder for each class (angry, disgust, fear, happy, sad, surprise,
neutral). Each program finds the faces in its own way, with its defaults, in a process of its own;
its answer is that for the largest face. fer (https://github.com/JustinShenk/fer) is installed
into .venv-peers, as by bench_peers.py.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
NO_FACE = "-"
_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")

# Takes the path of a picture and returns a label, or `NO_FACE`.
Answer = Callable[[str], str]


def load_deepfer() -> Answer:
    """Return deepfer's core, as `deepfer classify` runs it."""
    from deepfer_ros.recognition.classifier import load_classifier
    from deepfer_ros.recognition.detection import load_detector
    from deepfer_ros.recognition.images import read_image
    from deepfer_ros.recognition.model_bundle import load_bundle
    from deepfer_ros.recognition.recognizer import EmotionRecognizer

    recognizer = EmotionRecognizer(
        load_detector(max_side_px=640), load_classifier(load_bundle("deepfer48"))
    )

    def answer(path: str) -> str:
        faces = recognizer.recognize(read_image(Path(path)))
        largest = max(faces, key=lambda face: face.box_xywh[2:].prod(), default=None)
        return NO_FACE if largest is None else largest.emotion

    return answer


def load_fer() -> Answer:
    """Return the library fer with its own defaults: Haar cascade, quantized LiteRT model."""
    import cv2
    from fer.fer import FER

    library = FER()

    def answer(path: str) -> str:
        faces = library.detect_emotions(cv2.imread(path))
        if not faces:
            return NO_FACE
        largest = max(faces, key=lambda face: face["box"][2] * face["box"][3])
        return str(max(largest["emotions"], key=largest["emotions"].get))

    return answer


PROGRAMS = {"deepfer": load_deepfer, "fer": load_fer}
"""What is compared; deepfer runs in its own environment, fer in that of the peers."""


def find_photos(folder: Path) -> dict[str, str]:
    """Return the label of every picture in the folders of the classes, by its path.

    Raises:
        SystemExit: There is no picture.
    """
    photos = {
        str(path): label
        for label in LABELS
        for path in sorted((folder / label).glob("*"))
        if path.suffix.lower() in _SUFFIXES
    }
    if not photos:
        sys.exit(f"{folder} holds no picture in a folder {', '.join(LABELS)}.")
    return photos


def ask(program: str, paths: list[str]) -> list[str]:
    """Return a program's answers, from a process of its own.

    Raises:
        SystemExit: It fails.
    """
    from bench_peers import python_of, variables_of

    done = subprocess.run(
        [python_of(program), __file__, "--answer", program],
        input="\n".join(paths),
        stdout=subprocess.PIPE,
        env=variables_of(program),
        text=True,
    )
    answers = done.stdout.splitlines()
    if done.returncode or len(answers) != len(paths):
        sys.exit(f"{program} failed after {len(answers)} of {len(paths)} pictures.")
    return answers


def describe(labels: list[str], answers: dict[str, list[str]]) -> str:
    """Return a table of how often each program is right.

    Args:
        labels: The true one of each picture.
        answers: Those of each program.
    """
    everywhere = [NO_FACE not in row for row in zip(*answers.values(), strict=True)]
    lines = [f"{len(labels)} pictures; {sum(everywhere)} in which each program finds a face"]
    for program, given in answers.items():
        right = [one == other for one, other in zip(labels, given, strict=True)]
        found = len(given) - given.count(NO_FACE)
        common = sum(ok for ok, counted in zip(right, everywhere, strict=True) if counted)
        lines.append(
            f"{program}: finds a face in {_percent(found, len(labels))}, is right about "
            f"{_percent(sum(right), len(labels))} of all and "
            f"{_percent(common, sum(everywhere))} of those"
        )
        for label in LABELS:
            if label in labels:
                mine = [ok for ok, one in zip(right, labels, strict=True) if one == label]
                lines.append(f"  {label}: {_percent(sum(mine), len(mine))} of {len(mine)}")
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Compare the programs; or, with --answer, be one of them."""
    if arguments[:1] == ["--answer"]:
        # What the libraries print must not come between the answers.
        answers, sys.stdout = sys.stdout, sys.stderr
        answer = PROGRAMS[arguments[1]]()
        for line in sys.stdin:
            print(answer(line.rstrip("\n")), file=answers, flush=True)
        return
    if len(arguments) != 1:
        sys.exit("usage: peer_accuracy.py PHOTOS")
    from bench_peers import install_peers

    photos = find_photos(Path(arguments[0]))
    install_peers()
    print(describe(list(photos.values()), {name: ask(name, list(photos)) for name in PROGRAMS}))


def _percent(count: int, of: int) -> str:
    return f"{100 * count / of:.1f} %" if of else "none"


if __name__ == "__main__":
    main(sys.argv[1:])
