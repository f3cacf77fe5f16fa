"""Give faces ids that last while they are in view, and smooth their expressions over time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.face_ids import FaceIds
from deepfer_ros.recognition.motion import FaceMotion
from deepfer_ros.recognition.smoothing import ExpressionSmoother
from deepfer_ros.recognition.types import FaceDetections

# A detection cannot belong to a track that it misses by more than this: squared distance in
# standard deviations, over place (x, y) and size.
_GATE = 16.0
# A face is not forgotten for lack of pictures, unless they stop for this many times the age.
_LONGEST_PAUSE = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFace:
    """What the tracker says about one detection.

    Attributes:
        face_id: Stable while the face is tracked.
        probabilities: float32 (C,), smoothed, sums to 1.
        label_index: The class to report. Steadier than the largest of the probabilities, which it
            follows; see `ExpressionSmoother`.
    """

    face_id: str
    probabilities: NDArray[np.float32]
    label_index: int


@dataclass(slots=True, eq=False)
class _Track:
    face_id: str
    motion: FaceMotion
    expression: ExpressionSmoother
    is_in_sight: bool = True


class FaceTracker:
    """Follows the faces of one camera. Not thread-safe.

    Every track forecasts place and size of its face, and how sure it is of them; detections are
    matched with the forecasts that make them likeliest. A face that is out of sight is forecast
    on, with growing uncertainty, until it is forgotten.

    Args:
        smoothing_s: Time constant of the smoothing, see `ExpressionSmoother`. 0 is off. May be
            changed at any time.
        max_age_s: A face that has been out of sight for longer is forgotten. Pictures that come
            more rarely do not count as such.
        deterministic_ids: Count ids instead of drawing random ones, where `ids` is not given.
        ids: Where new ids come from; share it between the trackers of several cameras.
    """

    def __init__(
        self,
        *,
        smoothing_s: float = 0.3,
        max_age_s: float = 1.0,
        deterministic_ids: bool = False,
        ids: FaceIds | None = None,
    ) -> None:
        self.smoothing_s = smoothing_s
        self._max_age_s = max_age_s
        self._ids = ids or FaceIds(deterministic=deterministic_ids)
        self._tracks: list[_Track] = []
        self._last_time_s = -np.inf

    @property
    def face_ids(self) -> tuple[str, ...]:
        """The faces that are tracked, those included that are out of sight for a moment."""
        return tuple(track.face_id for track in self._tracks)

    def update(
        self, detections: FaceDetections, probabilities: NDArray[np.float32], time_s: float
    ) -> tuple[TrackedFace, ...]:
        """Match the detections of one picture with the tracks.

        Args:
            detections: N faces.
            probabilities: (N, C), of this picture alone, rows sum to 1.
            time_s: When the picture was taken, in seconds of any one clock. When time goes
                far back, as when a bag starts again, all tracks are forgotten; where it goes back
                by less than a track lives, as with clocks that are corrected, it stands still.

        Returns:
            One entry a detection, in their order.
        """
        if time_s < self._last_time_s - self._max_age_s:
            self.reset()
        time_s = self._last_time_s = max(time_s, self._last_time_s)
        self._tracks = [track for track in self._tracks if self._is_remembered(track, time_s)]
        matches = self._match(detections.boxes_xywh, time_s)
        for track in self._tracks:
            track.is_in_sight = False
        faces = []
        for index, (box, row) in enumerate(zip(detections.boxes_xywh, probabilities, strict=True)):
            if index not in matches:
                track = _Track(self._ids.new(), FaceMotion(box, time_s), ExpressionSmoother(row))
                self._tracks.append(track)
            else:
                track = matches[index]
                elapsed_s = time_s - track.motion.time_s
                track.expression.update(row, elapsed_s, self.smoothing_s)
                track.motion.correct(box, time_s)
                track.is_in_sight = True
            expression = track.expression
            faces.append(
                TrackedFace(track.face_id, expression.probabilities, expression.label_index)
            )
        return tuple(faces)

    def reset(self) -> None:
        """Forget all faces."""
        self._tracks = []
        self._last_time_s = -np.inf

    def _is_remembered(self, track: _Track, time_s: float) -> bool:
        age_s = time_s - track.motion.time_s
        limit_s = self._max_age_s * (_LONGEST_PAUSE if track.is_in_sight else 1.0)
        return age_s <= limit_s

    def _match(self, boxes_xywh: NDArray[np.float32], time_s: float) -> dict[int, _Track]:
        """Return the track of each detection that has one, by the detection's index.

        The likeliest pair comes first. Trying all pairings instead (the Hungarian method) gives
        the same tracks: docs/architecture.md has the figures.
        """
        if not self._tracks or not len(boxes_xywh):
            return {}
        misfit = self._misfit(boxes_xywh, time_s)
        matches: dict[int, _Track] = {}
        for flat in np.argsort(misfit, axis=None):
            detection, track = divmod(int(flat), len(self._tracks))
            if not np.isfinite(misfit[detection, track]):
                continue
            matches[detection] = self._tracks[track]
            # Neither can be matched a second time.
            misfit[detection, :] = misfit[:, track] = np.inf
        return matches

    def _misfit(self, boxes_xywh: NDArray[np.float32], time_s: float) -> NDArray[np.float64]:
        """Return how little boxes fit tracks, (N, M); infinite for no possible match.

        It is the negative logarithm of the likelihood. The squared distance alone would let a
        track that has been out of sight, and so is vague, take the face of another.
        """
        forecasts = [track.motion.forecast(time_s) for track in self._tracks]
        x, y, size_px, variance_px2, size_variance = np.array(
            [(f.x, f.y, f.size_px, f.variance_px2, f.size_variance) for f in forecasts]
        ).T
        boxes = boxes_xywh.astype(np.float64)[:, :, None]
        dx = boxes[:, 0] + boxes[:, 2] / 2 - x
        dy = boxes[:, 1] + boxes[:, 3] / 2 - y
        growth = 0.5 * np.log(boxes[:, 2] * boxes[:, 3]) - np.log(size_px)
        distance = (dx**2 + dy**2) / variance_px2 + growth**2 / size_variance
        misfit = distance + 2 * np.log(variance_px2) + np.log(size_variance)
        return np.where(distance <= _GATE, misfit, np.inf)
