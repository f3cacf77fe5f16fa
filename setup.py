"""The part of the pip package that pyproject.toml cannot express: data below share/deepfer.

The models, the configuration and the message definitions go where a colcon build puts them too,
below the prefix of the environment. Everything else is in pyproject.toml.
"""

from pathlib import Path

from setuptools import setup


def data_files() -> list[tuple[str, list[str]]]:
    """Return (folder below the prefix, files) for every folder of data."""
    by_folder: dict[str, list[str]] = {}
    for top in ("models", "config", "msg", "underlay/vision_msgs/msg"):
        for path in sorted(Path(top).rglob("*")):
            if path.is_file():
                by_folder.setdefault(f"share/deepfer/{path.parent}", []).append(str(path))
    return list(by_folder.items())


setup(data_files=data_files())
