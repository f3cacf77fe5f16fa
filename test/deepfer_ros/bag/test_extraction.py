import csv
import json
import resource
import signal
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from bag_files import (
    DELAY_NS,
    ORIGIN_NS,
    TYPESTORE,
    Entry,
    compressed_entry,
    raw_entry,
    read_bag,
    text_entry,
    write_bag,
)
from fake_extraction import Extractor, numbered_picture
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionMode, Reader

from deepfer_ros.bag.definitions import IMAGE
from deepfer_ros.bag.errors import BagError
from deepfer_ros.bag.recognizers import RecognitionOptions
from deepfer_ros.bag.recording import RecordedImage, Selection
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.images import encode_image
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.tracking import FaceTracker

PERIOD_S = 0.1


def raw_entries(count: int, topic: str = "/image_raw", first: int = 0) -> list[Entry]:
    return [
        raw_entry(topic, index * PERIOD_S, numbered_picture(first + index))
        for index in range(count)
    ]


def read_rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize("transport", ["raw", "compressed"])
@pytest.mark.parametrize(
    "compression",
    [
        CompressionMode.NONE,
        CompressionMode.FILE,
        CompressionMode.MESSAGE,
        CompressionMode.STORAGE,
    ],
    ids=lambda mode: mode.name.lower(),
)
def test_every_kind_of_bag(
    tmp_path: Path,
    extractor: Extractor,
    storage: str,
    transport: str,
    compression: CompressionMode,
) -> None:
    if (storage, compression) == ("sqlite3", CompressionMode.STORAGE):
        pytest.skip("there is no such bag")
    make = raw_entry if transport == "raw" else compressed_entry
    entries = [make("/camera/image", i * PERIOD_S, numbered_picture(i)) for i in range(5)]
    write_bag(tmp_path / "drive", entries, storage=storage, compression=compression)
    summary = extractor(tmp_path / "drive", tmp_path / "a.csv")
    topic = summary.topics["/camera/image"]
    assert (topic.images, topic.faces, topic.with_faces, topic.skipped) == (5, 5, 5, {})
    assert (summary.damage, summary.notes) == ("", [])
    rows = read_rows(tmp_path / "a.csv")
    assert [float(row["x"]) for row in rows] == [0, 1, 2, 3, 4]
    assert [int(row["stamp_ns"]) for row in rows] == [
        ORIGIN_NS - DELAY_NS + index * 10**8 for index in range(5)
    ]
    assert [float(row["time_s"]) for row in rows] == [0, 0.1, 0.2, 0.3, 0.4]
    assert {row["face_id"] for row in rows} == {"face1"}
    assert {row["frame_id"] for row in rows} == {"head_camera"}


@pytest.mark.parametrize("name", ["drive/drive.mcap", "drive"])
def test_file_and_folder(tmp_path: Path, extractor: Extractor, name: str) -> None:
    write_bag(tmp_path / "drive", raw_entries(2))
    extractor(tmp_path / name, tmp_path / "a.csv")
    assert len(read_rows(tmp_path / "a.csv")) == 2


class TestBagAsResult:
    @pytest.mark.parametrize("name", ["out", "out.mcap", "out.db3"])
    @pytest.mark.parametrize("annotate", ["", "raw", "compressed"])
    def test_messages(
        self, tmp_path: Path, extractor: Extractor, name: str, annotate: str
    ) -> None:
        write_bag(tmp_path / "drive", [*raw_entries(3), raw_entry("/image_raw", 0.3, no_face())])
        extractor(tmp_path / "drive", tmp_path / name, annotate=annotate)
        assert (tmp_path / name).is_dir() == (name == "out")
        assert sorted(path.name for path in tmp_path.iterdir()) == ["drive", name]
        messages = list(read_bag(tmp_path / name))
        emotions = [entry for entry in messages if entry[0] == "/emotions"]
        assert [len(message.emotions) for _, _, message in emotions] == [1, 1, 1, 0]
        for index, (_, time_ns, message) in enumerate(emotions):
            assert time_ns == ORIGIN_NS + index * 10**8
            stamp = message.header.stamp
            assert stamp.sec * 10**9 + stamp.nanosec == time_ns - DELAY_NS
            assert message.header.frame_id == "head_camera"
            assert message.model == "fake48"
        roi = emotions[2][2].emotions[0].roi
        assert (roi.x_offset, roi.y_offset, roi.width, roi.height) == (2, 5, 20, 20)
        detections = [entry[2] for entry in messages if entry[0] == "/emotions/detections"]
        assert [message.header for message in detections] == [m.header for _, _, m in emotions]
        assert [len(message.detections) for message in detections] == [1, 1, 1, 0]
        topic = {"raw": "/emotions/image", "compressed": "/emotions/image/compressed"}.get(
            annotate
        )
        pictures = [message for name, _, message in messages if name == topic]
        assert len(pictures) == (4 if annotate else 0)
        assert len({name for name, _, _ in messages}) == (3 if annotate else 2)
        if annotate == "raw":
            assert (pictures[0].width, pictures[0].height, pictures[0].encoding) == (
                240,
                48,
                "bgr8",
            )
            # Drawn into the first, not into the last, which has no face.
            assert (pictures[3].data.reshape(48, 240, 3) == no_face()).all()
            assert (pictures[0].data.reshape(48, 240, 3) != numbered_picture(0)).any()

    def test_type_hashes_are_in_the_bag(self, tmp_path: Path, extractor: Extractor) -> None:
        write_bag(tmp_path / "drive", raw_entries(1))
        for name in ("out.db3", "out"):
            extractor(tmp_path / "drive", tmp_path / name)
        expected = TYPESTORE.hash_rihs01("deepfer/msg/EmotionArray")
        with Reader(tmp_path / "out.db3") as reader:
            assert expected in [connection.digest for connection in reader.connections]
        assert expected in (tmp_path / "out/metadata.yaml").read_text()

    def test_each_camera_gets_its_own_topics_and_tracker(
        self, tmp_path: Path, extractor: Extractor
    ) -> None:
        entries = sorted(
            [*raw_entries(3, "/front/image_raw"), *raw_entries(3, "/rear/image_raw", first=50)],
            key=lambda entry: entry.elapsed_s,
        )
        write_bag(tmp_path / "drive", entries)
        extractor(tmp_path / "drive", tmp_path / "out")
        found = [
            (topic, message.emotions[0].roi.x_offset)
            for topic, _, message in read_bag(tmp_path / "out")
            if topic.endswith("/emotions")
        ]
        assert [x for topic, x in found if topic == "/front/emotions"] == [0, 1, 2]
        assert [x for topic, x in found if topic == "/rear/emotions"] == [50, 51, 52]
        extractor(tmp_path / "drive", tmp_path / "a.csv")
        rows = read_rows(tmp_path / "a.csv")
        ids = {(row["topic"], row["face_id"]) for row in rows}
        assert ids == {("/front/image_raw", "face1"), ("/rear/image_raw", "face2")}

    def test_original_messages_are_copied(self, tmp_path: Path, extractor: Extractor) -> None:
        entries = [
            text_entry("/chatter", 0.0, "first"),
            *raw_entries(2),
            text_entry("/emotions", 0.3, "of somebody else"),
            text_entry("/chatter", 0.4, "last"),
        ]
        write_bag(tmp_path / "drive", entries)
        summary = extractor(tmp_path / "drive", tmp_path / "out", copy=True)
        assert summary.notes == ["Did not copy /emotions: the new results have that name."]
        copied = list(read_bag(tmp_path / "out"))
        assert [m.data for topic, _, m in copied if topic == "/chatter"] == ["first", "last"]
        originals = [entry for entry in copied if entry[0] == "/image_raw"]
        assert len(originals) == 2
        assert bytes(originals[1][2].data) == numbered_picture(1).tobytes()
        with Reader(tmp_path / "drive") as before, Reader(tmp_path / "out") as after:
            digests = {entry.topic: entry.digest for entry in after.connections}
            for connection in before.connections:
                if connection.topic != "/emotions":
                    assert digests[connection.topic] == connection.digest


def no_face() -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return numbered_picture(200)


class TestSelection:
    @pytest.mark.parametrize(
        ("selection", "numbers"),
        [
            (Selection(start_s=0.3), [3, 4, 5, 6, 7, 8, 9]),
            (Selection(end_s=0.3), [0, 1, 2, 3]),
            (Selection(start_s=0.25, end_s=0.55), [3, 4, 5]),
            (Selection(every=4), [0, 4, 8]),
            (Selection(start_s=0.1, every=4), [1, 5, 9]),
        ],
        ids=["start", "end", "both", "every", "start_every"],
    )
    @pytest.mark.parametrize("kind", ["bag", "folder"])
    def test_images(
        self,
        tmp_path: Path,
        extractor: Extractor,
        selection: Selection,
        numbers: list[int],
        kind: str,
    ) -> None:
        rate_hz = None
        if kind == "bag":
            source = write_bag(tmp_path / "drive", raw_entries(10))
        else:
            source = write_pictures(tmp_path / "drive", 10)
            rate_hz = 1 / PERIOD_S
        extractor(source, tmp_path / "a.csv", selection=selection, rate_hz=rate_hz)
        assert extractor.detector.numbers == numbers
        rows = read_rows(tmp_path / "a.csv")
        assert [float(row["time_s"]) for row in rows] == [
            pytest.approx(number * PERIOD_S) for number in numbers
        ]
        assert [int(row["frame"]) for row in rows] == [number - numbers[0] for number in numbers]

    def test_topic(self, tmp_path: Path, extractor: Extractor) -> None:
        entries = [*raw_entries(3, "/front"), *raw_entries(2, "/rear", first=50)]
        write_bag(tmp_path / "drive", entries)
        extractor(tmp_path / "drive", tmp_path / "a.csv", selection=Selection(("/rear",)))
        assert extractor.detector.numbers == [50, 51]

    def test_nothing_in_the_time(self, tmp_path: Path, extractor: Extractor) -> None:
        write_bag(tmp_path / "drive", raw_entries(2))
        with pytest.raises(BagError, match="has no image in the selected time"):
            extractor(tmp_path / "drive", tmp_path / "a.csv", selection=Selection(start_s=5))
        assert [path.name for path in tmp_path.iterdir()] == ["drive"]


def write_pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        data = encode_image(numbered_picture(number), ".png")
        (folder / f"{number:03}.png").write_bytes(data)
    return folder


@pytest.mark.parametrize("period_s", [0.03, 0.3])
def test_smoothing_uses_the_time_of_the_recording(
    tmp_path: Path, extractor: Extractor, period_s: float
) -> None:
    """The images' stamps say how much time has passed, however fast they are read."""
    pictures = [numbered_picture(number) for number in (0, 5)]
    entries = [raw_entry("/image_raw", i * period_s, image) for i, image in enumerate(pictures)]
    write_bag(tmp_path / "drive", entries)
    extractor(tmp_path / "drive", tmp_path / "a.csv", options=RecognitionOptions(smoothing_s=0.3))
    found = [float(row["happy"]) for row in read_rows(tmp_path / "a.csv")]
    recognizer = EmotionRecognizer(
        extractor.detector, extractor.classifier, tracker=FaceTracker(smoothing_s=0.3)
    )
    expected = [
        recognizer.recognize(image, time_s=index * period_s)[0].probabilities[3]
        for index, image in enumerate(pictures)
    ]
    assert found == pytest.approx(expected, abs=1e-5)
    assert expected[0] != pytest.approx(expected[1], abs=1e-3)


@pytest.mark.parametrize(("sec", "nanosec"), [(12, 5), (0, 0)], ids=["standing", "none"])
def test_smoothing_uses_the_times_of_recording_where_stamps_tell_nothing(
    tmp_path: Path, extractor: Extractor, sec: int, nanosec: int
) -> None:
    for name in ("stamped", "other"):
        entries = raw_entries(8)
        if name == "other":
            for entry in entries:
                entry.message.header.stamp.sec = sec
                entry.message.header.stamp.nanosec = nanosec
        write_bag(tmp_path / name, entries)
        extractor(tmp_path / name, tmp_path / f"{name}.csv")
    expected, found = (
        [float(row["happy"]) for row in read_rows(tmp_path / f"{name}.csv")]
        for name in ("stamped", "other")
    )
    assert found == pytest.approx(expected, abs=1e-5)
    assert min(np.abs(np.diff(expected))) > 1e-3


class Killed(BaseException):
    """Stands for whatever ends a run in the middle."""


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.parquet", "out", "out.mcap", "out.db3"])
@pytest.mark.parametrize("done", [1, 4, 9])
def test_resumed_run_gives_what_an_unbroken_one_gives(
    tmp_path: Path, extractor: Extractor, name: str, done: int
) -> None:
    entries = raw_entries(10)
    entries.insert(3, raw_entry("/image_raw", 0.25, no_face()))
    broken = raw_entry("/image_raw", 0.35, numbered_picture(0))
    broken.message.encoding = "blue9"
    entries.insert(5, broken)
    write_bag(tmp_path / "drive", entries)
    options = {"annotate": "raw"} if name.startswith("out") else {}
    (tmp_path / "whole").mkdir()
    expected = extractor(tmp_path / "drive", tmp_path / "whole" / name, **options)
    count = 0

    def die(image: RecordedImage) -> None:
        nonlocal count
        count += 1
        if count == done:
            raise Killed

    with pytest.raises(Killed):
        extractor(tmp_path / "drive", tmp_path / name, progress=die, **options)
    assert not (tmp_path / name).exists()
    extractor.detector.numbers.clear()
    summary = extractor(tmp_path / "drive", tmp_path / name, resume=True, **options)
    assert summary == expected
    # What was recognized before the end is not recognized again.
    assert len(extractor.detector.numbers) == 11 - len(
        [e for e in entries[:done] if e is not broken]
    )
    if name.startswith("out"):
        found, wanted = (
            list(read_bag(path)) for path in (tmp_path / name, tmp_path / "whole" / name)
        )
        assert [repr(entry) for entry in found] == [repr(entry) for entry in wanted]
    else:
        assert (tmp_path / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (tmp_path / f"{name}.unfinished").exists()


def test_resumed_run_counts_time_as_an_unbroken_one(
    tmp_path: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stamps stand still; an image that the model refuses has another one."""
    entries = raw_entries(8)
    for entry in entries:
        entry.message.header.stamp = entries[0].message.header.stamp
    entries[3] = raw_entry("/image_raw", 3 * PERIOD_S - 3600, numbered_picture(3))
    entries[3] = replace(entries[3], elapsed_s=3 * PERIOD_S)
    write_bag(tmp_path / "drive", entries)
    classify = extractor.classifier.classify

    def refuse_one(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        if extractor.detector.numbers[-1] == 3:
            raise ImageError("No probabilities.")
        return classify(crops)

    monkeypatch.setattr(extractor.classifier, "classify", refuse_one)

    def die(image: RecordedImage) -> None:
        if image.index == 4:
            raise Killed

    extractor(tmp_path / "drive", tmp_path / "whole.csv")
    with pytest.raises(Killed):
        extractor(tmp_path / "drive", tmp_path / "a.csv", progress=die)
    summary = extractor(tmp_path / "drive", tmp_path / "a.csv", resume=True)

    assert summary.topics["/image_raw"].skipped == {"No probabilities.": 1}
    assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


class TestBadInput:
    def test_images_that_cannot_be_used_are_skipped(
        self, tmp_path: Path, extractor: Extractor
    ) -> None:
        entries = raw_entries(4)
        entries[1].message.encoding = "blue9"
        entries[2] = Entry("/image_raw", IMAGE, 0.2, b"\x00\x01\x00\x00garbage")
        write_bag(tmp_path / "drive", entries)
        summary = extractor(tmp_path / "drive", tmp_path / "a.csv")
        topic = summary.topics["/image_raw"]
        assert topic.images == 2
        assert sorted(reason.split(":")[0].split(";")[0] for reason in topic.skipped) == [
            "The encoding 'blue9' is unknown",
            "The message is damaged",
        ]
        assert [row["frame"] for row in read_rows(tmp_path / "a.csv")] == ["0", "3"]

    def test_no_image_can_be_used(self, tmp_path: Path, extractor: Extractor) -> None:
        entries = raw_entries(3)
        for entry in entries:
            entry.message.encoding = "blue9"
        write_bag(tmp_path / "drive", entries)
        with pytest.raises(BagError, match=r"None of the 3 images of the bag .* 'blue9'"):
            extractor(tmp_path / "drive", tmp_path / "a.csv")
        assert [path.name for path in tmp_path.iterdir()] == ["drive"]

    @pytest.mark.parametrize(
        ("name", "complaint"),
        [
            ("none", "does not exist"),
            ("none.bag/below", "does not exist"),
            ("file.txt/below", "does not exist"),
            ("gone.mcap", "does not exist"),
            ("loop", "cannot be read: Too many levels of symbolic links"),
            # Raises as a folder without permission does, for everybody.
            ("x" * 300, "cannot be read: File name too long"),
        ],
        ids=["missing", "below nothing", "below a file", "dead link", "link to itself", "long"],
    )
    def test_path_that_cannot_be_looked_at(
        self, tmp_path: Path, extractor: Extractor, name: str, complaint: str
    ) -> None:
        (tmp_path / "file.txt").touch()
        (tmp_path / "gone.mcap").symlink_to(tmp_path / "nowhere")
        (tmp_path / "loop").symlink_to(tmp_path / "loop")
        with pytest.raises(BagError, match=rf"{complaint}\.$"):
            extractor(tmp_path / name, tmp_path / "a.csv")

    def test_folder_that_cannot_be_listed(
        self, tmp_path: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(folder: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "iterdir", fail)
        with pytest.raises(BagError, match=r"cannot be read: Permission denied\.$"):
            extractor(tmp_path, tmp_path / "a.csv")

    def test_bag_whose_files_may_not_be_looked_at(
        self, tmp_path: Path, extractor: Extractor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A folder may be listed without permission to enter it."""
        write_bag(tmp_path / "drive", raw_entries(1))
        exists = Path.exists

        def fail(path: Path) -> bool:
            if path.parent == tmp_path / "drive":
                raise PermissionError(13, "Permission denied")
            return exists(path)

        monkeypatch.setattr(Path, "exists", fail)
        with pytest.raises(BagError, match=r"cannot be read \(.*Permission denied"):
            extractor(tmp_path / "drive", tmp_path / "a.csv")

    def test_sqlite_file_that_is_cut_off(self, tmp_path: Path, extractor: Extractor) -> None:
        write_bag(tmp_path / "drive", raw_entries(40), storage="sqlite3")
        path = tmp_path / "drive/drive.db3"
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(BagError, match=r"cannot be read|is damaged"):
            extractor(tmp_path / "drive", tmp_path / "a.csv")

    def test_damage_in_the_middle(self, tmp_path: Path, extractor: Extractor) -> None:
        write_bag(tmp_path / "drive", raw_entries(8), compression=CompressionMode.MESSAGE)
        path = tmp_path / "drive/drive.mcap"
        data = bytearray(path.read_bytes())
        # The frames of zstd begin with this; spoil the fifth.
        start = -1
        for _ in range(5):
            start = data.index(b"\x28\xb5\x2f\xfd", start + 1)
        data[start : start + 4] = b"\xff" * 4
        path.write_bytes(data)
        summary = extractor(tmp_path / "drive", tmp_path / "a.csv")
        assert "is damaged after second 0.300" in summary.damage
        assert summary.topics["/image_raw"].images == 4
        assert len(read_rows(tmp_path / "a.csv")) == 4

    @pytest.mark.parametrize(
        ("name", "content", "complaint"),
        [
            ("none", None, "none does not exist"),
            ("a.bag", b"#ROSBAG V2.0", "a bag of ROS 1; convert it first: rosbags-convert"),
            ("a.mcap", b"", "seems to be empty"),
            ("a.mcap", b"text", "cannot be read .*'mcap recover' may repair it"),
            ("a.db3", b"text", "cannot be read"),
            ("a.txt", b"text", "neither an image nor a video"),
            ("a.jpg", b"text", "holds no picture that can be read"),
        ],
    )
    def test_sources(
        self,
        tmp_path: Path,
        extractor: Extractor,
        name: str,
        content: bytes | None,
        complaint: str,
    ) -> None:
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(BagError, match=complaint):
            extractor(tmp_path / name, tmp_path / "a.csv")
        assert not (tmp_path / "a.csv").exists()

    @pytest.mark.parametrize(
        ("files", "complaint"),
        [
            ({}, "holds no image"),
            ({"metadata.yaml": b"a: [", "drive.mcap": b""}, "Could not load YAML"),
            ({"metadata.yaml": b"a: 1", "drive.mcap": b""}, "metadata key is missing"),
            ({"drive.mcap": b""}, "no metadata.yaml; run 'ros2 bag reindex"),
        ],
        ids=["empty", "no_yaml", "no_key", "no_metadata"],
    )
    def test_folders(
        self, tmp_path: Path, extractor: Extractor, files: dict[str, bytes], complaint: str
    ) -> None:
        folder = tmp_path / "drive"
        folder.mkdir()
        for name, content in files.items():
            (folder / name).write_bytes(content)
        with pytest.raises(BagError, match=complaint):
            extractor(folder, tmp_path / "a.csv")

    def test_empty_bag(self, tmp_path: Path, extractor: Extractor) -> None:
        write_bag(tmp_path / "drive", [])
        with pytest.raises(BagError, match="holds no messages"):
            extractor(tmp_path / "drive", tmp_path / "a.csv")

    def test_bag_without_images(self, tmp_path: Path, extractor: Extractor) -> None:
        write_bag(tmp_path / "drive", [text_entry("/chatter", 0, "hello")])
        with pytest.raises(BagError, match="no image topic; its topics: /chatter"):
            extractor(tmp_path / "drive", tmp_path / "a.csv")

    @pytest.mark.parametrize("option", ["copy", "rate", "topic"])
    def test_options_that_do_not_fit(
        self, tmp_path: Path, extractor: Extractor, option: str
    ) -> None:
        folder = write_pictures(tmp_path / "pictures", 1)
        bag = write_bag(tmp_path / "drive", raw_entries(1))
        run = {
            "copy": partial(extractor, folder, copy=True),
            "rate": partial(extractor, bag, rate_hz=5.0),
            "topic": partial(extractor, folder, selection=Selection(("/a",))),
        }[option]
        with pytest.raises(BagError, match=f"--{option}"):
            run(output=tmp_path / "out")


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "out.mcap", "out.db3"])
def test_disk_that_is_full(tmp_path: Path, extractor: Extractor, name: str) -> None:
    """A limit for the size of files stands for a disk that is full."""
    write_bag(tmp_path / "drive", raw_entries(60))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
    try:
        with pytest.raises(BagError, match=r"cannot be written: .*--resume goes on from there"):
            extractor(tmp_path / "drive", tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not (tmp_path / name).exists()
    summary = extractor(tmp_path / "drive", tmp_path / name, resume=True)
    assert summary.topics["/image_raw"].images == 60
    assert (tmp_path / name).is_file()


def test_folder_of_pictures(tmp_path: Path, extractor: Extractor) -> None:
    folder = write_pictures(tmp_path / "pictures", 3)
    (folder / "001.png").write_bytes(b"broken")
    summary = extractor(folder, tmp_path / "a.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [(row["time_s"], row["frame"], row["topic"]) for row in rows] == [
        (0.0, 0, "/image_raw"),
        (1.0, 2, "/image_raw"),
    ]
    assert summary.topics["/image_raw"].skipped.total() == 1


def test_folder_with_a_link_that_leads_nowhere(tmp_path: Path, extractor: Extractor) -> None:
    folder = write_pictures(tmp_path / "pictures", 3)
    (folder / "001.png").unlink()
    (folder / "001.png").symlink_to(tmp_path / "nowhere.png")
    summary = extractor(folder, tmp_path / "a.csv")
    assert [row["frame"] for row in read_rows(tmp_path / "a.csv")] == ["0", "2"]
    assert summary.topics["/image_raw"].skipped == {f"{folder / '001.png'} does not exist.": 1}


def test_image_too_wide_for_an_annotated_jpeg(tmp_path: Path, extractor: Extractor) -> None:
    wide = np.full((30, 70_000, 3), 3, np.uint8)
    entries = [raw_entry("/image_raw", 0.0, wide), raw_entry("/image_raw", 0.1, wide)]
    write_bag(tmp_path / "drive", [*entries, raw_entry("/image_raw", 0.2, numbered_picture(1))])
    summary = extractor(tmp_path / "drive", tmp_path / "out", annotate="compressed")
    assert summary.topics["/image_raw"].images == 3
    (note,) = summary.notes
    assert note.startswith("Left out the annotated image of 2 images: A picture of 70000x30 ")
    topics = [topic for topic, _, _ in read_bag(tmp_path / "out")]
    assert topics.count("/emotions") == 3
    assert topics.count("/emotions/image/compressed") == 1
