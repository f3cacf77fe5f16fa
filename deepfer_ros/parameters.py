"""The parameters of the emotion node: one table, declared, checked and read from here."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor

from deepfer_ros.recognition.detection import DETECTOR_NAMES

if TYPE_CHECKING:
    from rclpy.node import Node

IMAGE_TRANSPORTS = ("raw", "compressed")

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class _Rule:
    """What is known about a parameter beside its name, type and default.

    Attributes:
        description: What it does, for people.
        limits: Smallest and largest value allowed, of a number.
        choices: The values allowed, of a string; empty if any is.
        locked: Whether it can be changed only while the node is unconfigured.
        read_only: Whether it can be set only when the node starts.
    """

    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    locked: bool = False
    read_only: bool = False


def _parameter(
    default: _T,
    description: str,
    *,
    limits: tuple[float, float] | None = None,
    choices: tuple[str, ...] = (),
    locked: bool = False,
    read_only: bool = False,
) -> _T:
    """Return a dataclass field that carries its own rule."""
    rule = _Rule(description, limits, choices, locked, read_only)
    return field(default=default, metadata={"rule": rule})


@dataclass(frozen=True, slots=True)
class Parameters:
    """A snapshot of all parameters. Each field is described by its own entry."""

    autostart: bool = _parameter(
        True,
        "Configure and activate the node as soon as it starts. False leaves that to a lifecycle "
        "manager.",
        read_only=True,
    )
    model: str = _parameter(
        "deepfer48",
        "Name of a model that comes with deepfer, or the path of a bundle folder or of a .tflite "
        "or .keras file inside one.",
        locked=True,
    )
    detector: str = _parameter(
        "auto",
        "Face detector; auto takes the best that is present.",
        choices=DETECTOR_NAMES,
        locked=True,
    )
    yunet_file: str = _parameter(
        "",
        "Path of the ONNX file of the detector yunet. Empty: the cache folder is searched.",
        locked=True,
    )
    detection_max_side_px: int = _parameter(
        320,
        "Faces are searched in a copy of the image reduced to this longer side. More finds "
        "smaller faces and takes more time.",
        limits=(64, 4096),
        locked=True,
    )
    detection_min_confidence: float = _parameter(
        0.6, "Detections less sure than this are no faces.", limits=(0.01, 1.0), locked=True
    )
    inference_threads: int = _parameter(
        1, "Threads that the classifier may use.", limits=(1, 64), locked=True
    )
    deterministic_ids: bool = _parameter(
        False, "Number the faces in order instead of giving them random ids.", locked=True
    )
    image_transport: str = _parameter(
        "raw",
        "raw subscribes to image_raw, compressed to image_raw/compressed.",
        choices=IMAGE_TRANSPORTS,
        locked=True,
    )
    min_confidence: float = _parameter(
        0.0, "An emotion less probable than this is reported as unknown.", limits=(0.0, 1.0)
    )
    smoothing_s: float = _parameter(
        0.3,
        "Time constant over which the probabilities of a tracked face are smoothed. 0 switches "
        "smoothing off.",
        limits=(0.0, 60.0),
    )
    max_rate_hz: float = _parameter(
        0.0, "Process at most this many images a second. 0 means every one.", limits=(0.0, 1000.0)
    )
    jpeg_quality: int = _parameter(90, "Quality of the annotated JPEG images.", limits=(1, 100))
    max_pixels: int = _parameter(
        50_000_000, "Images with more pixels are refused.", limits=(1, 1_000_000_000)
    )
    image_root: str = _parameter(
        "", "If set, classify_image reads files inside this folder only. Empty: any file."
    )
    image_timeout_s: float = _parameter(
        5.0,
        "Warn when no image has arrived for this long. 0 switches the warning off.",
        limits=(0.0, 3600.0),
    )


_RULES: Mapping[str, _Rule] = {
    entry.name: entry.metadata["rule"] for entry in dataclasses.fields(Parameters)
}
_TYPES: Mapping[str, type] = {
    entry.name: type(entry.default) for entry in dataclasses.fields(Parameters)
}


def declare_parameters(node: "Node") -> None:
    """Declare every parameter with its default, description and limits."""
    defaults = dataclasses.asdict(Parameters())
    node.declare_parameters("", [(name, defaults[name], _descriptor(name)) for name in defaults])


def read_parameters(node: "Node") -> Parameters:
    """Return a snapshot of the parameters of a node."""
    values = {name: of_type(node.get_parameter(name).value) for name, of_type in _TYPES.items()}
    return Parameters(**values)


def find_fault(changes: Mapping[str, Any], *, configured: bool) -> str | None:
    """Say why parameters must not be changed like this.

    Args:
        changes: New values by name. Names that are not in the table are none of our business.
        configured: Whether the node is configured, so that locked parameters are in use.

    Returns:
        One sentence, or None if the change is all right.
    """
    for name, value in changes.items():
        if name not in _RULES:
            continue
        fault = _find_value_fault(name, value)
        if fault is None and configured and _RULES[name].locked:
            fault = (
                f"{name} is in use and can be changed only while the node is unconfigured; "
                "deactivate and clean up the node first."
            )
        if fault is not None:
            return fault
    return None


def _find_value_fault(name: str, value: object) -> str | None:
    rule, expected = _RULES[name], _TYPES[name]
    # A whole number is a fine value for a float: people write 1 for 1.0. A bool is no number.
    allowed = (int, float) if expected is float else (expected,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and expected is not bool):
        return f"{name} must be {_TYPE_NAMES[expected]}, got {value!r}."
    if rule.choices and value not in rule.choices:
        return f"{name} must be one of {', '.join(rule.choices)}, got '{value}'."
    if rule.limits is not None:
        low, high = rule.limits
        number = cast("float", value)
        if not (math.isfinite(number) and low <= number <= high):
            return f"{name} must be from {low} to {high}, got {value}."
    return None


_TYPE_NAMES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


def _descriptor(name: str) -> ParameterDescriptor:
    rule = _RULES[name]
    descriptor = ParameterDescriptor(
        name=name,
        description=rule.description,
        read_only=rule.read_only,
        # Lets a whole number pass where a float is declared; find_fault checks the type.
        dynamic_typing=_TYPES[name] is float,
    )
    constraints = []
    if rule.choices:
        constraints.append(f"One of {', '.join(rule.choices)}.")
    if rule.locked:
        constraints.append("Can be changed only while the node is unconfigured.")
    descriptor.additional_constraints = " ".join(constraints)
    if rule.limits is not None:
        low, high = rule.limits
        if _TYPES[name] is int:
            descriptor.integer_range = [
                IntegerRange(from_value=int(low), to_value=int(high), step=1)
            ]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
