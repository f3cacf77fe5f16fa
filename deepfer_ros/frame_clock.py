"""When images were taken, also where their stamps do not tell."""


class FrameClock:
    """Tells when the images of one camera were taken, for smoothing and tracking.

    That is what their stamps say, as long as these go on. While they stand still, as those of a
    paused simulation or a driver that never sets them anew, and where there are none, time goes on
    from one arrival to the next. When they go on again, so does time from where it is, by the
    lesser of both steps, until the stamps have caught up: an image is never earlier than its
    stamp, and time goes back by no more than the stamps do.
    """

    def __init__(self) -> None:
        self._stamp_ns = self._time_ns = 0
        self._arrival_ns: int | None = None

    def time_of(self, stamp_ns: int, arrival_ns: int) -> float:
        """Return when an image was taken, in seconds. Asked once for each, as they come.

        Args:
            stamp_ns: The stamp in its header, in nanoseconds; 0 if it has none.
            arrival_ns: When it came, in nanoseconds of any one clock.
        """
        # Whole nanoseconds: a stamp comes out as it went in, however long time was counted.
        stamp_ns = stamp_ns or self._stamp_ns
        # Without stamps time begins with 0, so that stamps that begin later are hardly behind it.
        step_ns = 0 if self._arrival_ns is None else arrival_ns - self._arrival_ns
        if stamp_ns != self._stamp_ns:
            # The step of the stamps alone would count twice what a driver that stamps in whole
            # seconds has between them, that of the arrivals would outrun a slow simulation.
            step_ns = min(step_ns, stamp_ns - self._stamp_ns)
        self._time_ns = max(stamp_ns, self._time_ns + step_ns)
        self._stamp_ns, self._arrival_ns = stamp_ns, arrival_ns
        return self._time_ns / 1e9
