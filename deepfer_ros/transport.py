"""Set up the transport for images before ROS starts. Needs no ROS itself.

By default Fast DDS passes messages through a shared-memory segment of half a megabyte, and
best-effort messages that do not fit are lost without a word: 640x480 colour frames among them.
The profile `config/fastdds_large_images.xml` makes the segment larger. The C library's allocator
is told to keep the memory of such frames instead of returning it to the system after every one.
"""

import ctypes
import os
import platform
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

PROFILE_FILE = "fastdds_large_images.xml"
FASTDDS_3_VARIABLE = "FASTDDS_DEFAULT_PROFILES_FILE"
FASTDDS_2_VARIABLE = "FASTRTPS_DEFAULT_PROFILES_FILE"
PROFILE_VARIABLES = (FASTDDS_3_VARIABLE, FASTDDS_2_VARIABLE)

_FASTDDS_2_DISTROS = ("humble", "iron", "jazzy")

# A 1920x1080 colour frame has 6 MiB, and more than one message may be on its way.
_MIN_SEGMENT_BYTES = 8 * 2**20
# Camera, emotion node and one more (RViz, the command line): each has a segment of its own.
_PROCESS_COUNT = 3
_SHARED_MEMORY = Path("/dev/shm")

# Parameters of mallopt(3), their values here, and the environment variables that set them too.
_MALLOC_OPTIONS = (
    (-3, 32 * 2**20, "MALLOC_MMAP_THRESHOLD_"),
    (-1, 256 * 2**20, "MALLOC_TRIM_THRESHOLD_"),
)


def prepare_transport() -> None:
    """Make large images arrive and cheap to pass on. To be called before `rclpy.init`.

    A profile or allocator setting that the user has made in the environment stays as it is, and so
    does everything else where another middleware than Fast DDS was chosen.
    """
    # The allocator has read the environment already, when the process started.
    _keep_large_buffers()
    os.environ.update(_profile_environment())


def transport_environment() -> dict[str, str]:
    """Return the variables that do the same for a process that is yet to be started."""
    malloc = {
        variable: str(size_bytes)
        for _, size_bytes, variable in _MALLOC_OPTIONS
        if variable not in os.environ
    }
    return malloc | _profile_environment()


def profile_variable() -> str:
    """Return the variable that names the profile of this distribution's Fast DDS.

    Version 2 does not read that of version 3, which in turn warns of the other's but obeys it.
    """
    return FASTDDS_2_VARIABLE if _is_fastdds_2() else FASTDDS_3_VARIABLE


def find_profile() -> Path | None:
    """Return the Fast DDS profile for large images, or None if it is not installed.

    A source tree and a symbolic-link installation have it beside the Python package; other
    installations have it under `share/deepfer` of the prefix.
    """
    for parent in Path(__file__).resolve().parents:
        for folder in (parent / "share" / "deepfer" / "config", parent / "config"):
            if (folder / PROFILE_FILE).is_file():
                return folder / PROFILE_FILE
    return None


def transport_problems() -> tuple[str, ...]:
    """Return what would keep large images from arriving, one sentence each; empty if nothing does.

    Looks at the environment as `prepare_transport` would leave it, and changes nothing.
    """
    if not _uses_fastdds():
        return ()
    profile = find_profile()
    problems = []
    if profile is None:
        problems.append(
            f"The file config/{PROFILE_FILE} is missing, so best-effort images above 512 KiB get "
            "lost; install deepfer again."
        )
    if os.environ.get(FASTDDS_3_VARIABLE) and _is_fastdds_2() and not _chosen_profiles():
        problems.append(
            f"{FASTDDS_3_VARIABLE} is set, but this distribution's Fast DDS reads "
            f"{FASTDDS_2_VARIABLE}: set that one, for your camera driver too."
        )
    for variable, file_name in _chosen_profiles().items():
        problems += _profile_problems(variable, file_name)
    return (*problems, *_shared_memory_problems(profile))


def _profile_environment() -> dict[str, str]:
    """Return the variable for the profile, or nothing where the user's choice must be left."""
    profile = find_profile()
    if profile is None or not _uses_fastdds() or _chosen_profiles():
        return {}
    return {profile_variable(): str(profile)}


def _uses_fastdds() -> bool:
    """Tell whether the middleware is Fast DDS, which is also what ROS takes by default."""
    middleware = os.environ.get("RMW_IMPLEMENTATION") or "rmw_fastrtps_cpp"
    return middleware.startswith("rmw_fastrtps")


def _is_fastdds_2() -> bool:
    distro = os.environ.get("ROS_DISTRO")
    return distro in _FASTDDS_2_DISTROS if distro else _has_fastdds_2()


def _has_fastdds_2() -> bool:
    """Tell whether ROS comes with Fast DDS 2; ROS from wheels does not name its distribution."""
    for prefix in (*os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep), sys.prefix):
        share = Path(prefix) / "share"
        if prefix and (share / "rmw_fastrtps_cpp").is_dir():
            # Since version 3 the folder is called fastdds.
            return (share / "fastrtps").is_dir()
    return False


def _chosen_profiles() -> dict[str, str]:
    """Return the profile variables that are set already and have an effect, with their values."""
    read = (FASTDDS_2_VARIABLE,) if _is_fastdds_2() else PROFILE_VARIABLES
    return {name: os.environ[name] for name in read if os.environ.get(name)}


def _profile_problems(variable: str, file_name: str) -> list[str]:
    """Return what is wrong with a profile that the user has chosen."""
    advice = f"unset {variable}, or give its shared-memory transport a segment_size of 16 MiB"
    try:
        segment_bytes = _segment_bytes(Path(file_name))
    except (OSError, ET.ParseError, ValueError) as err:
        return [f"{variable} names '{file_name}', which cannot be read ({err}); {advice}."]
    if segment_bytes >= _MIN_SEGMENT_BYTES:
        return []
    return [
        f"{variable} names {file_name}, which has "
        + (f"a segment of only {segment_bytes} bytes" if segment_bytes else "no segment_size")
        + f", so large best-effort images get lost; {advice}."
    ]


def _segment_bytes(profile: Path) -> int:
    """Return the largest shared-memory segment that a profile sets, 0 if it sets none."""
    sizes = [0]
    for descriptor in ET.parse(profile).iter():
        if descriptor.tag.rpartition("}")[2] == "transport_descriptor":
            values = {child.tag.rpartition("}")[2]: child.text or "" for child in descriptor}
            if values.get("type") == "SHM" and "segment_size" in values:
                sizes.append(int(values["segment_size"]))
    return max(sizes)


def _shared_memory_problems(profile: Path | None) -> list[str]:
    """Return what is wrong with the place where the segments live."""
    try:
        status = os.statvfs(_SHARED_MEMORY)
    except OSError as err:
        return [
            f"{_SHARED_MEMORY} cannot be used ({err.strerror}), so images go through the network "
            "stack, where large ones get lost."
        ]
    needed_bytes = _PROCESS_COUNT * (_segment_bytes(profile) if profile else 0)
    free_bytes = status.f_bavail * status.f_frsize
    if free_bytes >= needed_bytes:
        return []
    return [
        f"{_SHARED_MEMORY} has {free_bytes >> 20} MiB free, {needed_bytes >> 20} MiB are needed "
        f"for {_PROCESS_COUNT} processes; make it larger (docker run --shm-size=256m) or remove "
        "what processes that were killed have left there (fastdds shm clean)."
    ]


def _keep_large_buffers() -> None:
    """Set the thresholds above which glibc takes memory from and returns it to the system."""
    if platform.libc_ver()[0] != "glibc":
        return
    mallopt = ctypes.CDLL(None).mallopt
    for option, size_bytes, variable in _MALLOC_OPTIONS:
        if variable not in os.environ:
            mallopt(option, size_bytes)
