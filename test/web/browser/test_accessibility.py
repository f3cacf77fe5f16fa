"""The page for people who use a keyboard, a screen reader, a small screen or strong colours."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from page_visitor import PageVisitor
from playwright.sync_api import Page, expect
from web_server import TestServer, fake_face

PICTURE = np.full((240, 320, 3), 90, np.uint8)
SIZES = {
    "small-phone": (320, 640),
    "phone": (390, 844),
    "tablet": (820, 1180),
    "desktop": (1440, 900),
}
FACES = [
    fake_face(f"face{index}", (20.0 + 70 * (index % 4), 20.0 + 100 * (index // 4), 50.0, 70.0))
    for index in range(8)
]


def show_live(visitor: PageVisitor, server: TestServer, path: Path) -> None:
    server.play("main", PICTURE, FACES)
    expect(visitor.faces).to_have_count(8)


def show_lost_camera(visitor: PageVisitor, server: TestServer, path: Path) -> None:
    expect(visitor.state).to_have_text("No picture")


def show_consent(visitor: PageVisitor, server: TestServer, path: Path) -> None:
    visitor.page.get_by_role("button", name="Use this device's camera").click()
    expect(visitor.dialog).to_be_visible()


def show_uploads(visitor: PageVisitor, server: TestServer, path: Path) -> None:
    visitor.go_to_upload()
    wrong = path.with_name("notes.txt")
    wrong.write_text("hello")
    visitor.upload(path, wrong)
    expect(visitor.page.locator("#upload-count")).to_have_text("2 files, 1 with an error")
    expect(visitor.uploads.get_by_role("img")).to_be_visible()


Show = Callable[[PageVisitor, TestServer, Path], None]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "show",
    [show_live, show_lost_camera, show_consent, show_uploads],
    ids=["live", "lost-camera", "consent", "uploads"],
)
def test_axe_finds_no_barriers(
    open_page: Callable[..., Page],
    server: TestServer,
    sample_file: Path,
    show: Show,
    theme: str,
) -> None:
    visitor = PageVisitor(open_page(server.url, color_scheme=theme))
    show(visitor, server, sample_file)
    results = Axe().run(visitor.page)
    assert results.response["passes"], "axe looked at nothing"
    assert results.response["violations"] == [], results.generate_report()


def test_axe_finds_no_barriers_where_a_token_is_asked_for(
    open_page: Callable[..., Page], server: TestServer
) -> None:
    page = open_page(f"{server.url}/static/token.html")
    results = Axe().run(page)
    assert results.response["violations"] == [], results.generate_report()


def test_everything_can_be_reached_with_the_keyboard(
    visitor: PageVisitor, server: TestServer
) -> None:
    server.play("main", PICTURE, FACES[:1])
    visitor.wait_until_live()
    expect(visitor.page.get_by_role("button", name="Snapshot")).to_be_enabled()
    visitor.page.evaluate("document.activeElement?.blur()")
    reached = []
    for _ in range(10):
        visitor.page.keyboard.press("Tab")
        reached.append(visitor.page.evaluate(_FOCUSED))
    assert reached == [
        "Skip to the content",
        "Live",
        "Upload",
        "Theme: system",
        "camera",
        "Use this device's camera",
        "Pause",
        "Snapshot",
        "Full screen",
        "API",
    ]


# What has the focus; each must show that it has.
_FOCUSED = """() => {
    const element = document.activeElement;
    if (getComputedStyle(element).outlineStyle === "none") return `${element.id}: no outline`;
    if (element.tagName === "SELECT") return element.id;
    return element.ariaLabel ?? element.innerText.trim();
}"""


def test_the_whole_way_with_the_keyboard(visitor: PageVisitor, server: TestServer) -> None:
    server.play("main", PICTURE, FACES[:1])
    visitor.wait_until_live()
    page = visitor.page
    page.get_by_role("button", name="Pause").focus()
    page.keyboard.press("Space")
    expect(visitor.state).to_have_text("Paused")
    page.keyboard.press("Enter")
    visitor.wait_until_live()
    page.get_by_role("button", name="Use this device's camera").focus()
    page.keyboard.press("Enter")
    expect(visitor.dialog).to_be_visible()
    # The dialog keeps the focus, and gives it back.
    expect(visitor.dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(visitor.dialog).to_be_hidden()
    expect(page.get_by_role("button", name="Use this device's camera")).to_be_focused()
    page.get_by_role("link", name="Upload").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#upload")).to_be_visible()
    expect(page.locator("#live")).to_be_hidden()


def test_the_theme_can_be_chosen_and_is_kept(visitor: PageVisitor) -> None:
    def background() -> str:
        return str(visitor.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    button = visitor.page.locator("#theme")
    expect(button).to_have_accessible_name("Theme: system")
    button.click()
    expect(button).to_have_accessible_name("Theme: light")
    assert background() == light
    button.click()
    expect(button).to_have_accessible_name("Theme: dark")
    assert background() != light
    dark = background()
    visitor.page.reload()
    assert background() == dark
    button.click()
    expect(button).to_have_accessible_name("Theme: system")
    assert background() == light


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_the_page_fits_every_screen(
    open_page: Callable[..., Page],
    server: TestServer,
    sample_file: Path,
    size: tuple[int, int],
) -> None:
    width, height = size
    viewport = {"width": width, "height": height}
    visitor = PageVisitor(open_page(server.url, viewport=viewport))
    for show in (show_live, show_uploads, show_consent):
        if show is show_consent:
            visitor.page.get_by_role("link", name="Live").click()
        show(visitor, server, sample_file)
        assert visitor.page.evaluate(_TOO_WIDE) == [], show.__name__


# What sticks out of the page to the right, except what is hidden from the eyes.
_TOO_WIDE = """() => [...document.querySelectorAll("body *")]
    .filter((element) => !element.closest(".visually-hidden, .skip-link, dialog:not([open])"))
    .filter((element) => element.getBoundingClientRect().right > document.body.clientWidth + 0.5)
    .map((element) => element.outerHTML.slice(0, 80))"""


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_nothing_jumps(
    open_page: Callable[..., Page], server: TestServer, size: tuple[int, int]
) -> None:
    width, height = size
    visitor = PageVisitor(open_page(server.url, viewport={"width": width, "height": height}))
    places = visitor.page.locator("#stage, .toolbar, .controls, .metrics > div, #faces-title")

    def where() -> list[dict[str, float]]:
        return [dict(place.bounding_box() or {}) for place in places.all()]

    expect(visitor.state).to_have_text("No picture")
    before = where()
    for count in (0, 1, 8):
        server.play("main", PICTURE, FACES[:count])
        visitor.wait_until_live()
        expect(visitor.faces).to_have_count(count)
        assert where() == before, f"{count} faces"
    server.stop_playing("main")
    expect(visitor.state).to_have_text("No picture")
    assert where() == before
    visitor.page.get_by_role("button", name="Pause").click()
    expect(visitor.state).to_have_text("Paused")
    assert where() == before


def test_nothing_moves_by_itself_for_those_who_asked_for_that(
    open_page: Callable[..., Page], server: TestServer
) -> None:
    page = open_page(server.url, reduced_motion="reduce")
    moving = """() => [...document.querySelectorAll("*")].filter((element) => {
        const style = getComputedStyle(element);
        return style.animationName !== "none" || style.transitionDuration !== "0s";
    }).length"""
    assert page.evaluate(moving) == 0
    page.emulate_media(reduced_motion="no-preference")
    assert page.evaluate(moving) > 0
