"""What scripts/setup.sh and scripts/env.sh do on machines that lack something."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHELLS = [shell for shell in ("sh", "bash", "dash", "zsh") if shutil.which(shell)]
# What the scripts may use on every machine.
BASIC_TOOLS = (
    "bash cat cut date dirname env find flock grep mkdir sed sh sha256sum sort timeout touch tr "
    " uname xargs"
).split()

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the scripts are for Linux")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Return a copy of what the scripts read, in a folder with a blank in its name."""
    copy = tmp_path / "deep fer"
    for name in ("scripts", "requirements", "cmake", "config", "msg", "srv", "underlay"):
        shutil.copytree(ROOT / name, copy / name)
    for name in ("package.xml", "CMakeLists.txt"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Return a folder to be the whole PATH, with basic tools only."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in BASIC_TOOLS:
        found = shutil.which(name)
        if found:
            (folder / name).symlink_to(found)
    return folder


def add_program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def add_python(folder: Path, *, has_venv: bool = True, include: Path | None = None) -> None:
    """Add a python3 that answers what setup.sh asks, as a machine with these parts would."""
    add_program(
        folder,
        "python3",
        f"""case "$2" in
          *version_info*) echo 3.12 ;;
          *ensurepip*) exit {0 if has_venv else 1} ;;
          *sysconfig*) echo "{include}" ;;
          *) exit 1 ;;
        esac""",
    )


def run_setup(
    copy: Path, path: Path, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    # The candidate /usr/bin/python3 would be found on any PATH.
    script = copy / "scripts/setup.sh"
    script.write_text(script.read_text().replace(" /usr/bin/python3;", ";"))
    return subprocess.run(
        [str(script), *arguments],
        env={"PATH": str(path), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def assert_one_line(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert result.returncode != 0
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    for part in parts:
        assert part in result.stderr


class TestMissingParts:
    def test_everything(self, copy: Path, tools: Path) -> None:
        assert_one_line(
            run_setup(copy, tools),
            "missing: Python 3.10 to 3.13 (make setup PYTHON=... names one), C compiler, "
            "C++ compiler.",
            "apt install build-essential python3 python3-dev python3-venv\n",
        )

    def test_python_that_is_too_old(self, copy: Path, tools: Path) -> None:
        add_program(tools, "python3", "echo 3.8")
        add_program(tools, "cc", "exit 0")
        add_program(tools, "c++", "exit 0")
        assert_one_line(
            run_setup(copy, tools),
            "missing: Python 3.10 to 3.13",
            "apt install python3 python3-dev python3-venv\n",
        )

    def test_parts_of_python(self, copy: Path, tools: Path) -> None:
        add_python(tools, has_venv=False, include=copy / "nowhere")
        add_program(tools, "gcc", "exit 0")
        add_program(tools, "g++", "exit 0")
        assert_one_line(
            run_setup(copy, tools),
            "missing: venv of Python 3.12, headers of Python 3.12.",
            "apt install python3.12-dev python3.12-venv\n",
        )

    @pytest.mark.parametrize(
        ("present", "missing"),
        [([], "C compiler, C++ compiler"), (["cc"], "C++ compiler"), (["c++"], "C compiler")],
        ids=str,
    )
    def test_compiler(self, copy: Path, tools: Path, present: list[str], missing: str) -> None:
        (copy / "Python.h").touch()
        add_python(tools, include=copy)
        for name in present:
            add_program(tools, name, "exit 0")
        assert_one_line(
            run_setup(copy, tools), f"missing: {missing}.", "apt install build-essential\n"
        )

    def test_python_of_the_user(self, copy: Path, tools: Path) -> None:
        result = run_setup(copy, tools, PYTHON="nonsense")
        assert_one_line(result, "PYTHON=nonsense is not a program")
        add_program(tools, "python-old", "echo 3.8")
        result = run_setup(copy, tools, PYTHON="python-old")
        assert_one_line(result, "PYTHON=python-old does not suit", "3.10 to 3.13")

    def test_argument(self, copy: Path, tools: Path) -> None:
        assert_one_line(run_setup(copy, tools, "--tests"), "unknown argument '--tests'")

    @pytest.mark.slow
    def test_network(self, copy: Path) -> None:
        result = subprocess.run(
            [str(copy / "scripts/setup.sh")],
            env={
                "PATH": os.environ["PATH"],
                "PYTHON": getattr(sys, "_base_executable", sys.executable),
                "PIP_CONFIG_FILE": "/dev/null",
                "PIP_INDEX_URL": "http://127.0.0.1:9/",  # nobody listens there
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        assert result.returncode != 0
        assert "cannot reach the Python package index" in result.stderr.splitlines()[0]


def source_env(
    shell: str, folder: Path, script: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    # Start-up files of the machine may set a PATH of their own.
    return subprocess.run(
        [shell, "-c", f"PATH={os.defpath}; {script}"],
        cwd=folder,
        env={"HOME": str(folder), **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def installed(copy: Path) -> Path:
    """Return a copy that looks set up with ROS from wheels."""
    (copy / ".venv/.deepfer").mkdir(parents=True)
    (copy / ".venv/.deepfer/build").touch()
    return copy


@pytest.mark.parametrize("shell", SHELLS)
class TestEnv:
    def test_before_setup(self, shell: str, copy: Path) -> None:
        result = source_env(shell, copy, ". scripts/env.sh")
        assert_one_line(result, "not set up yet", "make setup")

    def test_puts_the_environment_first(self, shell: str, installed: Path) -> None:
        result = source_env(
            shell, installed, 'set -eu; . scripts/env.sh; echo "$PATH"; echo "$AMENT_PREFIX_PATH"'
        )
        assert result.stderr == ""
        venv = installed / ".venv"
        assert result.stdout.splitlines() == [f"{venv}/bin:{os.defpath}", str(venv)]

    def test_twice_is_once(self, shell: str, installed: Path) -> None:
        once = source_env(shell, installed, "set -eu; . scripts/env.sh; env | sort")
        twice = source_env(
            shell, installed, "set -eu; . scripts/env.sh; . scripts/env.sh; env | sort"
        )
        assert once.stdout == twice.stdout
        assert "_deepfer" not in once.stdout

    def test_moves_itself_back_to_the_front(self, shell: str, installed: Path) -> None:
        script = '. scripts/env.sh; PATH="/other:$PATH"; . scripts/env.sh; echo "$PATH"'
        result = source_env(shell, installed, script)
        assert result.stdout.strip() == f"{installed}/.venv/bin:/other:{os.defpath}"

    def test_transport_for_large_images(self, shell: str, installed: Path) -> None:
        result = source_env(shell, installed, ". scripts/env.sh; env")
        profile = installed / "config/fastdds_large_images.xml"
        lines = result.stdout.splitlines()
        assert f"FASTDDS_DEFAULT_PROFILES_FILE={profile}" in lines
        assert "MALLOC_MMAP_THRESHOLD_=33554432" in lines
        assert "MALLOC_TRIM_THRESHOLD_=268435456" in lines

    @pytest.mark.parametrize(
        "variable", ["FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE"]
    )
    def test_keeps_the_profile_of_the_user(
        self, shell: str, installed: Path, variable: str
    ) -> None:
        result = source_env(shell, installed, ". scripts/env.sh; env", **{variable: "/my.xml"})
        profiles = [line for line in result.stdout.splitlines() if "PROFILES_FILE=" in line]
        assert profiles == [f"{variable}=/my.xml"]

    def test_refuses_a_shell_with_another_ros(self, shell: str, installed: Path) -> None:
        result = source_env(shell, installed, ". scripts/env.sh", ROS_DISTRO="jazzy")
        assert_one_line(result, "ROS 2 jazzy", "make setup")

    def test_from_another_folder(self, shell: str, installed: Path, tmp_path: Path) -> None:
        script = f'. "{installed}/scripts/env.sh"; echo "$VIRTUAL_ENV"'
        result = source_env(shell, tmp_path, script)
        if shell in ("bash", "zsh"):
            assert result.stdout.strip() == f"{installed}/.venv"
        else:
            assert_one_line(
                source_env(shell, tmp_path, script.replace("; echo", " || exit 1; echo")),
                "cannot tell where deepfer is",
            )
            result = source_env(shell, tmp_path, script, DEEPFER_ROOT=str(installed))
            assert result.stdout.strip() == f"{installed}/.venv"
