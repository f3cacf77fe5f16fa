"""What a wheel of deepfer holds."""

import shutil
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NOT_NEEDED = shutil.ignore_patterns(".*", "__pycache__", "build", "install", "log", "runs", "test")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Build the wheel, from a copy because the build leaves files in its folder."""
    folder = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, folder / "source", ignore=NOT_NEEDED)
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", *options, "-w", folder, folder / "source"],
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
    )
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def name_and_version(wheel: zipfile.ZipFile) -> str:
    return "-".join(Path(wheel.filename or "").name.split("-")[:2])


def test_holds_both_packages_and_nothing_else_to_import(wheel: zipfile.ZipFile) -> None:
    names = [name for name in wheel.namelist() if name.endswith((".py", "py.typed"))]
    for package in ("deepfer_ros", "deepfer_training"):
        expected = {
            str(path.relative_to(ROOT))
            for path in (ROOT / package).rglob("*")
            if path.suffix == ".py" or path.name == "py.typed"
        }
        assert expected == {name for name in names if name.startswith(package)}
    assert {name.split("/")[0] for name in names} == {"deepfer_ros", "deepfer_training"}


@pytest.mark.parametrize("folder", ["config", "models", "msg", "underlay/vision_msgs/msg"])
def test_holds_the_data_below_share(wheel: zipfile.ZipFile, folder: str) -> None:
    files = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    prefix = f"{name_and_version(wheel)}.data/data/share/deepfer/"
    expected = {prefix + str(path.relative_to(ROOT)) for path in files}
    assert expected == {n for n in wheel.namelist() if n.startswith(f"{prefix}{folder}/")}


def test_holds_the_files_of_the_web_page(wheel: zipfile.ZipFile) -> None:
    page = ROOT / "deepfer_ros/web/static"
    expected = {str(path.relative_to(ROOT)) for path in page.rglob("*") if path.is_file()}
    assert "deepfer_ros/web/static/index.html" in expected
    assert expected == {
        name for name in wheel.namelist() if name.startswith("deepfer_ros/web/static/")
    }


def test_metadata(wheel: zipfile.ZipFile) -> None:
    metadata = Parser().parsestr(
        wheel.read(f"{name_and_version(wheel)}.dist-info/METADATA").decode()
    )
    assert metadata["Name"] == "deepfer"
    assert metadata.get_all("Provides-Extra") == [
        "demo",
        "web",
        "bag",
        "parquet",
        "training",
        "distributed",
        "dev",
        "docs",
    ]
    needed = metadata.get_all("Requires-Dist") or []
    always = {entry.split("<")[0].split(">")[0] for entry in needed if "extra ==" not in entry}
    assert "numpy" in always
    assert not always & {"tensorflow", "keras", "scikit-learn"}
    scripts = wheel.read(f"{name_and_version(wheel)}.dist-info/entry_points.txt").decode()
    assert "deepfer = deepfer_ros.cli:main" in scripts
