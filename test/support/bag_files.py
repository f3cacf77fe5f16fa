"""Bags for tests, written and read by rosbags."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from deepfer_ros.bag.definitions import COMPRESSED_IMAGE, IMAGE, load_typestore

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
# When the bags begin, in nanoseconds. The stamps lag behind by a delay that no float can hide.
ORIGIN_NS = 1_700_000_000_123_456_789
DELAY_NS = 7_000_001
TYPESTORE = load_typestore()
Message = Any


@dataclass(frozen=True, slots=True)
class Entry:
    """A message to be written.

    Attributes:
        topic: Its topic.
        kind: Its type.
        elapsed_s: Seconds since the beginning of the bag.
        message: A message of `TYPESTORE`, or its bytes.
    """

    topic: str
    kind: str
    elapsed_s: float
    message: Message


def make(name: str, **fields: object) -> Message:
    return TYPESTORE.types[name](**fields)


def header(elapsed_s: float, frame_id: str = "head_camera") -> Message:
    sec, nanosec = divmod(ORIGIN_NS + round(elapsed_s * 10**9) - DELAY_NS, 10**9)
    stamp = make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame_id)


def raw_entry(
    topic: str,
    elapsed_s: float,
    image_bgr: NDArray[np.uint8],
    *,
    encoding: str = "bgr8",
    frame_id: str = "head_camera",
) -> Entry:
    values = image_bgr[:, :, ::-1] if encoding == "rgb8" else image_bgr
    message = make(
        IMAGE,
        header=header(elapsed_s, frame_id),
        height=image_bgr.shape[0],
        width=image_bgr.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=3 * image_bgr.shape[1],
        data=np.ascontiguousarray(values).reshape(-1),
    )
    return Entry(topic, IMAGE, elapsed_s, message)


def compressed_entry(
    topic: str, elapsed_s: float, image_bgr: NDArray[np.uint8], *, suffix: str = ".png"
) -> Entry:
    _, data = cv2.imencode(suffix, image_bgr)
    message = make(
        COMPRESSED_IMAGE, header=header(elapsed_s), format=suffix[1:], data=data.reshape(-1)
    )
    return Entry(topic, COMPRESSED_IMAGE, elapsed_s, message)


def text_entry(topic: str, elapsed_s: float, text: str) -> Entry:
    return Entry(topic, "std_msgs/msg/String", elapsed_s, make("std_msgs/msg/String", data=text))


def write_bag(
    path: Path,
    entries: Sequence[Entry],
    *,
    storage: str = "mcap",
    compression: CompressionMode = CompressionMode.NONE,
) -> Path:
    writer = Writer(path, version=8, storage_plugin=STORAGES[storage])
    writer.set_compression(compression, CompressionFormat.ZSTD)
    connections: dict[str, Any] = {}
    with writer:
        for entry in entries:
            if entry.topic not in connections:
                connections[entry.topic] = writer.add_connection(
                    entry.topic, entry.kind, typestore=TYPESTORE
                )
            data = entry.message
            if not isinstance(data, bytes):
                data = TYPESTORE.serialize_cdr(data, entry.kind)
            time_ns = ORIGIN_NS + round(entry.elapsed_s * 10**9)
            writer.write(connections[entry.topic], time_ns, data)
    return path


def read_bag(path: Path) -> Iterator[tuple[str, int, Message]]:
    """Return topic, time in nanoseconds and message of all that is in a bag."""
    with Reader(path) as reader:
        for connection, time_ns, data in reader.messages():
            message = TYPESTORE.deserialize_cdr(data, connection.msgtype)
            yield connection.topic, time_ns, message
