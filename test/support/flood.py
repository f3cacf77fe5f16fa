"""A camera that sends as many images as it can, from a thread of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from fake_camera import BEST_EFFORT, BLACK
from ros_peer import RosPeer
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from deepfer_ros.messages import to_image

RATE_HZ = 200


@contextmanager
def flooded(topic: str) -> Iterator[None]:
    """Publish images at 200 Hz until the end of the block, once somebody listens."""
    peer = RosPeer("flood")
    publisher = peer.advertise(Image, topic, BEST_EFFORT)
    message = to_image(BLACK, Header(frame_id="flood"))
    stopping = threading.Event()

    def publish() -> None:
        while not stopping.wait(1 / RATE_HZ):
            message.header.stamp = peer.node.get_clock().now().to_msg()
            publisher.publish(message)

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join()
        peer.close()
