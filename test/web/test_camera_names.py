import pytest

from deepfer_ros.web.camera_names import choose_cameras, name_cameras


@pytest.mark.parametrize(
    ("topics", "namespace", "names"),
    [
        pytest.param([], "/", {}, id="none"),
        pytest.param(["/emotions"], "/", {"main": "/emotions"}, id="plain"),
        pytest.param(
            ["/front/emotions", "/a/b/emotions", "/emotions"],
            "/",
            {"a.b": "/a/b/emotions", "front": "/front/emotions", "main": "/emotions"},
            id="several",
        ),
        pytest.param(["/faces"], "/", {"faces": "/faces"}, id="remapped"),
        pytest.param(
            ["/main/emotions", "/emotions"],
            "/",
            {"main": "/emotions", "main.emotions": "/main/emotions"},
            id="taken",
        ),
        pytest.param(
            ["/emotions", "/robot/emotions", "/robot/front/emotions", "/robot2/emotions"],
            "/robot",
            {"front": "/robot/front/emotions", "main": "/robot/emotions"},
            id="namespace",
        ),
    ],
)
def test_names_of_cameras(topics: list[str], namespace: str, names: dict[str, str]) -> None:
    assert name_cameras(topics, namespace) == names
    assert list(name_cameras(reversed(topics), namespace)) == sorted(names)


def test_of_too_many_cameras_those_of_the_page_itself_are_kept() -> None:
    names = ["a", "b", "browser", "c", "main"]
    assert choose_cameras(names, 5) == set(names)
    assert choose_cameras(names, 3) == {"a", "browser", "main"}
    assert choose_cameras([], 3) == set()
