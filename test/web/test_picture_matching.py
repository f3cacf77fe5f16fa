from web_server import fake_face

from deepfer_ros.web.live import EmotionResult
from deepfer_ros.web.picture_matching import PictureMatcher


def result(stamp_ns: int) -> EmotionResult:
    return EmotionResult(stamp_ns, "camera", "fake48", (fake_face(),), 0.01, 1000.0)


def test_a_picture_after_its_result() -> None:
    matcher, first = PictureMatcher(), result(1)
    assert matcher.add_result(first) is None
    assert matcher.add_picture(1, b"one") == (first, b"one")


def test_a_picture_before_its_result() -> None:
    matcher, first = PictureMatcher(), result(1)
    assert matcher.add_picture(1, b"one") is None
    assert matcher.add_result(first) == (first, b"one")


def test_pictures_never_get_the_result_of_another() -> None:
    matcher = PictureMatcher()
    matcher.add_result(result(1))
    assert matcher.add_picture(2, b"two") is None
    assert matcher.add_result(result(3)) is None


def test_of_waiting_pictures_the_newest_wins() -> None:
    matcher, second = PictureMatcher(), result(2)
    matcher.add_picture(1, b"one")
    matcher.add_picture(2, b"two")
    assert matcher.add_result(result(1)) is None
    assert matcher.add_result(second) == (second, b"two")


def test_results_that_nobody_needs_are_forgotten() -> None:
    matcher = PictureMatcher()
    for stamp_ns in range(1, 101):
        matcher.add_result(result(stamp_ns))
    assert matcher.add_picture(1, b"old") is None
    assert matcher.add_picture(100, b"new") is not None


def test_pictures_without_a_stamp_get_the_newest_result() -> None:
    matcher, newest = PictureMatcher(), result(0)
    matcher.add_result(result(0))
    matcher.add_result(newest)
    assert matcher.add_picture(0, b"x") == (newest, b"x")
