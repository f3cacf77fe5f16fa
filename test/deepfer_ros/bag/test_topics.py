import pytest

from deepfer_ros.bag.definitions import COMPRESSED_IMAGE, IMAGE
from deepfer_ros.bag.errors import BagError
from deepfer_ros.bag.topics import choose_topics, result_prefixes

TYPES = {
    "/front/image_raw": IMAGE,
    "/front/image_raw/compressed": COMPRESSED_IMAGE,
    "/front/image_raw/compressedDepth": COMPRESSED_IMAGE,
    "/rear/image/compressed": COMPRESSED_IMAGE,
    "/emotions/image": IMAGE,
    "/emotions/image/compressed": COMPRESSED_IMAGE,
    "/chatter": "std_msgs/msg/String",
}


def test_all_image_topics_but_copies_and_results() -> None:
    topics, notes = choose_topics(TYPES, (), "drive")
    assert topics == ("/front/image_raw", "/rear/image/compressed")
    assert [note.split(".")[0] for note in notes] == [
        "Left out /emotions/image: it holds annotated images",
        "Left out /emotions/image/compressed: it holds annotated images",
        "Left out /front/image_raw/compressed: /front/image_raw holds the same images",
        "Left out /front/image_raw/compressedDepth: it holds depth images",
    ]


def test_wanted_topics_in_their_order_and_once() -> None:
    wanted = ("/rear/image/compressed", "/emotions/image", "/rear/image/compressed")
    assert choose_topics(TYPES, wanted, "drive") == (wanted[:2], ())


@pytest.mark.parametrize(
    ("types", "wanted", "complaint"),
    [
        (TYPES, ("/none",), "no topic /none; its image topics: /emotions/image, "),
        (TYPES, ("/chatter",), "/chatter holds std_msgs/msg/String, no images; image topics"),
        ({"/chatter": "std_msgs/msg/String"}, (), r"its topics: /chatter \(std_msgs/msg/String"),
        ({}, (), "no image topic; its topics: none"),
        ({}, ("/a",), "no topic /a; its image topics: none"),
    ],
)
def test_refusals(types: dict[str, str], wanted: tuple[str, ...], complaint: str) -> None:
    with pytest.raises(BagError, match=complaint):
        choose_topics(types, wanted, "drive")


@pytest.mark.parametrize(
    ("topics", "prefixes"),
    [
        (["/front/image_raw"], [""]),
        (["/front/image_raw", "/rear/image_raw/compressed"], ["/front", "/rear"]),
        (["/image_raw", "/rear/image_raw"], ["", "/rear"]),
        (["/cam/left", "/cam/right"], ["/cam/left", "/cam/right"]),
        (["/cam/left", "/cam/left/compressed"], ["/cam/left", "/cam/left/compressed"]),
        (["/cam/left", "/cam/right", "/rear/image"], ["/cam/left", "/cam/right", "/rear"]),
    ],
)
def test_prefixes_of_results(topics: list[str], prefixes: list[str]) -> None:
    assert list(result_prefixes(topics).values()) == prefixes
    assert list(result_prefixes(topics)) == topics
