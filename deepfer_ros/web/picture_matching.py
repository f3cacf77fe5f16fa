"""Bring pictures and the results that belong to them together: they come on two topics."""

from collections import OrderedDict

from deepfer_ros.web.live import EmotionResult

# Either may come first; so many results wait for their pictures.
_KEPT = 30

Match = tuple[EmotionResult, bytes]


class PictureMatcher:
    """Finds to each picture the result with the same stamp. Of pictures, only the newest waits."""

    def __init__(self) -> None:
        self._results: OrderedDict[int, EmotionResult] = OrderedDict()
        self._picture: tuple[int, bytes] | None = None

    def add_result(self, result: EmotionResult) -> Match | None:
        """Take a result; return it with its picture if that has come already."""
        self._results.pop(result.stamp_ns, None)
        self._results[result.stamp_ns] = result
        while len(self._results) > _KEPT:
            self._results.popitem(last=False)
        if self._picture is None or self._picture[0] != result.stamp_ns:
            return None
        jpeg = self._picture[1]
        self._picture = None
        return result, jpeg

    def add_picture(self, stamp_ns: int, jpeg: bytes) -> Match | None:
        """Take a picture; return it with its result if that has come already."""
        result = self._results.get(stamp_ns)
        if result is None:
            self._picture = (stamp_ns, jpeg)
            return None
        self._picture = None
        return result, jpeg
