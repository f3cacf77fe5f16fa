"""Pictures and videos that visitors send are classified, or refused with a reason."""

import base64
import csv
import io
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from web_client import TIMEOUT_S, next_picture, next_text, raw_socket, socket_to
from web_server import TestServer, running_server

from deepfer_ros.recognition.images import encode_image
from deepfer_ros.web import classifier_process
from deepfer_ros.web.limits import WebLimits


@pytest.fixture(scope="module")
def astronaut_jpeg(astronaut_bgr: NDArray[np.uint8]) -> bytes:
    return encode_image(astronaut_bgr, ".jpg")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory, astronaut_bgr: NDArray[np.uint8]) -> bytes:
    """Return one second of the astronaut at 10 Hz."""
    path = tmp_path_factory.mktemp("video") / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (512, 512))
    for _ in range(10):
        writer.write(astronaut_bgr)
    writer.release()
    return path.read_bytes()


def decode(data: bytes) -> NDArray[np.uint8]:
    image_bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert image_bgr is not None
    return np.asarray(image_bgr, np.uint8)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_a_picture(client: httpx.Client, astronaut_bgr: NDArray[np.uint8], suffix: str) -> None:
    body = encode_image(astronaut_bgr, suffix)
    answer = client.post("/api/classify", params={"name": f"a{suffix}"}, content=body)
    assert answer.status_code == 200
    result = answer.json()
    assert result.keys() == {"path", "width", "height", "faces"}
    assert (result["path"], result["width"], result["height"]) == (f"a{suffix}", 512, 512)
    (face,) = result["faces"]
    assert face["emotion"] == "happy"
    assert face["face_id"] is None
    assert sum(face["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    left, top, width, height = face["box_xywh"]
    assert 150 < left + width / 2 < 300
    assert 50 < top + height / 2 < 200


def test_a_picture_without_a_face(client: httpx.Client) -> None:
    body = encode_image(np.full((100, 200, 3), 128, np.uint8), ".png")
    result = client.post("/api/classify", content=body).json()
    assert result == {"path": "upload", "width": 200, "height": 100, "faces": []}


def test_the_annotated_picture(
    client: httpx.Client, astronaut_jpeg: bytes, astronaut_bgr: NDArray[np.uint8]
) -> None:
    result = client.post("/api/classify?annotate=true", content=astronaut_jpeg).json()
    inside = decode(base64.b64decode(result["annotated_jpeg_base64"]))
    answer = client.post("/api/classify?format=jpeg", content=astronaut_jpeg)
    assert answer.headers["content-type"] == "image/jpeg"
    itself = decode(answer.content)
    assert inside.shape == itself.shape == astronaut_bgr.shape
    assert np.abs(itself.astype(int) - astronaut_bgr).max() > 100, "nothing is drawn"


def test_a_table(client: httpx.Client, astronaut_jpeg: bytes) -> None:
    answer = client.post("/api/classify?format=csv&name=a.jpg", content=astronaut_jpeg)
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    (row,) = csv.DictReader(io.StringIO(answer.text))
    assert (row["path"], row["emotion"]) == ("a.jpg", "happy")


def test_a_video(client: httpx.Client, video: bytes) -> None:
    answer = client.post("/api/classify-video?name=a.avi&annotate=true", content=video)
    assert answer.status_code == 200
    result = answer.json()
    assert (result["path"], result["width"], result["height"]) == ("a.avi", 512, 512)
    assert result["duration_s"] == pytest.approx(1.0)
    assert result["truncated"] is None
    assert [frame["time_s"] for frame in result["frames"]] == [0.0, 0.2, 0.4, 0.6, 0.8]
    faces = [frame["faces"] for frame in result["frames"]]
    assert [len(found) for found in faces] == [1] * 5
    assert len({found[0]["face_id"] for found in faces}) == 1
    assert faces[-1][0]["emotion"] == "happy"
    assert decode(base64.b64decode(result["annotated_jpeg_base64"])).shape == (512, 512, 3)
    assert result["annotated_time_s"] in [0.0, 0.2, 0.4, 0.6, 0.8]
    table = client.post("/api/classify-video?format=csv", content=video).text
    assert len(table.splitlines()) == 6


def test_of_a_long_video_the_beginning_is_read(video: bytes) -> None:
    with running_server(limits=WebLimits(video_seconds=0.5)) as server:
        answer = httpx.post(f"{server.url}/api/classify-video", content=video, timeout=60)
    result = answer.json()
    assert [frame["time_s"] for frame in result["frames"]] == [0.0, 0.2, 0.4]
    assert "first 0.5 s" in result["truncated"]


@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        pytest.param("classify", b"", 422, "empty", id="empty picture"),
        pytest.param("classify", b"garbage", 422, "not a picture", id="garbage"),
        pytest.param("classify", b"\x89PNG\r\n\x1a\n", 422, "not a picture", id="PNG head"),
        pytest.param("classify", b"<svg onload='x'/>", 422, "not a picture", id="SVG"),
        pytest.param("classify-video", b"", 422, "empty", id="empty video"),
        pytest.param("classify-video", b"garbage", 422, "no video of a known", id="no video"),
        pytest.param(
            "classify-video",
            b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
            422,
            "no video of a known",
            id="play list",
        ),
        pytest.param("classify-video", b"RIFF" + bytes(500), 422, "damaged", id="damaged video"),
        pytest.param("classify?format=pdf", b"x", 422, "format", id="format"),
        pytest.param("classify?annotate=maybe", b"x", 422, "annotate", id="annotate"),
        pytest.param(f"classify?name={'n' * 256}", b"x", 422, "name", id="long name"),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_reason(
    client: httpx.Client, path: str, body: bytes, status: int, detail: str
) -> None:
    answer = client.post(f"/api/{path}", content=body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert detail in problem["detail"]


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("classify", "text/html"),
        ("classify", "multipart/form-data; boundary=x"),
        ("classify", "video/mp4"),
        ("classify-video", "image/jpeg"),
    ],
)
def test_other_content_types_are_refused(client: httpx.Client, path: str, media_type: str) -> None:
    answer = client.post(f"/api/{path}", content=b"x", headers={"Content-Type": media_type})
    assert answer.status_code == 415
    assert media_type.partition(";")[0] in answer.json()["detail"]


def test_a_body_that_is_too_large_is_refused_by_its_announcement_and_by_its_size() -> None:
    with running_server(limits=WebLimits(image_bytes=1000)) as server:
        url = f"{server.url}/api/classify"
        announced = httpx.post(url, content=bytes(1001))
        streamed = httpx.post(url, content=iter([bytes(600), bytes(600)]))
        fits = httpx.post(url, content=bytes(1000), timeout=60)
    assert [answer.status_code for answer in (announced, streamed, fits)] == [413, 413, 422]
    assert "at most 1000 are allowed" in announced.json()["detail"]


def test_a_picture_with_too_many_pixels_is_refused(astronaut_jpeg: bytes) -> None:
    with running_server(limits=WebLimits(image_pixels=1000)) as server:
        answer = httpx.post(f"{server.url}/api/classify", content=astronaut_jpeg, timeout=60)
    assert answer.status_code == 422
    assert "512x512" in answer.json()["detail"]


def test_a_video_with_too_many_pixels_is_refused(video: bytes) -> None:
    with running_server(limits=WebLimits(video_pixels=1000)) as server:
        answer = httpx.post(f"{server.url}/api/classify-video", content=video, timeout=60)
    assert answer.status_code == 422
    assert "512x512" in answer.json()["detail"]


def test_an_upload_that_stops_half_way_is_given_up() -> None:
    with running_server(limits=WebLimits(upload_pause_s=0.3)) as server:
        with raw_socket(server.port) as slow:
            head = b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
            slow.sendall(head + b"abc")
            assert slow.recv(100).startswith(b"HTTP/1.1 408")


def test_what_takes_too_long_is_ended_and_the_next_one_works(video: bytes) -> None:
    with running_server(limits=WebLimits(video_s=0.01)) as server:
        answer = httpx.post(f"{server.url}/api/classify-video", content=video, timeout=60)
        assert answer.status_code == 504
        assert "within 0.01 s" in answer.json()["detail"]
        body = encode_image(np.zeros((50, 50, 3), np.uint8), ".png")
        assert httpx.post(f"{server.url}/api/classify", content=body, timeout=60).is_success


def test_only_so_many_uploads_wait(astronaut_jpeg: bytes) -> None:
    with running_server(limits=WebLimits(uploads=2)) as server:
        head = b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
        with raw_socket(server.port) as one, raw_socket(server.port) as two:
            for waiting in (one, two):
                waiting.sendall(head)
            for _ in range(100):
                answer = httpx.post(
                    f"{server.url}/api/classify", content=astronaut_jpeg, timeout=60
                )
                if answer.status_code == 503:
                    break
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert "try again" in answer.json()["detail"]
            for waiting in (one, two):
                waiting.sendall(b"x" * 9)
                assert waiting.recv(100).startswith(b"HTTP/1.1 422")
        answer = httpx.post(f"{server.url}/api/classify", content=astronaut_jpeg, timeout=60)
        assert answer.status_code == 200


@pytest.fixture
def hanging_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TestServer]:
    """Return a server with places for three uploads that does not get on with any of them."""
    (tmp_path / "hanging_worker.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(classifier_process, "_MODULE", "hanging_worker")
    with running_server(limits=WebLimits(uploads=3)) as server:
        yield server


def send_upload(server: TestServer) -> socket.socket:
    """Send a whole upload; the answer is not waited for."""
    connection = raw_socket(server.port)
    head = b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n"
    connection.sendall(head + b"x" * 9)
    return connection


def wait_for_classifier(server: TestServer, state: str) -> None:
    end_s = time.monotonic() + TIMEOUT_S
    while (found := httpx.get(f"{server.url}/api/status").json()["classifier"]["state"]) != state:
        assert time.monotonic() < end_s, f"the classifier is {found}, not {state}"
        time.sleep(0.05)


def test_who_leaves_gives_up_the_place(
    hanging_server: TestServer, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        visitors = [send_upload(hanging_server) for _ in range(3)]
        wait_for_classifier(hanging_server, "busy")
        for visitor in visitors:
            visitor.close()
        wait_for_classifier(hanging_server, "idle")
    assert caplog.records == []


def test_who_waits_at_the_end_is_told(
    hanging_server: TestServer, caplog: pytest.LogCaptureFixture
) -> None:
    visitors = [send_upload(hanging_server) for _ in range(2)]
    wait_for_classifier(hanging_server, "busy")
    # Half an upload: this one cannot be waited for.
    with raw_socket(hanging_server.port) as half:
        half.sendall(
            b"POST /api/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx"
        )
        time.sleep(0.3)
        hanging_server.close()
    for visitor in visitors:
        with visitor:
            answer = b"".join(iter(lambda: visitor.recv(65536), b""))  # noqa: B023
        assert answer.startswith(b"HTTP/1.1 503")
        assert b"The server ends." in answer
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.fixture
def broken_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[TestServer]:
    with running_server(model=str(tmp_path / "missing")) as server:
        yield server


def test_a_missing_model_is_told(broken_server: TestServer, astronaut_jpeg: bytes) -> None:
    answer = httpx.post(f"{broken_server.url}/api/classify", content=astronaut_jpeg, timeout=60)
    assert answer.status_code == 503
    assert "missing" in answer.json()["detail"]
    assert httpx.get(f"{broken_server.url}/api/status").status_code == 200


def test_uploads_do_not_hold_up_the_live_view(server: TestServer, astronaut_jpeg: bytes) -> None:
    with ThreadPoolExecutor(2) as pool:
        uploads = [
            pool.submit(
                httpx.post, f"{server.url}/api/classify", content=astronaut_jpeg, timeout=60
            )
            for _ in range(4)
        ]
        with socket_to(f"{server.url}/api/live?camera=main") as viewer:
            next_text(viewer, "status")
            first = None
            for _ in range(20):
                server.show("main")
                number = next_picture(viewer).head["sequence"]
                assert first is None or number == first + 1
                first = number
        assert [upload.result().status_code for upload in uploads] == [200] * 4


def test_nothing_is_stored(
    monkeypatch: pytest.MonkeyPatch, astronaut_jpeg: bytes, video: bytes, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable in ("TMPDIR", "HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    with running_server() as server:
        url = f"{server.url}/api/classify"
        assert httpx.post(url, content=astronaut_jpeg, timeout=60).is_success
        assert httpx.post(f"{url}-video", content=video, timeout=60).is_success
    assert list(tmp_path.iterdir()) == []
