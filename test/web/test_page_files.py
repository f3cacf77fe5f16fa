"""The files of the page, without a browser."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deepfer_ros.recognition.drawing import _PALETTE_BGR
from deepfer_ros.web.static_files import STATIC_FOLDER

REPOSITORY = Path(__file__).resolve().parents[2]
PAGES = sorted(STATIC_FOLDER.glob("*.html"))
MODULES = sorted((STATIC_FOLDER / "js").glob("*.js"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_a_page_has_nothing_that_the_policy_forbids(page: Path) -> None:
    text = page.read_text()
    assert re.findall(r"<script(?![^>]* src=)", text) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=", text) == []
    assert re.findall(r"(?:src|href)=\"(?:https?:)?//[^\"]*", text) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_what_a_page_loads_is_there(page: Path) -> None:
    targets = re.findall(r'(?:src|href)="/static/([^"]+)"', page.read_text())
    assert targets
    assert [target for target in targets if not (STATIC_FOLDER / target).is_file()] == []


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_what_a_module_imports_is_there(module: Path) -> None:
    targets = re.findall(r'^import .*?"(\.[^"]+)";', module.read_text(), re.MULTILINE | re.DOTALL)
    assert [target for target in targets if not (module.parent / target).is_file()] == []


def test_every_module_is_used() -> None:
    used = set(re.findall(r"js/([\w.]+)", "".join(page.read_text() for page in PAGES)))
    for module in MODULES:
        used |= set(re.findall(r'"\./([\w.]+)"', module.read_text()))
    assert {module.name for module in MODULES} == used


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_a_module_is_javascript(module: Path) -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    command = [node, "--check", "--input-type=module"]
    done = subprocess.run(command, input=module.read_bytes(), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()


def test_the_colours_are_those_of_the_annotated_pictures() -> None:
    colours = re.findall(r'"#(\w{6})",', (STATIC_FOLDER / "js/palette.js").read_text())
    palette = [bytes(reversed(colour)).hex() for colour in _PALETTE_BGR]
    assert colours == palette


def test_the_library_has_its_licence_and_the_version_that_is_documented() -> None:
    assert "MIT License" in (STATIC_FOLDER / "vendor/uplot/LICENSE").read_text()
    versions = json.loads((REPOSITORY / "scripts/web/package.json").read_text())["dependencies"]
    assert set(versions) == {folder.name for folder in (STATIC_FOLDER / "vendor").iterdir()}
    documented = (REPOSITORY / "docs/dependencies.md").read_text()
    for version in versions.values():
        assert f"[uPlot](https://github.com/leeoniya/uPlot) {version} (npm, MIT)" in documented
