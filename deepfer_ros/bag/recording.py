"""What a recording is, whatever kind of file it comes from."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

NS_PER_S = 10**9


@dataclass(frozen=True, slots=True)
class Selection:
    """Which images of a recording are wanted.

    Attributes:
        topics: Of a bag; all image topics if empty.
        start_s: Seconds from the beginning of the recording; earlier images are left out.
        end_s: Later images are left out; None goes to the end.
        every: Of each topic, only every so many-th image.
    """

    topics: tuple[str, ...] = ()
    start_s: float = 0.0
    end_s: float | None = None
    every: int = 1


@dataclass(frozen=True, slots=True)
class RecordedImage:
    """One image of a recording.

    Attributes:
        topic: Of a bag; the name of the file or folder otherwise.
        index: Number of the image in its topic, from 0 for the first that was selected by time.
        time_ns: When it was recorded, in nanoseconds of the recording's clock.
        elapsed_s: The same in seconds since the beginning of the recording.
        stamp_ns: The stamp in its header, in nanoseconds; 0 if it has none.
        frame_id: The coordinate frame in its header.
        decode: Returns the picture, uint8 (H, W, 3) BGR; raises `ImageError` if there is none.
    """

    topic: str
    index: int
    time_ns: int
    elapsed_s: float
    stamp_ns: int
    frame_id: str
    decode: Callable[[], NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """A message of a bag as it is.

    Attributes:
        connection: Its number among `BagRecording.connections`.
        time_ns: When it was recorded.
        data: As it was serialized.
    """

    connection: int
    time_ns: int
    data: bytes


class Recording(Protocol):
    """Images one after another.

    Attributes:
        description: For messages: "the bag drive1".
        topics: The selected topics.
        notes: What people should know about the choice of topics, a sentence each.
        duration_s: How long the selected part is; None if nobody knows.
        identity: Tells this recording from another one, for `--resume`.
    """

    description: str
    topics: tuple[str, ...]
    notes: tuple[str, ...]
    duration_s: float | None
    identity: str

    def entries(self) -> Iterator[RecordedImage | RecordedMessage]:
        """Return the images in the order of time, with the messages to be copied among them.

        Raises:
            DamagedRecordingError: The recording ends in the middle.
            BagError: It cannot be read any more.
        """

    def close(self) -> None:
        """Free its files."""
