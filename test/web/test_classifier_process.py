"""The process that classifies uploads: started late, ended by force, started again."""

import asyncio
import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from deepfer_ros.recognition.images import encode_image
from deepfer_ros.web.classifier_process import ClassifierProcess, Upload
from deepfer_ros.web.classify_worker import Answer, Worker, serve
from deepfer_ros.web.limits import WebLimits
from deepfer_ros.web.problems import ProblemError

GREY = Upload("image", "grey.png", encode_image(np.zeros((40, 60, 3), np.uint8), ".png"), False)


def make(**limits: float) -> ClassifierProcess:
    return ClassifierProcess("deepfer48", "auto", "", WebLimits(**limits))  # type: ignore[arg-type]


def test_it_starts_for_the_first_upload_and_stays() -> None:
    async def run() -> None:
        process = make()
        assert (process.state, process.detector) == ("idle", None)
        for _ in range(2):
            done = await process.classify(GREY)
            assert done.result == {"path": "grey.png", "width": 60, "height": 40, "faces": []}
            assert done.jpeg == b""
        assert process.state == "ready"
        assert process.detector in ("yunet", "libfacedetection", "haar")
        await process.close()

    asyncio.run(run())


def test_a_process_that_dies_costs_one_upload() -> None:
    async def run() -> None:
        process = make()
        await process.classify(GREY)
        child = process._process
        assert child is not None
        child.kill()
        await child.wait()
        assert (await process.classify(GREY)).result["width"] == 60
        child = process._process
        assert child is not None
        # This time it dies at work.
        work = asyncio.ensure_future(process.classify(GREY))
        await asyncio.sleep(0)
        child.kill()
        with pytest.raises(ProblemError, match="the decoder broke"):
            await work
        assert (await process.classify(GREY)).result["width"] == 60
        await process.close()

    asyncio.run(run())


def test_a_visitor_who_leaves_does_not_mix_up_the_answers() -> None:
    other = Upload("image", "b.png", encode_image(np.zeros((20, 30, 3), np.uint8), ".png"), False)

    async def run() -> None:
        process = make()
        await process.classify(GREY)
        work = asyncio.ensure_future(process.classify(GREY))
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert (await process.classify(other)).result["path"] == "b.png"
        await process.close()

    asyncio.run(run())


def test_a_closed_one_takes_no_uploads() -> None:
    async def run() -> None:
        process = make()
        await process.close()
        with pytest.raises(ProblemError, match="The server ends"):
            async with process.place():
                pass

    asyncio.run(run())


def test_the_end_is_told_to_all_who_wait_and_starts_nothing() -> None:
    async def run() -> None:
        process = make()
        process._command = [sys.executable, "-c", "import time; time.sleep(600)"]
        works = [asyncio.ensure_future(process.classify(GREY)) for _ in range(3)]
        while process._process is None:
            await asyncio.sleep(0.01)
        await process.close()
        answers = await asyncio.wait_for(asyncio.gather(*works, return_exceptions=True), 20)
        assert [str(answer) for answer in answers] == ["The server ends."] * 3
        assert [getattr(answer, "status", None) for answer in answers] == [503] * 3
        assert process._process is None

    asyncio.run(run())


def test_a_process_that_starts_at_the_end_is_ended_too() -> None:
    async def run() -> None:
        process = make()
        process._command = [sys.executable, "-c", "import time; time.sleep(600)"]
        work = asyncio.ensure_future(process.classify(GREY))
        # The process is about to start.
        await asyncio.sleep(0)
        await process.close()
        with pytest.raises(ProblemError, match="The server ends") as caught:
            await asyncio.wait_for(work, 20)
        assert caught.value.status == 503
        assert process._process is None

    asyncio.run(run())


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        pytest.param([sys.executable, "-c", "exit(1)"], "server's log says", id="ends at once"),
        pytest.param(["/missing/python"], "No such file or directory", id="missing"),
    ],
)
def test_a_process_that_cannot_start_is_no_fault_of_the_upload(
    command: list[str], reason: str
) -> None:
    async def run() -> None:
        process = make()
        working, process._command = process._command, command
        with pytest.raises(ProblemError, match=f"cannot start.*{reason}") as caught:
            await process.classify(GREY)
        assert caught.value.status == 503
        process._command = working
        assert (await process.classify(GREY)).result["width"] == 60
        await process.close()

    asyncio.run(run())


class FakeWorker(Worker):
    """Answers without a model."""

    def __init__(self) -> None:
        self.detector_name = "fake"

    def classify_image(self, data: bytes, name: str, *, annotate: bool) -> Answer:
        if data == b"huge":
            raise MemoryError
        return Answer({"path": name, "bytes": len(data)}, b"jpeg" if annotate else b"")


def converse(requests: bytes) -> bytes:
    answers = io.BytesIO()
    serve(io.BytesIO(requests), answers, FakeWorker)
    return answers.getvalue()


def request(data: bytes, **changes: object) -> bytes:
    head = {"kind": "image", "name": "a", "annotate": False, "bytes": len(data), **changes}
    return json.dumps(head).encode() + b"\n" + data


def test_a_conversation() -> None:
    answer = converse(request(b"12\n45") + request(b"x", annotate=True))
    first, second, jpeg = answer.split(b"\n")
    assert json.loads(first) == {
        "result": {"path": "a", "bytes": 5},
        "detector": "fake",
        "bytes": 0,
    }
    assert json.loads(second)["bytes"] == 4
    assert jpeg == b"jpeg"


def test_too_little_memory_is_told() -> None:
    (line,) = converse(request(b"huge")).splitlines()
    assert json.loads(line) == {"status": 413, "detail": "It takes too much memory.", "bytes": 0}


@pytest.mark.parametrize("requests", [b"", request(b"abc")[:-1]], ids=["none", "cut off"])
def test_the_end_of_requests_ends_it(requests: bytes) -> None:
    assert converse(requests) == b""


@pytest.mark.parametrize("detector", ["yunet", "haar"])
def test_a_detector_file_that_cannot_be_reached_is_no_fault_of_the_upload(detector: str) -> None:
    async def run() -> None:
        process = ClassifierProcess("deepfer48", detector, f"/{'x' * 300}", WebLimits())
        with pytest.raises(ProblemError, match=r"Nothing can be classified: YuNet fi") as caught:
            await process.classify(GREY)
        assert caught.value.status == 503
        await process.close()

    asyncio.run(run())


def test_a_model_that_is_missing_is_told_each_time(tmp_path: Path) -> None:
    async def run() -> None:
        process = ClassifierProcess(str(tmp_path / "none"), "auto", "", WebLimits())
        for _ in range(2):
            with pytest.raises(ProblemError, match="Nothing can be classified") as caught:
                await process.classify(GREY)
            assert caught.value.status == 503
        await process.close()

    asyncio.run(run())
