"""Everything together: `deepfer web` with real nodes and topics, seen in a real browser."""

import re
from collections.abc import Callable, Iterator

import pytest

pytest.importorskip("rclpy")

from node_process import NodeProcess, running
from page_visitor import PageVisitor, wait_until
from playwright.sync_api import Page, expect

COMMAND = "from deepfer_ros.cli import main; main(['web', '--source', 'sample', '--port', '0'])"


@pytest.fixture
def program(
    ros_environment: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NodeProcess]:
    log_path = tmp_path_factory.mktemp("web") / "log"
    with running(["-c", COMMAND], log_path) as process:
        yield process
        print(process.log)


@pytest.fixture
def address(program: NodeProcess) -> str:
    """Return where the page is."""

    def find() -> re.Match[str] | None:
        return re.search(r"http://127\.0\.0\.1:\d+/?", program.log)

    wait_until(find, "the address of the page")
    found = find()
    assert found is not None
    return found[0]


def test_the_sample_and_the_visitors_camera(address: str, open_page: Callable[..., Page]) -> None:
    visitor = PageVisitor(open_page(address, permissions=["camera"]))
    visitor.wait_until_live()
    expect(visitor.cameras).to_have_value("main")
    expect(visitor.faces.get_by_role("heading")).to_contain_text("happy")
    visitor.wait_for_another_picture(visitor.fingerprint())
    for name in ("metric-latency", "metric-shown", "metric-recognized"):
        expect(visitor.page.locator(f"#{name}")).to_have_text(re.compile(r"^\d"))

    visitor.page.get_by_role("button", name="Use this device's camera").click()
    visitor.dialog.get_by_role("button", name="I agree, start the camera").click()
    expect(visitor.cameras).to_have_value("browser")
    visitor.wait_until_live()
    expect(visitor.faces.get_by_role("heading")).to_contain_text("happy")
    visitor.wait_for_another_picture(visitor.fingerprint())

    visitor.page.get_by_role("button", name="Stop sending").click()
    expect(visitor.notice).to_contain_text(re.compile("No picture|no camera"))
    visitor.cameras.select_option("main")
    visitor.wait_until_live()
