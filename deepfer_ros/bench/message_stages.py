"""The stages between ROS messages and pictures. Needs ROS."""

import numpy as np
from numpy.typing import NDArray
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from deepfer_ros.bench.frames import FrameSet
from deepfer_ros.bench.machine import Limits
from deepfer_ros.bench.stages import Stage
from deepfer_ros.image_conversion import from_image_message
from deepfer_ros.messages import (
    to_compressed_image,
    to_detection_array,
    to_emotion_array,
    to_image,
)
from deepfer_ros.recognition.images import MAX_IMAGE_PIXELS
from deepfer_ros.recognition.recognizer import EmotionRecognizer

_JPEG_QUALITY = 90


def message_stages(
    recognizer: EmotionRecognizer, frames: FrameSet, limits: Limits
) -> tuple[Stage, ...]:
    """Prepare the conversions of one frame and of its result."""
    image_bgr, header = frames.images_bgr[0], Header()
    faces = recognizer.recognize(image_bgr, 0.0)
    copy_ms = limits.copy_ms(image_bgr.nbytes)
    bgr, rgb = to_image(image_bgr, header), to_image(image_bgr, header)
    rgb.encoding = "rgb8"
    jpeg = to_compressed_image(image_bgr, header, quality=_JPEG_QUALITY)

    def convert(message: Image) -> NDArray[np.uint8]:
        return from_image_message(message, max_pixels=MAX_IMAGE_PIXELS)

    return (
        Stage("from bgr8 message", lambda: convert(bgr), 0.0, "nothing: the pixels are shared"),
        Stage("from rgb8 message", lambda: convert(rgb), copy_ms, "copying the picture"),
        Stage("from JPEG message", lambda: convert(jpeg)),
        Stage("to EmotionArray", lambda: to_emotion_array(faces, header, "deepfer48")),
        Stage("to Detection2DArray", lambda: to_detection_array(faces, header)),
        Stage("to Image", lambda: to_image(image_bgr, header), copy_ms, "copying the picture"),
        Stage(
            "to CompressedImage",
            lambda: to_compressed_image(image_bgr, header, quality=_JPEG_QUALITY),
        ),
    )
