"""Publish images best-effort from a process of its own: publish_images.py WIDTH HEIGHT COUNT."""

import sys
import time

import numpy as np
import rclpy
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from deepfer_ros.messages import to_image
from deepfer_ros.transport import prepare_transport

_RATE_HZ = 30
_TIMEOUT_S = 20.0


def main() -> None:
    """Wait for a subscription, publish at 30 Hz, and stay until standard input is closed."""
    width, height, count = (int(argument) for argument in sys.argv[1:])
    prepare_transport()
    rclpy.init()
    node = rclpy.create_node("publish_images")
    publisher = node.create_publisher(Image, "image_raw", qos_profile_sensor_data)
    message = to_image(np.zeros((height, width, 3), np.uint8), Header())
    end_s = time.monotonic() + _TIMEOUT_S
    while not publisher.get_subscription_count() and time.monotonic() < end_s:
        rclpy.spin_once(node, timeout_sec=0.05)
    # The subscription may know of this publisher a little later than the other way round.
    time.sleep(1.0)
    for index in range(count):
        message.header.frame_id = str(index)
        publisher.publish(message)
        time.sleep(1 / _RATE_HZ)
    sys.stdin.read()
    node.destroy_node()
    rclpy.shutdown()


if __name__ == "__main__":
    main()
