"""What the documentation says about parameters must be what the code does."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from deepfer_ros.camera_node import CameraParameters
from deepfer_ros.parameters import EmotionParameters
from deepfer_ros.web.web_node import WebParameters

REPOSITORY = Path(__file__).resolve().parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def table(parameters: type) -> str:
    """Return the table that a page must hold for a dataclass of parameters."""
    rows = ["| name | default | allowed | when | what it does |", "|---|---|---|---|---|"]
    for entry in dataclasses.fields(parameters):
        rule = entry.metadata["rule"]
        allowed = ", ".join(rule.choices)
        if rule.limits is not None:
            allowed = f"{rule.limits[0]} to {rule.limits[1]}"
        when = "at start" if rule.read_only else "locked" if rule.locked else ""
        # As ROS writes truth and lists, in YAML and on its command line.
        is_yaml = isinstance(entry.default, bool | tuple)
        default = json.dumps(entry.default) if is_yaml else str(entry.default)
        shown = f"`{default}`" if default else "empty"
        rows.append(f"| `{entry.name}` | {shown} | {allowed} | {when} | {rule.description} |")
    return "\n".join(rows)


@pytest.mark.parametrize(
    ("page", "node", "parameters"),
    [
        ("interfaces", "emotion_node", EmotionParameters),
        ("interfaces", "camera_node", CameraParameters),
        ("web", "web_node", WebParameters),
    ],
)
def test_the_parameter_tables_are_those_of_the_code(
    page: str, node: str, parameters: type
) -> None:
    text = (REPOSITORY / f"docs/{page}.md").read_text(encoding="utf-8")
    expected = f"<!-- {node} parameters -->\n{table(parameters)}\n<!-- end -->"
    assert expected in text, f"docs/{page}.md must hold:\n{expected}"


def test_the_readme_names_the_defaults_of_the_code() -> None:
    defaults = {entry.name: entry.default for entry in dataclasses.fields(EmotionParameters)}
    rows = re.findall(r"^\| `(\w+)` \| `?([^|`]+?)`? \|", README, re.MULTILINE)
    named = {name: default for name, default in rows if name in defaults}
    assert len(named) >= 5
    assert named == {name: str(defaults[name]) for name in named}
