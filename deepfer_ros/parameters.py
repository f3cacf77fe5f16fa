"""The parameters of the emotion node."""

from dataclasses import dataclass

from deepfer_ros.parameter_table import parameter
from deepfer_ros.recognition.detection import DETECTOR_NAMES

IMAGE_TRANSPORTS = ("raw", "compressed")


@dataclass(frozen=True, slots=True)
class EmotionParameters:
    """A snapshot of the parameters of the emotion node. Each field is described by its own entry.

    Locked ones are in use while the node is configured; the others take effect on the next frame.
    """

    autostart: bool = parameter(
        True,
        "Configure and activate the node as soon as it starts. False leaves that to a lifecycle "
        "manager.",
        read_only=True,
    )
    model: str = parameter(
        "deepfer48",
        "Name of a model that comes with deepfer, or the path of a bundle folder or of a .tflite "
        "or .keras file inside one.",
        locked=True,
    )
    detector: str = parameter(
        "auto",
        "Face detector; auto takes the best that is present.",
        choices=DETECTOR_NAMES,
        locked=True,
    )
    yunet_file: str = parameter(
        "",
        "Path of the ONNX file of the detector yunet. Empty: the cache folder is searched.",
        locked=True,
    )
    detection_max_side_px: int = parameter(
        320,
        "Faces are searched in a copy of the image reduced to this longer side. More finds "
        "smaller faces and takes more time.",
        limits=(64, 4096),
        locked=True,
    )
    detection_min_confidence: float = parameter(
        0.6, "Detections less sure than this are no faces.", limits=(0.01, 1.0), locked=True
    )
    inference_threads: int = parameter(
        1, "Threads that the classifier may use.", limits=(1, 64), locked=True
    )
    deterministic_ids: bool = parameter(
        False, "Number the faces in order instead of giving them random ids.", locked=True
    )
    image_transport: str = parameter(
        "raw",
        "raw subscribes to image_raw, compressed to image_raw/compressed.",
        choices=IMAGE_TRANSPORTS,
        locked=True,
    )
    min_confidence: float = parameter(
        0.0, "An emotion less probable than this is reported as unknown.", limits=(0.0, 1.0)
    )
    smoothing_s: float = parameter(
        0.3,
        "Time constant over which the probabilities of a tracked face are smoothed. 0 switches "
        "smoothing off.",
        limits=(0.0, 60.0),
    )
    max_rate_hz: float = parameter(
        0.0, "Process at most this many images a second. 0 means every one.", limits=(0.0, 1000.0)
    )
    jpeg_quality: int = parameter(90, "Quality of the annotated JPEG images.", limits=(1, 100))
    max_pixels: int = parameter(
        50_000_000, "Images with more pixels are refused.", limits=(1, 1_000_000_000)
    )
    image_root: str = parameter(
        "", "If set, classify_image reads files inside this folder only. Empty: any file."
    )
    image_timeout_s: float = parameter(
        5.0,
        "Warn when no image has arrived for this long. 0 switches the warning off.",
        limits=(0.0, 3600.0),
    )
