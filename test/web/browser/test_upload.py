"""The view for uploads, on the real server with the model that deepfer comes with."""

import base64
import csv
import io
import json
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_recognition import LABELS
from numpy.typing import NDArray
from page_visitor import PageVisitor
from playwright.sync_api import Page, expect
from web_server import TestServer, running_server

from deepfer_ros.recognition.images import encode_image
from deepfer_ros.web.limits import WebLimits

DROP = """async ([files, selector]) => {
    const data = new DataTransfer();
    for (const [name, type, base64] of files) {
        const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
        data.items.add(new File([bytes], name, { type }));
    }
    const target = document.querySelector(selector);
    for (const type of ["dragenter", "dragover", "drop"]) {
        target.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true }));
    }
}"""


@pytest.fixture
def uploader(visitor: PageVisitor) -> PageVisitor:
    visitor.go_to_upload()
    return visitor


def download(visitor: PageVisitor, button: str) -> tuple[str, bytes]:
    """Press a button that saves a file; return its name and content."""
    with visitor.page.expect_download() as downloaded:
        visitor.page.get_by_role("button", name=button).click()
    return downloaded.value.suggested_filename, Path(downloaded.value.path()).read_bytes()


def write_video(path: Path, image_bgr: NDArray[np.uint8]) -> Path:
    height, width = image_bgr.shape[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (width, height))
    assert writer.isOpened()
    for _ in range(20):
        writer.write(image_bgr)
    writer.release()
    return path


def test_pictures_of_every_format_give_the_right_emotion(
    uploader: PageVisitor, tmp_path: Path, sample_bgr: NDArray[np.uint8]
) -> None:
    paths = []
    for suffix in (".jpg", ".png", ".webp"):
        paths.append(tmp_path / f"portrait{suffix}")
        paths[-1].write_bytes(encode_image(sample_bgr, suffix))
    uploader.upload(*paths)
    for path in paths:
        card = uploader.upload_of(path.name)
        expect(card.get_by_role("heading", level=3)).to_contain_text("happy")
        expect(card).to_contain_text("1 face")
        expect(card.locator("dd.amount")).to_have_count(len(LABELS))
        picture = card.get_by_role("img")
        expect(picture).to_have_attribute("alt", f"{path.name} with its faces marked: happy")
        assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [640, 480]
    expect(uploader.page.locator("#upload-count")).to_have_text("3 files")


# A spreadsheet would take the second name for a formula.
@pytest.mark.parametrize("name", ["portrait.jpg", "=1+1.jpg"])
def test_results_as_files(
    uploader: PageVisitor, server: TestServer, tmp_path: Path, sample_file: Path, name: str
) -> None:
    good_file = sample_file.rename(tmp_path / name)
    bad_file = tmp_path / "broken, half.jpg"
    bad_file.write_bytes(good_file.read_bytes()[:2000])
    uploader.upload(good_file)
    expect(uploader.upload_of(name)).to_contain_text("1 face")
    uploader.upload(bad_file)
    expect(uploader.page.locator("#upload-count")).to_have_text("2 files, 1 with an error")

    saved_as, content = download(uploader, "Download JSON")
    assert saved_as.endswith(".json")
    good, bad = json.loads(content)
    assert (good["path"], good["width"], good["height"]) == (name, 640, 480)
    assert good["faces"][0]["emotion"] == "happy"
    assert sum(good["faces"][0]["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert "annotated_jpeg_base64" not in good
    assert set(bad) == {"path", "error"}
    assert bad["path"] == bad_file.name

    saved_as, content = download(uploader, "Download CSV")
    assert saved_as.endswith(".csv")
    # What the page writes must be what the server itself writes.
    rows = read_csv(content)
    assert len(rows) == 1
    assert as_numbers(rows) == as_numbers(read_csv(ask_for_csv(server, good_file)))


def read_csv(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def as_numbers(rows: list[dict[str, str]]) -> list[dict[str, str | float]]:
    """Return rows whose numbers are equal however they are written: 1 and 1.0."""
    texts = {"path", "time_s", "face_id", "emotion"}
    return [
        {name: value if name in texts else float(value) for name, value in row.items()}
        for row in rows
    ]


def ask_for_csv(server: TestServer, path: Path) -> bytes:
    request = urllib.request.Request(
        f"{server.url}/api/classify?name={urllib.parse.quote(path.name)}&format=csv",
        data=path.read_bytes(),
        headers={"Content-Type": "image/jpeg"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def test_the_annotated_picture(uploader: PageVisitor, sample_file: Path, tmp_path: Path) -> None:
    uploader.upload(sample_file)
    expect(uploader.upload_of(sample_file.name)).to_contain_text("1 face")
    name, content = download(uploader, "Annotated picture")
    assert name == "portrait_annotated.jpg"
    annotated = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    original = cv2.imread(str(sample_file))
    assert annotated is not None
    assert original is not None
    assert annotated.shape == original.shape
    assert np.abs(annotated.astype(int) - original).max() > 100


def test_a_video(uploader: PageVisitor, tmp_path: Path, sample_bgr: NDArray[np.uint8]) -> None:
    uploader.upload(write_video(tmp_path / "clip.mp4", sample_bgr))
    card = uploader.upload_of("clip.mp4")
    expect(card).to_contain_text("1 face")
    expect(card).to_contain_text("pictures in")
    expect(card.get_by_role("heading", level=3)).to_contain_text("happy")
    uploader.wait_for_colour(card.locator(".chart canvas"), (0xF0, 0xE4, 0x42))
    _, content = download(uploader, "Download CSV")
    rows = read_csv(content)
    assert len(rows) >= 5
    assert {row["emotion"] for row in rows} == {"happy"}
    times_s = [float(row["time_s"]) for row in rows]
    assert times_s == sorted(times_s)
    assert len({row["face_id"] for row in rows}) == 1


def test_no_face_is_no_error(uploader: PageVisitor, tmp_path: Path) -> None:
    path = tmp_path / "wall.png"
    path.write_bytes(encode_image(np.full((120, 160, 3), 128, np.uint8), ".png"))
    uploader.upload(path)
    expect(uploader.upload_of("wall.png")).to_contain_text("No face")
    expect(uploader.upload_of("wall.png").get_by_role("img")).to_be_visible()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", b"hello", "This is not a JPEG, PNG or WebP picture, nor a video."),
        ("empty.jpg", b"", "The file is empty."),
        ("text.jpg", b"hello", "not"),
        ("text.mp4", b"hello", "video"),
    ],
    ids=["other-type", "empty", "not-a-picture", "not-a-video"],
)
def test_what_is_wrong_stands_beside_the_file(
    uploader: PageVisitor, tmp_path: Path, name: str, content: bytes, reason: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    uploader.upload(path)
    expect(uploader.upload_of(name).locator(".error-text")).to_contain_text(reason)
    expect(uploader.page.get_by_role("button", name="Download JSON")).to_be_disabled()


def test_a_file_that_is_too_large_is_not_sent(
    open_page: Callable[..., Page], tmp_path: Path
) -> None:
    with running_server(limits=WebLimits(image_bytes=1024 * 1024)) as server:
        visitor = PageVisitor(open_page(server.url))
        visitor.go_to_upload()
        sent: list[str] = []
        visitor.page.on("request", lambda request: sent.append(request.url))
        path = tmp_path / "large.png"
        path.write_bytes(bytes(1024 * 1024 + 1))
        visitor.upload(path)
        expect(visitor.upload_of("large.png")).to_contain_text("at most 1\u202fMiB are allowed")
    assert not any("classify" in url for url in sent)


def test_files_can_be_dropped(uploader: PageVisitor, sample_file: Path) -> None:
    data = base64.b64encode(sample_file.read_bytes()).decode()
    files = [[name, "image/jpeg", data] for name in ("one.jpg", "two.jpg")]
    uploader.page.evaluate(DROP, [files, "#drop-zone"])
    for name in ("one.jpg", "two.jpg"):
        expect(uploader.upload_of(name)).to_contain_text("1 face")


def test_uploads_can_be_removed(uploader: PageVisitor, sample_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.jpg"
    other.write_bytes(sample_file.read_bytes())
    uploader.upload(sample_file, other)
    expect(uploader.page.locator("#upload-count")).to_have_text("2 files")
    uploader.page.get_by_role("button", name="Remove other.jpg").click()
    expect(uploader.uploads).to_have_count(1)
    uploader.page.get_by_role("button", name="Clear").click()
    expect(uploader.uploads).to_have_count(0)
    expect(uploader.page.locator("#upload-summary")).to_be_hidden()
    # The same file may come again.
    uploader.upload(sample_file)
    expect(uploader.upload_of(sample_file.name)).to_contain_text("1 face")


def test_a_busy_server_is_asked_again(uploader: PageVisitor, sample_file: Path) -> None:
    busy = {"title": "Busy", "status": 503, "detail": "Other pictures are being worked on."}
    uploader.page.route(
        "**/api/classify?*",
        lambda route: route.fulfill(status=503, headers={"Retry-After": "1"}, json=busy),
        times=1,
    )
    uploader.upload(sample_file)
    expect(uploader.upload_of(sample_file.name)).to_contain_text("1 face")


def test_a_server_that_is_gone_is_told(uploader: PageVisitor, sample_file: Path) -> None:
    uploader.page.route("**/api/classify?*", lambda route: route.abort())
    uploader.upload(sample_file)
    expect(uploader.upload_of(sample_file.name)).to_contain_text("cannot be reached")
