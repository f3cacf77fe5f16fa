"""Read images, and other messages to be copied, from a ROS 2 bag."""

import struct
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import apsw
import numpy as np
from backports.zstd import ZstdError
from numpy.typing import NDArray
from rosbags.interfaces import Connection
from rosbags.rosbag2 import Reader, ReaderError
from rosbags.serde import SerdeError
from rosbags.typesys.store import Typestore

from deepfer_ros.bag.errors import BagError, DamagedRecordingError
from deepfer_ros.bag.recording import NS_PER_S, RecordedImage, RecordedMessage, Selection
from deepfer_ros.bag.topics import choose_topics
from deepfer_ros.image_conversion import from_image_message
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.images import MAX_IMAGE_PIXELS

BAG_SUFFIXES = (".mcap", ".db3")

_METADATA = "metadata.yaml"

# What damaged files make the reader raise: rosbags checks much of what it reads, not all.
_DAMAGE = (
    ReaderError,
    apsw.Error,
    ZstdError,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AssertionError,
)


class BagRecording:
    """A ROS 2 bag: a folder with metadata.yaml, a .mcap or a .db3 file. See `Recording`.

    Args:
        path: The folder or file.
        selection: Which images are wanted.
        typestore: See `load_typestore`.
        copy: Whether the bag's own messages are wanted too.

    Attributes:
        connections: All that is in the bag.
        copies: Whether its own messages are among the entries.

    Raises:
        BagError: It is not a bag, is damaged, or has no such topic.
    """

    def __init__(
        self, path: Path, selection: Selection, typestore: Typestore, *, copy: bool = False
    ) -> None:
        self.description = f"bag {path}"
        self._typestore = typestore
        self._every = selection.every
        self._reader = _open(path)
        try:
            self.connections: tuple[Connection, ...] = tuple(self._reader.connections)
            if not self._reader.message_count:
                raise BagError(f"The bag {path} holds no messages.")
            types = {entry.topic: entry.msgtype for entry in self.connections}
            self.topics, self.notes = choose_topics(types, selection.topics, str(path))
        except BagError:
            self.close()
            raise
        self._read = [entry for entry in self.connections if copy or self._has(entry)]
        self.copies = copy
        self._origin_ns = self._reader.start_time
        start_ns, end_ns = self._origin_ns, self._reader.end_time
        self._start_ns = start_ns + round(selection.start_s * NS_PER_S)
        if selection.end_s is not None:
            end_ns = min(end_ns, start_ns + round(selection.end_s * NS_PER_S) + 1)
        self._end_ns = end_ns
        self.duration_s: float | None = max((end_ns - self._start_ns) / NS_PER_S, 0.0)
        counts = ",".join(f"{entry.topic}={entry.msgcount}" for entry in self.connections)
        self.identity = f"{start_ns}:{self._reader.end_time}:{counts}"

    def entries(self) -> Iterator[RecordedImage | RecordedMessage]:
        """See `Recording.entries`."""
        numbers = {
            (entry.topic, entry.id): number for number, entry in enumerate(self.connections)
        }
        counts = dict.fromkeys(self.topics, 0)
        for connection, time_ns, data in self._messages():
            if self.copies:
                yield RecordedMessage(numbers[connection.topic, connection.id], time_ns, data)
            if not self._has(connection):
                continue
            index = counts[connection.topic]
            counts[connection.topic] += 1
            if index % self._every == 0:
                yield self._to_image(connection, index, time_ns, data)

    def close(self) -> None:
        """See `Recording.close`."""
        if self._reader.is_open:
            self._reader.close()

    def _has(self, connection: Connection) -> bool:
        return connection.topic in self.topics

    def _messages(self) -> Iterator[tuple[Connection, int, bytes]]:
        messages = self._reader.messages(self._read, self._start_ns, self._end_ns)
        last_ns = self._start_ns
        while True:
            try:
                connection, time_ns, data = next(messages)
            except StopIteration:
                return
            except _DAMAGE as err:
                raise DamagedRecordingError(
                    f"The {self.description} is damaged after second "
                    f"{(last_ns - self._origin_ns) / NS_PER_S:.3f} ({_reason(err)}); what came "
                    "before it was used."
                ) from err
            last_ns = time_ns
            yield connection, time_ns, data

    def _to_image(
        self, connection: Connection, index: int, time_ns: int, data: bytes
    ) -> RecordedImage:
        stamp_ns, frame_id = 0, ""
        decode: Callable[[], NDArray[np.uint8]]
        try:
            message: Any = self._typestore.deserialize_cdr(data, connection.msgtype)
        except (SerdeError, AssertionError, IndexError) as err:
            decode = partial(_refuse, f"The message is damaged: {_reason(err)}.")
        else:
            stamp = message.header.stamp
            stamp_ns = stamp.sec * NS_PER_S + stamp.nanosec
            frame_id = message.header.frame_id
            decode = cache(partial(from_image_message, message, max_pixels=MAX_IMAGE_PIXELS))
        elapsed_s = (time_ns - self._origin_ns) / NS_PER_S
        return RecordedImage(
            connection.topic, index, time_ns, elapsed_s, stamp_ns, frame_id, decode
        )


def is_bag(path: Path) -> bool:
    """Tell whether a path looks like a ROS 2 bag.

    Raises:
        OSError: It may not be looked at, or is a folder that cannot be listed.
    """
    if path.is_dir():
        return any(
            entry.name == _METADATA or entry.suffix in BAG_SUFFIXES for entry in path.iterdir()
        )
    return path.suffix.lower() in BAG_SUFFIXES


def _open(path: Path) -> Reader:
    """Open a bag.

    Raises:
        BagError: It is none, or is damaged.
    """
    try:
        if path.is_dir() and not (path / _METADATA).exists():
            raise BagError(
                f"The bag {path} has no {_METADATA}; run 'ros2 bag reindex {path}', or name the "
                ".mcap or .db3 file in it."
            )
        reader = Reader(path)
        reader.open()
    except _DAMAGE as err:
        raise BagError(
            f"The bag {path} cannot be read ({_reason(err)}). If its recording was cut off, "
            f"'ros2 bag reindex' or 'mcap recover' may repair it."
        ) from err
    return reader


def _refuse(reason: str) -> NDArray[np.uint8]:
    raise ImageError(reason)


def _reason(err: BaseException) -> str:
    text = " ".join(str(err).split()).rstrip(".")
    return text or type(err).__name__
