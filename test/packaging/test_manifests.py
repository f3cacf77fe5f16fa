"""The manifests agree with each other and with what the code imports."""

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
PACKAGE = ElementTree.parse(ROOT / "package.xml").getroot()
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# How the name of an import and those of its rosdep key and wheel differ.
ROSDEP_KEYS = {
    "PIL": "python3-pil",
    "click": "python3-click",
    "cv2": "python3-opencv",
    "fastapi": "python3-fastapi",
    "numpy": "python3-numpy",
    "pydantic": "python3-pydantic",
    "rich": "python3-rich",
    "uvicorn": "python3-uvicorn",
    "websockets": "python3-websockets",
}
WHEELS = {
    "PIL": "pillow",
    "ai_edge_litert": "ai-edge-litert",
    "axe_playwright_python": "axe-playwright-python",
    "backports": "backports.zstd",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
# Without a rosdep key; package.xml says so in a comment.
WITHOUT_ROSDEP_KEY = {"ai_edge_litert", "yuface"}
# The Keras classifier of the core works where the training requirements are installed.
# Bags have extras of their own.
OPTIONAL_AT_RUN_TIME = {
    "apsw",
    "backports",
    "hri_msgs",
    "keras",
    "pyarrow",
    "rosbags",
    "tensorflow",
    "yuface",
}
# Needed without an import that shows it: the support of the generated interfaces, and the services
# that a lifecycle node has.
WITHOUT_IMPORT = {"lifecycle_msgs", "rosidl_default_runtime"}
OURS = {"deepfer", "deepfer_ros", "deepfer_training"}


def third_party_imports(folder: str) -> set[str]:
    """Return the top-level modules that a folder imports, also inside functions."""
    modules = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), path)):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
                modules.add(node.module.split(".")[0])
    # tomllib is part of Python since 3.11; these tests know what to do before.
    return modules - set(sys.stdlib_module_names) - OURS - {"tomllib"}


def dependencies(*kinds: str) -> set[str]:
    """Return the dependencies of package.xml of the given kinds."""
    return {element.text or "" for kind in kinds for element in PACKAGE.findall(kind)}


def requirements(*names: str) -> set[str]:
    """Return the names of the wheels in files of requirements/."""
    return set(listed_requirements(*names))


def listed_requirements(*names: str) -> list[str]:
    found = []
    for name in names:
        for line in (ROOT / "requirements" / f"{name}.txt").read_text().splitlines():
            match = re.match(r"[A-Za-z0-9._-]+", line)
            if match:
                found.append(match[0].lower())
    return found


def is_ros_package(module: str) -> bool:
    return module in dependencies("depend", "exec_depend") and not module.startswith("python3-")


def test_versions_agree() -> None:
    versions = {
        "package.xml": PACKAGE.findtext("version"),
        "pyproject.toml": PROJECT["version"],
        "deepfer_ros": re.search(
            r'__version__ = "(.+)"', (ROOT / "deepfer_ros/__init__.py").read_text()
        )[1],  # type: ignore[index]
    }
    assert len(set(versions.values())) == 1, versions


def test_names_and_licences_agree() -> None:
    assert PACKAGE.findtext("name") == PROJECT["name"] == "deepfer"
    assert PACKAGE.findtext("license") == PROJECT["license"]["text"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    maintainer = PACKAGE.find("maintainer")
    assert maintainer is not None
    assert {"name": maintainer.text, "email": maintainer.get("email")} in PROJECT["authors"]


@pytest.mark.parametrize("package", ["hri_msgs", "vision_msgs"])
def test_underlay_package_has_the_same_licence(package: str) -> None:
    manifest = ElementTree.parse(ROOT / "underlay" / package / "package.xml").getroot()
    assert manifest.findtext("name") == package
    assert manifest.findtext("license") == "Apache-2.0"


@pytest.mark.parametrize("folder", ["deepfer_ros", "launch"])
def test_package_xml_lists_every_import(folder: str) -> None:
    needed = third_party_imports(folder) - WITHOUT_ROSDEP_KEY - OPTIONAL_AT_RUN_TIME
    keys = {ROSDEP_KEYS.get(module, module) for module in needed}
    assert keys - dependencies("depend", "exec_depend") == set()


def test_package_xml_lists_nothing_that_is_not_imported() -> None:
    imported = {
        ROSDEP_KEYS.get(module, module)
        for folder in ("deepfer_ros", "launch")
        for module in third_party_imports(folder)
    }
    assert dependencies("exec_depend") - imported - WITHOUT_IMPORT == set()


def test_package_xml_says_what_rosdep_does_not_know() -> None:
    text = (ROOT / "package.xml").read_text()
    comments = " ".join(re.findall(r"<!--(.*?)-->", text, re.DOTALL))
    for module in WITHOUT_ROSDEP_KEY:
        assert WHEELS.get(module, module) in comments


def test_package_xml_lists_what_the_interfaces_are_made_of() -> None:
    used = set()
    for path in [*(ROOT / "msg").glob("*.msg"), *(ROOT / "srv").glob("*.srv")]:
        used |= set(re.findall(r"^(\w+)/\w+", path.read_text(), re.MULTILINE))
    assert used == dependencies("depend")


def test_runtime_requirements_cover_every_import() -> None:
    needed = {
        WHEELS.get(module, module)
        for module in third_party_imports("deepfer_ros") - OPTIONAL_AT_RUN_TIME
        if not is_ros_package(module)
    }
    assert needed - requirements("runtime", "web") == set()
    assert requirements("runtime", "web") - needed == set(), "required but not imported"


def test_bag_requirements_cover_every_import() -> None:
    modules = third_party_imports("deepfer_ros/bag")
    assert {module for module in modules if is_ros_package(module)} == set()
    needed = {WHEELS.get(module, module) for module in modules}
    assert needed - requirements("runtime") == requirements("bag", "parquet")


@pytest.mark.parametrize("wheels", ["kilted", "jazzy"])
def test_no_requirement_is_listed_twice(wheels: str) -> None:
    names = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    elsewhere = {"ros-kilted", "ros-jazzy", "docker", "docs", "ubuntu-24.04"}
    assert elsewhere < names
    installed_together = names - elsewhere | {f"ros-{wheels}"}
    found = listed_requirements(*installed_together)
    assert sorted(found) == sorted(set(found))


def test_runtime_requirements_name_no_tensorflow() -> None:
    installed = requirements("ros-kilted", "ros-jazzy", "build", "runtime", "demo")
    assert not {"tensorflow", "keras"} & installed


def test_training_requirements_cover_every_import_and_no_ros() -> None:
    modules = third_party_imports("deepfer_training")
    assert {module for module in modules if is_ros_package(module)} == set()
    needed = {WHEELS.get(module, module) for module in modules}
    # PyTorch and JAX are imported only where Keras was told to run on them.
    assert needed - requirements("runtime", "training", "backends") == {"torch"}


def test_test_requirements_cover_every_import() -> None:
    ours = {path.stem for name in ("test", "scripts") for path in (ROOT / name).rglob("*.py")}
    modules = third_party_imports("test") - ours
    needed = {WHEELS.get(module, module) for module in modules if not is_ros_package(module)}
    # The packages of underlay/ are part of ROS where it is complete.
    needed -= dependencies("test_depend") | {path.name for path in (ROOT / "underlay").iterdir()}
    assert (
        needed - requirements("runtime", "web", "bag", "parquet", "training", "test", "demo")
        == set()
    )


@pytest.mark.parametrize(
    ("folder", "cmake_file"),
    [
        ("msg", "CMakeLists.txt"),
        ("srv", "CMakeLists.txt"),
        ("underlay/hri_msgs/msg", "underlay/hri_msgs/CMakeLists.txt"),
        ("underlay/vision_msgs/msg", "underlay/vision_msgs/CMakeLists.txt"),
    ],
)
def test_cmake_lists_every_interface(folder: str, cmake_file: str) -> None:
    files = {path.name for path in (ROOT / folder).iterdir()}
    listed = re.findall(rf"{Path(folder).name}/(\w+\.\w+)", (ROOT / cmake_file).read_text())
    assert set(listed) == files


def test_programs_start_what_exists() -> None:
    cmake = (ROOT / "CMakeLists.txt").read_text()
    programs = dict(re.findall(r"install_program\((\w+) ([\w.]+) ", cmake))
    assert set(programs) == {"emotion_node", "camera_node", "web_node", "deepfer"}
    assert PROJECT["scripts"] == {"deepfer": f"{programs['deepfer']}:main"}
    for module in programs.values():
        path = ROOT / Path(*module.split("."))
        source = (
            path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
        )
        tree = ast.parse(source.read_text())
        defined = {getattr(node, "name", None) for node in tree.body}
        assert "main" in defined, f"{module} has no main"
