"""The visitor's own camera: Chromium's fake one, which sees the face of the sample."""

import re
from collections.abc import Callable

import pytest
from page_visitor import PageVisitor, wait_until
from playwright.sync_api import Page, expect
from web_server import TestServer, running_server

from deepfer_ros.recognition.drawing import draw_emotions
from deepfer_ros.recognition.images import encode_image
from deepfer_ros.recognition.recognizer import EmotionRecognizer
from deepfer_ros.web.limits import WebLimits

# The browser asks until the test gives permission; `openMedia` is what it gave.
_ASK_FIRST = """() => {
    const devices = navigator.mediaDevices;
    const open = devices.getUserMedia.bind(devices);
    devices.getUserMedia = async wanted => {
        await new Promise((allow, refuse) => Object.assign(window, { allow, refuse }));
        return (window.openMedia = await open(wanted));
    };
}"""
_TRACK_STATES = "() => window.openMedia?.getTracks().map(track => track.readyState)"
_REFUSE = "refuse(new DOMException('', 'NotAllowedError'))"


@pytest.fixture
def owner(open_page: Callable[..., Page], server: TestServer) -> PageVisitor:
    """Return a visitor whose browser allows the camera without a question."""
    return PageVisitor(open_page(server.url, permissions=["camera"]))


def ask(visitor: PageVisitor) -> None:
    visitor.page.get_by_role("button", name="Use this device's camera").click()
    expect(visitor.dialog).to_be_visible()


def agree(visitor: PageVisitor) -> None:
    ask(visitor)
    visitor.dialog.get_by_role("button", name="I agree, start the camera").click()


def camera_is_on(visitor: PageVisitor) -> bool:
    return bool(
        visitor.page.evaluate("document.getElementById('sending-preview').srcObject !== null")
    )


def test_the_face_before_the_camera_reaches_the_server_and_comes_back(
    owner: PageVisitor, server: TestServer, recognizer: EmotionRecognizer
) -> None:
    agree(owner)
    expect(owner.sending).to_contain_text("Sending this device's camera")
    wait_until(lambda: len(server.sink.images) >= 5, "pictures from the browser")
    image_bgr = server.sink.images[-1]
    assert image_bgr.shape == (480, 640, 3)
    faces = recognizer.recognize(image_bgr, time_s=0.0)
    assert [face.emotion for face in faces] == ["happy"]
    # What the emotion node would do with it.
    server.set_cameras("browser", "main")
    jpeg = encode_image(draw_emotions(image_bgr, faces), ".jpg")

    def is_shown() -> bool:
        server.show("browser", faces, jpeg)
        return owner.state.inner_text() == "Live"

    wait_until(is_shown, "the result in the page")
    expect(owner.cameras).to_have_value("browser")
    expect(owner.page.locator("#face-list > li")).to_contain_text("happy")


def test_the_rate_is_bounded_and_shown(owner: PageVisitor, server: TestServer) -> None:
    agree(owner)
    detail = owner.page.locator("#sending-detail")
    # More than 0 and less than 15. The first two pictures alone do not tell it: a busy machine
    # takes longer to encode the one than the other.
    expect(detail).to_have_text(re.compile(r"^([1-9]|1[0-4])\.\d\s/s \u00b7 640 \u00d7 480$"))


def test_nothing_is_sent_without_consent(owner: PageVisitor, server: TestServer) -> None:
    ask(owner)
    expect(owner.dialog).to_contain_text("about 12 a second")
    expect(owner.dialog).to_contain_text("640 \u00d7 480 pixels")
    expect(owner.dialog).to_contain_text(f"127.0.0.1:{server.port}")
    expect(owner.dialog.get_by_role("button", name="Cancel")).to_be_focused()
    assert not camera_is_on(owner)
    owner.dialog.get_by_role("button", name="Cancel").click()
    expect(owner.dialog).to_be_hidden()
    assert not camera_is_on(owner)
    expect(owner.sending).to_be_hidden()
    assert server.sink.events == []


@pytest.mark.parametrize("way", ["button", "hidden", "closed"])
def test_sending_ends(owner: PageVisitor, server: TestServer, way: str) -> None:
    agree(owner)
    wait_until(lambda: server.sink.images, "pictures from the browser")
    if way == "button":
        owner.page.get_by_role("button", name="Stop sending").click()
    elif way == "hidden":
        owner.hide()
    else:
        owner.page.close()
    wait_until(lambda: server.sink.events[-1] == "close", "the end of sending")
    if way != "closed":
        assert not camera_is_on(owner)
        expect(owner.sending).to_be_hidden()
    if way == "hidden":
        expect(owner.dialog).to_contain_text("ended because the page was hidden")


@pytest.mark.parametrize("way", ["button", "hidden", "hidden and back"])
def test_who_stops_before_the_permission_sends_nothing(
    owner: PageVisitor, server: TestServer, way: str
) -> None:
    owner.page.evaluate(_ASK_FIRST)
    agree(owner)
    expect(owner.sending).to_contain_text("Starting this device's camera")
    owner.page.wait_for_function("() => 'allow' in window")
    if way == "button":
        owner.page.get_by_role("button", name="Stop sending").click()
    else:
        owner.hide()
        owner.hide(is_hidden=way == "hidden")
    expect(owner.sending).to_be_hidden()
    owner.page.evaluate("allow()")
    wait_until(lambda: owner.page.evaluate(_TRACK_STATES) == ["ended"], "the end of the camera")
    assert not camera_is_on(owner)
    assert server.sink.events == []
    owner.hide(is_hidden=False)
    if way != "button":
        owner.dialog.get_by_role("button", name="Close").click()
    # The next attempt is one of its own.
    agree(owner)
    owner.page.evaluate("allow()")
    wait_until(lambda: server.sink.images, "pictures from the browser")
    owner.page.get_by_role("button", name="Stop sending").click()
    expect(owner.sending).to_be_hidden()


def test_who_stops_is_not_told_of_a_permission_that_is_refused_later(owner: PageVisitor) -> None:
    owner.page.evaluate(_ASK_FIRST)
    agree(owner)
    owner.page.wait_for_function("() => 'refuse' in window")
    owner.page.get_by_role("button", name="Stop sending").click()
    owner.page.evaluate(_REFUSE)
    expect(owner.sending).to_be_hidden()
    expect(owner.dialog).to_be_hidden()
    expect(owner.page.get_by_role("button", name="Use this device's camera")).to_be_enabled()


def test_it_can_be_started_again(owner: PageVisitor, server: TestServer) -> None:
    for _ in range(2):
        count = len(server.sink.images)
        agree(owner)
        wait_until(lambda before=count: len(server.sink.images) > before, "pictures")
        owner.page.get_by_role("button", name="Stop sending").click()
        expect(owner.sending).to_be_hidden()
    wait_until(lambda: server.sink.events == ["open", "close"] * 2, "two ends of sending")


def test_a_lost_connection_is_shown_and_comes_back(open_page: Callable[..., Page]) -> None:
    # The server must miss the pictures before it takes a camera again.
    with running_server(limits=WebLimits(camera_pause_s=2.0)) as server:
        owner = PageVisitor(open_page(server.url, permissions=["camera"]))
        agree(owner)
        wait_until(lambda: server.sink.images, "pictures from the browser")
        owner.page.context.set_offline(True)
        expect(owner.sending).to_contain_text("Connection lost, trying again")
        assert camera_is_on(owner)
        owner.page.context.set_offline(False)
        expect(owner.sending).to_contain_text("Sending this device's camera")
        count = len(server.sink.images)
        wait_until(lambda: len(server.sink.images) > count, "pictures from the browser again")


def test_sending_ends_with_the_server(open_page: Callable[..., Page]) -> None:
    with running_server() as server:
        owner = PageVisitor(open_page(server.url, permissions=["camera"]))
        agree(owner)
        wait_until(lambda: server.sink.images, "pictures from the browser")
    expect(owner.dialog).to_contain_text("The server ends.")
    expect(owner.sending).to_be_hidden()
    assert not camera_is_on(owner)


def test_permission_that_is_refused(visitor: PageVisitor, server: TestServer) -> None:
    # Without a person to ask, the browser says no.
    agree(visitor)
    expect(visitor.dialog).to_contain_text("The browser did not give permission")
    visitor.dialog.get_by_role("button", name="Close").click()
    expect(visitor.page.get_by_role("button", name="Use this device's camera")).to_be_enabled()
    assert server.sink.images == []


def test_only_one_visitor_sends(
    owner: PageVisitor, server: TestServer, open_page: Callable[..., Page]
) -> None:
    agree(owner)
    wait_until(lambda: server.sink.images, "pictures from the browser")
    second = PageVisitor(open_page(server.url, permissions=["camera"]))
    ask(second)
    expect(second.dialog).to_contain_text("Another visitor is sending at the moment")


def test_an_insecure_page_says_why_there_is_no_camera(
    open_page: Callable[..., Page], server: TestServer, other_name: str
) -> None:
    visitor = PageVisitor(open_page(f"http://{other_name}:{server.port}"))
    ask(visitor)
    expect(visitor.dialog).to_contain_text("Browsers allow the camera on secure pages only")
    expect(visitor.dialog).to_contain_text(f"http://localhost:{server.port}")


def test_a_server_that_takes_no_pictures(open_page: Callable[..., Page]) -> None:
    with running_server(browser_camera=False) as server:
        visitor = PageVisitor(open_page(server.url, permissions=["camera"]))
        ask(visitor)
        expect(visitor.dialog).to_contain_text("does not take pictures from browsers")
