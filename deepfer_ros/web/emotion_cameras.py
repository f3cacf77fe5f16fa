"""What an emotion node must be told so that a browser can be one of its cameras."""

from collections.abc import Mapping
from types import MappingProxyType

BROWSER_CAMERA = "browser"
"""Name of the camera that a visitor's browser becomes."""

EMOTION_CAMERAS: Mapping[str, list[str]] = MappingProxyType(
    {"cameras": ["", BROWSER_CAMERA], "on_demand_cameras": [BROWSER_CAMERA]}
)
"""Parameters of the emotion node: the camera of its own namespace, and that of a browser."""
