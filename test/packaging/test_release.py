"""What the release tools of ROS read: dependencies, changelog, container, workflows."""

import csv
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()
DISTRIBUTIONS = ["humble", "jazzy", "kilted", "lyrical", "rolling"]
ROSDEP_KEYS = dict(
    csv.reader(
        line
        for line in (ROOT / "test/packaging/rosdep_keys.csv").read_text().splitlines()[3:]
        if line
    )
)


class TestRosdep:
    def test_resolves_every_dependency(self) -> None:
        kinds = {element.tag for element in PACKAGE if element.tag.endswith("depend")}
        needed = {element.text for kind in kinds for element in PACKAGE.findall(kind)}
        assert needed == set(ROSDEP_KEYS), "look new keys up in ros/rosdistro and add them"

    @pytest.mark.parametrize("key", ROSDEP_KEYS)
    def test_key_is_for_every_distribution(self, key: str) -> None:
        found_in = ROSDEP_KEYS[key]
        assert found_in.startswith("rosdep/") or found_in.split() == DISTRIBUTIONS

    def test_no_key_is_for_pip_only(self) -> None:
        """Such keys fail on Ubuntu 24.04 and later, where pip wants a virtual environment."""
        assert [key for key in ROSDEP_KEYS if key.endswith("-pip")] == []


class TestChangelog:
    def test_has_the_form_that_release_tools_parse(self) -> None:
        changelog = pytest.importorskip("catkin_pkg.changelog")
        text = (ROOT / "CHANGELOG.rst").read_text()
        # A release gives the entries under "Forthcoming" their version; the parser leaves out
        # what has none.
        version = PACKAGE.findtext("version")
        released = text.replace(
            "Forthcoming\n-----------\n", f"{version} (2026-01-01)\n{'-' * 18}\n"
        )
        parsed = changelog.Changelog("deepfer")
        changelog.populate_changelog_from_rst(parsed, released)
        versions = [version for version, _, _ in parsed.foreach_version()]
        assert versions[0] == version
        (entries,) = parsed.get_content_of_version(version)
        assert len(entries.bullets) >= 5

    def test_names_every_released_version_once(self) -> None:
        text = (ROOT / "CHANGELOG.rst").read_text()
        versions = re.findall(r"^(Forthcoming|\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\))$", text, re.M)
        assert versions
        assert len(versions) == len(set(versions))


def read_workflow() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    return loaded


class TestWorkflow:
    def test_covers_every_distribution(self) -> None:
        matrix = read_workflow()["jobs"]["ros"]["strategy"]["matrix"]["include"]
        assert [entry["ros_distro"] for entry in matrix] == DISTRIBUTIONS

    def test_runs_what_is_there(self) -> None:
        steps = read_workflow()["jobs"]["without_ros"]["steps"]
        scripts = [step["run"] for step in steps if "run" in step]
        assert scripts == [".ci/run"]
        assert (ROOT / ".ci/run").exists()


class TestContainer:
    TEXT = (ROOT / "Dockerfile").read_text()

    def test_copies_what_the_build_context_has(self) -> None:
        lines = (ROOT / ".dockerignore").read_text().splitlines()
        kept = {line[1:] for line in lines if line.startswith("!")}
        for path in kept:
            assert (ROOT / path).exists(), f".dockerignore keeps {path}, which does not exist"
        copied = re.findall(r"^COPY (?!--from)(.+) \S+$", self.TEXT, re.MULTILINE)
        for path in " ".join(copied).split():
            assert path == "." or path in kept

    def test_the_build_context_has_what_cmake_reads(self) -> None:
        ignored = (ROOT / ".dockerignore").read_text().splitlines()
        cmake = (ROOT / "CMakeLists.txt").read_text()
        installed = re.findall(r"ament_python_install_package\((\w+)\)", cmake)
        for paths in re.findall(r"install\(DIRECTORY ([^)]+?)\s+DESTINATION", cmake):
            installed += [path.partition("/")[0] for path in paths.split()]
        for folder in [*installed, "msg", "srv", "cmake", "package.xml", "CMakeLists.txt"]:
            assert f"!{folder}" in ignored

    def test_does_not_run_as_superuser(self) -> None:
        assert re.findall(r"^USER (.+)$", self.TEXT, re.MULTILINE)[-1] not in ("root", "0")

    def test_lint(self) -> None:
        """Check by hand what hadolint checks: no lists of packages and no pip cache left over."""
        runs = re.findall(r"^RUN (.+?)(?=^\S)", self.TEXT, re.MULTILINE | re.DOTALL)
        installing = [run for run in runs if "apt-get" in run or "pip install" in run]
        assert len(installing) == 2
        for run in installing:
            assert "rm -rf /var/lib/apt/lists/*" in run
            assert "pip install" not in run or "--no-cache-dir" in run
