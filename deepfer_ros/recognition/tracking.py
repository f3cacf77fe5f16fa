"""Give faces ids that last while they are in view, and smooth their probabilities over time."""

import random
import string
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deepfer_ros.recognition.geometry import intersection_over_union
from deepfer_ros.recognition.types import FaceDetections

_ID_LENGTH = 5
# A detection belongs to a track if the boxes overlap, or if their centres are less than this
# many face sizes apart: fast faces leave their old box between two frames of a slow camera.
_MAX_DISTANCE = 1.0
_MAX_SIZE_RATIO = 2.0
# Time after which a face's velocity, measured at its last sighting, is no longer believed.
_MAX_PREDICTION_S = 0.5
_VELOCITY_WEIGHT = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFace:
    """What the tracker says about one detection.

    Attributes:
        face_id: Stable while the face is tracked.
        probabilities: float32 (C,), smoothed, sums to 1.
    """

    face_id: str
    probabilities: NDArray[np.float32]


@dataclass(slots=True, eq=False)
class _Track:
    face_id: str
    box_xywh: NDArray[np.float32]
    velocity_xy: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    time_s: float

    def predicted_box(self, time_s: float) -> NDArray[np.float32]:
        box = self.box_xywh.copy()
        box[:2] += self.velocity_xy * min(time_s - self.time_s, _MAX_PREDICTION_S)
        return box


class FaceTracker:
    """Follows the faces of one camera. Not thread-safe.

    Detections are matched greedily, best pair first, by the overlap of their boxes with the
    boxes that the tracks' velocities predict. Probabilities are an exponential moving average
    with a time constant in seconds, so that the frame rate does not matter.

    Args:
        smoothing_s: Time constant; after this time a change has gone 63 % of its way. 0 is off.
        max_age_s: A face that was not seen for longer is forgotten.
        deterministic_ids: Count ids ("face1", "face2", …) instead of drawing random strings.
    """

    def __init__(
        self,
        *,
        smoothing_s: float = 0.3,
        max_age_s: float = 1.0,
        deterministic_ids: bool = False,
    ) -> None:
        self.smoothing_s = smoothing_s
        self._max_age_s = max_age_s
        self._deterministic_ids = deterministic_ids
        self._tracks: list[_Track] = []
        self._ids_given = 0
        self._last_time_s = -np.inf

    def update(
        self, detections: FaceDetections, probabilities: NDArray[np.float32], time_s: float
    ) -> tuple[TrackedFace, ...]:
        """Match the detections of one picture with the tracks.

        Args:
            detections: N faces.
            probabilities: (N, C), of this picture alone, rows sum to 1.
            time_s: When the picture was taken, in seconds of any one clock. When time goes
                back, as when a bag starts again, all tracks are forgotten.

        Returns:
            One entry a detection, in their order.
        """
        if time_s < self._last_time_s:
            self.reset()
        self._last_time_s = time_s
        self._tracks = [
            track for track in self._tracks if time_s - track.time_s <= self._max_age_s
        ]
        matches = self._match(detections.boxes_xywh, time_s)
        faces = []
        for index, (box, row) in enumerate(zip(detections.boxes_xywh, probabilities, strict=True)):
            if index in matches:
                self._advance(matches[index], box, row, time_s)
            else:
                matches[index] = _Track(
                    self._new_id(), box.copy(), np.zeros(2, np.float32), row.copy(), time_s
                )
                self._tracks.append(matches[index])
            track = matches[index]
            faces.append(TrackedFace(track.face_id, track.probabilities))
        return tuple(faces)

    def reset(self) -> None:
        """Forget all faces."""
        self._tracks = []
        self._last_time_s = -np.inf

    def _match(self, boxes_xywh: NDArray[np.float32], time_s: float) -> dict[int, _Track]:
        """Return the track of each detection that has one, by the detection's index."""
        if not self._tracks or not len(boxes_xywh):
            return {}
        predicted = np.stack([track.predicted_box(time_s) for track in self._tracks])
        affinity = _affinity(boxes_xywh, predicted)
        matches: dict[int, _Track] = {}
        for flat in np.argsort(affinity, axis=None)[::-1]:
            detection, track = (int(index) for index in np.unravel_index(flat, affinity.shape))
            if affinity[detection, track] > 0:
                matches[detection] = self._tracks[track]
                # Neither can be matched a second time.
                affinity[detection, :] = affinity[:, track] = 0
        return matches

    def _advance(
        self,
        track: _Track,
        box_xywh: NDArray[np.float32],
        probabilities: NDArray[np.float32],
        time_s: float,
    ) -> None:
        elapsed_s = time_s - track.time_s
        if elapsed_s > 0:
            velocity_xy = (_centre(box_xywh) - _centre(track.box_xywh)) / np.float32(elapsed_s)
            track.velocity_xy += np.float32(_VELOCITY_WEIGHT) * (velocity_xy - track.velocity_xy)
        weight = 1.0
        if self.smoothing_s > 0:
            weight = 1 - float(np.exp(-elapsed_s / self.smoothing_s))
        track.probabilities = track.probabilities + np.float32(weight) * (
            probabilities - track.probabilities
        )
        track.box_xywh = box_xywh.copy()
        track.time_s = time_s

    def _new_id(self) -> str:
        self._ids_given += 1
        if self._deterministic_ids:
            return f"face{self._ids_given}"
        taken = {track.face_id for track in self._tracks}
        while True:
            face_id = "".join(random.choices(string.ascii_lowercase, k=_ID_LENGTH))
            if face_id not in taken:
                return face_id


def _affinity(
    boxes_xywh: NDArray[np.float32], tracks_xywh: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return how well boxes fit tracks, (N, M): above 1 for overlap, 0 for no possible match."""
    overlap = intersection_over_union(boxes_xywh, tracks_xywh)
    size_a = np.sqrt(boxes_xywh[:, None, 2:].prod(axis=2))
    size_b = np.sqrt(tracks_xywh[None, :, 2:].prod(axis=2))
    larger, smaller = np.maximum(size_a, size_b), np.minimum(size_a, size_b)
    offset = _centre(boxes_xywh)[:, None] - _centre(tracks_xywh)[None]
    nearness = np.clip(_MAX_DISTANCE - np.linalg.norm(offset, axis=2) / larger, 0, None)
    affinity = np.where(overlap > 0, 1 + overlap, nearness).astype(np.float32)
    affinity[larger > _MAX_SIZE_RATIO * smaller] = 0
    return affinity


def _centre(boxes_xywh: NDArray[np.float32]) -> NDArray[np.float32]:
    centre: NDArray[np.float32] = boxes_xywh[..., :2] + boxes_xywh[..., 2:] * np.float32(0.5)
    return centre
