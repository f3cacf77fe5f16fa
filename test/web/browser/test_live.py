"""The live view, on the real server with cameras that the tests play."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_recognition import HAPPY, LABELS
from numpy.typing import NDArray
from page_visitor import TIMEOUT_MS, PageVisitor
from playwright.sync_api import Page, expect
from web_server import TestServer, fake_face, running_server

from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.recognition.types import FaceEmotion

SAD = (0.1, 0.0, 0.1, 0.0, 0.6, 0.0, 0.2)
YELLOW = (0xF0, 0xE4, 0x42)
GREY = np.full((120, 160, 3), 90, np.uint8)


def eight_faces() -> list[FaceEmotion]:
    return [
        fake_face(f"face{index}", (20.0 + 70 * (index % 4), 20.0 + 100 * (index // 4), 50.0, 70.0))
        for index in range(8)
    ]


def test_moving_pictures_and_the_right_emotion_of_the_sample(
    visitor: PageVisitor,
    server: TestServer,
    sample_bgr: NDArray[np.uint8],
    recognizer: EmotionRecognizer,
) -> None:
    server.play("main", sample_bgr, recognizer.recognize(sample_bgr, time_s=0.0))
    visitor.wait_until_live()
    first = visitor.wait_for_another_picture("nothing yet")
    assert first.startswith("640x480 ")
    visitor.wait_for_another_picture(first)
    expect(visitor.faces).to_have_count(1)
    expect(visitor.faces.get_by_role("heading")).to_contain_text("happy")
    expect(visitor.picture).to_have_attribute("aria-label", "Live picture of camera main: 1 face")


def test_a_card_says_everything_about_its_face(visitor: PageVisitor, server: TestServer) -> None:
    server.play("main", GREY, [fake_face("abcde", probabilities=HAPPY)])
    card = visitor.faces.first
    expect(card.get_by_role("heading")).to_have_text("happy70\u202f%")
    expect(card).to_contain_text("Face abcde")
    assert card.locator("dt").all_inner_texts() == list(LABELS)
    expected = [f"{round(100 * value)}\u202f%" for value in HAPPY]
    expect(card.locator("dd.amount")).to_have_text(expected)
    widths = card.locator(".bar > span").evaluate_all("bars => bars.map(bar => bar.style.width)")
    assert [float(width.rstrip("%")) for width in widths] == pytest.approx(
        [100 * value for value in HAPPY], abs=0.01
    )
    crop = card.locator("canvas.crop")
    inside = crop.evaluate("c => [...c.getContext('2d').getImageData(40, 110, 1, 1).data]")
    assert inside == pytest.approx([90, 90, 90, 255], abs=6)
    # The line of "happy" has come into the chart.
    visitor.wait_for_colour(card.locator(".chart canvas"), YELLOW)


def test_delay_and_rates_are_in_view(visitor: PageVisitor, server: TestServer) -> None:
    server.play("main", GREY, [fake_face()], rate_hz=10)
    for name, expected in (
        ("Delay", r"\d+\s(ms|s)"),
        ("Shown", r"\d+\.\d\s/s"),
        ("Recognized", r"\d+\.\d\s/s"),
        ("Picture", "160 \u00d7 120"),
    ):
        metric = visitor.page.locator(".metrics > div").filter(has_text=name).locator("dd")
        visitor.page.wait_for_function(
            "([element, pattern]) => new RegExp(`^${pattern}$`).test(element.textContent)",
            arg=[metric.element_handle(), expected],
        )


@pytest.mark.parametrize("count", [0, 1, 8])
def test_there_is_a_card_for_every_face(
    visitor: PageVisitor, server: TestServer, count: int
) -> None:
    server.play("main", np.full((240, 320, 3), 90, np.uint8), eight_faces()[:count])
    visitor.wait_until_live()
    expect(visitor.faces).to_have_count(count)
    expect(visitor.page.locator("#face-count")).to_have_text(str(count))
    expect(visitor.page.get_by_text("No face in view.")).to_be_visible(visible=count == 0)


def test_the_card_of_a_face_that_has_gone_goes_too(
    visitor: PageVisitor, server: TestServer
) -> None:
    server.play("main", GREY, [fake_face("one")])
    expect(visitor.faces).to_have_count(1)
    server.play("main", GREY, [])
    expect(visitor.page.get_by_text("just left")).to_be_visible()
    expect(visitor.page.get_by_text("No face in view.")).to_be_visible()


def test_another_camera_can_be_chosen(
    visitor: PageVisitor, server: TestServer, open_page: Callable[..., Page]
) -> None:
    server.play("main", GREY, [fake_face("one")])
    server.play("front", GREY[:100], [fake_face("two", probabilities=SAD)])
    expect(visitor.faces).to_contain_text("Face one")
    visitor.cameras.select_option("front")
    expect(visitor.faces).to_contain_text("Face two")
    expect(visitor.faces).not_to_contain_text("Face one")
    expect(visitor.faces.get_by_role("heading")).to_contain_text("sad")
    assert visitor.wait_for_another_picture("").startswith("160x100 ")
    # The choice is kept for the next visit.
    visitor.page.reload()
    expect(visitor.faces).to_contain_text("Face two")


def test_pause_keeps_the_picture_and_frees_the_server(
    visitor: PageVisitor, server: TestServer
) -> None:
    server.play("main", GREY, [fake_face()])
    visitor.wait_until_live()
    visitor.page.get_by_role("button", name="Pause").click()
    expect(visitor.state).to_have_text("Paused")
    wait_for_viewers(visitor, 0)
    shown = visitor.fingerprint()
    expect(visitor.faces).to_have_count(1)
    visitor.page.get_by_role("button", name="Resume").click()
    visitor.wait_until_live()
    visitor.wait_for_another_picture(shown)


def test_a_hidden_page_gets_no_pictures(visitor: PageVisitor, server: TestServer) -> None:
    server.play("main", GREY, [fake_face()])
    visitor.wait_until_live()
    wait_for_viewers(visitor, 1)
    visitor.hide()
    wait_for_viewers(visitor, 0)
    shown = visitor.fingerprint()
    visitor.hide(is_hidden=False)
    visitor.wait_for_another_picture(shown)
    wait_for_viewers(visitor, 1)


def test_the_view_of_uploads_gets_no_pictures(visitor: PageVisitor, server: TestServer) -> None:
    server.play("main", GREY, [fake_face()])
    visitor.wait_until_live()
    visitor.go_to_upload()
    wait_for_viewers(visitor, 0)
    visitor.page.get_by_role("link", name="Live").click()
    visitor.wait_until_live()


def test_a_snapshot_is_the_picture_that_is_shown(
    visitor: PageVisitor, server: TestServer, tmp_path: Path
) -> None:
    snapshot = visitor.page.get_by_role("button", name="Snapshot")
    expect(snapshot).to_be_disabled()
    server.play("main", GREY, [fake_face()])
    visitor.wait_until_live()
    with visitor.page.expect_download() as downloaded:
        snapshot.click()
    assert downloaded.value.suggested_filename.startswith("deepfer_main_2")
    path = tmp_path / "snapshot.jpg"
    downloaded.value.save_as(path)
    image_bgr = cv2.imread(str(path))
    assert image_bgr is not None
    assert image_bgr.shape == (120, 160, 3)
    assert image_bgr[5, 5] == pytest.approx([90, 90, 90], abs=6)


def test_a_lost_camera_is_shown_and_comes_back(visitor: PageVisitor, server: TestServer) -> None:
    server.play("main", GREY, [fake_face()])
    visitor.wait_until_live()
    server.stop_playing("main")
    expect(visitor.notice).to_contain_text("No picture from “main” for")
    expect(visitor.state).to_have_text("No picture")
    server.play("main", GREY, [fake_face()])
    visitor.wait_until_live()
    expect(visitor.notice).to_be_hidden()


def test_a_camera_that_is_away_is_named_and_comes_back(
    visitor: PageVisitor, server: TestServer
) -> None:
    server.play("main", GREY, [fake_face()])
    visitor.wait_until_live()
    server.stop_playing("main")
    server.set_cameras("front")
    expect(visitor.notice).to_contain_text("There is no camera “main” at the moment")
    server.set_cameras("front", "main")
    server.play("main", GREY, [fake_face()])
    visitor.wait_until_live()


def test_a_lost_connection_is_shown_and_comes_back(open_page: Callable[..., Page]) -> None:
    with running_server() as server:
        port = server.port
        visitor = PageVisitor(open_page(server.url))
        server.play("main", GREY, [fake_face()])
        visitor.wait_until_live()
    expect(visitor.state).to_have_text("Connection lost")
    expect(visitor.notice).to_contain_text("The connection to the server is lost")
    expect(visitor.notice).to_contain_text("Trying again")
    expect(visitor.page.get_by_role("button", name="Try now")).to_be_visible()
    with running_server(port=port) as server:
        server.play("main", GREY, [fake_face()])
        visitor.wait_until_live()
        expect(visitor.notice).to_be_hidden()
        visitor.wait_for_another_picture(visitor.fingerprint())


def test_a_page_that_is_opened_before_the_server_answers(
    open_page: Callable[..., Page], server: TestServer
) -> None:
    page = open_page(f"{server.url}/static/favicon.svg")
    page.route("**/api/status", lambda route: route.abort(), times=1)
    page.goto(server.url)
    expect(page.locator("#notice")).to_contain_text("The server does not answer yet")
    server.play("main", GREY, [fake_face()])
    PageVisitor(page).wait_until_live()


def test_too_many_viewers_are_told_so(open_page: Callable[..., Page]) -> None:
    from deepfer_ros.web.limits import WebLimits

    with running_server(limits=WebLimits(viewers=1)) as server:
        server.play("main", GREY, [fake_face()])
        PageVisitor(open_page(server.url)).wait_until_live()
        second = PageVisitor(open_page(server.url))
        expect(second.notice).to_contain_text("It said:")
        expect(second.notice).to_contain_text("Trying again")


def wait_for_viewers(visitor: PageVisitor, count: int) -> None:
    """Wait until the server sends pictures to so many."""
    visitor.page.wait_for_function(
        "async count => (await (await fetch('/api/status')).json()).viewers === count",
        arg=count,
        timeout=TIMEOUT_MS,
    )
