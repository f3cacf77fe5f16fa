"""Tests of `deepfer bag` as its users run it, in processes of their own."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from bag_files import Message, raw_entry, read_bag, text_entry, write_bag
from click.testing import CliRunner, Result
from numpy.typing import NDArray

from deepfer_ros.bag.recognizers import RecognitionOptions
from deepfer_ros.camera_sources import SampleSource
from deepfer_ros.cli import deepfer

if TYPE_CHECKING:
    from rclpy.publisher import Publisher
    from ros_peer import RosPeer

TIMEOUT_S = 60.0
COUNT = 15
PROGRAM = "from deepfer_ros.cli import main; main()"
ROS_PACKAGES = ("rclpy", "deepfer", "sensor_msgs", "std_msgs", "vision_msgs", "ament_index_python")


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a bag of 1.5 seconds of the sample at 10 Hz."""
    sample = SampleSource((320, 240))
    entries = [
        raw_entry("/camera/image_raw", index / 10, sample.render(3 * index), encoding="rgb8")
        for index in range(COUNT)
    ]
    return write_bag(tmp_path_factory.mktemp("bags") / "drive", entries)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(deepfer, ["bag", *map(str, arguments)])


def start(*arguments: object, code: str = PROGRAM) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", code, "bag", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_table(drive: Path, tmp_path: Path) -> None:
    result = run(drive, "-o", tmp_path / "a.csv")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        f"Reading 1 image topic of the bag {drive}: /camera/image_raw",
        f"/camera/image_raw: {COUNT} images, {COUNT} faces in {COUNT} of them",
        f"Wrote {tmp_path / 'a.csv'}",
    ]
    with open(tmp_path / "a.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == COUNT
    assert {row["face_id"] for row in rows} == {"face1"}
    # She smiles.
    assert {row["emotion"] for row in rows} == {"happy"}


def test_default_result_is_a_bag_of_the_same_kind_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bags").mkdir()
    entries = [raw_entry("/image_raw", 0.0, SampleSource((320, 240)).render(0))]
    write_bag(tmp_path / "bags/drive", entries, storage="sqlite3")
    result = run("bags/drive")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "drive_emotions/drive_emotions.db3").is_file()
    assert {topic for topic, _, _ in read_bag(tmp_path / "drive_emotions")} == {
        "/emotions",
        "/emotions/detections",
    }


def test_runs_without_ros(drive: Path, tmp_path: Path) -> None:
    hidden = f"import sys; sys.modules.update(dict.fromkeys({ROS_PACKAGES}))"
    process = start(drive, "-o", tmp_path / "out", "--copy", code=f"{hidden}\n{PROGRAM}")
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    assert len(list(read_bag(tmp_path / "out"))) == 3 * COUNT


@pytest.mark.parametrize("name", ["a.csv", "out"])
def test_killed_run_is_completed(drive: Path, tmp_path: Path, name: str) -> None:
    """A process that is killed leaves what it has recognized, and the next one goes on."""
    (tmp_path / "whole").mkdir()
    assert run(drive, "-o", tmp_path / "whole" / name).exit_code == 0
    journal = tmp_path / f"{name}.unfinished/journal.jsonl"
    process = start(drive, "-o", tmp_path / name)
    end_s = time.monotonic() + TIMEOUT_S
    while not journal.exists() or journal.read_bytes().count(b"\n") < 6:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end_s
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == -signal.SIGKILL
    done = journal.read_bytes().count(b"\n") - 1
    assert 5 <= done < COUNT
    result = run(drive, "-o", tmp_path / name)
    assert result.exit_code == 1
    assert "--resume completes it" in result.output
    result = run(drive, "-o", tmp_path / name, "--resume")
    assert result.exit_code == 0, result.output
    if name == "out":
        found, expected = (list(read_bag(tmp_path / path)) for path in ("out", "whole/out"))
        assert [repr(entry) for entry in found] == [repr(entry) for entry in expected]
    else:
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not journal.exists()
    result = run(drive, "-o", tmp_path / name, "--resume")
    assert (result.exit_code, result.output) == (0, f"{tmp_path / name} is complete already.\n")


def test_interrupted_run_says_how_to_go_on(drive: Path, tmp_path: Path) -> None:
    journal = tmp_path / "a.csv.unfinished/journal.jsonl"
    process = start(drive, "-o", tmp_path / "a.csv")
    end_s = time.monotonic() + TIMEOUT_S
    while not journal.exists() or journal.read_bytes().count(b"\n") < 3:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end_s
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert "the same command with --resume goes on from here" in output
    assert "Traceback" not in output


def test_defaults_are_those_of_the_node() -> None:
    pytest.importorskip("rcl_interfaces", reason="needs ROS")
    from deepfer_ros.parameters import EmotionParameters

    options, parameters = RecognitionOptions(), EmotionParameters()
    for name in (
        "model",
        "detector",
        "detection_max_side_px",
        "detection_min_confidence",
        "min_confidence",
        "smoothing_s",
    ):
        assert getattr(options, name) == getattr(parameters, name), name


def test_defaults_of_the_options_are_the_same() -> None:
    command = deepfer.get_command(None, "bag")  # type: ignore[arg-type]
    assert command is not None
    defaults = {parameter.name: parameter.default for parameter in command.params}
    options = RecognitionOptions()
    for name in ("model", "detector", "detection_max_side_px", "min_confidence", "smoothing_s"):
        assert defaults[name] == getattr(options, name), name


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["none"], "none does not exist"),
        (["{drive}", "-o", "a.txt"], "suffix of a.txt is unknown"),
        (["{drive}", "-o", "a.csv", "--format", "mcap"], "--format mcap does not fit"),
        (["{drive}", "-o", "a.csv", "--annotate", "raw"], "--annotate needs a bag as OUT"),
        (["{drive}", "-o", "a.csv", "--copy"], "--copy needs a bag as OUT"),
        (["{drive}", "--topic", "/none"], "no topic /none; its image topics: /camera/image_raw"),
        (["{drive}", "--start", "9"], "has no image in the selected time"),
        (["{drive}", "--model", "none"], "Model 'none' is neither"),
        (["{drive}", "--detector", "none"], "Unknown detector 'none'"),
        (["{drive}", "-o", "none/a.csv"], "The folder none does not exist"),
        (["{drive}", "-o", "{drive}", "--overwrite"], "would replace its own source"),
        (["{text}"], "has no image topic; its topics: /chatter (std_msgs/msg/String)"),
    ],
)
def test_refusals_are_one_sentence(
    drive: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    complaint: str,
) -> None:
    text = write_bag(tmp_path / "text", [text_entry("/chatter", 0.0, "hello")])
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    result = run(*(argument.format(drive=drive, text=text) for argument in arguments))
    assert result.exit_code == 1
    assert complaint in result.output
    assert result.output.splitlines()[-1].startswith("Error: ")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["--start", "5", "--end", "5"],
        ["--every", "0"],
        ["--format", "xlsx"],
        ["--start", "-1"],
        ["--start", "inf"],
        ["--end", "nan"],
        ["--rate", "1e-10"],
    ],
    ids="=".join,
)
def test_wrong_options(drive: Path, arguments: list[str]) -> None:
    assert run(drive, *arguments).exit_code == 2


def test_existing_result(drive: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    result = run(drive, "-o", path)
    assert result.exit_code == 1
    assert "exists already; choose another name, or --overwrite it" in result.output
    assert path.read_text() == "old"
    assert run(drive, "-o", path, "--overwrite").exit_code == 0
    assert path.read_text().startswith("time_s,")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_folder_that_may_not_be_written(drive: Path, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    result = run(drive, "-o", tmp_path / "a.csv")
    tmp_path.chmod(0o700)
    assert result.exit_code == 1
    assert "cannot be written" in result.output


def test_damaged_recording_gives_what_can_be_read(drive: Path, tmp_path: Path) -> None:
    from rosbags.rosbag2 import CompressionMode

    sample = SampleSource((320, 240))
    entries = [raw_entry("/image_raw", i / 10, sample.render(i)) for i in range(6)]
    write_bag(tmp_path / "drive", entries, compression=CompressionMode.MESSAGE)
    path = tmp_path / "drive/drive.mcap"
    data = bytearray(path.read_bytes())
    start_of_last = data.rindex(b"\x28\xb5\x2f\xfd")
    data[start_of_last : start_of_last + 4] = bytes(4)
    path.write_bytes(data)
    result = run(tmp_path / "drive", "-o", tmp_path / "a.csv")
    assert result.exit_code == 1
    assert "5 images, 5 faces" in result.output
    assert "is damaged after second 0.400" in result.output.splitlines()[-1]
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 6


def test_bag_equals_what_the_node_publishes(
    drive: Path, tmp_path: Path, ros_environment: None
) -> None:
    pytest.importorskip("rclpy", reason="needs ROS")
    from node_process import running
    from ros_peer import RosPeer
    from sensor_msgs.msg import Image

    from deepfer.msg import EmotionArray

    assert run(drive, "-o", tmp_path / "out").exit_code == 0
    expected = [
        message for topic, _, message in read_bag(tmp_path / "out") if topic == "/emotions"
    ]
    arguments = ["-m", "deepfer_ros.emotion_node", "--ros-args", "-p", "deterministic_ids:=true"]
    peer = RosPeer()
    try:
        with running([*arguments, "-p", "autostart:=true"], tmp_path / "log"):
            results = peer.listen(EmotionArray, "emotions")
            publisher = peer.advertise(Image, "image_raw")
            # Until both sides have found each other: a picture without a face, of long ago.
            empty = raw_entry("", -3600.0, np.zeros((240, 320, 3), np.uint8)).message
            send(peer, publisher, empty, results)
            for _, _, recorded in read_bag(drive):
                send(peer, publisher, recorded, results)
    finally:
        peer.close()
    published = {to_nanoseconds(result): result for result in results}
    assert len(expected) == COUNT
    for message in expected:
        result = published[to_nanoseconds(message)]
        assert (result.header.frame_id, result.model) == ("head_camera", message.model)
        (emotion,), (other,) = result.emotions, message.emotions
        assert (emotion.face_id, emotion.emotion) == (other.face_id, other.emotion)
        assert emotion.confidence == other.confidence
        assert emotion.roi.x_offset == other.roi.x_offset
        for name in ("landmarks", "probabilities", "frame_probabilities"):
            values: NDArray[object] = getattr(emotion, name)
            assert values.tolist() == getattr(other, name).tolist()


def send(
    peer: "RosPeer", publisher: "Publisher", recorded: Message, results: list[Message]
) -> None:
    """Publish an image, again if nothing comes of it, until there is a result with its stamp."""

    def is_answered() -> bool:
        publisher.publish(to_ros(recorded))
        wanted, end_s = to_nanoseconds(recorded), time.monotonic() + 5
        while time.monotonic() < end_s:
            if any(to_nanoseconds(result) == wanted for result in results):
                return True
            peer.spin_for(0.02)
        return False

    peer.wait_until(is_answered, "a result", timeout_s=TIMEOUT_S)


def to_nanoseconds(message: Message) -> int:
    """Return the stamp in the header of a message."""
    return int(message.header.stamp.sec) * 10**9 + int(message.header.stamp.nanosec)


def to_ros(recorded: object) -> object:
    """Return a message of a bag as one of rclpy."""
    from bag_files import TYPESTORE
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import Image

    return deserialize_message(
        bytes(TYPESTORE.serialize_cdr(recorded, "sensor_msgs/msg/Image")), Image
    )
