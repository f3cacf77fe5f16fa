"""How cameras are called in addresses."""

from collections.abc import Iterable

from deepfer_ros.web.emotion_cameras import BROWSER_CAMERA

MAIN_CAMERA = "main"

_RESULTS = "emotions"


def name_cameras(topics: Iterable[str], namespace: str) -> dict[str, str]:
    """Return the names of cameras and the topics of their results.

    Args:
        topics: Full names of topics of the type `deepfer/msg/EmotionArray`.
        namespace: Only topics in it count; "/" is all.

    Returns:
        By name, the topic: `front` for `front/emotions`, `main` for `emotions`, `a.b` for
        `a/b/emotions`, and the topic itself where that name is taken or the topic is called
        otherwise. Sorted.
    """
    prefix = namespace.rstrip("/") + "/"
    cameras: dict[str, str] = {}
    for topic in sorted(topics, key=lambda topic: (topic.count("/"), topic)):
        if not topic.startswith(prefix):
            continue
        parts = topic[len(prefix) :].split("/")
        name = ".".join(parts)
        if parts[-1] == _RESULTS:
            short = ".".join(parts[:-1]) or MAIN_CAMERA
            name = name if short in cameras else short
        cameras[name] = topic
    return dict(sorted(cameras.items()))


def choose_cameras(names: Iterable[str], limit: int) -> frozenset[str]:
    """Return which cameras are shown: `main` and that of a browser first, then by the alphabet."""
    by_rank = sorted(names, key=lambda name: (name not in (MAIN_CAMERA, BROWSER_CAMERA), name))
    return frozenset(by_rank[:limit])
