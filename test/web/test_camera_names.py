import pytest

from deepfer_ros.web.camera_names import name_cameras


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
