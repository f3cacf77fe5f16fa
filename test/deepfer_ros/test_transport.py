import os
from pathlib import Path
from xml.etree import ElementTree

import pytest

from deepfer_ros import transport

FIVE_GIB = os.statvfs_result((4096, 4096, 1310720, 1310720, 1310720, 0, 0, 0, 0, 255))
ONE_MIB = os.statvfs_result((4096, 4096, 256, 256, 256, 0, 0, 0, 0, 255))


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in (*transport.PROFILE_VARIABLES, "RMW_IMPLEMENTATION", "ROS_DISTRO"):
        # Set first: what the code sets itself is then undone as well.
        monkeypatch.setenv(variable, "")
        monkeypatch.delenv(variable)
    monkeypatch.setattr(os, "statvfs", lambda path: FIVE_GIB)
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(make_prefix(tmp_path / "ros", "fastdds")))


def make_prefix(prefix: Path, fastdds: str) -> Path:
    """Return a prefix where ROS is installed with a version of Fast DDS."""
    for folder in ("rmw_fastrtps_cpp", fastdds):
        (prefix / "share" / folder).mkdir(parents=True)
    return prefix


@pytest.mark.parametrize(
    ("folder", "variable"),
    [
        pytest.param("fastrtps", transport.FASTDDS_2_VARIABLE, id="2"),
        pytest.param("fastdds", transport.FASTDDS_3_VARIABLE, id="3"),
    ],
)
def test_version_of_fast_dds_is_found_where_no_distribution_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, folder: str, variable: str
) -> None:
    ros = make_prefix(tmp_path / "wheels", folder)
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"{tmp_path / 'workspace'}:{ros}")
    assert transport.profile_variable() == variable


def profile_with(tmp_path: Path, descriptor: str) -> str:
    path = tmp_path / "profile.xml"
    path.write_text(
        '<?xml version="1.0"?><profiles xmlns="http://www.eprosima.com"><transport_descriptors>'
        f"<transport_descriptor>{descriptor}</transport_descriptor>"
        "</transport_descriptors></profiles>"
    )
    return str(path)


def test_profile_is_found_and_big_enough() -> None:
    profile = transport.find_profile()
    assert profile is not None
    assert profile.name == "fastdds_large_images.xml"
    assert transport.transport_problems() == ()


def test_profile_has_processes_announced_until_they_are_announced_regularly() -> None:
    profile = transport.find_profile()
    assert profile is not None
    values = {
        element.tag.rpartition("}")[2]: element.text
        for element in ElementTree.parse(profile).iter()
    }
    # Every three seconds from then on: the default of Fast DDS 2 and 3.
    assert int(values["count"] or 0) * int(values["nanosec"] or 0) >= 3 * 10**9


@pytest.mark.parametrize(
    ("distro", "variable"),
    [
        (None, transport.FASTDDS_3_VARIABLE),
        ("humble", transport.FASTDDS_2_VARIABLE),
        ("jazzy", transport.FASTDDS_2_VARIABLE),
        ("kilted", transport.FASTDDS_3_VARIABLE),
        ("rolling", transport.FASTDDS_3_VARIABLE),
    ],
)
@pytest.mark.parametrize("middleware", [None, "rmw_fastrtps_cpp", "rmw_fastrtps_dynamic_cpp"])
def test_profile_is_applied(
    monkeypatch: pytest.MonkeyPatch, distro: str | None, variable: str, middleware: str | None
) -> None:
    if distro:
        monkeypatch.setenv("ROS_DISTRO", distro)
    if middleware:
        monkeypatch.setenv("RMW_IMPLEMENTATION", middleware)
    transport.prepare_transport()
    applied = {
        name: os.environ[name] for name in transport.PROFILE_VARIABLES if name in os.environ
    }
    assert applied == {variable: str(transport.find_profile())}


def test_environment_of_other_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    assert transport.transport_environment() == {
        "MALLOC_MMAP_THRESHOLD_": "33554432",
        transport.FASTDDS_3_VARIABLE: str(transport.find_profile()),
    }
    assert not set(transport.PROFILE_VARIABLES) & set(os.environ)


def test_other_middleware_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RMW_IMPLEMENTATION", "rmw_cyclonedds_cpp")
    transport.prepare_transport()
    assert not set(transport.PROFILE_VARIABLES) & set(os.environ)
    assert transport.transport_problems() == ()


@pytest.mark.parametrize(
    ("distro", "variable"),
    [
        # Fast DDS 3 obeys the old name, too.
        ("kilted", transport.FASTDDS_3_VARIABLE),
        ("kilted", transport.FASTDDS_2_VARIABLE),
        ("jazzy", transport.FASTDDS_2_VARIABLE),
    ],
)
def test_users_own_profile_stays(
    monkeypatch: pytest.MonkeyPatch, distro: str, variable: str
) -> None:
    monkeypatch.setenv("ROS_DISTRO", distro)
    monkeypatch.setenv(variable, "/mine.xml")
    transport.prepare_transport()
    assert os.environ[variable] == "/mine.xml"
    assert len(set(transport.PROFILE_VARIABLES) & set(os.environ)) == 1
    (problem,) = transport.transport_problems()
    assert "/mine.xml" in problem


def test_a_profile_that_fast_dds_2_does_not_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setenv(transport.FASTDDS_3_VARIABLE, "/mine.xml")
    (problem,) = transport.transport_problems()
    assert problem.startswith(
        "FASTDDS_DEFAULT_PROFILES_FILE is set, but this distribution's Fast DDS reads FASTRTPS_"
    )
    transport.prepare_transport()
    assert os.environ[transport.FASTDDS_2_VARIABLE] == str(transport.find_profile())
    assert transport.transport_problems() == ()


@pytest.mark.parametrize(
    ("descriptor", "complaint"),
    [
        pytest.param("<type>SHM</type><segment_size>16777216</segment_size>", None, id="good"),
        pytest.param(
            "<type>SHM</type><segment_size>524288</segment_size>", "only 524288", id="small"
        ),
        pytest.param("<type>SHM</type>", "no segment_size", id="none"),
        pytest.param("<type>UDPv4</type>", "no segment_size", id="network"),
        pytest.param("<type>SHM</type><segment_size>big</segment_size>", "'big'", id="no_number"),
        pytest.param("<type>", "cannot be read", id="no_xml"),
    ],
)
def test_users_own_profile_is_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, descriptor: str, complaint: str | None
) -> None:
    variable = transport.PROFILE_VARIABLES[0]
    monkeypatch.setenv(variable, profile_with(tmp_path, descriptor))
    problems = transport.transport_problems()
    if complaint is None:
        assert problems == ()
    else:
        assert len(problems) == 1
        assert complaint in problems[0]
        assert f"unset {variable}" in problems[0]


def test_missing_users_profile_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(transport.PROFILE_VARIABLES[1], str(tmp_path / "gone.xml"))
    assert "gone.xml" in transport.transport_problems()[0]


def test_missing_own_profile_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "PROFILE_FILE", "no_such_file.xml")
    transport.prepare_transport()
    assert not set(transport.PROFILE_VARIABLES) & set(os.environ)
    assert "config/no_such_file.xml is missing" in transport.transport_problems()[0]


def test_small_shared_memory_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "statvfs", lambda path: ONE_MIB)
    (problem,) = transport.transport_problems()
    assert "1 MiB free, 48 MiB are needed" in problem


def test_missing_shared_memory_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> os.statvfs_result:
        raise FileNotFoundError(2, "No such file or directory", str(path))

    monkeypatch.setattr(os, "statvfs", refuse)
    (problem,) = transport.transport_problems()
    assert "/dev/shm cannot be used (No such file or directory)" in problem
