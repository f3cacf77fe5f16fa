"""Links, commands and options that README and docs/ name exist."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from deepfer_ros.camera_node import CameraParameters
from deepfer_ros.cli import deepfer
from deepfer_ros.parameters import EmotionParameters

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PARAMETERS = {
    "emotion_node": set(EmotionParameters.__dataclass_fields__),
    "camera_node": set(CameraParameters.__dataclass_fields__),
}
PROGRAMS = ("deepfer", "make", "ros2 launch deepfer", "ros2 run deepfer", "ros2 param set")


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and MyST make them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in headings}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


def commands(page: Path) -> Iterator[str]:
    """Yield what a page tells the reader to type, as far as it is ours."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```bash\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    without_blocks = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines += re.findall(r"`([^`\n]+)`", without_blocks)
    for line in lines:
        for part in re.split(r"&&|;|\|", line):
            command = re.sub(r"\s#.*", "", part).strip()
            # What a container runs is a command, too.
            command = re.sub(r"^docker run .*?\bdeepfer (?=deepfer|ros2)", "", command)
            if command.startswith(tuple(f"{program} " for program in PROGRAMS)):
                yield command


def every_command() -> list[tuple[str, str]]:
    return sorted({(page_name(page), command) for page in PAGES for command in commands(page)})


def test_there_are_commands_to_check() -> None:
    found = [command for _, command in every_command()]
    for program in PROGRAMS:
        if program != "ros2 run deepfer":
            assert any(command.startswith(program) for command in found), program


@pytest.mark.parametrize(("page", "command"), every_command())
def test_commands_and_options_exist(page: str, command: str) -> None:
    words = shlex.split(command, comments=True)
    if words[0] == "deepfer":
        check_command_line(words[1:])
    elif words[0] == "make":
        check_make(words[1:])
    elif words[1] == "launch":
        check_launch(words[3], words[4:])
    elif words[1] == "run":
        assert words[3] in PARAMETERS
    else:
        node = words[3].rpartition("/")[2]
        assert words[4] in PARAMETERS[node], f"{node} has no parameter {words[4]}"


def check_command_line(words: list[str]) -> None:
    command: click.Command = deepfer
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name = words.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"there is no command '{name}'"
        command = found
    options = {"--help", *(option for entry in command.params for option in entry.opts)}
    options |= {option for entry in command.params for option in entry.secondary_opts}
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in options, f"there is no option {word}"


def check_make(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+):", makefile, re.MULTILINE))
    for word in words:
        name, is_variable, value = word.partition("=")
        if not is_variable:
            assert name in targets, f"there is no target '{name}'"
        elif name == "ARGS" and words[0] == "demo":
            check_command_line(["demo", *shlex.split(value)])
        else:
            assert name in ("ARGS", "PYTHON", "ROS_WHEELS")


def launch_arguments(file: str) -> dict[str, str]:
    """Return the defaults of a launch file's arguments, read without ROS's launch."""
    source = (ROOT / "launch" / file).read_text(encoding="utf-8")
    arguments = {
        ast.literal_eval(node.args[0]): next(
            ast.literal_eval(keyword.value)
            for keyword in node.keywords
            if keyword.arg == "default_value"
        )
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "DeclareLaunchArgument"
    }
    assert arguments
    return arguments


def test_launch_arguments_are_described() -> None:
    page = (ROOT / "docs/interfaces.md").read_text(encoding="utf-8")
    _, _, rest = page.partition("<!-- arguments of camera.launch.py -->")
    table, _, _ = rest.partition("<!-- end -->")
    described = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", table, re.MULTILINE))
    expected = launch_arguments("camera.launch.py").items()
    assert described == {name: f"`{value}`" if value else "empty" for name, value in expected}


def check_launch(file: str, words: list[str]) -> None:
    names = launch_arguments(file)
    for word in words:
        name, is_argument, _ = word.partition(":=")
        assert name in names if is_argument else word == "--show-args", f"no argument {word}"


def test_inline_launch_arguments_exist() -> None:
    """Check `name:=value` in the text, which stands for an argument of the launch file."""
    source = (ROOT / "launch/camera.launch.py").read_text(encoding="utf-8")
    for page in PAGES:
        for name in re.findall(r"`(\w+):=[^`]*`", page.read_text(encoding="utf-8")):
            known = f'"{name}"' in source or name in PARAMETERS["emotion_node"]
            assert known, f"{page_name(page)}: there is no argument {name}"


@pytest.mark.slow
def test_sphinx_builds_without_warnings(tmp_path: Path) -> None:
    pytest.importorskip("myst_parser", reason="'make docs' installs what it needs")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", ROOT / "docs", tmp_path],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "No image arrives" in (tmp_path / "troubleshooting.html").read_text(encoding="utf-8")
