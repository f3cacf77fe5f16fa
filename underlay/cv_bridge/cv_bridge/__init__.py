"""Conversion between ROS images and OpenCV arrays, in pure Python.

It has the Python interface of the package of the same name, without compiled code: it works with
any numpy and any OpenCV.
"""

from cv_bridge.core import CvBridge
from cv_bridge.encodings import CvBridgeError

__all__ = ["CvBridge", "CvBridgeError"]
