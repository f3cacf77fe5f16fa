"""When images were taken, also where their stamps do not tell."""

import time

from std_msgs.msg import Header

from deepfer_ros.messages import to_nanoseconds


class FrameClock:
    """Tells when the images of one camera were taken, for smoothing and tracking.

    Without stamps, or with stamps that stand still, as those of a paused simulation or a driver
    that never sets them anew, time goes on from one arrival to the next.
    """

    def __init__(self) -> None:
        self._stamp_ns = 0
        self._time_s = self._arrival_s = 0.0

    def time_of(self, header: Header) -> float:
        """Return when an image was taken, in seconds. Asked once for each, as they come."""
        stamp_ns, arrival_s = to_nanoseconds(header), time.monotonic()
        if stamp_ns == self._stamp_ns:
            self._time_s += arrival_s - self._arrival_s
        else:
            self._time_s = stamp_ns / 1e9
        self._stamp_ns, self._arrival_s = stamp_ns, arrival_s
        return self._time_s
