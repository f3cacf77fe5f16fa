"""Write results as a ROS 2 bag: what the emotion node publishes, with the same messages."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Connection, ConnectionExtRosbag2, MessageDefinitionFormat
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys.store import Typestore

from deepfer_ros.bag.definitions import COMPRESSED_IMAGE, DETECTION_ARRAY, EMOTION_ARRAY, IMAGE
from deepfer_ros.bag.messages import MessageFactory
from deepfer_ros.bag.recording import RecordedImage, RecordedMessage
from deepfer_ros.bag.topics import result_prefixes
from deepfer_ros.recognition.drawing import draw_emotions
from deepfer_ros.recognition.errors import ImageError
from deepfer_ros.recognition.types import FaceEmotion

_EMOTIONS = "/emotions"
_DETECTIONS = "/emotions/detections"
_IMAGES = {"raw": "/emotions/image", "compressed": "/emotions/image/compressed"}
# Of metadata.yaml; Humble and all later distributions read it.
_BAG_VERSION = 8
_STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


class BagWriter:
    """Writes a bag. See `ResultWriter`.

    Args:
        path: The folder of the bag, which does not exist.
        storage: "mcap" or "sqlite3".
        typestore: See `load_typestore`.
        topics: The image topics whose results will come.
        model: Name of the model.
        annotate: Whether the bag gets annotated images: "raw", "compressed" or "".
        copied: Connections of the recording whose messages are copied.
    """

    def __init__(
        self,
        path: Path,
        storage: str,
        typestore: Typestore,
        topics: Sequence[str],
        model: str,
        *,
        annotate: str = "",
        copied: Sequence[Connection] = (),
    ) -> None:
        self._typestore = typestore
        self._factory = MessageFactory(typestore, model)
        self._annotate = annotate
        self._writer = Writer(path, version=_BAG_VERSION, storage_plugin=_STORAGES[storage])
        self._writer.open()
        self._prefixes = result_prefixes(topics)
        self._results: dict[str, Connection] = {}
        for prefix in self._prefixes.values():
            self._add(f"{prefix}{_EMOTIONS}", EMOTION_ARRAY)
            self._add(f"{prefix}{_DETECTIONS}", DETECTION_ARRAY)
            if annotate:
                kind = IMAGE if annotate == "raw" else COMPRESSED_IMAGE
                self._add(f"{prefix}{_IMAGES[annotate]}", kind)
        self.notes: list[str] = []
        self._lost_pictures: Counter[str] = Counter()
        self._copies = [self._add_copy(connection) for connection in copied]

    def write(self, image: RecordedImage, faces: tuple[FaceEmotion, ...]) -> None:
        """See `ResultWriter.write`."""
        prefix = self._prefixes[image.topic]
        self._write(
            f"{prefix}{_EMOTIONS}", image.time_ns, self._factory.emotion_array(image, faces)
        )
        self._write(
            f"{prefix}{_DETECTIONS}", image.time_ns, self._factory.detection_array(image, faces)
        )
        if self._annotate:
            annotated_bgr = draw_emotions(image.decode(), faces)
            try:
                message = self._picture(image, annotated_bgr)
            except ImageError as err:
                self._lost_pictures[str(err)] += 1
            else:
                self._write(f"{prefix}{_IMAGES[self._annotate]}", image.time_ns, message)

    def copy(self, message: RecordedMessage) -> None:
        """Write a message of the recording as it is, unless a result has the name of its topic."""
        connection = self._copies[message.connection]
        if connection is not None:
            self._writer.write(connection, message.time_ns, message.data)

    def finish(self) -> None:
        """See `ResultWriter.finish`."""
        self._writer.close()
        self.notes += [
            f"Left out the annotated image of {count} images: {reason}"
            for reason, count in self._lost_pictures.items()
        ]

    def abort(self) -> None:
        """See `ResultWriter.abort`."""
        with contextlib.suppress(OSError):
            self._writer.abort()

    def _picture(self, image: RecordedImage, annotated_bgr: NDArray[np.uint8]) -> Any:  # noqa: ANN401
        if self._annotate == "raw":
            return self._factory.image(image, annotated_bgr)
        return self._factory.compressed_image(image, annotated_bgr)

    def _add(self, topic: str, kind: str) -> None:
        self._results[topic] = self._writer.add_connection(topic, kind, typestore=self._typestore)

    def _add_copy(self, connection: Connection) -> Connection | None:
        """Return the connection for the copies of one, or None if it cannot be copied."""
        if connection.topic in self._results:
            self.notes.append(f"Did not copy {connection.topic}: the new results have that name.")
            return None
        definition, digest = connection.msgdef.data, connection.digest
        if connection.msgdef.format == MessageDefinitionFormat.NONE or not digest:
            if connection.msgtype not in self._typestore.types:
                self.notes.append(
                    f"Did not copy {connection.topic}: the bag does not say what its type "
                    f"{connection.msgtype} is."
                )
                return None
            definition, _ = self._typestore.generate_msgdef(connection.msgtype, ros_version=2)
            digest = self._typestore.hash_rihs01(connection.msgtype)
        assert isinstance(connection.ext, ConnectionExtRosbag2)
        return self._writer.add_connection(
            connection.topic,
            connection.msgtype,
            msgdef=definition,
            rihs01=digest,
            serialization_format=connection.ext.serialization_format,
            offered_qos_profiles=connection.ext.offered_qos_profiles,
        )

    def _write(self, topic: str, time_ns: int, message: Any) -> None:  # noqa: ANN401
        connection = self._results[topic]
        data = self._typestore.serialize_cdr(message, connection.msgtype)
        self._writer.write(connection, time_ns, data)
