import hashlib
import io
import os
import re
import urllib.request
from http.client import BadStatusLine, HTTPException, IncompleteRead
from pathlib import Path

import pytest

from deepfer_ros.recognition import yunet_file
from deepfer_ros.recognition.errors import DetectorError
from deepfer_ros.recognition.yunet_file import fetch_yunet_file, find_yunet_file

NEW, OLD = "face_detection_yunet_2026may.onnx", "face_detection_yunet_2023mar.onnx"


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DEEPFER_YUNET_FILE", raising=False)
    return tmp_path / "deepfer"


class Zoo:
    """Stands for the download: what it serves, by file name, and what was asked for."""

    def __init__(self) -> None:
        self.files: dict[str, bytes | HTTPException] = {}
        self.asked: list[str] = []

    def open(self, url: str, timeout: float) -> io.BytesIO:
        name = url.rsplit("/", 1)[1]
        self.asked.append(name)
        if name not in self.files:
            raise OSError("no route to host")
        answer = self.files[name]
        if isinstance(answer, HTTPException):
            raise answer
        return io.BytesIO(answer)


@pytest.fixture
def zoo(monkeypatch: pytest.MonkeyPatch) -> Zoo:
    """A zoo whose files are small stand-ins with checksums to match."""
    zoo = Zoo()
    monkeypatch.setattr(urllib.request, "urlopen", zoo.open)
    releases = tuple(
        type(release)(release.file_name, hashlib.sha256(release.file_name.encode()).hexdigest())
        for release in yunet_file._RELEASES
    )
    monkeypatch.setattr(yunet_file, "_RELEASES", releases)
    return zoo


def test_no_file_is_found_where_there_is_none() -> None:
    assert find_yunet_file() is None


def test_a_relative_cache_folder_is_ignored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for ignored in ("", "here"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert yunet_file.cache_folder() == tmp_path / ".cache/deepfer"


def test_the_newest_in_the_cache_is_found(cache: Path) -> None:
    cache.mkdir()
    (cache / OLD).touch()
    assert find_yunet_file() == cache / OLD
    (cache / NEW).touch()
    assert find_yunet_file() == cache / NEW


def test_a_named_file_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    by_variable, by_argument = tmp_path / "a.onnx", tmp_path / "b.onnx"
    by_variable.touch()
    by_argument.touch()
    monkeypatch.setenv("DEEPFER_YUNET_FILE", str(by_variable))
    assert find_yunet_file() == by_variable
    assert find_yunet_file(by_argument) == by_argument


@pytest.mark.parametrize(
    "name",
    ["gone.onnx", "x" * 300, "a\0.onnx", "~nobody_here/a.onnx"],
    ids=["missing", "long", "nul", "unknown user"],
)
@pytest.mark.parametrize("way", ["argument", "variable"])
def test_a_named_file_that_cannot_be_reached_is_refused(
    monkeypatch: pytest.MonkeyPatch, name: str, way: str
) -> None:
    if way == "variable" and "\0" in name:
        pytest.skip("no variable can hold it")
    if way == "variable":
        monkeypatch.setenv("DEEPFER_YUNET_FILE", name)
    with pytest.raises(DetectorError, match="does not exist or cannot be reached") as caught:
        find_yunet_file(Path(name) if way == "argument" else None)
    assert name[:200] in str(caught.value)


def test_a_cache_that_cannot_be_reached_holds_nothing(
    monkeypatch: pytest.MonkeyPatch, zoo: Zoo
) -> None:
    zoo.files[NEW] = NEW.encode()
    monkeypatch.setenv("XDG_CACHE_HOME", f"/{'x' * 300}")
    assert find_yunet_file() is None
    with pytest.raises(DetectorError, match="File name too long"):
        fetch_yunet_file()


def test_a_user_without_a_home_has_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 2)
    assert find_yunet_file() is None
    with pytest.raises(DetectorError, match="set HOME or XDG_CACHE_HOME"):
        fetch_yunet_file()


def test_fetched_once_then_kept(zoo: Zoo, cache: Path) -> None:
    zoo.files[NEW] = NEW.encode()
    assert fetch_yunet_file() == cache / NEW
    assert fetch_yunet_file() == cache / NEW
    assert zoo.asked == [NEW]
    assert (cache / NEW).read_bytes() == NEW.encode()


def test_the_older_release_does_when_the_newer_is_gone(zoo: Zoo, cache: Path) -> None:
    zoo.files[OLD] = OLD.encode()
    assert fetch_yunet_file() == cache / OLD


@pytest.mark.parametrize("fault", [IncompleteRead(b"half"), BadStatusLine("garbage")])
def test_the_older_release_does_when_the_answer_is_broken(
    zoo: Zoo, cache: Path, fault: HTTPException
) -> None:
    zoo.files[NEW] = fault
    with pytest.raises(DetectorError, match=re.escape(f"{NEW}: {fault}")):
        fetch_yunet_file()
    zoo.files[OLD] = OLD.encode()
    assert fetch_yunet_file() == cache / OLD


def test_nothing_is_left_of_a_file_that_cannot_be_kept(zoo: Zoo, cache: Path) -> None:
    zoo.files[NEW] = NEW.encode()
    (cache / NEW).mkdir(parents=True)
    with pytest.raises(DetectorError, match="Is a directory"):
        fetch_yunet_file()
    assert list(cache.iterdir()) == [cache / NEW]


def test_a_damaged_file_in_the_cache_is_replaced(zoo: Zoo, cache: Path) -> None:
    cache.mkdir()
    (cache / NEW).write_bytes(b"half a file")
    zoo.files[NEW] = NEW.encode()
    assert fetch_yunet_file().read_bytes() == NEW.encode()


def test_a_wrong_download_is_refused_and_not_kept(zoo: Zoo, cache: Path) -> None:
    zoo.files = {NEW: b"<html>not found</html>", OLD: b""}
    with pytest.raises(DetectorError, match="expected"):
        fetch_yunet_file()
    assert not cache.exists() or not list(cache.iterdir())


def test_without_network_the_error_says_what_to_do(zoo: Zoo, cache: Path) -> None:
    with pytest.raises(DetectorError, match="no route to host") as caught:
        fetch_yunet_file()
    assert str(cache) in str(caught.value)
    assert zoo.asked == [NEW, OLD]
