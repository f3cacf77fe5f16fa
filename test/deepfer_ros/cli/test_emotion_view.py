"""Tests of what the demo draws."""

import io

import pytest
from rich.console import Console

from deepfer_ros.cli.emotion_log import EmotionLog, FaceReading
from deepfer_ros.cli.emotion_view import bar, live_view, plain_line, summary_line

LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
HAPPY = (0.01, 0.0, 0.02, 0.9, 0.02, 0.03, 0.02)
ANGRY = (0.6, 0.1, 0.1, 0.05, 0.05, 0.05, 0.05)


def reading(face_id: str, probabilities: tuple[float, ...]) -> FaceReading:
    best = max(range(len(LABELS)), key=probabilities.__getitem__)
    return FaceReading(face_id, LABELS[best], probabilities[best], probabilities)


def log_with(*faces: FaceReading) -> EmotionLog:
    log = EmotionLog(LABELS)
    for index in range(31):
        log.add(faces, model="test48", latency_s=0.012, now_s=index / 30)
    return log


def draw(log: EmotionLog, width: int, *, is_ascii: bool = False, now_s: float = 1.0) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    console.print(live_view(log, now_s=now_s, width=width, is_ascii=is_ascii))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0.0, "    "),
        (0.5, "██  "),
        (1.0, "████"),
        (1 / 32, "▏   "),
        (0.31, "█▎  "),
        (-1.0, "    "),
        (2.0, "████"),
    ],
)
def test_bar(share: float, expected: str) -> None:
    assert bar(share, 4) == expected


def test_bar_in_ascii() -> None:
    assert bar(0.5, 4, is_ascii=True) == "##  "


class TestLiveView:
    def test_shows_face_emotion_and_seven_bars(self) -> None:
        lines = draw(log_with(reading("k3", HAPPY)), 80)
        text = "\n".join(lines)
        assert "face k3" in text
        assert "happy 90 %" in text
        assert "30.0 Hz   latency 12 ms   31 frames" in text
        for label, probability in zip(LABELS, HAPPY, strict=True):
            line = next(line for line in lines if line.startswith(f"│ {label} "))
            assert f"{probability * 100:.0f} %" in line
            assert (line.count("█") > 10) == (label == "happy")

    @pytest.mark.parametrize("width", [30, 60, 80, 120, 200])
    @pytest.mark.parametrize("count", [0, 1, 2, 12])
    def test_fits_into_every_terminal(self, width: int, count: int) -> None:
        lines = draw(log_with(*[reading(f"f{index}", HAPPY) for index in range(count)]), width)
        assert max(map(len, lines)) <= width
        assert len(lines) == 13

    def test_says_how_many_faces_have_no_room(self) -> None:
        lines = draw(log_with(*[reading(f"f{index}", HAPPY) for index in range(12)]), 80)
        shown = sum(line.count("face f") for line in lines)
        assert any(f"and {12 - shown} more faces" in line for line in lines)

    def test_two_faces_side_by_side(self) -> None:
        lines = draw(log_with(reading("a", HAPPY), reading("b", ANGRY)), 80)
        assert any("happy 90 %" in line and "angry 60 %" in line for line in lines)

    def test_ascii_only(self) -> None:
        console = Console(file=io.TextIOWrapper(io.BytesIO(), encoding="ascii"), width=60)
        console.print(live_view(log_with(reading("a", HAPPY)), now_s=1.0, width=60, is_ascii=True))

    @pytest.mark.parametrize(
        ("log", "now_s", "expected"),
        [
            (EmotionLog(LABELS), 0.0, "waiting for the first result"),
            (log_with(), 1.0, "no face in the picture"),
            (log_with(reading("a", HAPPY)), 60.0, "no results at present"),
        ],
    )
    def test_without_faces(self, log: EmotionLog, now_s: float, expected: str) -> None:
        text = "\n".join(draw(log, 80, now_s=now_s))
        assert expected in text
        assert "happy 90 %" not in text


def test_plain_line() -> None:
    log = log_with(reading("a", HAPPY), reading("b", ANGRY))
    assert plain_line(log, now_s=1.0) == ("30.0 Hz  12 ms  face a happy 90 %; face b angry 60 %")
    assert plain_line(log_with(), now_s=1.0) == "30.0 Hz  12 ms  no face in the picture"


def test_summary_line() -> None:
    assert summary_line(log_with(reading("a", HAPPY))) == (
        "31 frames in 1.0 s, 30.0 Hz, median latency 12 ms, emotions seen: happy 31"
    )
    assert summary_line(log_with()).endswith("emotions seen: none")
    assert summary_line(EmotionLog(LABELS)) == (
        "0 frames in 0.0 s, 0.0 Hz, median latency unknown, emotions seen: none"
    )
